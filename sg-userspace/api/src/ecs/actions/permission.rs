//! A rule in the vendor's form: parameters of a request ↔ a rule of the domain. The direction decides which of `Source…` and
//! `Dest…` is the remote; everything else is the same for both.

use std::borrow::Cow;

use ipnet::IpNet;
use serde_json::{Map, Value};
use sg_model::{HeaderNumbers, PortRange};
use sg_records::{
    Action, Direction, Family, Group, GroupId, Match, NicType, OnlyFamily, PortListId, Ports, PrefixListId,
    Protocol, Remote, Rule, RuleSpec, port_range, shortest,
};
use sg_service::State;

use super::{
    common::{is_classic, time},
    parameter::{Parameter, integer, text, without_effect},
};
use crate::ecs::{Fault, params::Fields};

/// The names of the parameters of one end.
struct Names {
    cidr: &'static str,
    cidr_v6: &'static str,
    group: &'static str,
    prefix_list: &'static str,
}

const SOURCE: Names = Names {
    cidr: "SourceCidrIp",
    cidr_v6: "Ipv6SourceCidrIp",
    group: "SourceGroupId",
    prefix_list: "SourcePrefixListId",
};
const DEST: Names = Names {
    cidr: "DestCidrIp",
    cidr_v6: "Ipv6DestCidrIp",
    group: "DestGroupId",
    prefix_list: "DestPrefixListId",
};

/// The parameters of a rule, as an element of `Permissions` or flat. The remote is one of its four; the local end is an address.
macro_rules! parameters {
    ($prefix:literal, $remote:literal, $local:literal) => {
        &[
            text(
                concat!($prefix, "IpProtocol"),
                "`TCP`, `UDP`, `ICMP`, `ICMPv6`, `GRE`, `ALL` or 0 to 255; not required to change or remove a rule by its id",
            ),
            text(concat!($prefix, "PortRange"), "`22/80` or `-1/-1`; required for TCP, UDP and SCTP, unless a list is given"),
            text(concat!($prefix, "PortRangeListId"), "instead of `PortRange`; TCP and UDP"),
            text(concat!($prefix, "SourcePortRange"), ""),
            text(concat!($prefix, $remote, "CidrIp"), "the remote: IPv4 addresses"),
            text(concat!($prefix, "Ipv6", $remote, "CidrIp"), "the remote: IPv6 addresses"),
            text(concat!($prefix, $remote, "GroupId"), "the remote: members of a group"),
            text(concat!($prefix, $remote, "PrefixListId"), "the remote: a prefix list"),
            without_effect(concat!($prefix, $remote, "GroupOwnerId"), OWNER),
            without_effect(concat!($prefix, $remote, "GroupOwnerAccount"), OWNER),
            text(concat!($prefix, $local, "CidrIp"), "the local addresses"),
            text(concat!($prefix, "Ipv6", $local, "CidrIp"), "the local addresses"),
            text(concat!($prefix, $local, "GroupId"), "refused in this direction"),
            text(concat!($prefix, $local, "PrefixListId"), "refused in this direction"),
            text(concat!($prefix, "Policy"), "`accept`, `drop` or, beyond the cloud, `reject`; default `accept`"),
            integer(concat!($prefix, "Priority"), "1 to 100; default 1"),
            text(concat!($prefix, "NicType"), "`internet` or `intranet`; only in the classic network"),
            text(concat!($prefix, "Description"), ""),
        ]
    };
}

const OWNER: &str = "the id of a group is enough, whoever it is of";

pub(super) const INGRESS_PERMISSIONS: &[Parameter] = parameters!("Permissions.N.", "Source", "Dest");
pub(super) const EGRESS_PERMISSIONS: &[Parameter] = parameters!("Permissions.N.", "Dest", "Source");
pub(super) const INGRESS_FLAT: &[Parameter] = parameters!("", "Source", "Dest");
pub(super) const EGRESS_FLAT: &[Parameter] = parameters!("", "Dest", "Source");

/// Remote, then local.
const fn ends(direction: Direction) -> (Names, Names) {
    match direction {
        Direction::Ingress => (SOURCE, DEST),
        Direction::Egress => (DEST, SOURCE),
    }
}

/// Whether the request uses the old, flat form: every authorization has one of these parameters.
pub(super) fn is_flat(fields: &Fields<'_>) -> bool {
    let names =
        ["IpProtocol", "PortRange", "PortRangeListId", "SourcePortRange", "Policy", "Priority", "NicType"];
    let ends = [SOURCE, DEST].into_iter().flat_map(|end| [end.cidr, end.cidr_v6, end.group, end.prefix_list]);
    names.into_iter().chain(ends).any(|name| fields.has(name))
}

