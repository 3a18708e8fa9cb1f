//! Rules as a file, in JSON or CSV. The export of a group makes one; an import reads one.

use std::io;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::RuleRow;
use crate::{Field, Refusal, State};

/// Rules as a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct RuleFile {
    /// The rules, one a row.
    pub permissions: Vec<RuleRow>,
}

/// The rules of a group as a file.
///
/// # Errors
/// If there is no such group.
pub fn export_rules(state: &State, group: &str) -> Result<RuleFile, Refusal> {
    let group = state.find_group(group)?;
    Ok(RuleFile { permissions: state.rules_of(&group.id).map(|rule| RuleRow::of(rule)).collect() })
}

impl RuleFile {
    /// The file as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// The file as CSV with a header line.
    #[must_use]
    pub fn to_csv(&self) -> String {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let rows = if self.permissions.is_empty() { &[RuleRow::default()][..] } else { &self.permissions };
        // Writing to memory does not fail.
        let _ = rows.iter().try_for_each(|row| writer.serialize(row));
        let text =
            writer.into_inner().map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        if self.permissions.is_empty() { text.split_inclusive('\n').take(1).collect() } else { text }
    }

    /// Parses JSON: an object with `Permissions`, the list alone, or the response of a cloud's API.
    ///
    /// # Errors
    /// If the text is not such a file.
    pub fn from_json(text: &str) -> Result<Self, Refusal> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Answer {
                #[serde(rename = "Permissions")]
                permissions: Wrapped,
            },
            File {
                #[serde(rename = "Permissions")]
                permissions: Vec<RuleRow>,
            },
            Rows(Vec<RuleRow>),
        }
        #[derive(Deserialize)]
        struct Wrapped {
            #[serde(rename = "Permission")]
            permission: Vec<RuleRow>,
        }
        let form: Form = serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(|error| {
            let allowed =
                format!("a JSON object {{\"Permissions\": [rules]}} whose fields are texts ({error})");
            Refusal::invalid(Field::File, text, allowed)
        })?;
        let permissions = match form {
            Form::Answer { permissions } => permissions.permission,
            Form::File { permissions } | Form::Rows(permissions) => permissions,
        };
        Ok(Self { permissions })
    }

    /// Parses CSV with a header line.
    ///
    /// # Errors
    /// If the text is not CSV, or the header has an unknown name.
    pub fn from_csv(text: &str) -> Result<Self, Refusal> {
        let broken = |error: csv::Error| {
            let line = error.position().map_or(0, csv::Position::line);
            let allowed = format!("CSV with a line of names first ({error})");
            Refusal::invalid(Field::File, format_args!("line {line}"), allowed)
        };
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::Headers)
            .flexible(false)
            .from_reader(io::Cursor::new(text.trim_start_matches('\u{feff}')));
        let names = RuleRow::names();
        if let Some(unknown) = reader.headers().map_err(broken)?.iter().find(|name| !names.contains(*name)) {
            let mut allowed: Vec<String> = names.into_iter().collect();
            allowed.sort_unstable();
            let allowed = format!("the columns are {}", allowed.join(", "));
            return Err(Refusal::invalid(Field::File, unknown, allowed));
        }
        let permissions: Result<Vec<RuleRow>, csv::Error> = reader.deserialize().collect();
        Ok(Self { permissions: permissions.map_err(broken)? })
    }
}
