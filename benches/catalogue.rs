//! What every family of figures means: the one list for the table, the documentation and the tests.

use crate::report::Unit;

/// Figures with the same name before the `/`.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// The part of the names before the `/`.
    pub name: &'static str,
    /// What is measured.
    pub what: &'static str,
    /// Their baseline; empty if they have none.
    pub baseline: &'static str,
    /// Targets for some of them, by the rest of the name ([`EVERY`]: for all), in the unit of the figure: a maximum, or a minimum
    /// ([`Unit::is_better_larger`]).
    pub targets: &'static [(&'static str, f64)],
    /// The unit of the figures.
    pub unit: Unit,
}

/// In place of a name: every figure of the family.
pub const EVERY: &str = "*";

const EMPTY: &str = "the empty program over the same packets";
const EMPTY_PATH: &str = "the whole path of a like packet with an empty TCX program";

/// Every family, in the order of the layers: the host, a packet in the kernel, the whole path, changes, memory, a large host.
pub const FAMILIES: &[Family] = &[
    Family {
        name: "parse",
        what: "a frame's headers read, in user space",
        baseline: "",
        targets: &[],
        unit: Unit::Nanoseconds,
    },
    Family {
        name: "lookup",
        what: "the image asked in user space, by so many rules or member addresses",
        baseline: "",
        targets: &[],
        unit: Unit::Nanoseconds,
    },
    Family {
        name: "lookup-ipv6",
        what: "the same, IPv6",
        baseline: "",
        targets: &[],
        unit: Unit::Nanoseconds,
    },
    Family {
        name: "stage",
        what: "how far a packet gets through the program: what each part adds to the one before",
        baseline: EMPTY,
        targets: &[],
        unit: Unit::Nanoseconds,
    },
    Family {
        name: "classify",
        what: "a new flow: NIC found, headers read, rules asked; by so many rules (at 1m: addresses of members)",
        baseline: EMPTY,
        targets: &[("10", 15.0), ("1k", 25.0), ("10k", 35.0), ("100k", 70.0), ("1m", 250.0)],
        unit: Unit::Nanoseconds,
    },
    Family {
        name: "classify-ipv6",
        what: "the same, IPv6",
        baseline: EMPTY,
        targets: &[],
        unit: Unit::Nanoseconds,
    },
    Family {
        name: "groups",
        what: "`classify/1k` with its rules in so many groups",
        baseline: EMPTY,
        targets: &[("1", 25.0), ("5", 25.0), ("10", 25.0)],
        unit: Unit::Nanoseconds,
    },
    Family {
        name: "deny",
        what: "the whole program for a packet that so many rules drop",
        baseline: EMPTY,
        targets: &[],
        unit: Unit::Nanoseconds,
    },
    Family {
        name: "established",
        what: "the whole program for a packet of a known flow, one of so many",
        baseline: EMPTY,
        targets: &[("16k", 60.0)],
        unit: Unit::Nanoseconds,
    },
    Family {
        name: "established-ipv6",
        what: "the same, IPv6",
        baseline: EMPTY,
        targets: &[],
        unit: Unit::Nanoseconds,
    },
    Family {
        name: "once",
        what: "`established`, every packet of another flow: the flow's entry is not in the nearest cache",
        baseline: EMPTY,
        targets: &[],
        unit: Unit::Nanoseconds,
    },
    Family {
        name: "reject",
        what: "the whole program for a SYN that is dropped, one that is reset, and for a reset that is rejected and never answered; \
               each packet once",
        baseline: EMPTY,
        targets: &[],
        unit: Unit::Nanoseconds,
    },
    Family {
        name: "counters",
        what: "10,000 rules, packets that so many of them drop in turn: as many counters are written",
        baseline: EMPTY,
        targets: &[],
        unit: Unit::Nanoseconds,
    },
    Family {
        name: "verifier",
        what: "instructions that the kernel's verifier follows when it loads a program",
        baseline: "",
        targets: &[(EVERY, 100_000.0)],
        unit: Unit::Count,
    },
    Family {
        name: "path",
        what: "the whole receive path under so many rules, for each filter: what the first packet of an accepted flow pays more",
        baseline: EMPTY_PATH,
        targets: &[],
        unit: Unit::Nanoseconds,
    },
    Family {
        name: "path-again",
        what: "the same for a packet that asks once more, before anybody answered",
        baseline: EMPTY_PATH,
        targets: &[],
        unit: Unit::Nanoseconds,
    },
    Family {
        name: "path-known",
        what: "the same for a packet of one of 16,384 flows that both ends spoke in",
        baseline: EMPTY_PATH,
        targets: &[],
        unit: Unit::Nanoseconds,
    },
    Family {
        name: "path-denied",
        what: "the same for a packet that the rules drop: below zero where what is dropped early costs less than what is forwarded",
        baseline: EMPTY_PATH,
        targets: &[],
        unit: Unit::Nanoseconds,
    },
    Family {
        name: "rate",
        what: "packets a second of one processor on the path of `path`, all of them new flows",
        baseline: EMPTY_PATH,
        targets: &[],
        unit: Unit::PacketsPerSecond,
    },
    Family {
        name: "bulk",
        what: "bulk TCP through a filtered NIC and through another unfiltered one, to that through an unfiltered one, median",
        baseline: "",
        targets: &[("filtered", 0.98)],
        unit: Unit::Ratio,
    },
    Family {
        name: "bulk-rate",
        what: "bulk TCP through a filtered NIC",
        baseline: "the same NIC without a filter",
        targets: &[],
        unit: Unit::Megabits,
    },
    Family {
        name: "compile",
        what: "1,000 rules, or at 100k a list of 100,000 prefixes: from the policy to packets that meet it, but for the wait of the kernel",
        baseline: "compiled only, not in the kernel",
        targets: &[("1k", 1_000.0), ("100k", 100_000.0)],
        unit: Unit::Microseconds,
    },
    Family {
        name: "compile-rules",
        what: "the same by number of rules",
        baseline: "the figure before, were growth linear: 1 is linear",
        targets: &[],
        unit: Unit::Microseconds,
    },
    Family {
        name: "compile-prefixes",
        what: "the same by length of the list",
        baseline: "the figure before, were growth linear: 1 is linear",
        targets: &[],
        unit: Unit::Microseconds,
    },
    Family {
        name: "member-join",
        what: "a member joins a group of so many: from the changed policy to packets that meet it, but for the wait of the kernel",
        baseline: "the image compiled from nothing",
        targets: &[("100k", 5_000.0)],
        unit: Unit::Microseconds,
    },
    Family {
        name: "publish",
        what: "so many images of 100 rules in the kernel, with the wait until no packet meets the old ones",
        baseline: "",
        targets: &[],
        unit: Unit::Microseconds,
    },
    Family {
        name: "change",
        what: "a rule of a group that three of 200 NICs hold, under 100,000 rules: the parts of the change",
        baseline: "",
        targets: &[],
        unit: Unit::Microseconds,
    },
    Family {
        name: "memory",
        what: "memory for one of them: in the image, or the table",
        baseline: "",
        targets: &[],
        unit: Unit::Bytes,
    },
    Family {
        name: "family-bytes",
        what: "the image of so many rules that overlap in every dimension, as access lists (acl), firewalls (fw) and chains (ipc) do",
        baseline: "",
        targets: &[],
        unit: Unit::Bytes,
    },
    Family {
        name: "family-compile",
        what: "the same: compiled only, not in the kernel",
        baseline: "",
        targets: &[],
        unit: Unit::Microseconds,
    },
    Family {
        name: "nics-start",
        what: "so many NICs of 40 rules each: from the start of the agent until all are filtered",
        baseline: "the same with 10 NICs",
        targets: &[],
        unit: Unit::Milliseconds,
    },
    Family {
        name: "nics-restart",
        what: "the same where the filter is there already",
        baseline: "the same with 10 NICs",
        targets: &[],
        unit: Unit::Milliseconds,
    },
    Family {
        name: "nics-change-one",
        what: "a rule of one of them changes in the policy file: until it is in force",
        baseline: "the same with 10 NICs",
        targets: &[],
        unit: Unit::Milliseconds,
    },
    Family {
        name: "nics-change-all",
        what: "a rule of the group that all hold changes in the policy file: until it is in force",
        baseline: "the same with 10 NICs",
        targets: &[],
        unit: Unit::Milliseconds,
    },
    Family {
        name: "nics-detach",
        what: "`sgctl detach`: until the filter is off all of them",
        baseline: "the same with 10 NICs",
        targets: &[],
        unit: Unit::Milliseconds,
    },
    Family {
        name: "nics-memory",
        what: "memory of the machine for each of them",
        baseline: "the same with 10 NICs",
        targets: &[],
        unit: Unit::Bytes,
    },
    Family {
        name: "nics-agent",
        what: "memory of the agent for each of them",
        baseline: "the same with 10 NICs",
        targets: &[],
        unit: Unit::Bytes,
    },
    Family {
        name: "store",
        what: "the store with 100,000 rules: commits of 1 and 100 changes, opening, loading, export, import",
        baseline: "",
        targets: &[],
        unit: Unit::Microseconds,
    },
    Family {
        name: "service",
        what: "a large host: from the closed store to the policy in force, but for the kernel",
        baseline: "",
        targets: &[("start", 5_000.0)],
        unit: Unit::Milliseconds,
    },
    Family {
        name: "query",
        what: "a large host: a question, median",
        baseline: "",
        targets: &[(EVERY, 50.0)],
        unit: Unit::Milliseconds,
    },
    Family {
        name: "operation",
        what: "a large host: an operation until its answer, but for the kernel, median",
        baseline: "",
        targets: &[(EVERY, 100.0)],
        unit: Unit::Milliseconds,
    },
];

impl Family {
    /// The family of a figure.
    #[must_use]
    pub fn of(figure: &str) -> Option<&'static Self> {
        let name = figure.split('/').next()?;
        FAMILIES.iter().find(|family| family.name == name)
    }

    /// The target of a figure.
    #[must_use]
    pub fn target(&self, figure: &str) -> Option<f64> {
        let rest = figure.strip_prefix(self.name)?.strip_prefix('/')?;
        self.targets.iter().find(|(name, _)| *name == rest || *name == EVERY).map(|(_, target)| *target)
    }
}
