//! The edges of lines: packets in the corners of each line, and one beyond each edge.

use std::net::IpAddr;

use super::*;

/// First and last keys of what a line has in one dimension, and those one beyond; of everything if it says nothing.
fn edges<T: Copy>(
    spans: Option<Vec<Span<T>>>,
    all: Span<T>,
    beside: impl Fn(T, bool) -> Option<T>,
) -> [Vec<T>; 2] {
    let spans = spans.unwrap_or_else(|| vec![all]);
    let inside = spans.iter().flat_map(|(first, last)| [*first, *last]).collect();
    let beyond = spans.iter().flat_map(|(first, last)| [beside(*first, false), beside(*last, true)]);
    [inside, beyond.flatten().collect()]
}

fn addresses(nets: Option<&Nets>, family: Family) -> [Vec<IpAddr>; 2] {
    let spans = nets.map(|nets| nets.iter().map(|net| (net.network(), net.broadcast())).collect::<Vec<_>>());
    let all: Span<IpAddr> = match family {
        Family::V4 => ("0.0.0.0".parse().unwrap(), "255.255.255.255".parse().unwrap()),
        Family::V6 => ("::".parse().unwrap(), "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff".parse().unwrap()),
    };
    edges(spans, all, |address, up| match address {
        IpAddr::V4(address) => {
            let bits = address.to_bits();
            let bits = if up { bits.checked_add(1) } else { bits.checked_sub(1) };
            bits.map(|bits| std::net::Ipv4Addr::from_bits(bits).into())
        }
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            let bits = if up { bits.checked_add(1) } else { bits.checked_sub(1) };
            bits.map(|bits| std::net::Ipv6Addr::from_bits(bits).into())
        }
    })
}

macro_rules! beside {
    () => {
        |key, up| if up { key.checked_add(1) } else { key.checked_sub(1) }
    };
}

/// A key of each dimension.
struct Corner {
    remote: IpAddr,
    local: IpAddr,
    protocol: u8,
    ports: [u16; 2],
    icmp: [u8; 2],
    dscp: u8,
}

/// The corner as a packet; `None` if there is none.
fn packet(line: &Line<'_>, corner: &Corner) -> Option<Probe> {
    let Corner { remote, local, protocol, ports: [destination, source], icmp: [kind, code], dscp } = *corner;
    let mut numbers = HeaderNumbers::NONE;
    if is_icmp(line.family, protocol) {
        numbers = HeaderNumbers::icmp(kind, Some(code));
    }
    numbers.dscp = sg_model::Bounded::new(dscp);
    let [from, to] = if line.direction == Direction::Ingress { [remote, local] } else { [local, remote] };
    let port = |port| has_ports(protocol).then_some(port);
    let parts = ProbeParts {
        nic: 0,
        direction: line.direction,
        protocol,
        source: from,
        destination: to,
        source_port: port(source),
        destination_port: port(destination),
        numbers,
    };
    Probe::new(parts).ok()
}

/// Packets in corners of a line, and one beyond each of its edges.
fn around(line: &Line<'_>, random: &mut Rng) -> [Vec<Probe>; 2] {
    let remote = addresses(line.remote.as_ref(), line.family);
    let local = addresses(line.local.as_ref(), line.family);
    let protocol = edges(line.protocols.clone(), (0, 255), beside!());
    let port = |spans: &Option<Vec<Span<u16>>>| edges(spans.clone(), (0, u16::MAX), beside!());
    let (ports, sources) = (port(&line.ports), port(&line.source_ports));
    let icmp: [Vec<[u8; 2]>; 2] = match &line.icmp {
        None => [vec![[0, 0], [255, 255]], Vec::new()],
        Some(spans) => {
            let inside = spans.iter().flat_map(|[kinds, codes]| {
                [[kinds.0, codes.0], [kinds.0, codes.1], [kinds.1, codes.0], [kinds.1, codes.1]]
            });
            let beyond = spans.iter().flat_map(|[kinds, codes]| {
                [
                    kinds.0.checked_sub(1).map(|kind| [kind, codes.0]),
                    kinds.1.checked_add(1).map(|kind| [kind, codes.1]),
                    codes.0.checked_sub(1).map(|code| [kinds.0, code]),
                    codes.1.checked_add(1).map(|code| [kinds.1, code]),
                ]
            });
            [inside.collect(), beyond.flatten().collect()]
        }
    };
    let dscp = edges(line.dscp.clone(), (0, 63), |key: u8, up| {
        if up { Some(key + 1).filter(|key| *key < 64) } else { key.checked_sub(1) }
    });
    let corner = |random: &mut Rng| Corner {
        remote: pick(random, &remote[0]),
        local: pick(random, &local[0]),
        protocol: pick(random, &protocol[0]),
        ports: [pick(random, &ports[0]), pick(random, &sources[0])],
        icmp: pick(random, &icmp[0]),
        dscp: pick(random, &dscp[0]),
    };
    let inside = (0..64).map(|_| corner(random)).collect::<Vec<_>>();
    let mut beyond = Vec::new();
    let mut moved = |change: &dyn Fn(&mut Corner)| {
        let mut corner = corner(random);
        change(&mut corner);
        beyond.push(corner);
    };
    remote[1].iter().for_each(|key| moved(&|corner| corner.remote = *key));
    local[1].iter().for_each(|key| moved(&|corner| corner.local = *key));
    protocol[1].iter().for_each(|key| moved(&|corner| corner.protocol = *key));
    ports[1].iter().for_each(|key| moved(&|corner| corner.ports[0] = *key));
    sources[1].iter().for_each(|key| moved(&|corner| corner.ports[1] = *key));
    icmp[1].iter().for_each(|key| moved(&|corner| corner.icmp = *key));
    dscp[1].iter().for_each(|key| moved(&|corner| corner.dscp = *key));
    [inside, beyond].map(|corners| corners.iter().filter_map(|corner| packet(line, corner)).collect())
}

#[test]
fn the_edges_of_lines_are_where_the_difference_ends() {
    let (mut inside, mut beyond) = (0, 0);
    for seed in 0..amount(80, 2_000) {
        let mut random = Rng::with_seed(seed + 2_000_000);
        let documents = changed(&mut random);
        let [before, after] = [policy(&documents[0]), policy(&documents[1])];
        let difference = compare(&before, &after, Options::default());
        let mut judges = Judges::new([&documents[0], &documents[1]], [&before, &after], &difference);
        for line in &difference.lines {
            let [corners, neighbours] = around(line, &mut random);
            for probe in &corners {
                // Of protocols whose packets have no ports, the line may have none.
                inside += usize::from(has(line, probe));
                judges.check(probe);
            }
            for probe in &neighbours {
                beyond += usize::from(!has(line, probe));
                judges.check(probe);
            }
        }
    }
    println!("{inside} packets in lines, {beyond} beyond");
    assert!(inside > 5_000 && beyond > 500, "{inside} in lines, {beyond} beyond");
}
