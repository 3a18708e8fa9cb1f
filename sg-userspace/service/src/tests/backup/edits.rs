//! Random edits of an exported file.

use proptest::{prelude::*, sample::Index};
use serde_json::Value;

/// An edit of a file.
#[derive(Clone, Debug)]
pub(super) enum Edit {
    /// Replaces a value.
    Value(Index, Index, Index),
    /// Replaces a value by another one of the file.
    Swap(Index, Index, Index, Index),
    /// Removes a field.
    Field(Index, Index),
    /// Adds a field.
    NewField(Index, Index),
    /// Removes a line, and corrects the head.
    Line(Index),
    /// Repeats a line, and corrects the head.
    Twice(Index),
    /// Replaces a byte.
    Byte(Index, u8),
}

pub(super) fn edits() -> impl Strategy<Value = Edit> {
    prop_oneof![
        6 => any::<(Index, Index, Index)>().prop_map(|(line, place, value)| Edit::Value(line, place, value)),
        4 => any::<(Index, Index, Index, Index)>().prop_map(|(a, b, c, d)| Edit::Swap(a, b, c, d)),
        1 => any::<(Index, Index)>().prop_map(|(line, place)| Edit::Field(line, place)),
        1 => any::<(Index, Index)>().prop_map(|(line, place)| Edit::NewField(line, place)),
        1 => any::<Index>().prop_map(Edit::Line),
        1 => any::<Index>().prop_map(Edit::Twice),
        1 => any::<(Index, u8)>().prop_map(|(place, byte)| Edit::Byte(place, byte)),
    ]
}

/// The JSON pointers of all values that are no objects or arrays.
fn leaves(value: &Value, pointer: &str, all: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(key, value)| leaves(value, &format!("{pointer}/{key}"), all));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, value)| leaves(value, &format!("{pointer}/{at}"), all));
        }
        _ => all.push(pointer.to_owned()),
    }
}

fn leaf(value: &Value, place: Index) -> String {
    let mut all = Vec::new();
    leaves(value, "", &mut all);
    all[place.index(all.len())].clone()
}

pub(super) fn edited(file: &str, edit: &Edit) -> String {
    let mut lines: Vec<String> = file.lines().map(str::to_owned).collect();
    let values = || -> Vec<Value> {
        [
            "0",
            "1",
            "255",
            "18446744073709551615",
            "-1",
            "1.5",
            "null",
            "true",
            "false",
            "\"\"",
            "\"../../etc\"",
            "\"\\u001b[31m\"",
            "\"w\\u0435b\"",
            "\"\\u202eweb\"",
            "\"any\"",
            "\"10.0.0.1/8\"",
            "\"0-70000\"",
            "\"web\"",
            "\"copy\"",
            "\"sg-c7h2j5ahi7kqt3de7\"",
            "\"eni-0\"",
            "\"tap0\"",
            "\"a/b\"",
            "[]",
            "{}",
            "\"enterprise\"",
            "\"internet\"",
            "{\"group\":\"sg-nothere\"}",
            "\"224.0.0.1\"",
            "\"xdp\"",
            "\"guest\"",
            "\"2999-01-01T00:00:00Z\"",
        ]
        .iter()
        .map(|text| serde_json::from_str(text).unwrap())
        .collect()
    };
    let parse = |line: &str| serde_json::from_str::<Value>(line).unwrap();
    let recount = |lines: &mut Vec<String>| {
        let mut head = parse(&lines[0]);
        head["records"] = (lines.len() - 1).into();
        lines[0] = head.to_string();
    };
    match edit {
        Edit::Value(line, place, value) => {
            let line = line.index(lines.len());
            let mut record = parse(&lines[line]);
            let place = leaf(&record, *place);
            let values = values();
            *record.pointer_mut(&place).unwrap() = values[value.index(values.len())].clone();
            lines[line] = record.to_string();
        }
        Edit::Swap(line, place, other, there) => {
            let (line, other) = (line.index(lines.len()), other.index(lines.len()));
            let other = parse(&lines[other]);
            let mut record = parse(&lines[line]);
            let place = leaf(&record, *place);
            *record.pointer_mut(&place).unwrap() = other.pointer(&leaf(&other, *there)).unwrap().clone();
            lines[line] = record.to_string();
        }
        Edit::Field(line, place) => {
            let line = line.index(lines.len());
            let mut record = parse(&lines[line]);
            let place = leaf(&record, *place);
            let (parent, key) = place.rsplit_once('/').unwrap();
            if let Some(fields) = record.pointer_mut(parent).and_then(Value::as_object_mut) {
                fields.remove(key);
            }
            lines[line] = record.to_string();
        }
        Edit::NewField(line, place) => {
            let line = line.index(lines.len());
            let mut record = parse(&lines[line]);
            let place = leaf(&record, *place);
            let (parent, _) = place.rsplit_once('/').unwrap();
            if let Some(fields) = record.pointer_mut(parent).and_then(Value::as_object_mut) {
                fields.insert("extra".to_owned(), 1.into());
            }
            lines[line] = record.to_string();
        }
        Edit::Line(line) => {
            lines.remove(1 + line.index(lines.len() - 1));
            recount(&mut lines);
        }
        Edit::Twice(line) => {
            let line = lines[1 + line.index(lines.len() - 1)].clone();
            lines.push(line);
            recount(&mut lines);
        }
        Edit::Byte(place, byte) => {
            let mut bytes = file.as_bytes().to_vec();
            let place = place.index(bytes.len());
            bytes[place] = *byte;
            return String::from_utf8(bytes).unwrap_or_else(|_| "\u{fffd}".to_owned());
        }
    }
    lines.join("\n") + "\n"
}
