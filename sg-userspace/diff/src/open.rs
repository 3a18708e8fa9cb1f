//! Inbound rules that let many addresses in where few should be. It must never look at how a rule is written: two halves of the
//! internet are the internet. `lint` calls it.

use foldhash::{HashMap, HashMapExt as _};
use sg_common::{packet::protocol, verdict::Verdict};
use sg_model::Family;

use super::{
    cell::Shape,
    decider::{By, Dimension, service},
    finding::{Reachable, What},
    rest::{Bounds, Exhausted},
    ruled::Ruled,
    set::{Range, SetId, Within, intersection, normal, without},
};

/// Ports of administration and data services, which should not be open to everybody.
const SENSITIVE: [(u16, &str); 12] = [
    (22, "SSH"),
    (23, "Telnet"),
    (135, "RPC"),
    (445, "SMB"),
    (1433, "SQL Server"),
    (2375, "Docker"),
    (3306, "MySQL"),
    (3389, "RDP"),
    (5432, "PostgreSQL"),
    (6379, "Redis"),
    (9200, "Elasticsearch"),
    (27017, "MongoDB"),
];

/// More public addresses than these are many: those of an IPv4 /8 and an IPv6 /32.
const fn many(family: Family) -> u128 {
    match family {
        Family::V4 => 1 << 24,
        Family::V6 => 1 << 96,
    }
}

/// The addresses that are not private, of the link or of the host.
fn public(family: Family) -> Vec<Range> {
    let net = |first: u128, bits: u32, length: u32| Range::new(first, first | ((1 << (bits - length)) - 1));
    let others = match family {
        // 10.0.0.0/8, 100.64.0.0/10, 127.0.0.0/8, 169.254.0.0/16, 172.16.0.0/12, 192.168.0.0/16.
        Family::V4 => [
            (0x0a00_0000, 8),
            (0x6440_0000, 10),
            (0x7f00_0000, 8),
            (0xa9fe_0000, 16),
            (0xac10_0000, 12),
            (0xc0a8_0000, 16),
        ]
        .map(|(first, length)| net(first, 32, length))
        .to_vec(),
        // fc00::/7 and fe80::/10.
        Family::V6 => [(0xfc00, 7), (0xfe80, 10)]
            .map(|(first, length): (u128, u32)| net(first << 112, 128, length))
            .to_vec(),
    };
    without(&[Range::new(0, Dimension::Remote.top(family))], &normal(others))
}

/// How many keys; the largest number there is if there are more.
fn size(ranges: &[Range]) -> u128 {
    ranges.iter().fold(0, |sum: u128, range| sum.saturating_add((range.last - range.first).saturating_add(1)))
}

/// What may be reached: a service, `None` for every port of a protocol; and its keys.
type Target = (Option<&'static str>, Range);

/// A rule by its place, with how many public addresses it lets in (`None`: all), alone or with others.
type Opens<'a> = (usize, Option<u128>, Vec<By<'a>>);

/// The rules that let many in. Those of which there was no time to find out are undecided.
pub(super) fn open<'a>(lists: &mut [Ruled<'_, 'a>], bounds: Bounds) -> Vec<(By<'a>, What<'a>)> {
    let every = [protocol::TCP, protocol::UDP]
        .map(|number| (None, Range::new(service(number, 1), service(number, u16::MAX))));
    let some = SENSITIVE.map(|(port, name)| (Some(name), Range::one(service(protocol::TCP, port))));
    let mut order: Vec<By<'a>> = Vec::new();
    let mut found: HashMap<By<'a>, What<'a>> = HashMap::new();
    for list in lists {
        for target in every.iter().chain(&some) {
            let opens = of_target(list, *target, bounds);
            let is_known = opens.is_ok();
            let opens = opens.unwrap_or_else(|Exhausted| {
                let all = candidates(list, *target).into_iter();
                all.map(|(place, _)| (place, None, Vec::new())).collect()
            });
            for (place, addresses, with) in opens {
                let Some(by) = list.list.get(place).map(|decider| decider.by) else { continue };
                if !found.contains_key(&by) {
                    order.push(by);
                }
                let what = found.entry(by).or_insert(What::Undecided);
                match (what, target.0) {
                    _ if !is_known => {}
                    (What::Open(Reachable { services, .. }), Some(name)) => {
                        // Every port has the others.
                        if !services.is_empty() && !services.contains(&name) {
                            services.push(name);
                        }
                    }
                    (What::Open(_), None) => {}
                    (what, name) => {
                        let services = name.into_iter().collect();
                        *what = What::Open(Reachable { family: list.family, addresses, services, with });
                    }
                }
            }
        }
    }
    order.into_iter().filter_map(|by| Some((by, found.remove(&by)?))).collect()
}

