//! What was asked of the project, beside what a run found: which figures answer which target, and the command that takes them
//! again.

use sg_benches::report::{Figure, Unit};

use crate::table::amount;

/// Something that was asked for.
struct Target {
    /// In words.
    asked: &'static str,
    /// What is enough, in words.
    enough: &'static str,
    /// What `--only` takes for it.
    only: &'static [&'static str],
    /// What was found, in words, and whether it is enough. None where figures are missing.
    found: fn(&Found<'_>) -> Option<(String, bool)>,
}

/// The figures of a run, by name.
struct Found<'a>(&'a [Figure]);

impl Found<'_> {
    fn figure(&self, name: &str) -> Option<&Figure> {
        self.0.iter().find(|figure| figure.name == name)
    }

    /// A figure that must not be more.
    fn most(&self, name: &str, most: f64) -> Option<(String, bool)> {
        let Figure { value, unit, .. } = *self.figure(name)?;
        Some((amount(value, unit), value <= most))
    }

    /// How many times as much as `ours` another filter adds.
    fn times(&self, other: &str, least: f64) -> Option<(String, bool)> {
        let added = |filter: &str| self.figure(&format!("path/{filter}/1k")).map(|figure| figure.value);
        let (other, ours) = (added(other)?, added("ours")?);
        let times = other / ours;
        let unit = Unit::Nanoseconds;
        Some((format!("{times:.1} × ({} to {})", amount(other, unit), amount(ours, unit)), times >= least))
    }

    /// Figures that must be equal, within a tenth.
    fn equal(&self, names: &[&str]) -> Option<(String, bool)> {
        let figures: Vec<&Figure> = names.iter().map(|name| self.figure(name)).collect::<Option<_>>()?;
        let values = || figures.iter().map(|figure| figure.value);
        let (least, most) =
            values().fold((f64::INFINITY, 0.0_f64), |(a, b), value| (a.min(value), b.max(value)));
        let words: Vec<String> = figures.iter().map(|figure| amount(figure.value, figure.unit)).collect();
        Some((words.join(", "), most <= least * 1.1))
    }

    /// The largest of a family.
    fn largest(&self, family: &str, most: f64) -> Option<(String, bool)> {
        let of = |figure: &&Figure| figure.name.split('/').next() == Some(family);
        let largest = self.0.iter().filter(of).max_by(|a, b| a.value.total_cmp(&b.value))?;
        Some((format!("{:.0}", largest.value), largest.value <= most))
    }
}

const TARGETS: &[Target] = &[
    Target {
        asked: "a packet of one of 16,384 flows, over the empty program",
        enough: "≤ 60 ns",
        only: &["established/16k"],
        found: |found| found.most("established/16k", 60.0),
    },
    Target {
        asked: "a new flow, 10 rules",
        enough: "≤ 15 ns",
        only: &["classify/10"],
        found: |found| found.most("classify/10", 15.0),
    },
    Target {
        asked: "the same, 1,000 rules",
        enough: "≤ 25 ns",
        only: &["classify/1k"],
        found: |found| found.most("classify/1k", 25.0),
    },
    Target {
        asked: "the same, 10,000 rules",
        enough: "≤ 35 ns",
        only: &["classify/10k"],
        found: |found| found.most("classify/10k", 35.0),
    },
    Target {
        asked: "the same, 100,000 prefixes",
        enough: "≤ 70 ns",
        only: &["classify/100k"],
        found: |found| found.most("classify/100k", 70.0),
    },
    Target {
        asked: "the same, 1,000,000 members",
        enough: "≤ 250 ns",
        only: &["classify/1m"],
        found: |found| found.most("classify/1m", 250.0),
    },
    Target {
        asked: "the same with 1, 5 and 10 groups",
        enough: "equal (within 10 %)",
        only: &["groups"],
        found: |found| found.equal(&["groups/1", "groups/5", "groups/10"]),
    },
    Target {
        asked: "whole path, first packets, 1,000 rules: nftables with sets adds",
        enough: "≥ 2 × ours",
        only: &["path"],
        found: |found| found.times("nft-sets", 2.0),
    },
    Target {
        asked: "the same: nftables, a rule a line",
        enough: "≥ 50 × ours",
        only: &["path"],
        found: |found| found.times("nft-linear", 50.0),
    },
    Target {
        asked: "the same: iptables, a rule a line",
        enough: "≥ 50 × ours",
        only: &["path"],
        found: |found| found.times("iptables-nft", 50.0),
    },
    Target {
        asked: "1,000 rules compiled until packets meet them",
        enough: "≤ 1 ms",
        only: &["compile/1k"],
        found: |found| found.most("compile/1k", 1e3),
    },
    Target {
        asked: "100,000 prefixes compiled until packets meet them",
        enough: "≤ 100 ms",
        only: &["compile/100k"],
        found: |found| found.most("compile/100k", 1e5),
    },
    Target {
        asked: "a member joins a group of 100,000",
        enough: "≤ 5 ms",
        only: &["member-join/100k"],
        found: |found| found.most("member-join/100k", 5e3),
    },
    Target {
        asked: "bulk TCP by unfiltered",
        enough: "≥ 0.98",
        only: &["bulk"],
        found: |found| {
            let value = found.figure("bulk/filtered")?.value;
            Some((format!("{value:.3}"), value >= 0.98))
        },
    },
    Target {
        asked: "instructions that the verifier follows, the largest program",
        enough: "≤ 100,000",
        only: &["verifier"],
        found: |found| found.largest("verifier", 1e5),
    },
];

/// The table of targets; none where no figure answers one.
pub(crate) fn markdown(figures: &[Figure]) -> Option<String> {
    let found = Found(figures);
    let mut lines = vec![
        "| what was asked | target | found | | again by `cargo xtask bench` |".to_owned(),
        "|---|--:|--:|---|---|".to_owned(),
    ];
    let titles = lines.len();
    for target in TARGETS {
        if let Some((words, is_enough)) = (target.found)(&found) {
            let (words, met) = if is_enough { (words, "met") } else { (format!("**{words}**"), "missed") };
            let only: Vec<String> = target.only.iter().map(|name| format!("--only {name}")).collect();
            lines.push(format!(
                "| {} | {} | {words} | {met} | `{}` |",
                target.asked,
                target.enough,
                only.join(" ")
            ));
        }
    }
    (lines.len() > titles).then(|| lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use sg_benches::report::{Figure, Unit};

    use super::markdown;

    #[test]
    fn targets_are_met_or_missed() {
        let figure = |name: &str, value| Figure::new(name, value, Unit::Nanoseconds);
        let figures = [
            figure("established/16k", 61.0),
            figure("path/ours/1k", 100.0),
            figure("path/nft-sets/1k", 250.0),
            figure("groups/1", 40.0),
            figure("groups/5", 41.0),
            figure("groups/10", 43.9),
        ];
        let table = markdown(&figures).unwrap();
        let rows: Vec<&str> = table.lines().skip(2).collect();
        assert_eq!(rows.len(), 3, "{table}");
        assert!(rows[0].contains("| **61 ns** | missed | `--only established/16k` |"), "{table}");
        assert!(rows[1].contains("| 40 ns, 41 ns, 43.9 ns | met |"), "{table}");
        assert!(rows[2].contains("| 2.5 × (250 ns to 100 ns) | met | `--only path` |"), "{table}");
        assert_eq!(markdown(&[]), None);
    }
}
