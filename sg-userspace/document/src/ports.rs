//! Ports: `22`, `8000-8100`, `"22,80-90"`.

use sg_model::{PortRange, text::digits};

use super::{
    elsewhere::{self, BETWEEN},
    node::{Node, Value},
    problem::Problem,
    read::Read,
    words::Excerpt,
};

/// Where ports stand, for messages.
pub(super) struct Place {
    /// The valid values.
    pub(super) allowed: &'static str,
    /// What to write for every port.
    every: &'static str,
}

/// The ports of a rule, except `{ port_list: NAME }`.
pub(super) const IN_A_RULE: Place = Place {
    allowed: "write ports as 22, 8000-8100, \"22,80-90\", [22, 80-90] or { port_list: NAME }; leave the key out for every port",
    every: "leave the key out for every port",
};

/// An item of a list of ports.
pub(super) const IN_A_LIST: Place = Place {
    allowed: "write a port or a range, such as 22 or 8000-8100",
    every: "write 0-65535 for every port",
};

/// Words for every port in other programs.
const EVERY: [&str; 5] = ["all", "any", "*", "-1", "-1/-1"];

/// Ports in one scalar: a number, or ranges separated by commas.
pub(super) fn ranges<'d>(node: &'d Node, place: &Place) -> Read<'d, Vec<PortRange>> {
    match &node.value {
        Value::Integer(-1) => Err(node.unfit(place.every)),
        Value::Integer(number) => {
            let port = u16::try_from(*number).ok().and_then(|port| PortRange::new(port, port));
            let port = port.ok_or_else(|| node.fails(Problem::NotAPort { found: node.excerpt() }))?;
            Ok(vec![port])
        }
        // 022 is 18 for some readers of YAML and 22 for others.
        Value::Float(number) if number.fract() == 0.0 && (0.0..=65535.0).contains(number) => {
            Err(node.unfit(format!("write the port as {number}")))
        }
        Value::Text(text) if EVERY.iter().any(|every| every.eq_ignore_ascii_case(text.trim())) => {
            Err(node.unfit(place.every))
        }
        Value::Text(text) => text.split(',').map(|part| range(node, part.trim(), place)).collect(),
        _ => Err(node.unfit(place.allowed)),
    }
}

fn range<'d>(node: &'d Node, text: &str, place: &Place) -> Read<'d, PortRange> {
    let found = || Excerpt::value(text);
    let unfit = |allowed: String| node.fails(Problem::Unfit { found: found(), allowed: allowed.into() });
    if let Some((_, port)) = elsewhere::service(text) {
        return Err(unfit(format!("a port is a number, write {port}")));
    }
    if let Some(range) = BETWEEN.iter().find_map(|between| {
        let (first, last) = text.split_once(between)?;
        let (first, last): (u16, _) = (digits(first.trim())?, digits(last.trim())?);
        PortRange::new(first.min(last), first.max(last))
    }) {
        let one = if range.first() == range.last() { "one port is written" } else { "a range is written" };
        return Err(unfit(format!("{one} {range}")));
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.trim(), last.trim());
    if first.is_empty() || last.is_empty() {
        return Err(node.unfit(place.allowed));
    }
    let port = |port| digits(port).ok_or_else(|| node.fails(Problem::NotAPort { found: found() }));
    let (first, last) = (port(first)?, port(last)?);
    PortRange::new(first, last).map_or_else(
        || {
            let range = PortRange::new(last, first).ok_or_else(|| node.unfit(place.allowed))?;
            Err(node.fails(Problem::Reversed { found: found(), range }))
        },
        Ok,
    )
}
