//! Reads a node as the type it should have: text, a number, a list, a mapping with known keys.

use std::slice;

use super::{
    node::{Node, Value},
    problem::Problem,
    words::{Excerpt, Near},
};
use crate::model::text::{self, TextError};

/// A problem and the node it is about.
#[derive(Debug)]
pub(super) struct Failure<'d> {
    pub(super) node: &'d Node,
    pub(super) problem: Box<Problem>,
}

/// The value read, or the failure.
pub(super) type Read<'d, T> = Result<T, Failure<'d>>;

/// A mapping whose keys are all known.
#[derive(Clone, Copy)]
pub(super) struct Fields<'d> {
    pub(super) node: &'d Node,
}

impl<'d> Fields<'d> {
    pub(super) fn get(self, key: &str) -> Option<&'d Node> {
        self.node.get(key)
    }

    /// The value of a key, read by `read`; `None` if the key is missing.
    pub(super) fn read<T>(
        self,
        key: &str,
        read: impl FnOnce(&'d Node) -> Read<'d, T>,
    ) -> Read<'d, Option<T>> {
        self.get(key).map(read).transpose()
    }

    /// The value of a required key. `allowed` describes the valid values.
    pub(super) fn required(self, key: &'static str, allowed: &'static str) -> Read<'d, &'d Node> {
        self.get(key).ok_or_else(|| self.node.fails(Problem::Missing { key, allowed }))
    }
}

impl Node {
    /// A failure about this node.
    pub(super) fn fails(&self, problem: Problem) -> Failure<'_> {
        Failure { node: self, problem: Box::new(problem) }
    }

    /// A failure: this value is not valid here.
    pub(super) fn unfit(&self, allowed: &'static str) -> Failure<'_> {
        self.fails(Problem::Unfit { found: self.excerpt(), allowed })
    }

    /// A mapping with no other keys than `allowed`. An empty value is the empty mapping.
    pub(super) fn fields(&self, allowed: &'static [&'static str]) -> Read<'_, Fields<'_>> {
        for (key, _) in self.entries("write a mapping, key: value")? {
            let Value::Text(name) = &key.value else {
                return Err(key.fails(Problem::KeyNotText { found: key.excerpt() }));
            };
            if !allowed.contains(&name.as_str()) {
                let near = Near::to(name, allowed.iter().copied());
                return Err(key.fails(Problem::UnknownKey { key: Excerpt::key(name), near, allowed }));
            }
        }
        Ok(Fields { node: self })
    }

    /// The keys and values of a mapping. An empty value is the empty mapping.
    pub(super) fn entries(&self, allowed: &'static str) -> Read<'_, slice::Iter<'_, (Self, Self)>> {
        match &self.value {
            Value::Map(entries) => Ok(entries.iter()),
            Value::Null => Ok([].iter()),
            _ => Err(self.fails(Problem::Unfit { found: self.kind(), allowed })),
        }
    }

    /// The items of a list. An empty value is the empty list.
    pub(super) fn items(&self, allowed: &'static str) -> Read<'_, slice::Iter<'_, Self>> {
        match &self.value {
            Value::List(items) => Ok(items.iter()),
            Value::Null => Ok([].iter()),
            _ => Err(self.fails(Problem::Unfit { found: self.kind(), allowed })),
        }
    }

    pub(super) fn text(&self) -> Read<'_, &str> {
        match &self.value {
            Value::Text(text) => Ok(text),
            _ => Err(self.unfit("write text; numbers, true and false are text in quotes")),
        }
    }

    /// The name of a `what`: a text that is not empty, and cannot be mistaken for another one.
    pub(super) fn name(&self, what: &'static str) -> Read<'_, &str> {
        match self.text()? {
            "" => Err(self.fails(Problem::EmptyName(what))),
            name => self.sound(name, text::distinct(name)),
        }
    }

    /// A text without invisible characters.
    pub(super) fn visible(&self) -> Read<'_, &str> {
        let found = self.text()?;
        self.sound(found, text::visible(found))
    }

    fn sound<'t>(&'t self, found: &'t str, sound: Result<(), TextError>) -> Read<'t, &'t str> {
        match sound {
            Ok(()) => Ok(found),
            Err(why) => Err(self.fails(Problem::Text { found: Excerpt::value(found), why })),
        }
    }

    /// One of the given words, as the value it stands for.
    pub(super) fn one_of<T: Copy>(&self, words: &[(&'static str, T)]) -> Read<'_, T> {
        let meaning = words.iter().find(|(word, _)| self.is_text(word)).map(|&(_, meaning)| meaning);
        meaning.ok_or_else(|| {
            let allowed = words.iter().map(|&(word, _)| word).collect();
            self.fails(Problem::NotOneOf { found: self.excerpt(), allowed })
        })
    }

    pub(super) fn boolean(&self) -> Read<'_, bool> {
        match self.value {
            Value::Boolean(value) => Ok(value),
            _ => Err(self.unfit("write true or false, without quotes")),
        }
    }

    /// A whole number within a range. `what` names it in messages.
    pub(super) fn number(&self, what: &'static str, low: u8, high: u8) -> Read<'_, u8> {
        let number = match self.value {
            Value::Integer(value) => u8::try_from(value).ok(),
            _ => None,
        };
        number
            .filter(|number| (low..=high).contains(number))
            .ok_or_else(|| self.fails(Problem::NotInRange { found: self.excerpt(), what, low, high }))
    }
}
