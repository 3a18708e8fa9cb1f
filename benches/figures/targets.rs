//! The project's targets, beside the results of a run: which figures show which target, and the command that takes them again.

use sg_benches::{Figure, Unit, figure_list::Family};

use crate::table::{amount, bound, is_missed};

/// A target of the project.
struct Target {
    /// In words.
    asked: &'static str,
    /// The value of `--only` for it.
    only: &'static str,
    shown_by: Shown,
}

/// What shows whether a target is met.
enum Shown {
    /// The figure that `--only` names, by its target in `figure_list`.
    Figure,
    /// The largest figure of the family that `--only` names, likewise.
    Largest,
    /// On the whole path under 1,000 rules, how many times as much as ours another filter adds, at least.
    Times(&'static str, f64),
    /// These figures are equal, within a tenth.
    Equal(&'static [&'static str]),
}

/// A result: in words, the required value, and whether it is met.
struct Found {
    words: String,
    enough: String,
    is_enough: bool,
}

impl Target {
    /// None if figures are missing.
    fn found(&self, figures: &[Figure]) -> Option<Found> {
        let named = |name: &str| figures.iter().find(|figure| figure.name == name);
        match self.shown_by {
            Shown::Figure => Found::of(named(self.only)?),
            Shown::Largest => {
                let of = |figure: &&Figure| {
                    Family::of(&figure.name).is_some_and(|family| family.name == self.only)
                };
                Found::of(figures.iter().filter(of).max_by(|a, b| a.value.total_cmp(&b.value))?)
            }
            Shown::Times(other, least) => {
                let added = |filter: &str| Some(named(&format!("path/{filter}/1k"))?.value);
                let (other, ours) = (added(other)?, added("ours")?);
                let [other_words, our_words] = [other, ours].map(|value| amount(value, Unit::Nanoseconds));
                Some(Found {
                    words: format!("{:.1} × ({other_words} to {our_words})", other / ours),
                    enough: format!("≥ {least} × ours"),
                    is_enough: other / ours >= least,
                })
            }
            Shown::Equal(names) => {
                let figures: Vec<&Figure> = names.iter().map(|name| named(name)).collect::<Option<_>>()?;
                let words: Vec<String> =
                    figures.iter().map(|figure| amount(figure.value, figure.unit)).collect();
                let values = || figures.iter().map(|figure| figure.value);
                let (least, most) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
                Some(Found {
                    words: words.join(", "),
                    enough: "equal (within 10 %)".to_owned(),
                    is_enough: most <= least * 1.1,
                })
            }
        }
    }
}

impl Found {
    fn of(figure: &Figure) -> Option<Self> {
        let words = amount(figure.value, figure.unit);
        Some(Self { words, enough: bound(figure)?, is_enough: !is_missed(figure) })
    }
}

const fn figure(asked: &'static str, only: &'static str) -> Target {
    Target { asked, only, shown_by: Shown::Figure }
}

const fn times(asked: &'static str, other: &'static str, least: f64) -> Target {
    Target { asked, only: "path", shown_by: Shown::Times(other, least) }
}

const TARGETS: &[Target] = &[
    figure("a packet of one of 16,384 flows, over the empty program", "established/16k"),
    figure("a new flow, 10 rules", "classify/10"),
    figure("the same, 1,000 rules", "classify/1k"),
    figure("the same, 10,000 rules", "classify/10k"),
    figure("the same, 100,000 prefixes", "classify/100k"),
    figure("the same, 1,000,000 members", "classify/1m"),
    Target {
        asked: "the same with 1, 5 and 10 groups",
        only: "groups",
        shown_by: Shown::Equal(&["groups/1", "groups/5", "groups/10"]),
    },
    times("whole path, first packets, 1,000 rules: nftables with sets adds", "nft-sets", 2.0),
    times("the same: nftables, a rule a line", "nft-linear", 50.0),
    times("the same: iptables, a rule a line", "iptables-nft", 50.0),
    figure("1,000 rules compiled until packets meet them", "compile/1k"),
    figure("100,000 prefixes compiled until packets meet them", "compile/100k"),
    figure("a member joins a group of 100,000", "member-join/100k"),
    figure("bulk TCP by unfiltered", "bulk/filtered"),
    Target {
        asked: "instructions that the verifier follows, the largest program",
        only: "verifier",
        shown_by: Shown::Largest,
    },
];

/// The table of targets; none if no figure shows one.
pub(crate) fn markdown(figures: &[Figure]) -> Option<String> {
    const TITLES: &str =
        "| what was asked | target | found | | again by `cargo xtask bench` |\n|---|--:|--:|---|---|\n";
    let row = |target: &Target| {
        let Found { words, enough, is_enough } = target.found(figures)?;
        let (words, met) = if is_enough { (words, "met") } else { (format!("**{words}**"), "missed") };
        let Target { asked, only, .. } = target;
        Some(format!("| {asked} | {enough} | {words} | {met} | `--only {only}` |"))
    };
    let rows: Vec<String> = TARGETS.iter().filter_map(row).collect();
    (!rows.is_empty()).then(|| TITLES.to_owned() + &rows.join("\n"))
}

#[cfg(test)]
mod tests {
    use sg_benches::{Figure, Unit};

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
