//! The table that the demonstration prints. It fits into 80 columns.

use std::fmt;

use comfy_table::presets::NOTHING;

use crate::sending::Sending;

/// One line of it.
pub(crate) struct Row {
    pub(crate) sending: Sending,
    pub(crate) happened: String,
    /// The group and the rule that decided.
    pub(crate) decided: String,
    /// What their counter counted.
    pub(crate) counted: String,
    /// What `sgctl check` says.
    pub(crate) check: String,
    pub(crate) as_expected: bool,
}

pub(crate) struct Table {
    text: comfy_table::Table,
    rows: usize,
    surprises: usize,
}

impl Table {
    pub(crate) fn new() -> Self {
        let mut text = comfy_table::Table::new();
        text.load_style(NOTHING).set_header([
            "FROM",
            "TO",
            "PACKET",
            "RESULT",
            "DECIDED BY",
            "PKTS",
            "CHECK",
        ]);
        for column in text.column_iter_mut() {
            column.set_padding((0, 2));
        }
        Self { text, rows: 0, surprises: 0 }
    }

    pub(crate) fn add(&mut self, row: &Row) {
        self.rows += 1;
        self.surprises += usize::from(!row.as_expected);
        let check = if row.as_expected { row.check.clone() } else { format!("UNEXPECTED, {}", row.check) };
        let Sending { from, to, family, service, .. } = row.sending;
        self.text.add_row([
            from.name(),
            to.name(),
            &format!("{service} {family}"),
            &row.happened,
            &row.decided,
            &row.counted,
            &check,
        ]);
    }

    pub(crate) fn len(&self) -> usize {
        self.rows
    }

    /// How many rows are not as expected.
    pub(crate) fn surprises(&self) -> usize {
        self.surprises
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text.trim_fmt())
    }
}
