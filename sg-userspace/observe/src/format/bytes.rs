//! Fields as bytes: numbers, addresses and names, written to the end of a buffer.
//!
//! It must never know a format. The files of the formats call it.

use std::io::Write as _;

use ipnet::IpNet;
use jiff::Timestamp;

/// Writing to a vector cannot fail.
pub(super) fn display(value: impl std::fmt::Display, to: &mut Vec<u8>) {
    let _ = write!(to, "{value}");
}

/// A decimal number. By hand: it is most of a line, and `write!` takes several times as long.
pub(super) fn number(mut value: u64, to: &mut Vec<u8>) {
    let mut digits = [b'0'; 20];
    let mut used = 0;
    for place in digits.iter_mut().rev() {
        *place = b'0' + (value % 10) as u8;
        value /= 10;
        used += 1;
        if value == 0 {
            break;
        }
    }
    to.extend_from_slice(digits.get(digits.len() - used..).unwrap_or_default());
}

/// A number, or `-`.
pub(super) fn number_or_dash(value: Option<impl Into<u64>>, to: &mut Vec<u8>) {
    match value {
        Some(value) => number(value.into(), to),
        None => to.push(b'-'),
    }
}

/// An address, or `-`: also for a prefix, which formats of the clouds have no place for.
pub(super) fn address(net: Option<IpNet>, to: &mut Vec<u8>) {
    match net {
        Some(IpNet::V4(net)) if net.prefix_len() == 32 => {
            for (index, octet) in net.addr().octets().into_iter().enumerate() {
                if index > 0 {
                    to.push(b'.');
                }
                number(octet.into(), to);
            }
        }
        Some(IpNet::V6(net)) if net.prefix_len() == 128 => display(net.addr(), to),
        _ => to.push(b'-'),
    }
}

/// Unix time in seconds. A time before 1970 is 0.
pub(super) fn seconds(time: Timestamp, to: &mut Vec<u8>) {
    number(u64::try_from(time.as_second()).unwrap_or(0), to);
}

/// Unix time in milliseconds.
pub(super) fn milliseconds(time: Timestamp, to: &mut Vec<u8>) {
    number(u64::try_from(time.as_millisecond()).unwrap_or(0), to);
}

/// A name as one word; `-` if there is none. What would end the word or the line is a `_`.
pub(super) fn word(name: Option<&str>, to: &mut Vec<u8>) {
    let Some(name) = name.filter(|name| !name.is_empty()) else { return to.push(b'-') };
    if name.bytes().all(|byte| byte.is_ascii_graphic()) {
        return to.extend_from_slice(name.as_bytes());
    }
    for letter in name.chars() {
        let shown = if letter.is_whitespace() || sg_model::text::is_invisible(letter) { '_' } else { letter };
        to.extend_from_slice(shown.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

/// A name inside a JSON string, which the caller opens and closes.
pub(super) fn in_json(name: &str, to: &mut Vec<u8>) {
    if name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\' || byte == b' ') {
        return to.extend_from_slice(name.as_bytes());
    }
    let json = serde_json::to_string(name).unwrap_or_default();
    let json = sg_model::text::escaped_json(&json);
    to.extend_from_slice(
        json.strip_prefix('"').and_then(|json| json.strip_suffix('"')).unwrap_or("").as_bytes(),
    );
}
