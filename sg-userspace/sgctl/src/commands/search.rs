//! `sgctl search`: the packets that a document accepts, drops or rejects, exactly.

use std::{io::Write, time::Duration};

use anyhow::anyhow;
use sg_common::packet::{has_ports, protocol};
use sg_diff::{AS_WRITTEN, Found, WrittenFound, search};
use sg_model::{
    Direction, End, Family, FamilyName, GroupIndex, Indices, Over, Packets, Policy, PortListIndex,
    PrefixListIndex, Resolve, text::escaped,
};
use sg_records::{Action, GroupId, Ids, Match, PortListId, Ports, PrefixListId, Protocol, Remote};

use super::diff::SHOWN;
use crate::{
    args::{
        PolicyArg,
        common::{Common, Format},
        numbers::RuleNumbers,
        policy,
        values::{ports, remote},
        words::{ActionParser, rule_protocol},
    },
    failure::Failure,
    render::output::{Output, count},
    stderr::say,
};

/// Show the packets that a document accepts, or drops or rejects: exactly those, as few lines that do not overlap.
///
/// Each line says what decides, and shows a packet that `sgctl check` takes. Only packets that start a flow are meant. Exit code: 0 if
/// there are none, 1 if there are, 2 if that cannot be said: a search for what must not be there is a check.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    policy: PolicyArg,
    /// Only this NIC, by its device. Default: all
    #[arg(long, value_name = "DEVICE", conflicts_with = "group")]
    nic: Option<String>,
    /// Only NICs that hold this group
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// Only this direction, as the owner of the NIC sees it
    #[arg(long, value_enum)]
    direction: Option<Towards>,
    /// Only this family
    #[arg(long, value_parser = family, value_name = "4|6")]
    family: Option<Family>,
    /// With this verdict; several are separated by commas
    #[arg(long, value_parser = ActionParser, value_delimiter = ',', default_value = "accept")]
    verdict: Vec<Action>,
    /// Decided by a rule of this id
    #[arg(long, value_name = "ID")]
    rule: Option<String>,
    /// Remotes: an address or prefix, `group:NAME`, `prefix-list:NAME`; several are separated by commas. Default: any
    #[arg(long, value_name = "REMOTE,…", value_parser = remote, value_delimiter = ',')]
    remote: Vec<Remote>,
    /// But not these remotes
    #[arg(long, value_name = "REMOTE,…", value_parser = remote, value_delimiter = ',')]
    not_remote: Vec<Remote>,
    /// Local addresses, written like --remote. Default: any
    #[arg(long, value_name = "LOCAL,…", value_parser = remote, value_delimiter = ',')]
    local: Vec<Remote>,
    /// But not these local addresses
    #[arg(long, value_name = "LOCAL,…", value_parser = remote, value_delimiter = ',')]
    not_local: Vec<Remote>,
    /// Protocol: tcp, udp, icmp, icmpv6, gre, sctp, all, or 0 to 255. Default: all; with ports, each that has them
    #[arg(long, value_parser = rule_protocol)]
    protocol: Option<Protocol>,
    /// Destination ports: `22`, `80,8000-8100`, or `port-list:NAME`. Default: any
    #[arg(long, visible_alias = "ports", value_name = "PORTS", value_parser = ports)]
    port: Option<Ports>,
    /// Source ports, written like --port. Default: any
    #[arg(long, value_name = "PORTS", value_parser = ports)]
    source_ports: Option<Ports>,
    #[command(flatten)]
    numbers: RuleNumbers,
    /// Every line. Default: the first 20
    #[arg(long)]
    all: bool,
    /// How long it may take, in seconds. What is not known by then is said.
    #[arg(long, value_name = "SECONDS", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    time: u64,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Towards {
    Ingress,
    Egress,
}

fn family(text: &str) -> Result<Family, String> {
    match text {
        "4" => Ok(Family::V4),
        "6" => Ok(Family::V6),
        _ => Err("allowed are 4 and 6".to_owned()),
    }
}

pub(crate) fn run(args: &Args, common: &Common, out: &mut dyn Write) -> Result<(), Failure> {
    let mut output = Output::new(&common.output, out)?;
    output.without_table()?;
    if matches!(output.format, Format::Yaml | Format::Name) {
        return Err(Failure::input(anyhow!(
            "what a search finds is for people, or --json: leave -o yaml and name out"
        )));
    }
    let policy = policy::load(&args.policy.policy)?;
    let packets = args.packets(&policy)?;
    let verdicts: Vec<_> = args.verdict.iter().map(|action| (*action).into()).collect();
    let time = Duration::from_secs(args.time);
    let Found { lines, undecided } = search(&policy, &packets, &verdicts, args.rule.as_deref(), time);
    if output.format.is_table() && (!lines.is_empty() || undecided.is_empty()) {
        let found =
            if lines.is_empty() { "no packet".to_owned() } else { count(lines.len(), "set") + " of packets" };
        output.line(&found)?;
    }
    let most = if args.all { lines.len() } else { SHOWN };
    for line in lines.iter().take(most) {
        let written = WrittenFound::from(line.written(policy.nic(line.nic)));
        if output.format == Format::Json {
            output.line(&serde_json::to_string(&written).map_err(Failure::other)?)?;
        } else {
            let sample = serde_json::to_string(&written.sample).map_err(Failure::other)?;
            output.line(&format!("{}: {}", line.packets(AS_WRITTEN), line.after.words(AS_WRITTEN)))?;
            output.line(&format!("    such as {sample}"))?;
        }
    }
    let left = lines.len().saturating_sub(most);
    if left > 0 {
        output.remark(&format!("and {}: --all shows every line", count(left, "line")));
    }
    for (nic, direction, family) in &undecided {
        say(&format!(
            "sgctl: warning: not known within the time: {} of NIC {}, {}; --time raises it, and what is searched for can be narrower",
            direction.name(),
            escaped(nic),
            FamilyName(*family),
        ));
    }
    match (lines.is_empty(), undecided.is_empty()) {
        (true, true) => Ok(()),
        (true, false) => {
            Err(Failure::input(anyhow!("nothing was found in that time, which may be too short")))
        }
        (false, _) => Err(Failure::Different),
    }
}

