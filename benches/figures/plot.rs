//! The plots of the documentation: figures of one family over the number at the end of their names.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use plotters::prelude::*;
use sg_benches::report::Figure;

/// A plot with two logarithmic axes.
struct Plot {
    file: &'static str,
    title: &'static str,
    across: &'static str,
    up: &'static str,
    /// The name of a line, and what precedes the number in the names of its figures.
    lines: &'static [(&'static str, &'static str)],
}

const PLOTS: &[Plot] = &[
    Plot {
        file: "engines.svg",
        title: "A packet's cost on the receive path, over an empty program",
        across: "rules",
        up: "ns",
        lines: &[
            ("this project", "path/ours"),
            ("nftables, sets and maps", "path/nft-sets"),
            ("nftables, linear", "path/nft-linear"),
            ("iptables-nft", "path/iptables-nft"),
            ("iptables with ipset", "path/ipset"),
            ("LPM trie in eBPF", "path/lpm"),
        ],
    },
    Plot {
        file: "classify.svg",
        title: "A new flow, over an empty program",
        across: "rules; the last: addresses of members",
        up: "ns",
        lines: &[("IPv4", "classify"), ("IPv6", "classify-ipv6")],
    },
    Plot {
        file: "compile.svg",
        title: "From a changed policy to packets that meet it",
        across: "rules, prefixes, members",
        up: "µs",
        lines: &[
            ("all of it, rules", "compile"),
            ("all of it, prefixes", "compile-prefixes"),
            ("a member joins", "member-join"),
        ],
    },
];

/// Draws the plots for which there are figures into `directory`.
pub(crate) fn all(directory: &Path, figures: &[Figure]) -> Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    for plot in PLOTS {
        let lines: Vec<(&str, Vec<(f64, f64)>)> = plot
            .lines
            .iter()
            .map(|(label, family)| (*label, points(figures, family)))
            .filter(|(_, points)| points.len() > 1)
            .collect();
        if !lines.is_empty() {
            let file = directory.join(plot.file);
            draw(plot, &lines, &file).with_context(|| format!("cannot draw {}", file.display()))?;
        }
    }
    Ok(())
}

/// The values of a family by size. A logarithmic axis has no place for zero.
fn points(figures: &[Figure], family: &str) -> Vec<(f64, f64)> {
    let point = |figure: &Figure| {
        let size = figure.name.strip_prefix(family)?.strip_prefix('/')?;
        Some((number(size)?, figure.value)).filter(|(size, value)| *size > 0.0 && *value > 0.0)
    };
    let mut points: Vec<(f64, f64)> = figures.iter().filter_map(point).collect();
    points.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    points
}

/// `10k` is ten thousand.
fn number(size: &str) -> Option<f64> {
    let (digits, times) = match size.strip_suffix(['k', 'm']) {
        Some(digits) if size.ends_with('k') => (digits, 1e3),
        Some(digits) => (digits, 1e6),
        None => (size, 1.0),
    };
    digits.parse::<f64>().ok().map(|number| number * times)
}

fn draw(plot: &Plot, lines: &[(&str, Vec<(f64, f64)>)], file: &Path) -> Result<()> {
    let all = || lines.iter().flat_map(|(_, points)| points);
    let range = |of: fn(&(f64, f64)) -> f64| {
        let least = all().map(of).fold(f64::INFINITY, f64::min);
        let most = all().map(of).fold(0.0, f64::max);
        10f64.powf(least.log10().floor())..10f64.powf(most.log10().ceil())
    };
    let area = SVGBackend::new(file, (800, 480)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(plot.title, ("sans-serif", 20))
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(72)
        .build_cartesian_2d(range(|(size, _)| *size).log_scale(), range(|(_, value)| *value).log_scale())?;
    chart
        .configure_mesh()
        .x_desc(plot.across)
        .y_desc(plot.up)
        .x_label_formatter(&|number| plain(*number))
        .y_label_formatter(&|number| plain(*number))
        .light_line_style(WHITE)
        .draw()?;
    for (number, (label, points)) in lines.iter().enumerate() {
        let colour = Palette99::pick(number).to_rgba();
        chart
            .draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)).point_size(3))?
            .label(*label)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    area.present()?;
    Ok(())
}

fn plain(number: f64) -> String {
    match number {
        1e6.. => format!("{} M", number / 1e6),
        1e3.. => format!("{} k", number / 1e3),
        _ => format!("{number}"),
    }
}

#[cfg(test)]
mod tests {
    use sg_benches::report::{Figure, Unit};

    use super::points;

    #[test]
    fn a_line_is_of_its_family_alone_and_in_order() {
        let figures =
            [("path/ours/1k", 40.0), ("path/ours/10", 20.0), ("path/oursx/1", 1.0), ("path/ours/x", 1.0)]
                .map(|(name, value)| Figure::new(name, value, Unit::Nanoseconds));
        assert_eq!(points(&figures, "path/ours"), [(10.0, 20.0), (1_000.0, 40.0)]);
    }
}