/// A complete rule.
#[derive(Clone, Debug)]
pub(super) struct Permission {
    pub(super) spec: RuleSpec,
    /// Whether the request has a priority.
    pub(super) with_priority: bool,
}

/// The fields of a rule; none if the request does not have it.
#[derive(Clone, Debug, Default)]
pub(super) struct Parts {
    pub(super) action: Option<Action>,
    pub(super) priority: Option<u8>,
    pub(super) protocol: Option<Protocol>,
    pub(super) ports: Option<Ports>,
    pub(super) source_ports: Option<Ports>,
    pub(super) remote: Option<Remote>,
    pub(super) local: Option<IpNet>,
    pub(super) nic_type: Option<NicType>,
    pub(super) description: Option<String>,
}

impl Parts {
    /// Reads the fields of a request.
    pub(super) fn read(fields: &Fields<'_>, direction: Direction) -> Result<Self, Fault> {
        let (remote, local) = ends(direction);
        if fields.text(local.group).is_some() {
            return Err(Fault::bad(
                "InvalidSourceOrDestGroupId.DirectionMissmatch",
                format!("{} cannot be given for a rule of this direction.", fields.place(local.group)),
            ));
        }
        // Ignored, it would let the rule reach all addresses of the NIC.
        if fields.text(local.prefix_list).is_some() {
            return Err(Fault::bad(
                format!("InvalidParam.{}", local.prefix_list),
                format!("{} cannot be given for a rule of this direction.", fields.place(local.prefix_list)),
            ));
        }
        let protocol = protocol(fields)?;
        let parts = Self {
            action: action(fields)?,
            priority: priority(fields)?,
            protocol,
            ports: ports(fields, protocol)?,
            source_ports: range(fields, "SourcePortRange", "InvalidSourcePortRange.Malformed")?,
            remote: self::remote(fields, &remote)?,
            local: net(fields, &local)?,
            nic_type: nic_type(fields)?,
            description: fields.text("Description").map(str::to_owned),
        };
        parts.one_family()?;
        Ok(parts)
    }

    /// The vendor has codes for each way in which ICMP does not fit an address.
    fn one_family(&self) -> Result<(), Fault> {
        const ICMP: Option<Protocol> = Some(Protocol::Number(1));
        const ICMPV6: Option<Protocol> = Some(Protocol::Number(58));
        let Some(Remote::Net(net)) = &self.remote else { return Ok(()) };
        match (self.protocol, Family::of(*net)) {
            (protocol, Family::V6) if protocol == ICMP => Err(Fault::bad(
                "InvalidParam.Ipv4ProtocolConflictWithIpv6Address",
                "IPv6 address cannot be specified for IPv4-specific protocol.",
            )),
            (protocol, Family::V4) if protocol == ICMPV6 => Err(Fault::bad(
                "InvalidParam.Ipv6ProtocolConflictWithIpv4Address",
                "IPv4 address cannot be specified for IPv6-specific protocol.",
            )),
            _ => Ok(()),
        }
    }

    /// The complete rule, for a group.
    pub(super) fn whole(self, direction: Direction, group: &Group) -> Result<Permission, Fault> {
        let Some(protocol) = self.protocol else { return Err(Fault::missing("IpProtocol")) };
        let has_ports = matches!(protocol, Protocol::Number(6 | 17 | 132));
        if has_ports && self.ports.is_none() {
            return Err(Fault::missing("PortRange"));
        }
        let Some(remote) = self.remote else {
            let (code, name) = match direction {
                Direction::Ingress => ("MissingParameter.Source", SOURCE.cidr),
                Direction::Egress => ("MissingParameter.Dest", DEST.cidr),
            };
            return Err(Fault::missing(name).named(code));
        };
        let classic = || self.nic_type.unwrap_or(NicType::Internet);
        let matches = Match {
            protocol,
            ports: self.ports.unwrap_or_default(),
            source_ports: self.source_ports.unwrap_or_default(),
            // No parameter of the cloud's has one.
            numbers: HeaderNumbers::NONE,
            // One that there is not is that of the addresses.
            family: None,
            remote,
            local: self.local,
        };
        let spec = RuleSpec {
            action: self.action.unwrap_or_default(),
            priority: self.priority.unwrap_or(1),
            matches,
            // Only in the classic network do NICs face two networks.
            nic_type: if is_classic(group) { classic() } else { NicType::Intranet },
            enabled: true,
            name: String::new(),
            description: self.description.unwrap_or_default(),
        };
        if spec.nic_type == NicType::Internet && matches!(spec.matches.remote, Remote::Group(_)) {
            let code = match direction {
                Direction::Ingress => "InvalidSourceGroupId.Mismatch",
                Direction::Egress => "InvalidDestGroupId.Mismatch",
            };
            return Err(Fault::forbidden(code, "NicType is required or NicType expects intranet."));
        }
        Ok(Permission { spec, with_priority: self.priority.is_some() })
    }
}

