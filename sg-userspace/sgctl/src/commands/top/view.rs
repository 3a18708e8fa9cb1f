//! Draws the model, in as many lines and letters as there are: nothing is wrapped, and what does not fit ends with an ellipsis. It
//! must never change the model. `mod.rs` calls it.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Modifier, Style, Stylize as _},
    text::{Line, Span},
    widgets::Paragraph,
};

use super::{
    keys::HELP,
    model::{Model, Totals, View},
    table::{Cell, Table, Width, short},
};

/// Letters between two columns.
const GAP: u16 = 1;
/// The narrowest column that shares what is left.
const NARROWEST: u16 = 4;

/// Lines that are no rows of the table: three above it, its header, and one below.
const OTHERS: u16 = 5;

/// The number of rows for which there is room on a screen so high.
pub(super) fn room(height: u16) -> usize {
    usize::from(height.saturating_sub(OTHERS))
}

pub(super) fn draw(model: &Model, frame: &mut Frame<'_>) {
    let areas = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Min(0),
        Constraint::Length(1),
    ]);
    let [title, totals, tabs, body, keys] = areas.areas(frame.area());
    let width = usize::from(frame.area().width);
    frame.render_widget(Paragraph::new(self::title(model)), title);
    frame.render_widget(Paragraph::new(fitting(&in_total(&model.totals), width)), totals);
    frame.render_widget(Paragraph::new(self::tabs(model)), tabs);
    if model.shows_help {
        let lines = HELP
            .iter()
            .map(|(key, what)| Line::from(vec![Span::raw(format!("  {key:<9}")).bold(), (*what).into()]));
        frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), body);
    } else {
        table(model.table(), &model.filter, frame, body);
    }
    frame.render_widget(Paragraph::new(last_line(model, width)), keys);
}

fn title(model: &Model) -> Line<'_> {
    let mut spans = vec![Span::raw("sgctl top").bold(), Span::raw(format!("  {}", model.instance))];
    spans.push(Span::raw(format!("  every {} s", model.interval.as_secs())));
    if model.is_paused {
        spans.push(Span::raw("  paused").reversed());
    }
    if model.lost > 0 {
        spans.push(Span::raw(format!("  {} records lost", short_count(model.lost))).red());
    }
    Line::from(spans)
}

fn short_count(count: u64) -> String {
    Cell::Count(count).text()
}

fn in_total(totals: &Totals) -> String {
    let Totals { accepted, denied, established, max_established, half_open, evicted, unread_flows } = totals;
    let mut parts = vec![format!(
        "accepted {} pkts/s {} B/s  denied {} pkts/s",
        short(accepted.packets),
        short(accepted.bytes),
        short(denied.packets)
    )];
    // Of one NIC, the tables of all are not known.
    if *max_established > 0 {
        let (established, max) = (short_count(*established), short_count(*max_established));
        parts.push(format!("flows {established} of {max}  half-open {}", short_count(*half_open)));
    }
    if *evicted > 0 {
        parts.push(format!("evicted {}", short_count(*evicted)));
    }
    if *unread_flows > 0 {
        parts.push(format!("not read {}", short_count(*unread_flows as u64)));
    }
    parts.join("  ")
}

fn tabs(model: &Model) -> Line<'_> {
    let mut spans = Vec::new();
    for (index, view) in View::ALL.into_iter().enumerate() {
        let style =
            if view == model.view { Style::new().add_modifier(Modifier::REVERSED) } else { Style::new() };
        spans.push(Span::styled(format!(" {} {} ", index + 1, view.title()), style));
        spans.push(Span::raw(" "));
    }
    Line::from(spans)
}

fn last_line(model: &Model, width: usize) -> Line<'static> {
    if model.edits_filter {
        return Line::from(fitting(&format!("/{}\u{2581}", model.filter), width));
    }
    if let Some(trouble) = model.trouble() {
        return Line::from(fitting(trouble, width)).red();
    }
    let keys = "1-4 Tab view  s sort  r reverse  / filter  p pause  ? help  q quit";
    let filter = if model.filter.is_empty() { String::new() } else { format!("  filter: {}", model.filter) };
    Line::from(fitting(&format!("{keys}{filter}"), width)).dim()
}

fn table(table: &Table, filter: &str, frame: &mut Frame<'_>, area: Rect) {
    let widths = widths(table, area.width);
    let mut lines = vec![header(table, &widths)];
    let rows = table.shown(filter);
    let room = usize::from(area.height.saturating_sub(1));
    // With a filter there may be fewer rows than somebody scrolled: the last ones stay in sight.
    let offset = table.offset.min(rows.len().saturating_sub(room));
    for row in rows.iter().skip(offset).take(room) {
        let mut spans = Vec::new();
        for (cell, width) in row.iter().zip(&widths) {
            let text = padded(&cell.text(), usize::from(*width), cell.is_number());
            let style = match text.trim_end() {
                "accept" => Style::new().green(),
                "drop" | "reject" => Style::new().red(),
                _ => Style::new(),
            };
            spans.push(Span::styled(text, style));
            spans.push(Span::raw(" ".repeat(usize::from(GAP))));
        }
        lines.push(Line::from(spans));
    }
    if rows.is_empty() && room > 0 {
        lines.push(Line::from("nothing yet").dim());
    }
    frame.render_widget(Paragraph::new(lines), area);
}

/// The width of each column: those that share what is left get equal parts of it.
fn widths(table: &Table, area: u16) -> Vec<u16> {
    let columns = table.columns;
    let fixed: u16 =
        columns.iter().map(|column| if let Width::Fixed(width) = column.width { width } else { 0 }).sum();
    let gaps = GAP * u16::try_from(columns.len().saturating_sub(1)).unwrap_or(0);
    let sharing = columns.iter().filter(|column| column.width == Width::Rest).count().max(1);
    let left = area.saturating_sub(fixed).saturating_sub(gaps);
    let share = (left / u16::try_from(sharing).unwrap_or(1)).max(NARROWEST);
    columns.iter().map(|column| if let Width::Fixed(width) = column.width { width } else { share }).collect()
}

fn header(table: &Table, widths: &[u16]) -> Line<'static> {
    let mut spans = Vec::new();
    for (index, (column, width)) in table.columns.iter().zip(widths).enumerate() {
        let text = padded(column.title, usize::from(*width), column.number);
        let is_sorted = index == table.sort;
        let style = Style::new().add_modifier(Modifier::BOLD);
        spans
            .push(Span::styled(text, if is_sorted { style.add_modifier(Modifier::REVERSED) } else { style }));
        spans.push(Span::raw(" ".repeat(usize::from(GAP))));
    }
    Line::from(spans)
}

/// A text of exactly this width.
fn padded(text: &str, width: usize, right: bool) -> String {
    let text = fitting(text, width);
    let padding = " ".repeat(width.saturating_sub(Span::raw(text.as_str()).width()));
    if right { padding + &text } else { text + &padding }
}

/// The beginning of a text that fits, with an ellipsis if it is not all.
fn fitting(text: &str, width: usize) -> String {
    let is_within = |text: &str, width: usize| Span::raw(text).width() <= width;
    if is_within(text, width) {
        return text.to_owned();
    }
    let mut begin = String::new();
    for letter in text.chars() {
        begin.push(letter);
        if !is_within(&begin, width.saturating_sub(1)) {
            begin.pop();
            break;
        }
    }
    if width > 0 { begin + "…" } else { String::new() }
}
