//! The fields of a rule, as they are typed.

use clap::Args;
use ipnet::IpNet;

use super::args::{ports, prefix, remote, said};
use crate::{
    service::ModifyRule,
    store::{Action, NicType, Ports, Protocol, Remote, RuleSpec},
};

/// The fields of a new rule.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "The rule")]
pub(super) struct NewRule {
    /// tcp, udp, icmp, icmpv6, gre, sctp, all, or 0 to 255.
    #[arg(long)]
    protocol: Protocol,
    /// The packet's destination port: `22`, `80,8000-8100`, or `port-list:NAME` [default: any].
    #[arg(long, value_parser = ports)]
    ports: Option<Ports>,
    /// The other end: `any`, an address or prefix, `group:NAME`, `prefix-list:NAME` [default: any]. Said several times it
    /// makes a rule for each.
    #[arg(long = "remote", value_parser = remote)]
    remotes: Vec<Remote>,
    /// What happens to packets that match.
    #[arg(long, value_enum, default_value = "accept")]
    action: Action,
    /// 1 (asked first) to 100 (last).
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    priority: u8,
    /// The packet's source port; as --ports [default: any].
    #[arg(long, value_name = "PORTS", value_parser = ports)]
    source_ports: Option<Ports>,
    /// The type of ICMP message [default: any].
    #[arg(long, value_name = "NUMBER")]
    icmp_type: Option<u8>,
    /// Its code; needs a type [default: any].
    #[arg(long, value_name = "NUMBER")]
    icmp_code: Option<u8>,
    /// This end: an address or prefix [default: every address of the NIC].
    #[arg(long, value_name = "PREFIX", value_parser = prefix)]
    local: Option<IpNet>,
    /// In a classic group: which NICs it is for.
    #[arg(long, value_enum, default_value = "intranet")]
    nic_type: NicType,
    /// The rule does not count before it is enabled.
    #[arg(long)]
    disabled: bool,
    /// What to call it in its group.
    #[arg(long)]
    name: Option<String>,
    /// What it is for.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
}

impl NewRule {
    /// A rule for each remote.
    pub(super) fn meaning(self) -> Vec<RuleSpec> {
        let spec = RuleSpec {
            action: self.action,
            priority: self.priority,
            protocol: self.protocol,
            ports: self.ports.unwrap_or_default(),
            source_ports: self.source_ports.unwrap_or_default(),
            icmp_type: self.icmp_type,
            icmp_code: self.icmp_code,
            remote: Remote::Any,
            local: self.local,
            nic_type: self.nic_type,
            enabled: !self.disabled,
            name: self.name.unwrap_or_default(),
            description: self.description.unwrap_or_default(),
        };
        let remotes = if self.remotes.is_empty() { vec![Remote::Any] } else { self.remotes };
        remotes.into_iter().map(|remote| RuleSpec { remote, ..spec.clone() }).collect()
    }
}

/// The fields of a rule that change.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "What changes")]
pub(super) struct RuleChange {
    /// tcp, udp, icmp, icmpv6, gre, sctp, all, or 0 to 255.
    #[arg(long)]
    protocol: Option<Protocol>,
    /// The packet's destination port: `any`, `22`, `80,8000-8100`, or `port-list:NAME`.
    #[arg(long, value_parser = ports)]
    ports: Option<Ports>,
    /// The other end; it stays of its kind: an IPv4 or IPv6 prefix, `group:NAME`, `prefix-list:NAME`.
    #[arg(long, value_parser = remote)]
    remote: Option<Remote>,
    /// What happens to packets that match.
    #[arg(long, value_enum)]
    action: Option<Action>,
    /// 1 (asked first) to 100 (last).
    #[arg(long, value_name = "NUMBER")]
    priority: Option<u8>,
    /// The packet's source port; as --ports.
    #[arg(long, value_name = "PORTS", value_parser = ports)]
    source_ports: Option<Ports>,
    /// The type of ICMP message.
    #[arg(long, value_name = "NUMBER")]
    icmp_type: Option<u8>,
    /// Its code.
    #[arg(long, value_name = "NUMBER")]
    icmp_code: Option<u8>,
    /// This end: an address or prefix.
    #[arg(long, value_name = "PREFIX", value_parser = prefix)]
    local: Option<IpNet>,
    /// Whether it counts.
    #[arg(long, value_name = "YES", value_parser = said())]
    enabled: Option<bool>,
    /// What it is for; '' takes its description away.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
}

impl RuleChange {
    /// What changes.
    pub(super) fn meaning(self) -> ModifyRule {
        ModifyRule {
            action: self.action,
            priority: self.priority,
            protocol: self.protocol,
            ports: self.ports,
            source_ports: self.source_ports,
            icmp_type: self.icmp_type,
            icmp_code: self.icmp_code,
            remote: self.remote,
            local: self.local,
            enabled: self.enabled,
            description: self.description,
            ..ModifyRule::default()
        }
    }
}