fn protocol(fields: &Fields<'_>) -> Result<Option<Protocol>, Fault> {
    let Some(text) = fields.text("IpProtocol") else { return Ok(None) };
    text.parse().map(Some).map_err(|_| {
        Fault::bad(
            "InvalidIpProtocol.ValueNotSupported",
            "The parameter IpProtocol must be specified with case \
            insensitive TCP, UDP, ICMP, ICMPv6, GRE, ALL or a number from 0 to 255.",
        )
    })
}

fn action(fields: &Fields<'_>) -> Result<Option<Action>, Fault> {
    match fields.text("Policy") {
        None => Ok(None),
        Some(text) if text.eq_ignore_ascii_case("accept") => Ok(Some(Action::Accept)),
        Some(text) if text.eq_ignore_ascii_case("drop") => Ok(Some(Action::Drop)),
        // Our extension: the cloud has only the other two.
        Some(text) if text.eq_ignore_ascii_case("reject") => Ok(Some(Action::Reject)),
        Some(_) => {
            Err(Fault::bad("InvalidPolicy.Malformed", "The specified parameter \"Policy\" is not valid."))
        }
    }
}

fn priority(fields: &Fields<'_>) -> Result<Option<u8>, Fault> {
    match fields.integer::<u32>("Priority")? {
        None => Ok(None),
        Some(number @ 1..=100) => Ok(u8::try_from(number).ok()),
        Some(_) => Err(Fault::bad(
            "InvalidPriority.ValueNotSupported",
            "The parameter Priority is invalid: 1 to 100 is expected.",
        )),
    }
}

fn nic_type(fields: &Fields<'_>) -> Result<Option<NicType>, Fault> {
    match fields.text("NicType") {
        None => Ok(None),
        Some(text) if text.eq_ignore_ascii_case("internet") => Ok(Some(NicType::Internet)),
        Some(text) if text.eq_ignore_ascii_case("intranet") => Ok(Some(NicType::Intranet)),
        Some(_) => Err(Fault::bad(
            "InvalidNicType.ValueNotSupported",
            "The specified NicType does not exist: internet or intranet is expected.",
        )),
    }
}

fn ports(fields: &Fields<'_>, protocol: Option<Protocol>) -> Result<Option<Ports>, Fault> {
    let ports = range(fields, "PortRange", "InvalidParam.PortRange")?;
    if ports.is_some() {
        return Ok(ports);
    }
    let Some(list) = fields.text("PortRangeListId") else { return Ok(None) };
    if protocol.is_some_and(|protocol| !matches!(protocol, Protocol::Number(6 | 17))) {
        return Err(Fault::bad(
            "InvalidParam.ProtocolNotSupportPortRangeList",
            "The protocol does not support a port range list: TCP or UDP is expected.",
        ));
    }
    Ok(Some(Ports::List(PortListId::from(list))))
}

fn range(fields: &Fields<'_>, name: &str, code: &'static str) -> Result<Option<Ports>, Fault> {
    let Some(text) = fields.text(name) else { return Ok(None) };
    if text == "-1/-1" {
        return Ok(Some(Ports::Any));
    }
    let range = vendor_range(text).ok_or_else(|| {
        let message =
            format!("The specified parameter \"{name}\" is not valid: 1/65535 or -1/-1 is expected.");
        Fault::bad(code, message)
    })?;
    Ok(Some(Ports::Ranges(vec![range])))
}

/// `22/80`.
pub(super) fn vendor_range(text: &str) -> Option<PortRange> {
    let range = port_range(text, '/').filter(|_| text.contains('/'))?;
    (range.first() > 0).then_some(range)
}

fn remote(fields: &Fields<'_>, names: &Names) -> Result<Option<Remote>, Fault> {
    // A prefix takes precedence over a group, and a group over a prefix list.
    if let Some(net) = net(fields, names)? {
        return Ok(Some(Remote::Net(net)));
    }
    let group = fields.text(names.group).map(|id| Remote::Group(GroupId::from(id)));
    let list = || fields.text(names.prefix_list).map(|id| Remote::PrefixList(PrefixListId::from(id)));
    Ok(group.or_else(list))
}

