//! Bodies as JSON. A name that an object has twice is refused: which of its values is meant is for nobody to guess. It must never know
//! what a body means.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// The value of a text.
///
/// # Errors
/// If the text is no JSON, is nested too deep, or an object in it has a name twice.
pub(super) fn parse(text: &[u8]) -> serde_json::Result<Value> {
    let mut parser = serde_json::Deserializer::from_slice(text);
    let value = OneOfEach.deserialize(&mut parser)?;
    parser.end()?;
    Ok(value)
}

/// Reads a value whose objects have each name once.
struct OneOfEach;

impl<'de> DeserializeSeed<'de> for OneOfEach {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for OneOfEach {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<Value, E> {
        Ok(truth.into())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(item) = items.next_element_seed(Self)? {
            all.push(item);
        }
        Ok(all.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut all = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            let value = fields.next_value_seed(Self)?;
            if all.contains_key(&name) {
                let shown: String = name.chars().take(64).collect();
                return Err(A::Error::custom(format_args!("{shown:?} occurs twice in one object")));
            }
            all.insert(name, value);
        }
        Ok(all.into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_body_is_what_it_says() {
        let text = r#"{"a": [1, -2, 1.5, "b\u00e4", true, null, {"a": {}}], "c": ""}"#;
        let value = json!({ "a": [1, -2, 1.5, "bä", true, null, { "a": {} }], "c": "" });
        assert_eq!(parse(text.as_bytes()).unwrap(), value);
    }

    #[test]
    fn what_is_no_json_or_says_something_twice_is_refused() {
        for text in [
            "",
            "{",
            "1 2",
            r#"{"a":1,"a":1}"#,
            r#"{"b":[{"a":1,"c":2,"a":3}]}"#,
            r#"{"a":1,"\u0061":2}"#,
            "\"\\ud800\"",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(parse(deep.as_bytes()).is_err());
        let twice = parse(br#"{"security_group":{},"security_group":{}}"#).unwrap_err().to_string();
        assert!(twice.starts_with("\"security_group\" occurs twice in one object"), "{twice}");
    }
}
