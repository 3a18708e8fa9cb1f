//! Addresses. Each case has a source of its own, so that whatever arrives tells which case it belongs to, whatever else
//! its frames lie about.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::frames::{Ends, Family};

/// The receiver's addresses.
pub const RECEIVERS: [&str; 2] = ["192.0.2.2", "fd01::2"];
/// Those of the wire's other end, over which all sources are reached.
pub const GATEWAYS: [&str; 2] = ["192.0.2.1", "fd01::1"];
/// The networks of the sources.
pub const SOURCES: [&str; 2] = ["10.0.0.0/8", "fd09::/64"];
/// Those that a guarded guest may speak for.
pub const PAIRS: [&str; 2] = ["10.0.0.0/9", "\"fd09::/105\""];

const RECEIVER_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
/// The receiver's IPv6 address.
pub const RECEIVER_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd01, 0, 0, 0, 0, 0, 0, 2));
const GATEWAY_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// The number of a case among those that may be told apart: not zero, and below this.
pub const CASES: u32 = 1 << 23;
/// Set in the number of a case whose source no pair of a guarded guest has.
pub const SPOOFED: u32 = 1 << 23;

/// The ends of what the case with this number sends.
#[must_use]
pub fn ends(family: Family, number: u32) -> Ends {
    let [_, high, middle, low] = number.to_be_bytes();
    match family {
        Family::V4 => Ends { from: Ipv4Addr::new(10, high, middle, low).into(), to: RECEIVER_V4 },
        Family::V6 => {
            let from = Ipv6Addr::from_bits(0xfd09 << 112 | u128::from(number));
            Ends { from: from.into(), to: RECEIVER_V6 }
        }
    }
}

/// The case that this source belongs to.
#[must_use]
pub fn case_of(source: IpAddr) -> Option<u32> {
    match source {
        IpAddr::V4(v4) => {
            let [first, high, middle, low] = v4.octets();
            (first == 10).then(|| u32::from_be_bytes([0, high, middle, low]))
        }
        IpAddr::V6(v6) => {
            let bits = v6.to_bits();
            (bits >> 24 == 0xfd09 << 88).then_some(bits as u32 & 0x00ff_ffff)
        }
    }
}

/// The ends of marks.
#[must_use]
pub const fn mark() -> Ends {
    Ends { from: GATEWAY_V4, to: RECEIVER_V4 }
}
