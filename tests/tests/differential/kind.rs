//! The kinds of differences that are explained. `docs/design/differential.md` says why each is as it is; what fits none
//! fails the test.

use sg_common::flow::Direction;

use crate::differential::{
    judges::{State, Verdicts},
    packet::{Body, FIN, Packet, RST, SYN},
    rig::Step,
};

/// Why the filters differ about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Ours checks no checksum.
    Checksum,
    /// Ours leaves numbers that fit no window to the ends.
    Numbers,
    /// Ours remembers a flow that began with a packet that is none of conntrack's beginnings.
    StartsNone,
    /// Conntrack forgets a flow at the first reset, where it was not yet sure of it.
    Reset,
    /// Ours lets the second SYN of a simultaneous open pass.
    BothAsk,
    /// Ours asks the rules about every SYN.
    Syn,
    /// Ours has no flows for ICMP questions other than echo.
    Query,
    /// Ours knows fewer ICMP errors.
    OtherError,
}

/// Packets of the same two ends, in order.
struct Before<'a>(Vec<(&'a Step, &'a Verdicts)>);

impl Before<'_> {
    fn any(&self, is_it: impl Fn(&Step, &Verdicts) -> bool) -> bool {
        self.0.iter().any(|(step, verdicts)| is_it(step, verdicts))
    }

    /// Whether ours let a SYN pass in `direction` that opened a connection, and nothing against it since.
    fn is_asked(&self, direction: Direction) -> bool {
        let asked = self.0.iter().rposition(|(step, verdicts)| {
            verdicts.ours && step.direction == direction && is_syn(&step.packet)
        });
        asked.is_some_and(|place| {
            let [earlier, since] = [&self.0[..place], &self.0[place..]].map(|part| Before(part.to_vec()));
            let ended = |step: &Step, verdicts: &Verdicts| verdicts.ours && is_end(&step.packet);
            !since.has_reply(direction) && (!earlier.has_reply(direction) || earlier.any(ended))
        })
    }

    /// Whether ours let a packet pass against `direction`. A reset alone, which anybody may forge, is no reply.
    fn has_reply(&self, direction: Direction) -> bool {
        self.any(|step, verdicts| verdicts.ours && step.direction != direction && !is_reset(&step.packet))
    }

    /// Whether conntrack may have an entry: it took a packet for a beginning, and nftables let it pass.
    fn is_tracked(&self) -> bool {
        self.any(|_, verdicts| verdicts.theirs && verdicts.state == Some(State::New))
    }
}

/// The kind of the difference about packet `number`, where there is one.
pub(crate) fn of(steps: &[Step], verdicts: &[Verdicts], number: usize) -> Option<Kind> {
    let Step { direction, packet } = &steps[number];
    let state = verdicts[number].state?;
    let flow = packet.flow();
    let earlier = steps[..number]
        .iter()
        .zip(verdicts)
        .filter(|(step, _)| !matches!(step.packet.body, Body::Error { .. }) && step.packet.flow() == flow);
    let before = Before(earlier.collect());
    if verdicts[number].ours { more(&before, *direction, packet, state) } else { less(packet, state) }
}

/// Why ours lets pass what nftables drops.
fn more(before: &Before<'_>, direction: Direction, packet: &Packet, state: State) -> Option<Kind> {
    if packet.spoiled {
        return (state == State::Invalid).then_some(Kind::Checksum);
    }
    let other = direction.reversed();
    if is_syn(packet) {
        return match state {
            State::Invalid if before.is_asked(other) => Some(Kind::BothAsk),
            _ => None,
        };
    }
    let is_tcp = matches!(packet.body, Body::Tcp(_));
    if is_tcp && state == State::Invalid && before.is_tracked() {
        return Some(Kind::Numbers);
    }
    // The packet that ours remembers, and conntrack refused.
    let began = before.any(|_, verdicts| verdicts.ours && verdicts.state == Some(State::Invalid));
    let was_reset =
        before.is_tracked() && before.any(|step, verdicts| verdicts.ours && is_reset(&step.packet));
    match state {
        State::New | State::Invalid if began => Some(Kind::StartsNone),
        State::New | State::Invalid if was_reset => Some(Kind::Reset),
        _ => None,
    }
}

/// Why ours drops what nftables lets pass.
fn less(packet: &Packet, state: State) -> Option<Kind> {
    match (&packet.body, state) {
        (Body::Error { kind, .. }, State::Related) if !is_known_error(packet, *kind) => {
            Some(Kind::OtherError)
        }
        (Body::Error { about, .. }, State::Related) if is_query(about) => Some(Kind::Query),
        (Body::Icmp { .. }, State::Established) if is_query(packet) => Some(Kind::Query),
        (Body::Tcp(_), State::Established) if is_syn(packet) => Some(Kind::Syn),
        _ => None,
    }
}

fn is_syn(packet: &Packet) -> bool {
    matches!(packet.body, Body::Tcp(segment) if segment.flags == SYN)
}

/// A reset or a FIN.
fn is_end(packet: &Packet) -> bool {
    matches!(packet.body, Body::Tcp(segment) if segment.flags & (RST | FIN) != 0)
}

fn is_reset(packet: &Packet) -> bool {
    matches!(packet.body, Body::Tcp(segment) if segment.flags & RST != 0)
}

/// The errors that `docs/use/exceptions.md` names.
fn is_known_error(packet: &Packet, kind: u8) -> bool {
    if packet.from.is_ipv4() { matches!(kind, 3 | 11 | 12) } else { (1..=4).contains(&kind) }
}

fn is_query(packet: &Packet) -> bool {
    matches!(packet.body, Body::Icmp { kind, .. } if !matches!(kind, 0 | 8 | 128 | 129))
}
