use super::*;
use crate::{GroupIndex, PortListIndex, PrefixListIndex};

fn of(text: &str) -> Match {
    Match::of(text.parse().unwrap())
}

/// The oracle and the compiler both ask [`Match::conditions`], so neither can tell that it is wrong.
#[test]
fn the_service_of_every_protocol_is_as_written_here() {
    assert_eq!(of("all").conditions().service, Service::All);
    for number in 0..=u8::MAX {
        let wanted = match number {
            1 => Service::Icmp { family: Family::V4, message: None },
            58 => Service::Icmp { family: Family::V6, message: None },
            6 | 17 | 33 | 132 | 136 => {
                Service::Ported { protocol: number, destination: &Ports::Any, source: &Ports::Any }
            }
            _ => Service::Other(number),
        };
        let matches: Match = Match::of(Protocol::Number(number));
        assert_eq!(matches.conditions().service, wanted);
    }
}

#[test]
fn fields_fit_the_protocol() {
    let ports = || "22,80-90".parse().unwrap();
    let code = || HeaderNumbers { icmp_code: Some(8.into()), ..HeaderNumbers::NONE };
    let fits = [
        of("all"),
        of("gre"),
        Match { ports: ports(), source_ports: ports(), ..of("tcp") },
        Match { numbers: HeaderNumbers::icmp(8, None), ..of("icmp") },
        Match { numbers: HeaderNumbers::icmp(1, 4), ..of("icmpv6") },
    ];
    for matches in fits {
        assert_eq!(matches.fits(), Ok(()), "{matches}");
    }
    for (matches, why) in [
        (Match { ports: ports(), ..of("all") }, Misfit::Ports),
        (Match { source_ports: ports(), ..of("icmp") }, Misfit::Ports),
        (Match { ports: ports(), numbers: HeaderNumbers::icmp(8, None), ..of("tcp") }, Misfit::Message),
        (Match { numbers: HeaderNumbers::icmp(8, None), ..of("tcp") }, Misfit::Message),
        (Match { numbers: code(), ..of("47") }, Misfit::Message),
        (Match { numbers: code(), ..of("icmp") }, Misfit::CodeWithoutType),
    ] {
        assert_eq!(matches.fits(), Err(why), "{matches}");
    }
}

#[test]
fn every_reference_is_mapped() {
    struct Next;
    impl Resolve<Indices, Indices> for Next {
        type Error = Infallible;

        fn group(&mut self, group: &GroupIndex) -> Result<GroupIndex, Infallible> {
            Ok(GroupIndex(group.0 + 1))
        }
        fn prefix_list(&mut self, list: &PrefixListIndex) -> Result<PrefixListIndex, Infallible> {
            Ok(PrefixListIndex(list.0 + 2))
        }
        fn port_list(&mut self, list: &PortListIndex) -> Result<PortListIndex, Infallible> {
            Ok(PortListIndex(list.0 + 3))
        }
    }
    let (ports, source_ports) = (Ports::List(PortListIndex(1)), Ports::List(PortListIndex(2)));
    let local = Some("10.0.0.5/32".parse().unwrap());
    let tcp = Match { ports, source_ports, local, ..of("tcp") };
    let text = |remote| Match { remote, ..tcp.clone() }.map(&mut Next).to_string();
    let rest = "local 10.0.0.5/32";
    assert_eq!(text(Remote::Group(GroupIndex(0))), format!("tcp ports #4 from ports #5 remote #1 {rest}"));
    let list = Remote::PrefixList(PrefixListIndex(0));
    assert_eq!(text(list), format!("tcp ports #4 from ports #5 remote #2 {rest}"));
    let named: Vec<_> =
        Match { remote: list, ..tcp.clone() }.named().map(|named| format!("{named:?}")).collect();
    assert_eq!(named.len(), 3, "{named:?}");
    let echo = Match { numbers: HeaderNumbers::icmp(8, 0), ..of("icmp") };
    assert_eq!(echo.map(&mut Next), echo);
}

#[test]
fn a_rule_has_one_family() {
    let only = |family, of: Match| Match { family: Some(family), ..of };
    let remote = |text: &str, of: Match| Match { remote: text.parse().unwrap(), ..of };
    let local = |text: &str, of: Match| Match { local: Some(text.parse().unwrap()), ..of };
    let (v4, v6) = (OnlyFamily::Ipv4, OnlyFamily::Ipv6);
    let list = |of: Match| Match { remote: Remote::PrefixList(PrefixListIndex(0)), ..of };
    let listed = |_: &PrefixListIndex| Some(Family::V4);
    for fits in [
        of("all"),
        only(v4, of("all")),
        only(v4, of("icmp")),
        only(v6, of("icmpv6")),
        only(v6, remote("2001:db8::/32", local("::1/128", of("tcp")))),
        only(v4, list(of("tcp"))),
        only(v4, Match { remote: Remote::Group(GroupIndex(0)), ..of("all") }),
    ] {
        assert_eq!(fits.mixed_families(listed), None, "{fits}");
    }
    let [protocol, family, remote_, local_] =
        [MatchField::Protocol, MatchField::Family, MatchField::Remote, MatchField::Local];
    for (mixed, fields) in [
        (only(v6, of("icmp")), [protocol, family]),
        (only(v4, of("icmpv6")), [protocol, family]),
        (only(v6, remote("10.0.0.0/8", of("tcp"))), [family, remote_]),
        (only(v4, local("::1/128", of("tcp"))), [family, local_]),
        (only(v6, list(of("tcp"))), [family, remote_]),
    ] {
        let found = mixed.mixed_families(listed).map(|both| both.map(|(field, _)| field));
        assert_eq!(found, Some(fields), "{mixed}");
    }
    assert_eq!(only(v6, of("tcp")).to_string(), "tcp family ipv6 remote any");
}
