//! A row of a file of rules: texts by column. This file must never know what a text means.

use std::{
    fmt,
    ops::{Index, IndexMut},
};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, IgnoredAny, MapAccess, Visitor},
};
use sg_model::{HeaderNumbers, MatchField};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr,
        schema::{ObjectBuilder, Schema},
    },
};

/// Defines the columns before and after the numbers.
macro_rules! columns {
    ($($before:ident)*; $($after:ident)*) => {
        /// A column: a field of a rule, or of an end of its packets.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Column {
            $($before,)*
            /// A number in the headers.
            Number(MatchField),
            $($after,)*
        }

        const BEFORE: [Column; [$(stringify!($before)),*].len()] = [$(Column::$before),*];
        const AFTER: [Column; [$(stringify!($after)),*].len()] = [$(Column::$after),*];

        impl Column {
            /// The name in files.
            pub(super) const fn name(self) -> &'static str {
                match self {
                    $(Self::$before => stringify!($before),)*
                    Self::Number(field) => field.variant(),
                    $(Self::$after => stringify!($after),)*
                }
            }
        }
    };
}
columns! {
    Direction Policy Priority IpProtocol PortRange SourcePortRange
    SourceCidrIp Ipv6SourceCidrIp SourceGroupId SourcePrefixListId
    DestCidrIp Ipv6DestCidrIp DestGroupId DestPrefixListId
    PortRangeListId NicType;
    Family Enabled Name Description
}

/// The number of columns.
const COUNT: usize = BEFORE.len() + HeaderNumbers::COUNT + AFTER.len();

impl Column {
    /// All columns, in their order in files.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let numbers = HeaderNumbers::FIELDS.into_iter().map(Self::Number);
        BEFORE.into_iter().chain(numbers).chain(AFTER)
    }

    /// The columns of the source or the destination: IPv4, IPv6, group, prefix list.
    pub(super) const fn of_end(source: bool) -> [Self; 4] {
        if source {
            [Self::SourceCidrIp, Self::Ipv6SourceCidrIp, Self::SourceGroupId, Self::SourcePrefixListId]
        } else {
            [Self::DestCidrIp, Self::Ipv6DestCidrIp, Self::DestGroupId, Self::DestPrefixListId]
        }
    }

    fn place(self) -> usize {
        Self::all().position(|column| column == self).unwrap_or_default()
    }

    /// The column with this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::all().find(|column| column.name() == name)
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A rule as a row of a file. Every field is a text; empty means that it is not given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleRow([String; COUNT]);

impl Index<Column> for RuleRow {
    type Output = String;

    fn index(&self, column: Column) -> &String {
        &self.0[column.place()]
    }
}

impl IndexMut<Column> for RuleRow {
    fn index_mut(&mut self, column: Column) -> &mut String {
        &mut self.0[column.place()]
    }
}

impl RuleRow {
    /// The texts, in the order of the columns.
    pub(super) fn texts(&self) -> &[String] {
        &self.0
    }

    /// The row without blanks around its fields. Names and descriptions are left unchanged.
    pub(super) fn trimmed(&self) -> Self {
        let mut row = self.clone();
        for column in Column::all().filter(|column| !matches!(column, Column::Name | Column::Description)) {
            let field = &mut row[column];
            if field.trim().len() < field.len() {
                *field = field.trim().to_owned();
            }
        }
        row
    }
}

impl Serialize for RuleRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(Column::all().map(Column::name).zip(&self.0))
    }
}

/// Other fields, such as those of a cloud's response, are ignored.
impl<'de> Deserialize<'de> for RuleRow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Row;
        impl<'de> Visitor<'de> for Row {
            type Value = RuleRow;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object whose fields are texts")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RuleRow, A::Error> {
                let (mut row, mut read) = (RuleRow::default(), Vec::new());
                while let Some(name) = map.next_key::<String>()? {
                    let Some(column) = Column::named(&name) else {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    };
                    if read.contains(&column) {
                        return Err(A::Error::custom(format_args!("{column} is there twice")));
                    }
                    read.push(column);
                    row[column] = map.next_value()?;
                }
                Ok(row)
            }
        }
        deserializer.deserialize_map(Row)
    }
}

impl PartialSchema for RuleRow {
    fn schema() -> RefOr<Schema> {
        let about = "A rule as a row of a file. Every field is a text; empty means that it is not given.";
        let object = ObjectBuilder::new().description(Some(about));
        Column::all().fold(object, |object, column| object.property(column.name(), String::schema())).into()
    }
}

impl ToSchema for RuleRow {}
