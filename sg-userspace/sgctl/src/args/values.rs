//! Values of arguments: how they are parsed, and written so that they can be parsed again.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use clap::{
    ValueEnum,
    builder::{NonEmptyStringValueParser, PossibleValuesParser, TypedValueParser},
};
use ipnet::IpNet;
use sg_common::packet::Vlan;
use sg_records::{GroupId, PortListId, Ports, PrefixListId, Remote, net};

use crate::{
    args::{
        service_name::numbered,
        words::{range_hint, remote_hint},
    },
    names::Names,
};

/// An id or a name: a non-empty text.
pub(crate) fn named() -> NonEmptyStringValueParser {
    NonEmptyStringValueParser::new()
}

/// `yes` or `no`.
pub(crate) fn parse_bool() -> impl TypedValueParser<Value = bool> {
    PossibleValuesParser::new(["yes", "no"]).map(|text| text == "yes")
}

/// The argument's name of a value.
pub(crate) fn word(value: &impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// `any`, an address or prefix, `group:NAME`, `prefix-list:NAME`.
pub(crate) fn remote(text: &str) -> Result<Remote, String> {
    match text.split_once(':') {
        Some(("group", name)) if !name.is_empty() => Ok(Remote::Group(GroupId::from(name))),
        Some(("prefix-list", name)) if !name.is_empty() => Ok(Remote::PrefixList(PrefixListId::from(name))),
        _ => not_mapped(text).and_then(|()| {
            text.parse().map_err(|_| {
                let allowed =
                    "allowed are any, an address or prefix of either family, group:NAME and prefix-list:NAME";
                remote_hint(text).map_or_else(|| allowed.to_owned(), |hint| format!("{hint} {allowed}"))
            })
        }),
    }
}

/// Refuses an IPv4-mapped address or prefix (RFC 4291 2.5.5.2): no packet has one, and the IPv4 address is meant.
fn not_mapped(text: &str) -> Result<(), String> {
    const MAPPED: u8 = 96;
    let (address, length) = match text.parse() {
        Ok(IpNet::V6(net)) => (net.addr(), net.prefix_len()),
        _ => match text.parse() {
            Ok(address) => (address, 128),
            Err(_) => return Ok(()),
        },
    };
    match (Ipv6Addr::to_ipv4_mapped(&address), length.checked_sub(MAPPED)) {
        (Some(address), Some(32)) => Err(format!("packets have the IPv4 address, write {address}")),
        (Some(address), Some(length)) => {
            Err(format!("packets have the IPv4 address, write {address}/{length}"))
        }
        _ => Ok(()),
    }
}

/// A remote in the form that [`remote`] parses.
pub(crate) fn write_remote(remote: &Remote, names: &Names) -> String {
    match remote {
        Remote::Any | Remote::Net(_) => remote.to_string(),
        Remote::Group(group) => format!("group:{}", names.of(group)),
        Remote::PrefixList(list) => format!("prefix-list:{}", names.of(list)),
    }
}

/// `any`, `22,80-90`, `port-list:NAME`.
pub(crate) fn ports(text: &str) -> Result<Ports, String> {
    match text.split_once(':') {
        Some(("port-list", name)) if !name.is_empty() => Ok(Ports::List(PortListId::from(name))),
        _ => numbered(text).parse().map_err(|_| {
            let allowed =
                "allowed are any, ports, ranges and services such as 22,8000-8100,https, and port-list:NAME";
            range_hint(text).unwrap_or_else(|| allowed.to_owned())
        }),
    }
}

/// Ports in the form that [`ports`] parses.
pub(crate) fn write_ports(ports: &Ports, names: &Names) -> String {
    match ports {
        Ports::Any | Ports::Ranges(_) => ports.to_string(),
        Ports::List(list) => format!("port-list:{}", names.of(list)),
    }
}

/// An address or prefix; host bits are zeroed.
pub(crate) fn prefix(text: &str) -> Result<IpNet, String> {
    net(text).ok_or_else(|| "allowed is an address or prefix of either family".to_owned())
}

/// `none`, `5`, `ad.5`, `ad.5/7`: a network in the form in which [`Vlan`] is displayed, the outer tag first.
pub(crate) fn vlan(text: &str) -> Result<Vlan, String> {
    sg_inspect::flows::vlan(text)
}

/// The text for no network.
pub(crate) const NO_VLAN: &str = "none";

/// Addresses for a column.
pub(crate) fn write_addresses(addresses: &[IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// An end of a flow for a column: its address, with the port if it has one.
pub(crate) fn write_end(address: IpAddr, port: u16) -> String {
    if port == 0 { address.to_string() } else { SocketAddr::new(address, port).to_string() }
}

/// Ids for a column.
pub(crate) fn write_ids(ids: impl IntoIterator<Item = impl ToString>) -> String {
    ids.into_iter().map(|id| id.to_string()).collect::<Vec<_>>().join(",")
}

/// `yes` or `no`.
pub(crate) fn yes_no(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}

/// A time for a column: without fractions of a second.
pub(crate) fn write_time(time: jiff::Timestamp) -> String {
    format!("{time:.0}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_parsed() {
        let names = Names::default();
        for text in ["any", "10.0.0.0/8", "2001:db8::1", "group:web", "prefix-list:a:b"] {
            assert_eq!(write_remote(&remote(text).unwrap(), &names), text);
        }
        assert_eq!(write_remote(&remote("ANY").unwrap(), &names), "any");
        for text in ["", "web", "group:", "port-list:web", "10.0.0.0/33", "10.0.0.9-10.0.0.1"] {
            remote(text).unwrap_err();
        }
        let said = remote("10.0.0.1-10.0.0.9").unwrap_err();
        assert!(said.starts_with("a range has a prefix list of its own: `sgctl prefix-list create NAME --entry 10.0.0.1-10.0.0.9`; allowed"), "{said}");
        for text in ["any", "22,80-90", "port-list:web"] {
            assert_eq!(write_ports(&ports(text).unwrap(), &names), text);
        }
        assert_eq!(write_ports(&ports("ssh,https").unwrap(), &names), "22,443");
        for text in ["", "shh", "90-80", "port-list:", "group:web"] {
            ports(text).unwrap_err();
        }
    }
}
