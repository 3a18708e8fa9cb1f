//! The table that the demonstration prints.

use std::fmt;

use comfy_table::presets::UTF8_FULL_CONDENSED;

use crate::sending::Sending;

/// One line of it.
pub(crate) struct Row {
    pub(crate) sending: Sending,
    /// What is remarkable about it, if anything.
    pub(crate) remark: &'static str,
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
        text.load_style(UTF8_FULL_CONDENSED).set_header([
            "from",
            "to",
            "over",
            "packet",
            "what happened",
            "group: rule that decided",
            "packets",
            "sgctl check",
            "as expected",
        ]);
        Self { text, rows: 0, surprises: 0 }
    }

    pub(crate) fn add(&mut self, row: &Row) {
        self.rows += 1;
        self.surprises += usize::from(!row.as_expected);
        let expected = if row.as_expected { "yes" } else { "NO" };
        let Sending { from, to, family, service, .. } = row.sending;
        self.text.add_row([
            from.name(),
            to.name(),
            &family.to_string(),
            &format!("{service}{}", row.remark),
            &row.happened,
            &row.decided,
            &row.counted,
            &row.check,
            expected,
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
        self.text.fmt(f)
    }
}