impl Args {
    fn packets(&self, policy: &Policy) -> Result<Packets, Failure> {
        let mut names = InPolicy(policy);
        let over = match (&self.nic, &self.group) {
            (Some(nic), _) if policy.nic(nic).is_none() => {
                return Err(Failure::not_found(anyhow!("the document has no NIC {}", escaped(nic))));
            }
            (Some(nic), _) => Over::Device(nic.clone()),
            (None, Some(group)) => Over::Group(names.group(&GroupId::from(group.as_str()))?),
            (None, None) => Over::Every,
        };
        let mut all = |remotes: &[Remote]| {
            let one = |remote: &Remote| {
                let of = Match { remote: remote.clone(), ..Match::of(Protocol::All) };
                Ok(of.try_map(&mut names)?.remote)
            };
            remotes.iter().map(one).collect::<Result<Vec<_>, Failure>>()
        };
        let remote = End { of: all(&self.remote)?, not_of: all(&self.not_remote)? };
        let local = End { of: all(&self.local)?, not_of: all(&self.not_local)? };
        Ok(Packets {
            over,
            direction: self.direction.map(|direction| match direction {
                Towards::Ingress => Direction::Ingress,
                Towards::Egress => Direction::Egress,
            }),
            family: self.family,
            remote,
            local,
            services: self.services(policy)?,
        })
    }

    /// What is searched for, by protocol.
    fn services(&self, policy: &Policy) -> Result<Vec<sg_model::Match>, Failure> {
        let numbers: sg_model::HeaderNumbers = self.numbers.clone().into();
        let has_message = numbers.icmp_type.is_some() || numbers.icmp_code.is_some();
        let with_ports = self.port.is_some() || self.source_ports.is_some();
        let written = self.protocol.filter(|protocol| *protocol != Protocol::All);
        let protocols: Vec<Protocol> = match written {
            Some(one) => vec![one],
            None if with_ports && has_message => Vec::new(),
            None if with_ports => (0..=u8::MAX).filter(|one| has_ports(*one)).map(Protocol::Number).collect(),
            None if has_message => [protocol::ICMP, protocol::ICMPV6].map(Protocol::Number).into(),
            None => vec![Protocol::All],
        };
        let is_of = |one: &Protocol| match one {
            Protocol::All => !with_ports && !has_message,
            Protocol::Number(number) => {
                (!with_ports || has_ports(*number))
                    && (!has_message || matches!(*number, protocol::ICMP | protocol::ICMPV6))
            }
        };
        if protocols.is_empty() || !protocols.iter().all(is_of) {
            return Err(Failure::input(anyhow!(
                "ports belong to tcp, udp, sctp, 33 and 136, a type and a code to icmp and icmpv6: no packet has both, nor \
                 those of another protocol"
            )));
        }
        if numbers.icmp_code.is_some() && numbers.icmp_type.is_none() {
            return Err(Failure::input(anyhow!(
                "a code means nothing without a type: write --icmp-type too"
            )));
        }
        let service = |protocol| {
            let one = Match {
                ports: self.port.clone().unwrap_or_default(),
                source_ports: self.source_ports.clone().unwrap_or_default(),
                numbers,
                ..Match::of(protocol)
            };
            one.try_map(&mut InPolicy(policy))
        };
        protocols.into_iter().map(service).collect()
    }
}

/// What names mean in a document.
struct InPolicy<'a>(&'a Policy);

impl InPolicy<'_> {
    fn place<'n>(what: &str, name: &str, mut known: impl Iterator<Item = &'n str>) -> Result<usize, Failure> {
        let found = known.position(|known| known == name);
        found.ok_or_else(|| Failure::not_found(anyhow!("the document has no {what} {}", escaped(name))))
    }
}

impl Resolve<Ids, Indices> for InPolicy<'_> {
    type Error = Failure;

    fn group(&mut self, group: &GroupId) -> Result<GroupIndex, Failure> {
        let known = self.0.groups().iter().map(|group| group.name.as_str());
        Self::place("group", group.as_str(), known).map(GroupIndex)
    }

    fn prefix_list(&mut self, list: &PrefixListId) -> Result<PrefixListIndex, Failure> {
        let known = self.0.parts().prefix_lists.iter().map(|(name, _)| name.as_str());
        Self::place("prefix list", list.as_str(), known).map(PrefixListIndex)
    }

    fn port_list(&mut self, list: &PortListId) -> Result<PortListIndex, Failure> {
        let known = self.0.parts().port_lists.iter().map(|(name, _)| name.as_str());
        Self::place("port list", list.as_str(), known).map(PortListIndex)
    }
}
