//! Tables: the fields of objects, in columns for several objects, one below the other for one.
//!
//! It must never know an object but by its columns. Called by `output`.

use anyhow::anyhow;
use clap::builder::styling::Style;
use comfy_table::{CellAlignment, Table, presets};

use crate::{
    failure::Failure,
    names::Names,
    render::{
        column::{Column, Place, Render, cell},
        label::LabelColumns,
        paint::{paint, paint_cells, style_of},
    },
};

/// A table of texts.
pub(crate) struct Rows {
    titles: Vec<&'static str>,
    /// The columns that are right-aligned, and sorted as numbers.
    numbers: Vec<bool>,
    /// The columns that are shown unless others are chosen.
    shown: Vec<bool>,
    cells: Vec<Vec<String>>,
}

impl Rows {
    /// A table of these columns, all of which are shown. Those whose titles are in `numbers` are right-aligned.
    pub(crate) fn new(
        titles: &[&'static str],
        numbers: &[&str],
        rows: impl IntoIterator<Item = Vec<String>>,
    ) -> Self {
        Self {
            titles: titles.to_vec(),
            numbers: titles.iter().map(|title| numbers.contains(title)).collect(),
            shown: vec![true; titles.len()],
            cells: rows.into_iter().collect(),
        }
    }

    /// Several objects, one a line.
    pub(crate) fn of<T: Render>(things: &[T], names: &Names, wide: bool) -> Self {
        let mut columns = columns::<T>();
        columns.retain(|column| column.place != Place::Alone);
        let row = |thing| columns.iter().map(|column| column.text(thing, names)).collect();
        let cells: Vec<Vec<String>> = things.iter().map(row).collect();
        let is_shown = |(index, column): (usize, &&Column<T>)| match column.place {
            Place::Everywhere => true,
            Place::Used { unless } => {
                wide || cells.iter().any(|row| !row[index].is_empty() && row[index] != unless)
            }
            Place::Wide | Place::Filled | Place::Alone | Place::Nowhere => wide,
        };
        Self {
            titles: columns.iter().map(|column| column.title).collect(),
            numbers: columns.iter().map(|column| column.number).collect(),
            shown: columns.iter().enumerate().map(is_shown).collect(),
            cells,
        }
    }

    /// Sorts the rows by a column, and from its end if a minus is in front.
    pub(crate) fn sort(&mut self, column: &str) -> Result<(), Failure> {
        let (column, descending) = match column.strip_prefix('-') {
            Some(column) => (column, true),
            None => (column, false),
        };
        let column = self.find(column)?;
        if self.numbers[column] {
            // What is no number comes last, either way.
            let key = |row: &Vec<String>| match number(&row[column]) {
                Some(number) if descending => (false, -number),
                Some(number) => (false, number),
                None => (true, 0),
            };
            self.cells.sort_by_cached_key(key);
        } else {
            self.cells.sort_by(|one, other| {
                let order = one[column].cmp(&other[column]);
                if descending { order.reverse() } else { order }
            });
        }
        Ok(())
    }

    /// Chooses the columns, in their order.
    pub(crate) fn choose(self, columns: &[String]) -> Result<Self, Failure> {
        let chosen: Vec<usize> = columns.iter().map(|column| self.find(column)).collect::<Result<_, _>>()?;
        Ok(self.only(&chosen))
    }

    fn find(&self, column: &str) -> Result<usize, Failure> {
        let same = |title: &&str| title.eq_ignore_ascii_case(column);
        self.titles.iter().position(same).ok_or_else(|| {
            let titles = self.titles.join(", ").to_lowercase();
            Failure::input(anyhow!("no column {column:?} in this table; there are: {titles}"))
        })
    }

    fn only(self, columns: &[usize]) -> Self {
        let mut rows = self.cells;
        for row in &mut rows {
            *row = columns.iter().map(|&column| row[column].clone()).collect();
        }
        Self {
            titles: columns.iter().map(|&column| self.titles[column]).collect(),
            numbers: columns.iter().map(|&column| self.numbers[column]).collect(),
            shown: vec![true; columns.len()],
            cells: rows,
        }
    }

    /// The table as text, with or without its header line.
    pub(crate) fn text(self, headers: bool, colour: bool) -> String {
        let shown: Vec<usize> = (0..self.titles.len()).filter(|&column| self.shown[column]).collect();
        let Self { titles, numbers, cells, .. } = self.only(&shown);
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        if headers {
            table.set_header(titles);
        }
        let rows: Vec<Vec<String>> =
            cells.iter().map(|row| row.iter().map(|text| cell(text)).collect()).collect();
        for row in &rows {
            table.add_row(row);
        }
        for column in table.column_iter_mut() {
            // No padding before the first column, so that it can be copied without blanks.
            column.set_padding((0, 2));
        }
        for (index, _) in numbers.iter().enumerate().filter(|(_, number)| **number) {
            if let Some(column) = table.column_mut(index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        if rows.is_empty() && !headers {
            return String::new();
        }
        let text = table.trim_fmt();
        if !colour {
            return format!("{text}\n");
        }
        let mut painted = String::with_capacity(text.len() * 2);
        for (number, line) in text.lines().enumerate() {
            match number.checked_sub(usize::from(headers)).and_then(|row| rows.get(row)) {
                None => painted.push_str(&paint(line, Style::new().bold())),
                Some(cells) => paint_cells(line, cells, &mut painted),
            }
            painted.push('\n');
        }
        painted
    }
}

/// A number in a cell; of the two ends of a flow (`12/3`), their sum.
fn number(text: &str) -> Option<i128> {
    text.split('/').map(|part| part.parse::<i128>().ok()).sum()
}

/// The columns that objects have. Around their own are those of their label, but what is shown alone comes last.
fn columns<T: Render>() -> Vec<&'static Column<T>> {
    let own = T::COLUMNS.iter().filter(|column| column.place != Place::Nowhere);
    if T::LABEL.is_none() {
        return own.collect();
    }
    let (alone, own): (Vec<_>, Vec<_>) = own.partition(|column| column.place == Place::Alone);
    let (first, last) = (LabelColumns::<T>::FIRST.iter(), LabelColumns::<T>::LAST.iter());
    first.chain(own).chain(last).chain(alone).collect()
}

/// The titles of the columns that objects have; `alone` adds those that only a single one shows.
pub(crate) fn titles<T: Render>(alone: bool) -> Vec<&'static str> {
    let columns = columns::<T>().into_iter().filter(|column| alone || column.place != Place::Alone);
    columns.map(|column| column.title).collect()
}

/// One object, a field a line.
pub(crate) fn one<T: Render>(
    thing: &T,
    names: &Names,
    chosen: &[String],
    colour: bool,
) -> Result<String, Failure> {
    let all = columns::<T>();
    let find = |name: &String| {
        let mut columns = all.iter().copied();
        columns.find(|column| column.title.eq_ignore_ascii_case(name)).ok_or_else(|| {
            let titles = all.iter().map(|column| column.title).collect::<Vec<_>>().join(", ");
            Failure::input(anyhow!("no field {name:?} here; there are: {}", titles.to_lowercase()))
        })
    };
    let columns: Vec<&Column<T>> =
        if chosen.is_empty() { all.clone() } else { chosen.iter().map(find).collect::<Result<_, _>>()? };
    let width = columns.iter().map(|column| column.title.len()).max().unwrap_or_default();
    let mut text = String::new();
    for column in columns {
        let value = column.text(thing, names);
        if column.place == Place::Filled && value.is_empty() && chosen.is_empty() {
            continue;
        }
        let mut values = match column.place {
            Place::Alone => value.lines().map(cell).collect(),
            Place::Everywhere | Place::Wide | Place::Filled | Place::Used { .. } | Place::Nowhere => {
                vec![cell(&value)]
            }
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
    Ok(text)
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

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
            Column::optional(None, |port| port.peer.to_owned()),
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

    fn many(wide: bool, colour: bool) -> String {
        Rows::of(&ports(), &names(), wide).text(true, colour)
    }

    #[test]
    fn many_things_in_columns() {
        assert_eq!(many(false, false), "ID  ACTION  PEER\n 7  drop    drop\n80  accept  sg-2\n");
        let wide = many(true, false);
        assert!(wide.contains("ID  ACTION  PEER  FIRST\n") && wide.contains("a\\u{1b}[2J\\nb\n"), "{wide}");
        assert_eq!(
            Rows::of(&ports(), &names(), false).text(false, false),
            " 7  drop    drop\n80  accept  sg-2\n"
        );
    }

    /// A rule with one field that most rules leave out.
    #[derive(Serialize)]
    struct Rule(&'static str);

    impl Render for Rule {
        const NOUN: &'static str = "rule";
        const COLUMNS: &'static [Column<Self>] = &[
            Column::new("NAME", |rule| format!("r{}", rule.0)),
            Column::used("LOCAL", "any", |rule, _| rule.0.to_owned()),
        ];

        fn id(&self) -> String {
            self.0.to_owned()
        }
    }

    #[test]
    fn what_most_leave_out_is_shown_where_one_has_it() {
        let text = |rules: &[Rule], wide| Rows::of(rules, &Names::default(), wide).text(true, false);
        assert_eq!(text(&[Rule("any"), Rule("")], false), "NAME\nrany\nr\n");
        assert_eq!(text(&[Rule("any"), Rule("::1")], false), "NAME  LOCAL\nrany  any\nr::1  ::1\n");
        assert_eq!(text(&[Rule("any")], true), "NAME  LOCAL\nrany  any\n");
    }

    #[test]
    fn columns_are_chosen_and_sorted_by_name() {
        let rows = || Rows::of(&ports(), &names(), false);
        let sorted = |column: &str| {
            let mut rows = rows();
            rows.sort(column).map(|()| rows.choose(&["id".to_owned()]).unwrap().text(false, false))
        };
        assert_eq!(sorted("ID").unwrap(), " 7\n80\n", "as numbers");
        assert_eq!(sorted("action").unwrap(), "80\n 7\n");
        assert_eq!(
            (sorted("-ID").unwrap(), sorted("-action").unwrap()),
            ("80\n 7\n".into(), " 7\n80\n".into())
        );
        let flows = [["2/3"], ["-"], ["10/0"]].map(|row| row.map(str::to_owned).to_vec());
        for (column, order) in [("packets", " 2/3\n10/0\n   -\n"), ("-packets", "10/0\n 2/3\n   -\n")] {
            let mut rows = Rows::new(&["PACKETS"], &["PACKETS"], flows.clone());
            rows.sort(column).unwrap();
            assert_eq!(rows.text(false, false), order, "{column}");
        }
        assert_eq!(sorted("first").unwrap(), " 7\n80\n", "a column that is not shown");
        let chosen = rows().choose(&["peer".to_owned(), "Id".to_owned()]).unwrap();
        assert_eq!(chosen.text(true, false), "PEER  ID\ndrop   7\nsg-2  80\n");
        let Err(Failure::Input(error)) = rows().choose(&["prt".to_owned()]) else { panic!() };
        assert_eq!(error.to_string(), "no column \"prt\" in this table; there are: id, action, peer, first");
        assert_eq!(sorted("uses").unwrap_err().code(), 2, "only alone");
    }

    #[test]
    fn colours_change_no_letter() {
        let painted = many(false, true);
        let mut lines = painted.lines();
        assert_eq!(lines.next(), Some("\u{1b}[1mID  ACTION  PEER\u{1b}[0m"));
        assert_eq!(lines.next(), Some(" 7  \u{1b}[31mdrop\u{1b}[0m    \u{1b}[31mdrop\u{1b}[0m"));
        assert_eq!(lines.next(), Some("80  \u{1b}[32maccept\u{1b}[0m  sg-2"));
    }

    #[test]
    fn one_thing_a_field_a_line() {
        let [seven, eighty] = ports();
        let one = |port: &Port, chosen: &[String], colour| one(port, &names(), chosen, colour).unwrap();
        assert_eq!(one(&seven, &[], false), "ID      7\nACTION  drop\nPEER    drop\nFIRST   -\nUSES    -\n");
        assert!(one(&eighty, &[], false).ends_with("USES    a\\u{1b}[2J\n        b\n        ü\n"));
        assert!(one(&eighty, &[], true).contains("\u{1b}[1mACTION\u{1b}[0m  \u{1b}[32maccept\u{1b}[0m\n"));
        assert_eq!(one(&seven, &["peer".to_owned(), "id".to_owned()], false), "PEER  drop\nID    7\n");
    }
}
