//! The columns of every object that has a label: its name and id before its own columns, tags and description behind them.
//!
//! Called by `table`.

use std::marker::PhantomData;

use sg_records::Label;

use crate::{
    args::values::write_time,
    render::column::{Column, Render, name_or},
};

/// The columns before and behind those of `T`.
pub(super) struct LabelColumns<T>(PhantomData<T>);

impl<T: Render> LabelColumns<T> {
    pub(super) const FIRST: &'static [Column<T>] = &[
        Column::new("NAME", |one| name_or(one.name().unwrap_or_default(), &one.id())),
        Column::wide("ID", T::id),
    ];
    pub(super) const LAST: &'static [Column<T>] = &[
        Column::wide("TAGS", |one| of(one, tags)),
        Column::wide("CREATED", |one| of(one, |label| write_time(label.created))),
        Column::wide("DESCRIPTION", |one| of(one, |label| label.description.clone())),
    ];
}

fn of<T: Render>(one: &T, text: fn(&Label) -> String) -> String {
    T::LABEL.map(|label| text(label(one))).unwrap_or_default()
}

fn tags(label: &Label) -> String {
    let tag = |(key, value): (&String, &String)| {
        if value.is_empty() { key.clone() } else { format!("{key}={value}") }
    };
    label.tags.iter().map(tag).collect::<Vec<_>>().join(",")
}
