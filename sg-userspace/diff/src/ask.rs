//! Asks one policy about many sets of packets at a time: which deciders decide them. It must never know what is expected of them.
//! `search` and `expect` call it.

use std::time::Instant;

use foldhash::{HashMap, HashMapExt as _};
use ipnet::IpNet;
use sg_common::verdict::{Reason, Verdict};
use sg_model::{Conditions, Direction, End, Family, Match, Nic, Over, Packets, Policy, Remote};

use super::{
    align::Entry,
    cell::Cell,
    compare::{LINE_BYTES, MEMORY, is_alike},
    decider::{By, Decider, Deciders, Dimension},
    line::{Line, Outcome},
    lists::{Lists, Sought},
    rest::Bounds,
    set::{Range, SetId, Sets, normal, without},
};

/// A set of packets to ask about.
pub(super) struct Question<'q, 'a> {
    pub(super) packets: &'q Packets,
    /// The deciders whose packets are asked for.
    pub(super) sought: Box<dyn Fn(&Decider<'a>) -> bool + 'q>,
}

/// What became of a question over NICs that are alike. There is none where no packet is of the question.
pub(super) struct Part<'k, 'a> {
    /// The place of the question.
    pub(super) question: usize,
    /// The NICs, at least one.
    pub(super) devices: &'k [&'a str],
    pub(super) direction: Direction,
    pub(super) family: Family,
    /// Whether some packet has a source that is not [forged](is_forged).
    pub(super) has_sources: bool,
    /// Disjoint lines of the first NIC; `None` if there was no time, or no memory.
    pub(super) lines: Option<Vec<Line<'a>>>,
}

/// Whether this drops what says to be sent by the NIC itself, or by somebody whom its owner may not be.
pub(super) const fn is_forged(by: By<'_>) -> bool {
    matches!(by, By::Reason(Reason::OwnSource | Reason::AntiSpoofing))
}

/// NICs that are alike, by what questions are about: the number of an [`Over`], and those of it.
struct Kind<'a> {
    nic: &'a Nic,
    of: Vec<(usize, Vec<&'a str>)>,
}

/// Asks the policy, and hands over each part as it is known: then it is not kept, but for the lines that `take` says to keep, by their
/// number.
pub(super) fn ask<'a>(
    policy: &'a Policy,
    questions: &[Question<'_, 'a>],
    until: Instant,
    mut take: impl FnMut(Part<'_, 'a>) -> usize,
) {
    let (kinds, by_over) = kinds_of(policy, questions);
    let mut kept = 0;
    for family in [Family::V4, Family::V6] {
        let mut sets = Sets::new();
        let mut deciders = Deciders::new(policy, family);
        let tops = Dimension::ALL.map(|dimension| dimension.top(family));
        for direction in [Direction::Ingress, Direction::Egress] {
            for Kind { nic, of } in &kinds {
                let concerned = of.iter().flat_map(|(over, devices)| {
                    let places = by_over.get(*over).into_iter().flatten();
                    places.filter_map(|place| Some((*place, questions.get(*place)?, devices.as_slice())))
                });
                let mut concerned = concerned
                    .filter(|(_, question, _)| may_be(question.packets, direction, family))
                    .peekable();
                if concerned.peek().is_none() {
                    continue;
                }
                if Instant::now() >= until {
                    for (question, _, devices) in concerned {
                        take(Part { question, devices, direction, family, has_sources: true, lines: None });
                    }
                    continue;
                }
                let list = deciders.of(nic, direction, &mut sets);
                let source = match direction {
                    Direction::Ingress => Dimension::Remote,
                    Direction::Egress => Dimension::Local,
                };
                let forged = list.iter().filter(|decider| is_forged(decider.by));
                let forged = forged.flat_map(|decider| sets.ranges(decider.set(source))).copied().collect();
                let forged = normal(forged);
                let mut boxes = Vec::new();
                let mut places = Vec::new();
                for (place, question, devices) in concerned {
                    let found = boxes_of(question, family, &mut deciders, &mut sets);
                    if let Some(Entry { decider, .. }) = found.first() {
                        let sources = without(sets.ranges(decider.set(source)), &forged);
                        let numbers = boxes.len()..boxes.len() + found.len();
                        places.push((place, question, devices, !sources.is_empty(), numbers));
                    }
                    boxes.extend(found);
                }
                let list = list.into_iter().map(|decider| Entry { decider, is_changed: false }).collect();
                let lists = Lists::new([boxes, list], &sets, tops);
                for (question, asked, devices, has_sources, numbers) in places {
                    let (mut cells, mut is_decided): (Vec<Cell>, _) = (Vec::new(), true);
                    for number in numbers {
                        let sought = Sought::Such(&*asked.sought);
                        let memory = MEMORY.saturating_sub((kept + cells.len()) * LINE_BYTES);
                        let bounds = Bounds { until, memory };
                        is_decided &=
                            lists.around(number as u32, sought, &mut sets, bounds, &mut cells).is_ok();
                    }
                    let first = devices.first().copied().unwrap_or(&nic.device);
                    let lines = is_decided.then(|| {
                        let of = |number| {
                            let decider = &lists.entry(number)?.decider;
                            Some(Outcome { verdict: decider.verdict, by: decider.by, named: decider.named })
                        };
                        let lines = cells.iter().filter_map(|cell| {
                            let by = of(cell.after)?;
                            Some(Line::of(first, direction, family, &cell.keys, &sets, [by, by]))
                        });
                        lines.flatten().collect()
                    });
                    kept += take(Part { question, devices, direction, family, has_sources, lines });
                }
            }
        }
    }
}

