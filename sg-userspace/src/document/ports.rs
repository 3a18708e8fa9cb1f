//! Ports: `22`, `8000-8100`, `"22,80-90"`.

use super::{
    node::{Node, Value},
    problem::Problem,
    read::Read,
    words::Excerpt,
};
use crate::model::PortRange;

/// Valid values for the ports of a rule, except `{ port_list: NAME }`.
pub(super) const IN_A_RULE: &str =
    "write ports as 22, 8000-8100, \"22,80-90\" or { port_list: NAME }; leave the key out for every port";

/// Valid values for an item of a port list.
pub(super) const IN_A_LIST: &str = "write a port or a range, such as 22 or 8000-8100";

/// Ports in one scalar: a number, or ranges separated by commas.
pub(super) fn ranges<'d>(node: &'d Node, allowed: &'static str) -> Read<'d, Vec<PortRange>> {
    match &node.value {
        Value::Integer(number) => {
            let port = u16::try_from(*number).ok().and_then(|port| PortRange::new(port, port));
            let port = port.ok_or_else(|| node.fails(Problem::NotAPort { found: node.excerpt() }))?;
            Ok(vec![port])
        }
        Value::Text(text) => text.split(',').map(|part| range(node, part.trim(), allowed)).collect(),
        _ => Err(node.unfit(allowed)),
    }
}

fn range<'d>(node: &'d Node, text: &str, allowed: &'static str) -> Read<'d, PortRange> {
    let found = || Excerpt::value(text);
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.trim(), last.trim());
    if first.is_empty() || last.is_empty() {
        return Err(node.unfit(allowed));
    }
    let port = |digits| decimal(digits).ok_or_else(|| node.fails(Problem::NotAPort { found: found() }));
    let (first, last) = (port(first)?, port(last)?);
    PortRange::new(first, last).map_or_else(
        || {
            let range = PortRange::new(last, first).ok_or_else(|| node.unfit(allowed))?;
            Err(node.fails(Problem::Reversed { found: found(), range }))
        },
        Ok,
    )
}

/// Digits only: `str::parse` would also accept a sign.
fn decimal(digits: &str) -> Option<u16> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}
