//! A table of the screen: its columns, its rows, and how they are filtered and sorted. It must never know what is in a row. `model`
//! fills it, `keys` changes its order, and `view` draws it.

use std::cmp::Ordering;

/// A value of a row.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    Text(String),
    /// A number of something.
    Count(u64),
    /// A number of something each second.
    Rate(f64),
    /// A number that stands for something: it is no amount, and every digit counts.
    Ordinal(u32),
}

impl Cell {
    /// The text of it, short enough for a column.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Ordinal(number) => number.to_string(),
            Self::Count(_) | Self::Rate(_) => short(self.number()),
        }
    }

    /// Whether it is aligned at its right.
    pub(super) const fn is_number(&self) -> bool {
        matches!(self, Self::Count(_) | Self::Rate(_))
    }

    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Text(one), Self::Text(two)) => one.cmp(two),
            (Self::Ordinal(one), Self::Ordinal(two)) => one.cmp(two),
            // What is more comes first.
            (one, two) => two.number().total_cmp(&one.number()),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "it is compared, and shown with three digits")]
    const fn number(&self) -> f64 {
        match self {
            Self::Text(_) | Self::Ordinal(_) => 0.0,
            Self::Count(count) => *count as f64,
            Self::Rate(rate) => *rate,
        }
    }
}

/// A number in at most five letters: `0`, `0.4`, `12`, `999`, `1.2k`, `34M`.
pub(super) fn short(number: f64) -> String {
    if number < 9.95 {
        let text = format!("{number:.1}");
        return text.strip_suffix(".0").map_or(text.clone(), str::to_owned);
    }
    let mut number = number;
    for unit in ["", "k", "M", "G", "T", "P"] {
        if number < 999.5 {
            return if number < 9.95 && !unit.is_empty() {
                format!("{number:.1}{unit}")
            } else {
                format!("{number:.0}{unit}")
            };
        }
        number /= 1000.0;
    }
    format!("{number:.0}E")
}

/// How wide a column is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    /// So many letters.
    Fixed(u16),
    /// A share of what is left.
    Rest,
}

/// A column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) title: &'static str,
    pub(super) width: Width,
    pub(super) number: bool,
}

impl Column {
    pub(super) const fn text(title: &'static str, width: Width) -> Self {
        Self { title, width, number: false }
    }

    pub(super) const fn number(title: &'static str, width: u16) -> Self {
        Self { title, width: Width::Fixed(width), number: true }
    }
}

/// A row: a cell for each column.
pub(super) type Row = Vec<Cell>;

/// A table, and what of it is shown.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) columns: &'static [Column],
    rows: Vec<Row>,
    /// The column that orders the rows.
    pub(super) sort: usize,
    pub(super) is_reversed: bool,
    /// Rows above the first that is shown.
    pub(super) offset: usize,
    /// Rows that the screen has room for.
    room: usize,
    /// The offset at which the last row is at the bottom of the screen.
    last: usize,
}

impl Table {
    pub(super) const fn new(columns: &'static [Column], sort: usize) -> Self {
        Self { columns, rows: Vec::new(), sort, is_reversed: false, offset: 0, room: 0, last: 0 }
    }

    pub(super) fn fill(&mut self, rows: Vec<Row>) {
        self.rows = rows;
    }

    /// Orders by the next column.
    pub(super) const fn sort_by_next(&mut self) {
        self.sort = (self.sort + 1) % self.columns.len();
        self.is_reversed = false;
    }

    pub(super) const fn reverse(&mut self) {
        self.is_reversed = !self.is_reversed;
    }

    /// The rows that have `filter` in one of their texts. An empty filter lets all through.
    fn wanted(&self, filter: &str) -> impl Iterator<Item = &Row> {
        let filter = filter.to_lowercase();
        self.rows.iter().filter(move |row| {
            filter.is_empty() || row.iter().any(|cell| cell.text().to_lowercase().contains(&filter))
        })
    }

    /// The same, in order.
    pub(super) fn shown(&self, filter: &str) -> Vec<&Row> {
        let mut rows: Vec<&Row> = self.wanted(filter).collect();
        let order = |one: &&Row, two: &&Row| {
            let order = match (one.get(self.sort), two.get(self.sort)) {
                (Some(one), Some(two)) => one.compare(two),
                _ => Ordering::Equal,
            };
            let order = if self.is_reversed { order.reverse() } else { order };
            // Rows that are equal there must not change places with each look.
            order.then_with(|| texts(one).cmp(&texts(two)))
        };
        rows.sort_by(order);
        rows
    }

    /// Learns how many rows the screen has room for. It stays where it is, unless fewer rows are left.
    pub(super) fn fit(&mut self, room: usize, filter: &str) {
        let rows = if filter.is_empty() { self.rows.len() } else { self.wanted(filter).count() };
        (self.room, self.last) = (room.max(1), rows.saturating_sub(room.max(1)));
        self.offset = self.offset.min(self.last);
    }

    /// Scrolls by so many rows, and not beyond the end: the way back would begin there.
    pub(super) fn scroll(&mut self, rows: isize) {
        self.offset = self.offset.saturating_add_signed(rows).min(self.last);
    }

    /// Scrolls by so many screens.
    pub(super) fn scroll_pages(&mut self, pages: isize) {
        self.scroll(pages.saturating_mul(isize::try_from(self.room).unwrap_or(isize::MAX)));
    }
}

fn texts(row: &Row) -> Vec<&str> {
    row.iter()
        .filter_map(|cell| if let Cell::Text(text) = cell { Some(text.as_str()) } else { None })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (number, text) in [
            (0.0, "0"),
            (0.04, "0"),
            (0.35, "0.3"),
            (9.0, "9"),
            (12.4, "12"),
            (999.0, "999"),
            (999.6, "1.0k"),
            (1234.0, "1.2k"),
            (12_345.0, "12k"),
            (3_400_000.0, "3.4M"),
            (5e9, "5.0G"),
            (f64::MAX, "E"),
        ] {
            let found = short(number);
            assert!(found == text || text == "E" && found.ends_with('E'), "{number}: {found}");
        }
    }

    const COLUMNS: &[Column] = &[Column::text("NAME", Width::Rest), Column::number("HITS", 5)];

    fn table() -> Table {
        let mut table = Table::new(COLUMNS, 1);
        let row = |name: &str, hits| vec![Cell::Text(name.to_owned()), Cell::Count(hits)];
        table.fill(vec![row("b", 3), row("Web", 12), row("a", 3)]);
        table
    }

    fn names(table: &Table, filter: &str) -> Vec<String> {
        table.shown(filter).into_iter().map(|row| row[0].text()).collect()
    }

    #[test]
    fn the_most_comes_first_and_texts_in_their_order() {
        let mut table = table();
        assert_eq!(names(&table, ""), ["Web", "a", "b"]);
        table.reverse();
        assert_eq!(names(&table, ""), ["a", "b", "Web"], "what is equal stays in its order");
        table.sort_by_next();
        assert_eq!(
            (names(&table, ""), table.is_reversed),
            (vec!["Web".into(), "a".into(), "b".into()], false)
        );
        assert_eq!(names(&table, "WE"), ["Web"]);
        assert_eq!(names(&table, "12"), ["Web"], "as it is shown");
    }
}
