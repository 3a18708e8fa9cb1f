//! Arguments for the fields of a rule.

use clap::{ArgAction, Args};
use ipnet::IpNet;
use sg_api_types::ModifyRule;
use sg_records::{Action, Match, NicType, OnlyFamily, Ports, Protocol, Remote, RuleSpec};

use crate::args::{
    numbers::RuleNumbers,
    values::{parse_bool, ports, prefix, remote},
    words::{ActionParser, rule_protocol},
};

/// The fields of a new rule.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "The rule")]
pub(crate) struct NewRule {
    /// Protocol: tcp, udp, icmp, icmpv6, gre, sctp, all, or 0 to 255.
    #[arg(long, value_parser = rule_protocol)]
    protocol: Protocol,
    /// Destination ports: `22`, `80,8000-8100`, or `port-list:NAME`. Default: any.
    #[arg(long, value_parser = ports)]
    ports: Option<Ports>,
    /// Remote: `any`, an address or prefix, `group:NAME`, `prefix-list:NAME`. Default: any. May be repeated: one rule is
    /// created for each.
    #[arg(long = "remote", value_name = "REMOTE", value_parser = remote)]
    remotes: Vec<Remote>,
    /// Verdict for packets that match.
    #[arg(long, value_parser = ActionParser, default_value = "accept")]
    action: Action,
    /// Priority, 1 (first) to 100 (last).
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    priority: u8,
    /// Source ports, written like --ports. Default: any.
    #[arg(long, value_name = "PORTS", value_parser = ports)]
    source_ports: Option<Ports>,
    #[command(flatten)]
    numbers: RuleNumbers,
    /// Only packets of this address family. Default: both, as far as the other fields have both.
    #[arg(long, value_enum, value_name = "FAMILY")]
    family: Option<OnlyFamily>,
    /// Local address or prefix. Default: every address of the NIC.
    #[arg(long, value_name = "PREFIX", value_parser = prefix)]
    local: Option<IpNet>,
    /// In a classic group: the NICs it is for.
    #[arg(long, value_enum, value_name = "NETWORK", default_value = "intranet")]
    nic_type: NicType,
    /// Whether the rule is enabled
    #[arg(long, value_name = "YES", action = ArgAction::Set, value_parser = parse_bool(), default_value = "yes")]
    enabled: bool,
    /// Name of the rule, unique in its group.
    #[arg(long)]
    name: Option<String>,
    /// Description.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
}

impl NewRule {
    /// One rule for each remote.
    pub(crate) fn into_request(self) -> Vec<RuleSpec> {
        let Self {
            protocol,
            ports,
            remotes,
            action,
            priority,
            source_ports,
            numbers,
            family,
            local,
            nic_type,
            enabled,
            name,
            description,
        } = self;
        let matches = Match {
            protocol,
            ports: ports.unwrap_or_default(),
            source_ports: source_ports.unwrap_or_default(),
            numbers: numbers.into(),
            family,
            remote: Remote::Any,
            local,
        };
        let spec = RuleSpec {
            action,
            priority,
            matches,
            nic_type,
            enabled,
            name: name.unwrap_or_default(),
            description: description.unwrap_or_default(),
        };
        let remotes = if remotes.is_empty() { vec![Remote::Any] } else { remotes };
        let to = |remote| {
            let mut spec = spec.clone();
            spec.matches.remote = remote;
            spec
        };
        remotes.into_iter().map(to).collect()
    }
}

/// The fields of a rule that change.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "What changes")]
pub(crate) struct RuleChange {
    /// Protocol: tcp, udp, icmp, icmpv6, gre, sctp, all, or 0 to 255.
    #[arg(long, value_parser = rule_protocol)]
    protocol: Option<Protocol>,
    /// Destination ports: `any`, `22`, `80,8000-8100`, or `port-list:NAME`.
    #[arg(long, value_parser = ports)]
    ports: Option<Ports>,
    /// Remote, of the same kind as before: an IPv4 or IPv6 prefix, `group:NAME`, `prefix-list:NAME`.
    #[arg(long, value_parser = remote)]
    remote: Option<Remote>,
    /// Verdict for packets that match.
    #[arg(long, value_parser = ActionParser)]
    action: Option<Action>,
    /// Priority, 1 (first) to 100 (last).
    #[arg(long, value_name = "NUMBER")]
    priority: Option<u8>,
    /// Source ports, written like --ports.
    #[arg(long, value_name = "PORTS", value_parser = ports)]
    source_ports: Option<Ports>,
    #[command(flatten)]
    numbers: RuleNumbers,
    /// Only packets of this address family.
    #[arg(long, value_enum, value_name = "FAMILY")]
    family: Option<OnlyFamily>,
    /// Local address or prefix.
    #[arg(long, value_name = "PREFIX", value_parser = prefix)]
    local: Option<IpNet>,
    /// Whether the rule is enabled.
    #[arg(long, value_name = "YES", value_parser = parse_bool())]
    enabled: Option<bool>,
    /// New description; '' removes it.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
}

impl RuleChange {
    /// The change as a request, for a rule of `group` if that is given. The rule itself is in the path.
    pub(crate) fn into_request(self, group: Option<String>) -> ModifyRule {
        let Self {
            protocol,
            ports,
            remote,
            action,
            priority,
            source_ports,
            numbers,
            family,
            local,
            enabled,
            description,
        } = self;
        ModifyRule {
            rule: String::new(),
            group,
            direction: None,
            action,
            priority,
            protocol,
            ports,
            source_ports,
            numbers: numbers.into(),
            family,
            remote,
            local,
            enabled,
            description,
        }
    }
}
