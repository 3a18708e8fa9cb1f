//! Columns: what an object looks like in every format, field by field, and how texts get into a cell.
//!
//! Users' texts may contain anything; a terminal gets no control characters from them. It must never lay out a table: `table` does.
//! The commands implement [`Render`].

use serde::Serialize;
use sg_model::text::escaped;
use sg_records::Label;

use crate::names::{Names, Wanted};

/// An object that can be printed in every format.
pub(crate) trait Render: Serialize + 'static {
    /// The noun for one object.
    const NOUN: &'static str;
    /// Its own columns, in their order.
    const COLUMNS: &'static [Column<Self>];
    /// Its label, if it has one. The label's columns are around its own.
    const LABEL: Option<fn(&Self) -> &Label> = None;

    /// Its id for programs.
    fn id(&self) -> String;

    /// Its name for people.
    fn name(&self) -> Option<&str> {
        Self::LABEL.map(|label| label(self).name.as_str())
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
pub(super) enum Place {
    /// Always.
    Everywhere,
    /// In wide tables, and for a single object.
    Wide,
    /// Likewise, and in every table with an object of which it is neither this text nor empty.
    Used { unless: &'static str },
    /// Likewise, and nowhere for a single object of which it is empty.
    Filled,
    /// For a single object.
    Alone,
    /// Objects of this kind have no such field.
    Nowhere,
}

/// A field of an object.
pub(crate) struct Column<T: ?Sized> {
    pub(super) title: &'static str,
    text: Text<T>,
    pub(super) place: Place,
    pub(super) number: bool,
}

impl<T: ?Sized> Column<T> {
    /// A column of every table.
    pub(crate) const fn new(title: &'static str, text: fn(&T) -> String) -> Self {
        Self { title, text: Text::Plain(text), place: Place::Everywhere, number: false }
    }

    /// A column of every table, or none without a title.
    pub(crate) const fn optional(title: Option<&'static str>, text: fn(&T) -> String) -> Self {
        match title {
            Some(title) => Self::new(title, text),
            None => Self { place: Place::Nowhere, ..Self::new("", text) },
        }
    }

    /// A column of every table that has names of other objects.
    pub(crate) const fn named(title: &'static str, text: fn(&T, &Names) -> String) -> Self {
        Self { title, text: Text::Named(text), place: Place::Everywhere, number: false }
    }

    /// A column of wide tables.
    pub(crate) const fn wide(title: &'static str, text: fn(&T) -> String) -> Self {
        Self { title, text: Text::Plain(text), place: Place::Wide, number: false }
    }

    /// A column of wide tables that has names of other objects.
    pub(crate) const fn wide_named(title: &'static str, text: fn(&T, &Names) -> String) -> Self {
        Self { title, text: Text::Named(text), place: Place::Wide, number: false }
    }

    /// A column of every table that has an object whose text is not `usual`: what rules of the usual kind leave out takes no room,
    /// and what one has is not hidden.
    pub(crate) const fn used(
        title: &'static str,
        usual: &'static str,
        text: fn(&T, &Names) -> String,
    ) -> Self {
        Self { title, text: Text::Named(text), place: Place::Used { unless: usual }, number: false }
    }

    /// A column of wide tables, and of a single object that has a text for it: a field that only some objects have.
    pub(crate) const fn filled(title: &'static str, text: fn(&T) -> String) -> Self {
        Self { title, text: Text::Plain(text), place: Place::Filled, number: false }
    }

    /// A field that only a single object shows; it may have several lines.
    pub(crate) const fn alone(title: &'static str, text: fn(&T) -> String) -> Self {
        Self { title, text: Text::Plain(text), place: Place::Alone, number: false }
    }

    /// A column of every table, right-aligned.
    pub(crate) const fn number(title: &'static str, text: fn(&T) -> String) -> Self {
        Self { title, text: Text::Plain(text), place: Place::Everywhere, number: true }
    }

    pub(super) fn text(&self, thing: &T, names: &Names) -> String {
        match self.text {
            Text::Plain(text) => text(thing),
            Text::Named(text) => text(thing, names),
        }
    }
}

/// A name for a column, or the id of what has none.
pub(crate) fn name_or(name: &str, id: &impl ToString) -> String {
    if name.is_empty() { id.to_string() } else { name.to_owned() }
}

/// A text made safe for a terminal, on one line.
pub(crate) fn cell(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { escaped(text).into_owned() }
}
