//! The table that the demonstration prints.

use std::fmt;

use comfy_table::presets::UTF8_FULL_CONDENSED;

/// One line of it.
pub(crate) struct Row {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) what: String,
    pub(crate) happened: String,
    pub(crate) decided: String,
    pub(crate) foretold: String,
    pub(crate) as_expected: bool,
}

pub(crate) struct Table {
    table: comfy_table::Table,
    rows: usize,
    surprises: usize,
}

impl Table {
    pub(crate) fn new() -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(UTF8_FULL_CONDENSED).set_header([
            "sent",
            "from",
            "to",
            "what happened",
            "group: rule that decided, packets in the kernel",
            "sgctl check",
            "expected",
        ]);
        Self { table, rows: 0, surprises: 0 }
    }

    pub(crate) fn add(&mut self, row: Row) {
        self.rows += 1;
        self.surprises += usize::from(!row.as_expected);
        let expected = if row.as_expected { "yes" } else { "NO" };
        self.table.add_row([
            row.what,
            row.from,
            row.to,
            row.happened,
            row.decided,
            row.foretold,
            expected.into(),
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
        self.table.fmt(f)
    }
}
