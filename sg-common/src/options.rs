//! Walks the elements of a message: options of neighbour discovery, records of a listener report, options of DHCP. A walk goes
//! one step at a time, and its whole state between steps is one word: the kernel's verifier checks a step once, where it would
//! check the branches of a loop again for every path through them. It must never know what is valid: that is for
//! [`crate::discovery`] and [`crate::dhcp`], the callers.

use crate::packet::{Frame, Window as _};

/// The list to walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum List {
    /// Options of neighbour discovery (RFC 4861 4.6).
    Discovery = 0,
    /// Records of a multicast listener report (RFC 3810 5.2).
    Records = 1,
    /// Options of DHCPv4 (RFC 2132 2): looks for the message type, 53, and the server, 54.
    Dhcp4 = 2,
    /// Options of DHCPv6 (RFC 8415 21.1), up to the client identifier, 1.
    Dhcp6 = 3,
}

impl List {
    /// Decodes the number of a list.
    #[inline(always)]
    #[must_use]
    pub const fn of(number: u64) -> Self {
        match number {
            0 => Self::Discovery,
            1 => Self::Records,
            2 => Self::Dhcp4,
            _ => Self::Dhcp6,
        }
    }
}

/// State of a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State(u64);

impl State {
    const AT: u64 = 0xffff;
    const COUNT: u32 = 16;
    const FOUND: u64 = 1 << 24;
    const BAD: u64 = 1 << 25;
    const VALUE: u32 = 32;

    /// The initial state, before an element at `at`.
    #[inline(always)]
    #[must_use]
    pub const fn begin(at: usize) -> Self {
        Self(at as u64 & Self::AT)
    }

    /// Decodes [`Self::word`].
    #[inline(always)]
    #[must_use]
    pub const fn from_word(word: u64) -> Self {
        Self(word)
    }

    /// The packed word.
    #[inline(always)]
    #[must_use]
    pub const fn word(self) -> u64 {
        self.0
    }

    /// Offset of the next element, or of the one that was found.
    #[inline(always)]
    #[must_use]
    pub const fn at(self) -> usize {
        (self.0 & Self::AT) as usize
    }

    /// Number of elements so far.
    #[inline(always)]
    #[must_use]
    pub const fn count(self) -> u32 {
        (self.0 >> Self::COUNT) as u8 as u32
    }

    /// Whether the walk found what it looks for: an acknowledgement, or the client identifier.
    #[inline(always)]
    #[must_use]
    pub const fn found(self) -> bool {
        self.0 & Self::FOUND != 0
    }

    /// Whether an element is invalid.
    #[inline(always)]
    #[must_use]
    pub const fn is_bad(self) -> bool {
        self.0 & Self::BAD != 0
    }

    /// The server's address.
    #[inline(always)]
    #[must_use]
    pub const fn value(self) -> u32 {
        (self.0 >> Self::VALUE) as u32
    }

    #[inline(always)]
    const fn bad(self) -> Self {
        Self(self.0 | Self::BAD)
    }

    /// The state behind an element that is `length` bytes long.
    #[inline(always)]
    const fn behind(self, length: usize, end: usize) -> Self {
        let next = self.at() + length;
        if next > end {
            return self.bad();
        }
        Self((self.0 & !Self::AT | next as u64 & Self::AT) + (1 << Self::COUNT))
    }
}

/// Maximum number of elements: options of a router advertisement, records of a report.
const MOST: u32 = 32;

/// Walks from `at` by `step`, which is [`step`] over some frame and list.
#[inline(always)]
pub fn walk(at: usize, step: impl Fn(State) -> State) -> State {
    let (mut state, mut left) = (State::begin(at), MOST);
    while left > 0 {
        state = step(state);
        left -= 1;
    }
    state
}

/// Takes one step through `list`, which ends at `end`: past the element at `state`. Does nothing if there is no other.
#[inline(always)]
#[must_use]
pub fn step<F: Frame>(frame: &F, list: List, end: usize, state: State) -> State {
    let at = state.at();
    if end > State::AT as usize {
        return state.bad();
    }
    if at >= end || state.is_bad() {
        return state;
    }
    let Some(head) = frame.window::<2>(at) else { return state.bad() };
    match list {
        List::Discovery => match usize::from(head.byte(1)) {
            0 => state.bad(),
            length => state.behind(length * 8, end),
        },
        List::Records => {
            let Some(record) = frame.window::<4>(at) else { return state.bad() };
            // Auxiliary data, of which there is none (RFC 3810 5.2.6).
            if record.byte(1) != 0 {
                return state.bad();
            }
            state.behind(20 + usize::from(record.be16(2)) * 16, end)
        }
        List::Dhcp4 => dhcp4(frame, end, state, (head.byte(0), head.byte(1))),
        List::Dhcp6 => {
            let Some(option) = frame.window::<4>(at) else { return state.bad() };
            let next = state.behind(4 + usize::from(option.be16(2)), end);
            if option.be16(0) == 1 && !next.is_bad() {
                return State(state.0 | State::FOUND);
            }
            next
        }
    }
}

/// RFC 2132 3.1, 9.6, 9.7.
#[inline(always)]
fn dhcp4<F: Frame>(frame: &F, end: usize, state: State, (code, length): (u8, u8)) -> State {
    const PAD: u8 = 0;
    const END: u8 = 255;
    const ACKNOWLEDGEMENT: u8 = 5;
    let at = state.at();
    if code == PAD {
        return state.behind(1, end);
    }
    if code == END {
        return state.bad();
    }
    let next = state.behind(2 + length as usize, end);
    if next.is_bad() {
        return next;
    }
    if code == 53 && length == 1 {
        let Some(option) = frame.window::<3>(at) else { return state.bad() };
        if option.byte(2) == ACKNOWLEDGEMENT {
            return State(next.0 | State::FOUND);
        }
    }
    if code == 54 && length == 4 {
        let Some(option) = frame.window::<6>(at) else { return state.bad() };
        return State(next.0 & !(u64::MAX << State::VALUE) | u64::from(option.be32(2)) << State::VALUE);
    }
    next
}
