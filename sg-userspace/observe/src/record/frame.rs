//! The beginning of a frame, of a packet that somebody watches.
//!
//! It must never know what became of the packet. The observer makes frames, `sgctl` writes them into files.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use utoipa::ToSchema;

/// Length of an Ethernet header.
const ETHERNET: u32 = 14;

/// The beginning of a frame.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub struct Frame {
    /// Its length in bytes, of which fewer may have been captured.
    pub length: u32,
    /// Whether it begins with an Ethernet header; if not, with an IP header.
    pub ethernet: bool,
    /// The captured bytes, in base64.
    #[serde(serialize_with = "as_base64", deserialize_with = "from_base64")]
    #[schema(value_type = String, format = Byte)]
    pub bytes: Vec<u8>,
}

impl Frame {
    /// A frame of `length` bytes of which these were captured, on a device with Ethernet headers or, if `is_layer_3`, without.
    ///
    /// An Ethernet header may precede the packet although the device has none: the kernel decrypts in place and leaves the one of
    /// the packet that it received.
    #[must_use]
    pub fn new(length: u32, is_layer_3: bool, bytes: &[u8]) -> Self {
        let is_left = || {
            let packet = bytes.get(ETHERNET as usize..).unwrap_or_default();
            is_ip(packet, length.saturating_sub(ETHERNET))
        };
        Self { length, ethernet: !is_layer_3 || is_left(), bytes: bytes.to_vec() }
    }
}

/// Whether these are the first bytes of an IP packet of `length` bytes.
fn is_ip(bytes: &[u8], length: u32) -> bool {
    let number = |at: usize| Some(u32::from(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?])));
    match bytes.first().map(|first| first >> 4) {
        Some(4) => number(2) == Some(length),
        Some(6) => number(4).is_some_and(|payload| payload + 40 == length),
        _ => false,
    }
}

fn as_base64<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&STANDARD.encode(bytes))
}

fn from_base64<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
    let text = Cow::<str>::deserialize(from)?;
    STANDARD.decode(&*text).map_err(de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_was_left_before_the_packet_is_seen() {
        let mut four = vec![0; 20];
        (four[0], four[3], four[13]) = (0x45, 40, 8);
        let mut six = vec![0; 40];
        (six[0], six[5]) = (0x60, 20);
        for (packet, length) in [(four, 40), (six, 60)] {
            let framed = [&[0; 14][..], &packet].concat();
            let ethernet = |is_layer_3, length, bytes| Frame::new(length, is_layer_3, bytes).ethernet;
            assert!(ethernet(false, length + 14, &framed) && ethernet(true, length + 14, &framed));
            assert!(!ethernet(true, length, &packet) && !ethernet(true, length, &packet[..8]));
        }
        assert!(!Frame::new(0, true, &[]).ethernet);
    }
}