/// Whether packets of this direction and family may be of a set.
fn may_be(packets: &Packets, direction: Direction, family: Family) -> bool {
    let Packets { over: _, direction: own, family: of, remote, local, services } = packets;
    let is_of = |remote: &Remote| match remote {
        Remote::Net(IpNet::V4(_)) => family == Family::V4,
        Remote::Net(IpNet::V6(_)) => family == Family::V6,
        _ => true,
    };
    let has = |end: &End| end.of.is_empty() || end.of.iter().any(is_of);
    let of_family = |one: &Match| is_of_family(one, family);
    own.is_none_or(|own| own == direction)
        && of.is_none_or(|of| of == family)
        && has(remote)
        && has(local)
        && (services.is_empty() || services.iter().any(of_family))
}

/// Whether packets of a family may have a service.
fn is_of_family(one: &Match, family: Family) -> bool {
    let Conditions { service, family: written, remote: _, local: _, numbers: _ } = one.conditions();
    [service.family(), written].into_iter().flatten().all(|own| own == family)
}

/// The NICs that questions are about, and the places of the questions by the number of what they are about.
fn kinds_of<'a>(policy: &'a Policy, questions: &[Question<'_, 'a>]) -> (Vec<Kind<'a>>, Vec<Vec<usize>>) {
    let mut numbers: HashMap<&Over, usize> = HashMap::new();
    let mut by_over: Vec<(&Over, Vec<usize>)> = Vec::new();
    for (place, question) in questions.iter().enumerate() {
        let over = &question.packets.over;
        let number = *numbers.entry(over).or_insert_with(|| {
            by_over.push((over, Vec::new()));
            by_over.len() - 1
        });
        if let Some((_, places)) = by_over.get_mut(number) {
            places.push(place);
        }
    }
    let mut kinds: Vec<Kind<'a>> = Vec::new();
    let mut known: HashMap<&'a str, usize> = HashMap::new();
    for (number, (over, _)) in by_over.iter().enumerate() {
        let is_of = |nic: &&Nic| match over {
            Over::Every => true,
            Over::Device(device) => nic.device == *device,
            Over::Group(group) => nic.groups.contains(group),
        };
        for nic in policy.nics().iter().filter(is_of) {
            let kind = *known.entry(nic.device.as_str()).or_insert_with(|| {
                kinds.iter().position(|kind| is_alike(Some(kind.nic), Some(nic))).unwrap_or_else(|| {
                    kinds.push(Kind { nic, of: Vec::new() });
                    kinds.len() - 1
                })
            });
            let Some(Kind { of, .. }) = kinds.get_mut(kind) else { continue };
            match of.last_mut() {
                Some((last, devices)) if *last == number => devices.push(&nic.device),
                _ => of.push((number, vec![&nic.device])),
            }
        }
    }
    (kinds, by_over.into_iter().map(|(_, places)| places).collect())
}

/// The packets of a question as disjoint entries of one list.
fn boxes_of<'a>(
    question: &Question<'_, 'a>,
    family: Family,
    deciders: &mut Deciders<'a>,
    sets: &mut Sets,
) -> Vec<Entry<'a>> {
    let Packets { over: _, direction: _, family: _, remote, local, services } = question.packets;
    let (Some(remote), Some(local)) =
        (end(remote, family, deciders, sets), end(local, family, deciders, sets))
    else {
        return Vec::new();
    };
    // By source ports and DSCP.
    let mut kinds: Vec<([SetId; 2], Vec<Range>)> = Vec::new();
    let every = [Match::of(sg_model::Protocol::All)];
    for one in if services.is_empty() { &every[..] } else { services } {
        let conditions = one.conditions();
        if !is_of_family(one, family) {
            continue;
        }
        let (services, sources) = deciders.services(conditions.service);
        let Some(sources) = sets.id(sources, Dimension::SourcePort.top(family)) else { continue };
        let dscp = conditions.numbers.dscp.map_or(Some(SetId::FULL), |dscp| {
            sets.id(vec![Range::one(dscp.get().into())], Dimension::Dscp.top(family))
        });
        let Some(dscp) = dscp else { continue };
        match kinds.iter_mut().find(|(known, _)| *known == [sources, dscp]) {
            Some((_, all)) => all.extend(services),
            None => kinds.push(([sources, dscp], services)),
        }
    }
    let entries = kinds.into_iter().filter_map(|([sources, dscp], services)| {
        let services = sets.id(services, Dimension::Service.top(family))?;
        let decider = Decider {
            sets: [remote, local, services, sources, dscp],
            verdict: Verdict::Drop,
            by: By::Unfiltered,
            named: None,
        };
        Some(Entry { decider, is_changed: true })
    });
    entries.collect()
}

/// The addresses of an end; `None` if there are none of the family.
fn end(end: &End, family: Family, deciders: &mut Deciders<'_>, sets: &mut Sets) -> Option<SetId> {
    let top = Dimension::Remote.top(family);
    let mut all = |remotes: &[Remote], sets: &mut Sets| {
        let mut ranges = Vec::new();
        for remote in remotes {
            match deciders.remote(*remote, sets) {
                Some(SetId::FULL) => return vec![Range::new(0, top)],
                Some(set) => ranges.extend_from_slice(sets.ranges(set)),
                None => {}
            }
        }
        normal(ranges)
    };
    let of = if end.of.is_empty() { vec![Range::new(0, top)] } else { all(&end.of, sets) };
    let not_of = all(&end.not_of, sets);
    sets.id(without(&of, &not_of), top)
}
