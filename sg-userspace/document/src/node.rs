//! The document as a tree with lines and columns.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::Spanned;

use super::{
    place::{KeyPath, Position, Step},
    words::Excerpt,
};

/// A value and its position.
#[derive(Debug)]
pub(super) struct Node {
    /// The position. For an alias, that of its anchor, because that is the text to correct.
    pub(super) at: Position,
    pub(super) value: Value,
}

/// The values of YAML's core schema.
#[derive(Debug)]
pub(super) enum Value {
    Null,
    Boolean(bool),
    /// Whole numbers beyond `i64` are outside every range here, so `Float` will do for them.
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    /// In the order of the document, without duplicate keys.
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// The value of a key, if this is a map that has it.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        let Value::Map(entries) = &self.value else { return None };
        entries.iter().find(|(name, _)| name.is_text(key)).map(|(_, value)| value)
    }

    /// An item, if this is a list that has it.
    pub(super) fn item(&self, position: usize) -> Option<&Self> {
        let Value::List(items) = &self.value else { return None };
        items.get(position)
    }

    /// The value of the entry at `position`, if this is a map that has it.
    pub(super) fn value_at(&self, position: usize) -> Option<&Self> {
        let Value::Map(entries) = &self.value else { return None };
        entries.get(position).map(|(_, value)| value)
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    pub(super) fn is_text(&self, text: &str) -> bool {
        matches!(&self.value, Value::Text(own) if own == text)
    }

    /// The value as found, for an error.
    pub(super) fn excerpt(&self) -> Excerpt {
        match &self.value {
            Value::Null => Excerpt::word("nothing"),
            Value::Boolean(value) => Excerpt::word(value),
            Value::Integer(value) => Excerpt::word(value),
            Value::Float(value) => Excerpt::word(format_args!("{value:?}")),
            Value::Text(text) => Excerpt::value(text),
            Value::List(items) if items.is_empty() => Excerpt::word("an empty list"),
            Value::List(_) => Excerpt::word("a list"),
            Value::Map(entries) if entries.is_empty() => Excerpt::word("an empty mapping"),
            Value::Map(_) => Excerpt::word("a mapping"),
        }
    }

    /// The kind of the value, for an error about a wrong kind. Not its contents: a file that is not a policy is one text as a
    /// whole.
    pub(super) fn kind(&self) -> Excerpt {
        match &self.value {
            Value::Boolean(_) => Excerpt::word("true or false"),
            Value::Integer(_) | Value::Float(_) => Excerpt::word("a number"),
            Value::Text(_) => Excerpt::word("text"),
            Value::Null | Value::List(_) | Value::Map(_) => self.excerpt(),
        }
    }

    /// Whether one of `nodes` is this one, or in it. Nodes are identified by their addresses in memory.
    pub(super) fn holds_any(&self, nodes: &[&Self]) -> bool {
        nodes.iter().any(|&node| std::ptr::eq(node, self))
            || match &self.value {
                Value::List(items) => items.iter().any(|item| item.holds_any(nodes)),
                Value::Map(entries) => {
                    entries.iter().any(|(key, value)| key.holds_any(nodes) || value.holds_any(nodes))
                }
                Value::Null | Value::Boolean(_) | Value::Integer(_) | Value::Float(_) | Value::Text(_) => {
                    false
                }
            }
    }

    /// The paths of `wanted`, which are nodes of this tree, keys or values. One walk finds them all.
    pub(super) fn paths(&self, wanted: &[&Self]) -> Vec<KeyPath> {
        // Nodes are identified by their addresses in memory: aliases make equal nodes at equal positions.
        let mut places: Vec<(*const Self, usize)> =
            wanted.iter().enumerate().map(|(place, &node)| (std::ptr::from_ref(node), place)).collect();
        places.sort_unstable();
        let mut walk = Walk { places, here: Vec::new(), found: vec![KeyPath::default(); wanted.len()] };
        walk.visit(self);
        walk.found
    }
}

/// A search for nodes by their identity.
struct Walk<'d> {
    /// Sorted.
    places: Vec<(*const Node, usize)>,
    here: Vec<Segment<'d>>,
    found: Vec<KeyPath>,
}

/// A borrowed [`Step`].
enum Segment<'d> {
    Key(&'d Node),
    Item(usize),
}

impl<'d> Walk<'d> {
    fn visit(&mut self, node: &'d Node) {
        self.note(node);
        match &node.value {
            Value::List(items) => {
                for (position, item) in items.iter().enumerate() {
                    self.here.push(Segment::Item(position));
                    self.visit(item);
                    self.here.pop();
                }
            }
            Value::Map(entries) => {
                for (key, value) in entries {
                    self.here.push(Segment::Key(key));
                    self.note(key);
                    self.visit(value);
                    self.here.pop();
                }
            }
            Value::Null | Value::Boolean(_) | Value::Integer(_) | Value::Float(_) | Value::Text(_) => {}
        }
    }

    fn note(&mut self, node: &Node) {
        let node = std::ptr::from_ref(node);
        let from = self.places.partition_point(|&(wanted, _)| wanted < node);
        for &(_, place) in self.places[from..].iter().take_while(|&&(wanted, _)| wanted == node) {
            self.found[place] = KeyPath(self.here.iter().map(Segment::step).collect());
        }
    }
}

impl Segment<'_> {
    fn step(&self) -> Step {
        match self {
            Self::Item(position) => Step::Item(*position),
            Self::Key(Node { value: Value::Text(text), .. }) => Step::Key(text.clone()),
            Self::Key(other) => Step::Key(other.excerpt().to_string()),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value, defined, .. } = Spanned::<Value>::deserialize(deserializer)?;
        let at = Position { line: defined.line() as u32, column: defined.column() as u32 };
        Ok(Self { at, value })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, a list or a mapping")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Boolean(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }

    #[expect(clippy::cast_precision_loss, reason = "only its being too large counts")]
    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or(Value::Float(value as f64), Value::Integer))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Value, E> {
        Ok(Value::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Value::Map(entries))
    }
}