fn net(fields: &Fields<'_>, names: &Names) -> Result<Option<IpNet>, Fault> {
    let read = |name: &'static str, family| {
        let Some(text) = fields.text(name) else { return Ok(None) };
        let net = sg_records::net(text).filter(|net| Family::of(*net) == family);
        net.map(Some).ok_or_else(|| {
            let message = format!("The specified parameter \"{}\" is not valid.", fields.place(name));
            Fault::bad(format!("InvalidParam.{name}"), message)
        })
    };
    match (read(names.cidr, Family::V4)?, read(names.cidr_v6, Family::V6)?) {
        (Some(_), Some(_)) => {
            let end = names.cidr.trim_end_matches("CidrIp");
            let message = format!("{} and {} cannot both be given.", names.cidr, names.cidr_v6);
            Err(Fault::bad(format!("InvalidParam.{end}Ip"), message))
        }
        (v4, v6) => Ok(v4.or(v6)),
    }
}

/// The rule in the vendor's form. Every field is present; unspecified ones are empty texts.
pub(super) fn shown(state: &State, rule: &Rule) -> Value {
    let Rule { id, group: _, direction, serial: _, created, updated: _, spec } = rule;
    let RuleSpec { action, priority, matches, nic_type, enabled: _, name: _, description } = spec;
    let Match { protocol, ports, source_ports, numbers: _, family, remote, local } = matches;
    let mut fields = Map::new();
    let mut say =
        |name: &str, text: Cow<'_, str>| drop(fields.insert(name.to_owned(), text.into_owned().into()));
    for names in [SOURCE, DEST] {
        for name in [names.cidr, names.cidr_v6, names.group, names.prefix_list] {
            say(name, "".into());
        }
        let end = names.cidr.trim_end_matches("CidrIp");
        for name in ["GroupName", "GroupOwnerAccount", "PrefixListName"] {
            say(&format!("{end}{name}"), "".into());
        }
    }
    let (remote_names, local_names) = ends(*direction);
    let end = remote_names.cidr.trim_end_matches("CidrIp");
    match remote {
        Remote::Any => {
            if *family != Some(OnlyFamily::Ipv6) {
                say(remote_names.cidr, "0.0.0.0/0".into());
            }
            if *family != Some(OnlyFamily::Ipv4) {
                say(remote_names.cidr_v6, "::/0".into());
            }
        }
        Remote::Net(net) => say(of_family(&remote_names, *net), shortest(*net).into()),
        Remote::Group(id) => {
            say(remote_names.group, id.as_str().into());
            let name = state.group(id).map_or("", |group| group.label.name.as_str());
            say(&format!("{end}GroupName"), name.into());
        }
        Remote::PrefixList(id) => {
            say(remote_names.prefix_list, id.as_str().into());
            let name = state.prefix_list(id).map_or("", |list| list.label.name.as_str());
            say(&format!("{end}PrefixListName"), name.into());
        }
    }
    if let Some(net) = local {
        say(of_family(&local_names, *net), shortest(*net).into());
    }
    say("SecurityGroupRuleId", id.as_str().into());
    say("Direction", direction.to_string().into());
    say("IpProtocol", protocol.to_string().to_uppercase().into());
    say("SourcePortRange", if source_ports.is_any() { "".into() } else { range_shown(source_ports) });
    say("PortRange", range_shown(ports));
    say("PortRangeListId", ports.list().map_or("", PortListId::as_str).into());
    let name = ports.list().and_then(|id| state.port_list(id)).map_or("", |list| list.label.name.as_str());
    say("PortRangeListName", name.into());
    let policy = match action {
        Action::Accept => "Accept",
        Action::Drop => "Drop",
        Action::Reject => "Reject",
    };
    say("Policy", policy.into());
    say("Priority", priority.to_string().into());
    say("NicType", nic_type.to_string().into());
    say("Description", description.as_str().into());
    say("CreateTime", time(*created).into());
    Value::Object(fields)
}

fn of_family(names: &Names, net: IpNet) -> &'static str {
    match Family::of(net) {
        Family::V4 => names.cidr,
        Family::V6 => names.cidr_v6,
    }
}

fn range_shown(ports: &Ports) -> Cow<'static, str> {
    match ports {
        Ports::Any => "-1/-1".into(),
        Ports::List(_) => "".into(),
        Ports::Ranges(ranges) => {
            let ranges = ranges.iter().map(|range| format!("{}/{}", range.first(), range.last()));
            ranges.collect::<Vec<_>>().join(",").into()
        }
    }
}
