//! Tables: the fields of objects, in columns for several objects, one below the other for one.
//!
//! Users' texts may contain anything; a terminal gets no control characters from them.

use clap::builder::styling::{AnsiColor, Style};
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use super::names::{Names, Wanted};
use crate::model::text::escaped;

/// An object that can be printed in every format.
pub(super) trait Render: Serialize + 'static {
    /// The noun for one object.
    const NOUN: &'static str;
    /// Its columns, in their order.
    const COLUMNS: &'static [Column<Self>];

    /// Its id for programs.
    fn id(&self) -> String;

    /// Its name for people.
    fn name(&self) -> Option<&str> {
        None
    }

    /// Adds the ids of other objects that it refers to.
    fn mentions(&self, _wanted: &mut Wanted) {}
}

/// How a column becomes text.
enum Text<T: ?Sized> {
    Plain(fn(&T) -> String),
    /// With the names of other objects in place of their ids.
    Named(fn(&T, &Names) -> String),
}

/// Where a column is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Always.
    Everywhere,
    /// In wide tables, and for a single object.
    Wide,
    /// For a single object.
    Alone,
}

/// A field of an object.
pub(super) struct Column<T: ?Sized> {
    title: &'static str,
    text: Text<T>,
    place: Place,
    number: bool,
}

impl<T: ?Sized> Column<T> {
    /// A column of every table.
    pub(super) const fn new(title: &'static str, text: fn(&T) -> String) -> Self {
        Self { title, text: Text::Plain(text), place: Place::Everywhere, number: false }
    }

    /// A column of every table that has names of other objects.
    pub(super) const fn named(title: &'static str, text: fn(&T, &Names) -> String) -> Self {
        Self { title, text: Text::Named(text), place: Place::Everywhere, number: false }
    }

    /// A column of wide tables.
    pub(super) const fn wide(title: &'static str, text: fn(&T) -> String) -> Self {
        Self { title, text: Text::Plain(text), place: Place::Wide, number: false }
    }

    /// A field that only a single object shows; it may have several lines.
    pub(super) const fn alone(title: &'static str, text: fn(&T) -> String) -> Self {
        Self { title, text: Text::Plain(text), place: Place::Alone, number: false }
    }

    /// A column of every table, right-aligned.
    pub(super) const fn number(title: &'static str, text: fn(&T) -> String) -> Self {
        Self { title, text: Text::Plain(text), place: Place::Everywhere, number: true }
    }

    fn text(&self, thing: &T, names: &Names) -> String {
        match self.text {
            Text::Plain(text) => text(thing),
            Text::Named(text) => text(thing, names),
        }
    }
}

/// Several objects, one a line.
pub(super) fn many<T: Render>(things: &[T], names: &Names, wide: bool, colour: bool) -> String {
    let shown = |column: &&Column<T>| match column.place {
        Place::Everywhere => true,
        Place::Wide => wide,
        Place::Alone => false,
    };
    let columns: Vec<&Column<T>> = T::COLUMNS.iter().filter(shown).collect();
    let titles: Vec<&str> = columns.iter().map(|column| column.title).collect();
    let rows = things.iter().map(|thing| columns.iter().map(|column| column.text(thing, names)).collect());
    let numbers: Vec<usize> = columns.iter().enumerate().filter(|(_, c)| c.number).map(|(i, _)| i).collect();
    lines(&titles, rows, &numbers, colour)
}

