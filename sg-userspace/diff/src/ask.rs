//! Asks one policy about many sets of packets at a time: which deciders decide them. It must never know what is expected of them.
//! `search` and `expect` call it.

use std::time::Instant;

use foldhash::{HashMap, HashMapExt as _};
use sg_common::verdict::{Reason, Verdict};
use sg_model::{Direction, End, Family, Match, Nic, Over, Packets, Policy};

use super::{
    align::Entry,
    compare::{MEMORY, is_alike},
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
    /// Leave out sources that no packet has which reaches the rules, unless there are no others.
    pub(super) is_possible: bool,
}

/// What became of a question over NICs that are alike. There is none where no packet is of the question.
#[derive(Debug)]
pub(super) struct Part<'a> {
    /// The place of the question.
    pub(super) question: usize,
    /// The NICs, at least one.
    pub(super) devices: Vec<&'a str>,
    pub(super) direction: Direction,
    pub(super) family: Family,
    /// Disjoint lines of the first NIC; `None` if there was no time.
    pub(super) lines: Option<Vec<Line<'a>>>,
}

/// NICs that are alike, with the questions about them, and the NICs that each is about.
type Kind<'a> = (&'a Nic, Vec<(usize, Vec<&'a str>)>);

pub(super) fn ask<'a>(policy: &'a Policy, questions: &[Question<'_, 'a>], until: Instant) -> Vec<Part<'a>> {
    let kinds = kinds_of(policy, questions);
    let mut parts = Vec::new();
    for family in [Family::V4, Family::V6] {
        let mut sets = Sets::new();
        let mut deciders = Deciders::new(policy, family);
        let tops = Dimension::ALL.map(|dimension| dimension.top(family));
        for direction in [Direction::Ingress, Direction::Egress] {
            for (nic, asked) in &kinds {
                let concerned = asked.iter().filter_map(|(place, devices)| {
                    let question = questions.get(*place)?;
                    let Packets { direction: own, family: of, .. } = question.packets;
                    let is_of = own.is_none_or(|own| own == direction) && of.is_none_or(|of| of == family);
                    is_of.then_some((*place, question, devices))
                });
                let concerned: Vec<_> = concerned.collect();
                if concerned.is_empty() {
                    continue;
                }
                let list = deciders.of(nic, direction, &mut sets);
                let mut boxes = Vec::new();
                let mut places = Vec::new();
                for (place, question, devices) in concerned {
                    let found = boxes_of(question, (direction, family), &list, &mut deciders, &mut sets);
                    if !found.is_empty() {
                        places.push((place, question, devices, boxes.len()..boxes.len() + found.len()));
                    }
                    boxes.extend(found);
                }
                let list = list.into_iter().map(|decider| Entry { decider, is_changed: false }).collect();
                let lists = Lists::new([boxes, list], &sets, tops);
                for (place, question, devices, numbers) in places {
                    let (mut cells, mut is_decided) = (Vec::new(), true);
                    for number in numbers {
                        let (sought, bounds) =
                            (Sought::Such(&*question.sought), Bounds { until, memory: MEMORY });
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
                    parts.push(Part { question: place, devices: devices.clone(), direction, family, lines });
                }
            }
        }
    }
    parts
}

/// The NICs that questions are about.
fn kinds_of<'a>(policy: &'a Policy, questions: &[Question<'_, 'a>]) -> Vec<Kind<'a>> {
    let mut kinds: Vec<Kind<'a>> = Vec::new();
    let mut known: HashMap<&'a str, usize> = HashMap::new();
    for (place, question) in questions.iter().enumerate() {
        let is_of = |nic: &&Nic| match &question.packets.over {
            Over::Every => true,
            Over::Device(device) => nic.device == *device,
            Over::Group(group) => nic.groups.contains(group),
        };
        for nic in policy.nics().iter().filter(is_of) {
            let number = *known.entry(nic.device.as_str()).or_insert_with(|| {
                kinds.iter().position(|(other, _)| is_alike(Some(other), Some(nic))).unwrap_or_else(|| {
                    kinds.push((nic, Vec::new()));
                    kinds.len() - 1
                })
            });
            let Some((_, asked)) = kinds.get_mut(number) else { continue };
            match asked.last_mut() {
                Some((last, devices)) if *last == place => devices.push(&nic.device),
                _ => asked.push((place, vec![&nic.device])),
            }
        }
    }
    kinds
}

/// The packets of a question as disjoint entries of one list.
fn boxes_of<'a>(
    question: &Question<'_, 'a>,
    (direction, family): (Direction, Family),
    list: &[Decider<'a>],
    deciders: &mut Deciders<'a>,
    sets: &mut Sets,
) -> Vec<Entry<'a>> {
    let Packets { over: _, direction: _, family: _, remote, local, services } = question.packets;
    let (Some(mut remote), Some(mut local)) =
        (end(remote, family, deciders, sets), end(local, family, deciders, sets))
    else {
        return Vec::new();
    };
    if question.is_possible {
        let (source, dimension) = match direction {
            Direction::Ingress => (&mut remote, Dimension::Remote),
            Direction::Egress => (&mut local, Dimension::Local),
        };
        *source = possible(*source, dimension, family, list, sets);
    }
    // By source ports and DSCP.
    let mut kinds: Vec<([SetId; 2], Vec<Range>)> = Vec::new();
    let every = [Match::of(sg_model::Protocol::All)];
    for one in if services.is_empty() { &every[..] } else { services } {
        let conditions = one.conditions();
        if conditions.service.family().is_some_and(|own| own != family) {
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
    let mut all = |remotes: &[sg_model::Remote], sets: &mut Sets| {
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

/// Without the sources that are dropped before the rules, if there are others.
fn possible(
    source: SetId,
    dimension: Dimension,
    family: Family,
    list: &[Decider<'_>],
    sets: &mut Sets,
) -> SetId {
    let top = dimension.top(family);
    let mut left =
        if source == SetId::FULL { vec![Range::new(0, top)] } else { sets.ranges(source).to_vec() };
    for decider in list {
        if matches!(decider.by, By::Reason(Reason::OwnSource | Reason::AntiSpoofing)) {
            left = without(&left, sets.ranges(decider.set(dimension)));
        }
    }
    sets.id(left, top).unwrap_or(source)
}
