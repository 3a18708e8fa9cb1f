//! The groups whose rules name a group or a list.

use super::{
    address::Address,
    args::write_ids,
    failure::Failure,
    names::Names,
    session::Session,
    table::{Column, Render},
};
use crate::service::Reference;

impl Render for Reference {
    const NOUN: &'static str = "reference";
    const COLUMNS: &'static [Column<Self>] = &[
        Column::new("GROUP", |reference| reference.group.to_string()),
        Column::new("NAME", |reference| reference.name.clone()),
        Column::number("RULES", |reference| reference.rules.len().to_string()),
        Column::wide("RULE-IDS", |reference| write_ids(&reference.rules)),
    ];

    fn id(&self) -> String {
        self.group.to_string()
    }
}

impl Session<'_> {
    /// Lists the groups at an address.
    pub(super) fn referenced(&mut self, address: &Address) -> Result<(), Failure> {
        let references: Vec<Reference> = self.get(address.clone())?;
        self.output.many(&references, &Names::default())
    }
}
