//! The XML of a response, from the same tree as its JSON: an object is an element with children, an array repeats its element, so
//! `"Tags": {"Tag": [a, b]}` is `<Tags><Tag>a</Tag><Tag>b</Tag></Tags>`.

use std::{borrow::Cow, io};

use quick_xml::{
    Writer,
    events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event},
};
use serde_json::{Map, Value};

/// A document whose root has `fields` as children.
pub(super) fn document(root: &str, fields: &Map<String, Value>) -> String {
    let mut writer = Writer::new(Vec::new());
    let written = writer
        .write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))
        .and_then(|()| element(&mut writer, root, |writer| children(writer, fields)));
    if let Err(error) = written {
        // Writing to memory does not fail.
        tracing::error!("an XML reply is incomplete: {error}; this is a defect of sgd");
    }
    String::from_utf8_lossy(&writer.into_inner()).into_owned()
}

fn children(writer: &mut Writer<Vec<u8>>, fields: &Map<String, Value>) -> io::Result<()> {
    fields.iter().try_for_each(|(name, value)| field(writer, name, value))
}

fn field(writer: &mut Writer<Vec<u8>>, name: &str, value: &Value) -> io::Result<()> {
    match value {
        Value::Null => Ok(()),
        Value::Array(items) => items.iter().try_for_each(|item| field(writer, name, item)),
        Value::Object(fields) => element(writer, name, |writer| children(writer, fields)),
        Value::String(text) => leaf(writer, name, text),
        Value::Bool(_) | Value::Number(_) => leaf(writer, name, &value.to_string()),
    }
}

fn leaf(writer: &mut Writer<Vec<u8>>, name: &str, text: &str) -> io::Result<()> {
    element(writer, name, |writer| writer.write_event(Event::Text(BytesText::new(&representable(text)))))
}

fn element(
    writer: &mut Writer<Vec<u8>>,
    name: &str,
    content: impl FnOnce(&mut Writer<Vec<u8>>) -> io::Result<()>,
) -> io::Result<()> {
    writer.write_event(Event::Start(BytesStart::new(name)))?;
    content(writer)?;
    writer.write_event(Event::End(BytesEnd::new(name)))
}

/// XML cannot represent most control characters; a document with one is invalid.
fn representable(text: &str) -> Cow<'_, str> {
    let is_none = |character: char| {
        character.is_control() && !matches!(character, '\t' | '\n' | '\u{80}'..='\u{9f}')
            || matches!(character, '\u{fffe}' | '\u{ffff}')
    };
    if text.contains(is_none) { Cow::Owned(text.replace(is_none, "\u{fffd}")) } else { Cow::Borrowed(text) }
}
