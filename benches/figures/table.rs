//! Figures as a table: on the screen, and in Markdown.

use comfy_table::{CellAlignment, Table, presets};
use sg_benches::{
    Figure, Unit,
    figure_list::{FAMILIES, Family},
};

const TITLES: [&str; 6] = ["", "figure", "± spread", "baseline", "ratio", "target"];

/// For the screen, by family.
pub(crate) fn of(figures: &[Figure]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(TITLES);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for figure in sorted(figures) {
        table.add_row(cells(figure));
    }
    table
}

/// For the documentation: the figures of some families.
pub(crate) fn markdown(figures: &[Figure], families: &[&str]) -> String {
    let mut lines = vec![
        "| name | figure | ± spread | baseline | ratio | target |".to_owned(),
        "|---|--:|--:|--:|--:|--:|".to_owned(),
    ];
    for figure in sorted(figures) {
        if Family::of(&figure.name).is_some_and(|family| families.contains(&family.name)) {
            let [name, value, rest @ ..] = cells(figure);
            // Missed targets are bold.
            let value = if is_missed(figure) { format!("**{value}**") } else { value };
            lines.push(format!("| `{name}` | {value} | {} |", rest.join(" | ")));
        }
    }
    lines.join("\n")
}

/// In the order of the list, and within a family in the order in which they were taken.
fn sorted(figures: &[Figure]) -> Vec<&Figure> {
    let mut sorted: Vec<&Figure> = figures.iter().collect();
    sorted.sort_by_key(|figure| {
        let family = figure.name.split('/').next().unwrap_or_default();
        FAMILIES.iter().position(|known| known.name == family).unwrap_or(usize::MAX)
    });
    sorted
}

fn cells(figure: &Figure) -> [String; TITLES.len()] {
    let amount = |value: Option<f64>| value.map_or_else(String::new, |value| amount(value, figure.unit));
    [
        figure.name.clone(),
        amount(Some(figure.value)),
        amount(figure.spread),
        amount(figure.baseline),
        figure.ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}")),
        bound(figure).unwrap_or_default(),
    ]
}

/// The target of a figure, in words.
pub(crate) fn bound(figure: &Figure) -> Option<String> {
    let sign = if figure.unit.is_better_larger() { "≥" } else { "≤" };
    Some(format!("{sign} {}", amount(target(figure)?, figure.unit)))
}

fn target(figure: &Figure) -> Option<f64> {
    Family::of(&figure.name).and_then(|family| family.target(&figure.name))
}

pub(crate) fn is_missed(figure: &Figure) -> bool {
    target(figure).is_some_and(|target| {
        if figure.unit.is_better_larger() { figure.value < target } else { figure.value > target }
    })
}

/// An amount for people: three digits, and the larger unit if there is one.
pub(crate) fn amount(value: f64, unit: Unit) -> String {
    let steps: &[(f64, &str)] = match unit {
        Unit::Nanoseconds => &[(1.0, "ns"), (1e3, "µs"), (1e6, "ms"), (1e9, "s")],
        Unit::Microseconds => &[(1.0, "µs"), (1e3, "ms"), (1e6, "s")],
        Unit::Milliseconds => &[(1.0, "ms"), (1e3, "s")],
        Unit::Bytes => &[(1.0, "B"), (1024.0, "KiB"), (1_048_576.0, "MiB")],
        Unit::Count | Unit::Ratio => &[(1.0, "")],
        Unit::PacketsPerSecond => &[(1.0, "pps"), (1e3, "kpps"), (1e6, "Mpps")],
        Unit::Megabits => &[(1.0, "Mbit/s"), (1e3, "Gbit/s")],
    };
    let fitting = steps.iter().rev().find(|(size, _)| value.abs() >= *size);
    let (size, name) = fitting.or(steps.first()).copied().unwrap_or((1.0, ""));
    let value = value / size;
    let digits = if unit == Unit::Ratio {
        3
    } else if value.fract().abs() < 1e-9 || value.abs() >= 100.0 {
        0
    } else if value.abs() >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.digits$} {name}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use sg_benches::{Figure, Unit};

    use super::{amount, markdown};

    #[test]
    fn amounts_have_three_digits() {
        assert_eq!(amount(73.26, Unit::Nanoseconds), "73.3 ns");
        assert_eq!(amount(100_000.0, Unit::Microseconds), "100 ms");
        assert_eq!(amount(0.256, Unit::Microseconds), "0.26 µs");
        assert_eq!(amount(96.0, Unit::Bytes), "96 B");
        assert_eq!(amount(0.9846, Unit::Ratio), "0.985");
    }

    #[test]
    fn what_is_missed_shows() {
        let figures = [("classify/10", 14.0), ("classify/1k", 26.0), ("deny/1k", 80.0)]
            .map(|(name, value)| Figure::new(name, value, Unit::Nanoseconds).beside(10.0));
        let table = markdown(&figures, &["classify"]);
        assert_eq!(
            table.lines().skip(2).collect::<Vec<_>>(),
            [
                "| `classify/10` | 14 ns |  | 10 ns | 1.40 | ≤ 15 ns |",
                "| `classify/1k` | **26 ns** |  | 10 ns | 2.60 | ≤ 25 ns |"
            ]
        );
        for (value, shown) in [(0.97, "**0.970**"), (0.99, "0.990")] {
            let table = markdown(&[Figure::new("bulk/filtered", value, Unit::Ratio)], &["bulk"]);
            assert!(table.ends_with(&format!("| `bulk/filtered` | {shown} |  |  |  | ≥ 0.980 |")), "{table}");
        }
    }
}
