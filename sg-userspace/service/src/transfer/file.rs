//! Rules as a file, in JSON or CSV. The export of a group makes one; an import reads one.

use std::io;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Column, RuleRow};
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
        // Writing to memory does not fail.
        let _ = writer.write_record(Column::all().map(Column::name));
        let _ = self.permissions.iter().try_for_each(|row| writer.write_record(row.texts()));
        writer.into_inner().map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Parses JSON: an object with `Permissions`, the list alone, or the response of a cloud's API.
    ///
    /// # Errors
    /// If the text is not such a file.
    pub fn from_json(text: &str) -> Result<Self, Refusal> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Response {
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
            Form::Response { permissions } => permissions.permission,
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
        let names = reader.headers().map_err(broken)?.clone();
        let columns: Result<Vec<Column>, &str> =
            names.iter().map(|name| Column::named(name).ok_or(name)).collect();
        let columns = columns.map_err(|unknown| {
            let mut allowed: Vec<&str> = Column::all().map(Column::name).collect();
            allowed.sort_unstable();
            Refusal::invalid(Field::File, unknown, format!("the columns are {}", allowed.join(", ")))
        })?;
        let twice = columns.iter().enumerate().find(|(place, column)| columns[..*place].contains(column));
        if let Some((_, column)) = twice {
            return Err(Refusal::invalid(Field::File, column.name(), "each column once"));
        }
        let permissions: Result<Vec<RuleRow>, csv::Error> = reader
            .records()
            .map(|record| {
                let mut row = RuleRow::default();
                for (column, text) in columns.iter().zip(&record?) {
                    text.clone_into(&mut row[*column]);
                }
                Ok(row)
            })
            .collect();
        Ok(Self { permissions: permissions.map_err(broken)? })
    }
}
