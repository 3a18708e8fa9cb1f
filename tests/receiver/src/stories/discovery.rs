//! Neighbour discovery as whole packets: what passes without a rule, and what only looks like it. In IPv4 there is none.

use crate::{
    frames::{Datagram, Family},
    story::Teller,
};

pub(super) fn whole(teller: &mut Teller) {
    if teller.family() == Family::V6 && teller.once_in(2) {
        teller.to_those_who_may_have_it();
    }
    let made = teller.discovery();
    let extensions = if teller.once_in(8) { teller.extensions(2) } else { Vec::new() };
    let mut packet = Datagram::new(teller.ends, &extensions, made.protocol, &made.bytes).whole();
    packet.hop_limit = if teller.once_in(8) { teller.hop_limit() } else { 255 };
    let trailer = if teller.once_in(8) { teller.padding() } else { Vec::new() };
    teller.send(&packet, &trailer);
}