/// A table of texts. The columns whose indices are in `numbers` are right-aligned.
pub(super) fn lines(
    titles: &[&str],
    rows: impl Iterator<Item = Vec<String>>,
    numbers: &[usize],
    colour: bool,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(titles.iter().copied());
    let mut texts: Vec<Vec<String>> = Vec::new();
    for row in rows {
        let row: Vec<String> = row.iter().map(|text| cell(text)).collect();
        table.add_row(&row);
        texts.push(row);
    }
    for column in table.column_iter_mut() {
        // No padding before the first column, so that it can be copied without blanks.
        column.set_padding((0, 2));
    }
    for &index in numbers {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let text = table.trim_fmt();
    if !colour {
        return format!("{text}\n");
    }
    let mut painted = String::with_capacity(text.len() * 2);
    for (number, line) in text.lines().enumerate() {
        match number.checked_sub(1).and_then(|row| texts.get(row)) {
            None => painted.push_str(&paint(line, Style::new().bold())),
            Some(cells) => paint_cells(line, cells, &mut painted),
        }
        painted.push('\n');
    }
    painted
}

/// One object, a field a line.
pub(super) fn one<T: Render>(thing: &T, names: &Names, colour: bool) -> String {
    let width = T::COLUMNS.iter().map(|column| column.title.len()).max().unwrap_or_default();
    let mut text = String::new();
    for column in T::COLUMNS {
        let value = column.text(thing, names);
        let mut values = match column.place {
            Place::Alone => value.lines().map(cell).collect(),
            Place::Everywhere | Place::Wide => vec![cell(&value)],
        };
        if values.is_empty() {
            values.push(cell(""));
        }
        for (line, value) in values.iter().enumerate() {
            let title = if line == 0 { column.title } else { "" };
            let padding = " ".repeat(width - title.len() + 2);
            let title =
                if colour && line == 0 { paint(title, Style::new().bold()) } else { title.to_owned() };
            let value = match style_of(value) {
                Some(style) if colour => paint(value, style),
                _ => value.clone(),
            };
            text.extend([&title, &padding, &value, "\n"]);
        }
    }
    text
}

/// A text made safe for a terminal, on one line.
pub(super) fn cell(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { escaped(text).into_owned() }
}

/// The colour of a word that is alone in its cell.
pub(super) fn style_of(word: &str) -> Option<Style> {
    let colour = match word {
        "accept" | "add" | "added" | "running" => AnsiColor::Green,
        "drop" | "reject" | "remove" | "removed" | "refused" | "over-open" => AnsiColor::Red,
        "change" | "exists" | "shadowed" | "redundant" | "disabled" => AnsiColor::Yellow,
        _ => return None,
    };
    Some(colour.on_default())
}

pub(super) fn paint(text: &str, style: Style) -> String {
    format!("{style}{text}{style:#}")
}

/// A line has its cells one after the other, with only blanks between them.
fn paint_cells(line: &str, cells: &[String], painted: &mut String) {
    let mut rest = line;
    for text in cells {
        let Some(start) = rest.find(text.as_str()) else { break };
        painted.push_str(&rest[..start]);
        match style_of(text) {
            Some(style) => painted.push_str(&paint(text, style)),
            None => painted.push_str(text),
        }
        rest = &rest[start + text.len()..];
    }
    painted.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Port {
        id: u16,
        action: &'static str,
        uses: Vec<&'static str>,
        peer: &'static str,
    }

    impl Render for Port {
        const NOUN: &'static str = "port";
        const COLUMNS: &'static [Column<Self>] = &[
            Column::number("ID", |port| port.id.to_string()),
            Column::new("ACTION", |port| port.action.to_owned()),
            Column::named("PEER", |port, names| names.of(&port.peer)),
            Column::wide("FIRST", |port| port.uses.first().copied().unwrap_or_default().to_owned()),
            Column::alone("USES", |port| port.uses.join("\n")),
        ];

        fn id(&self) -> String {
            self.id.to_string()
        }
    }

    fn ports() -> [Port; 2] {
        [
            Port { id: 7, action: "drop", uses: vec![], peer: "sg-1" },
            Port { id: 80, action: "accept", uses: vec!["a\u{1b}[2J\nb", "ü"], peer: "sg-2" },
        ]
    }

    fn names() -> Names {
        Names::from_iter([("sg-1".to_owned(), "drop".to_owned())])
    }

    #[test]
    fn many_things_in_columns() {
        assert_eq!(
            many(&ports(), &names(), false, false),
            "ID  ACTION  PEER\n 7  drop    drop\n80  accept  sg-2\n"
        );
        let wide = many(&ports(), &names(), true, false);
        assert!(wide.contains("ID  ACTION  PEER  FIRST\n") && wide.contains("a\\u{1b}[2J\\nb\n"), "{wide}");
    }

    #[test]
    fn colours_change_no_letter() {
        let painted = many(&ports(), &names(), false, true);
        let mut lines = painted.lines();
        assert_eq!(lines.next(), Some("\u{1b}[1mID  ACTION  PEER\u{1b}[0m"));
        assert_eq!(lines.next(), Some(" 7  \u{1b}[31mdrop\u{1b}[0m    \u{1b}[31mdrop\u{1b}[0m"));
        assert_eq!(lines.next(), Some("80  \u{1b}[32maccept\u{1b}[0m  sg-2"));
    }

    #[test]
    fn one_thing_a_field_a_line() {
        let [seven, eighty] = ports();
        assert_eq!(
            one(&seven, &names(), false),
            "ID      7\nACTION  drop\nPEER    drop\nFIRST   -\nUSES    -\n"
        );
        assert!(one(&eighty, &names(), false).ends_with("USES    a\\u{1b}[2J\n        b\n        ü\n"));
        assert!(
            one(&eighty, &names(), true).contains("\u{1b}[1mACTION\u{1b}[0m  \u{1b}[32maccept\u{1b}[0m\n")
        );
    }
}
