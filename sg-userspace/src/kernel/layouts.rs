//! The layouts so far, and what this one takes over from each. It must never read a map: `takeover` does.
//!
//! Every version of [`sg_common::abi`] has its line here before it is released.

use sg_common::{
    abi::VERSION,
    flow::{FlowEntry, FlowKey},
};

/// A layout, and whether this version can continue its flows.
struct Layout {
    version: u32,
    /// Why its flows differ from those of this version; `None` if keys and entries of a table that both have are equal, byte for
    /// byte.
    flows_differ: Option<&'static str>,
}

/// All layouts that have the current [`sg_common::abi::Counter`] and counter numbers.
const KNOWN: [Layout; 6] = [
    Layout { version: 1, flows_differ: Some("keeps no sequence numbers") },
    Layout { version: 2, flows_differ: None },
    Layout { version: 3, flows_differ: None },
    Layout { version: 4, flows_differ: None },
    Layout { version: 5, flows_differ: None },
    // What was the upper half of `opened` is a number that means nothing without its flag.
    Layout { version: 6, flows_differ: None },
];

const _: () = {
    let mut at = 0;
    while at < KNOWN.len() && KNOWN[at].version != VERSION {
        at += 1;
    }
    assert!(at < KNOWN.len() && KNOWN[at].flows_differ.is_none(), "this version has no line in KNOWN");
    // If this fails, no earlier layout has the same flows. (Keys without a VLAN are recognised by their length, see `flows`.)
    assert!(size_of::<FlowKey>() == 48 && size_of::<FlowEntry>() == 80);
};

/// Whether flow table entries of layout `version` mean the same in this one.
///
/// # Errors
/// Why not, as the end of a sentence that begins with the layout.
pub fn flows_go_on(version: u32) -> Result<(), &'static str> {
    let known = KNOWN.iter().find(|layout| layout.version == version);
    known.map_or(Err("is not known to this version"), |layout| layout.flows_differ.map_or(Ok(()), Err))
}

/// Whether counters of layout `version` mean the same in this one.
#[must_use]
pub fn counters_go_on(version: u32) -> bool {
    KNOWN.iter().any(|layout| layout.version == version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_layouts_with_the_same_flows_go_on() {
        assert_eq!(flows_go_on(1), Err("keeps no sequence numbers"));
        assert_eq!(flows_go_on(2), Ok(()));
        assert_eq!(flows_go_on(VERSION), Ok(()));
        assert_eq!(flows_go_on(99), Err("is not known to this version"));
        assert!(counters_go_on(1) && !counters_go_on(99));
    }
}