/// Rules that accept all of a target, by place, with their remotes.
fn candidates(list: &mut Ruled<'_, '_>, (_, keys): Target) -> Vec<(usize, SetId)> {
    let Some(target) = list.sets.of_normal(&[keys], u128::MAX) else { return Vec::new() };
    let mut found = Vec::new();
    for place in 0..list.list.len() {
        let Some(decider) = list.list.get(place) else { continue };
        let (services, remote) = (decider.set(Dimension::Service), decider.set(Dimension::Remote));
        let accepts = decider.verdict == Verdict::Accept && matches!(decider.by, By::Rule { .. });
        let is_in = list.place(decider.by).is_some();
        if accepts && is_in && list.sets.within(services, target) == Within::Everything {
            found.push((place, remote));
        }
    }
    found
}

/// Places of rules that let many in, each with the number and those that it takes for that.
fn of_target<'a>(
    list: &mut Ruled<'_, 'a>,
    target: Target,
    bounds: Bounds,
) -> Result<Vec<Opens<'a>>, Exhausted> {
    let public = public(list.family);
    let top = Dimension::Remote.top(list.family);
    let of_public = |ranges: Vec<Range>| {
        let ranges =
            normal(ranges.into_iter().map(|range| Range::new(range.first, range.last.min(top))).collect());
        intersection(&ranges, &public)
    };
    let candidates = candidates(list, target);
    // No more than this can come in.
    let most = candidates.iter().flat_map(|(_, remote)| list.sets.ranges(*remote)).copied().collect();
    if size(&of_public(most)) <= many(list.family) {
        return Ok(Vec::new());
    }
    // Where one alone lets many in, nobody asks who else does.
    let is_many = |remote: SetId| size(&of_public(list.sets.ranges(remote).to_vec())) > many(list.family);
    let (large, small): (Vec<_>, Vec<_>) = candidates.into_iter().partition(|(_, remote)| is_many(*remote));
    let last_large = large.last().map(|(place, _)| *place);
    let candidates = large.into_iter().chain(small);
    // Of each, how many come in through it, where some do; and all of these together.
    let (mut all, mut joined) = (Vec::new(), 0);
    let mut own: Vec<(usize, u128)> = Vec::new();
    for (place, _) in candidates {
        bounds.hold(size_of_val(&*all))?;
        let (Some(mut shape), Some(keys)) =
            (list.list.get(place).map(|decider| decider.sets), list.sets.of_normal(&[target.1], u128::MAX))
        else {
            continue;
        };
        shape[Dimension::Service as usize] = keys;
        let mark = list.sets.count();
        let remotes = list.rest(shape, place, bounds).map(|boxes| {
            let remote = |shape: &Shape| list.sets.ranges(shape[Dimension::Remote as usize]).to_vec();
            of_public(boxes.iter().flat_map(remote).collect())
        });
        list.sets.forget(mark, std::iter::empty());
        let remotes = remotes?;
        if !remotes.is_empty() {
            own.push((place, size(&remotes)));
            all.extend(remotes);
        }
        let is_last = Some(place) == last_large;
        if is_last && own.iter().any(|(_, size)| *size > many(list.family)) {
            break;
        }
        if all.len() > 2 * joined + 1024 {
            all = normal(all);
            joined = all.len();
        }
    }
    let (all, whole) = (size(&normal(all)), size(&public));
    let number = |size: u128| (size < whole).then_some(size);
    if all <= many(list.family) {
        return Ok(Vec::new());
    }
    let alone = own.iter().filter(|(_, size)| *size > many(list.family));
    let alone: Vec<_> = alone.map(|(place, size)| (*place, number(*size), Vec::new())).collect();
    if !alone.is_empty() {
        return Ok(alone);
    }
    own.sort_unstable();
    let by: Vec<By<'a>> = own.iter().filter_map(|(place, _)| Some(list.list.get(*place)?.by)).collect();
    let each = own.iter().map(|(place, _)| {
        let own = list.list.get(*place).map(|decider| decider.by);
        (*place, number(all), by.iter().copied().filter(|by| Some(*by) != own).collect())
    });
    Ok(each.collect())
}
