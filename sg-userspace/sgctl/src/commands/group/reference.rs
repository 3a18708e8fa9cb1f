//! The groups whose rules name a group or a list.

use sg_api_types::Reference;

use crate::{
    args::values::write_ids,
    client::{address::Address, names::Names, session::Session},
    failure::Failure,
    render::table::{Column, Render, name_or},
};

impl Render for Reference {
    const NOUN: &'static str = "reference";
    const COLUMNS: &'static [Column<Self>] = &[
        Column::new("GROUP", |reference| name_or(&reference.name, &reference.group)),
        Column::wide("ID", |reference| reference.group.to_string()),
        Column::number("RULES", |reference| reference.rules.len().to_string()),
        Column::wide("RULE-IDS", |reference| write_ids(&reference.rules)),
    ];

    fn id(&self) -> String {
        self.group.to_string()
    }
}

impl Session<'_> {
    /// Lists the groups at an address.
    pub(crate) fn referenced(&mut self, address: &Address) -> Result<(), Failure> {
        let references: Vec<Reference> = self.get(address.clone())?;
        self.output.many(&references, &Names::default())
    }
}
