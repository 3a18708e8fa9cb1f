//! Reads a node as the type it should have: text, a number, a list, a mapping with known keys.

use std::{borrow::Cow, slice};

use sg_model::text::{self, TextError};

use super::{
    node::{Node, Value},
    problem::Problem,
    words::{Excerpt, Near},
};

/// A problem and the node it is about.
#[derive(Debug)]
pub(super) struct Failure<'d> {
    pub(super) node: &'d Node,
    pub(super) problem: Box<Problem>,
}

/// The value read, or the failure.
pub(super) type Read<'d, T> = Result<T, Failure<'d>>;

/// Words that people write, and what is meant by each.
pub(super) type Meant = &'static [(&'static str, &'static str)];

/// The keys of a kind of mapping.
pub(super) struct Keys {
    /// The valid ones.
    pub(super) allowed: &'static [&'static str],
    /// What other programs call them.
    pub(super) meant: Meant,
}

/// A mapping. Its unknown keys are known as failures.
#[derive(Clone, Copy)]
pub(super) struct Fields<'d> {
    pub(super) node: &'d Node,
    /// Whether all its keys are known. Otherwise a missing key may be one that is misspelt.
    pub(super) sound: bool,
}

impl<'d> Fields<'d> {
    pub(super) fn get(self, key: &str) -> Option<&'d Node> {
        self.node.get(key)
    }
}

/// The failures of a document so far: as many as somebody reads at a time.
#[derive(Debug, Default)]
pub(super) struct Failures<'d> {
    all: Vec<Failure<'d>>,
}

impl<'d> Failures<'d> {
    /// Nothing more is read of a document that has so many failures: a message takes time, and there may be millions.
    pub(super) const MOST: usize = 20;

    pub(super) fn is_full(&self) -> bool {
        self.all.len() >= Self::MOST
    }

    pub(super) fn push(&mut self, failure: Failure<'d>) {
        if !self.is_full() {
            self.all.push(failure);
        }
    }

    pub(super) fn truncate(&mut self, most: usize) {
        self.all.truncate(most);
    }

    pub(super) fn all(&self) -> &[Failure<'d>] {
        &self.all
    }

    pub(super) fn into_all(self) -> Vec<Failure<'d>> {
        self.all
    }
}

impl Node {
    /// A failure about this node.
    pub(super) fn fails(&self, problem: Problem) -> Failure<'_> {
        Failure { node: self, problem: Box::new(problem) }
    }

    /// A failure: this value is not valid here.
    pub(super) fn unfit(&self, allowed: impl Into<Cow<'static, str>>) -> Failure<'_> {
        self.fails(Problem::Unfit { found: self.excerpt(), allowed: allowed.into() })
    }

    /// The keys and values of a mapping. An empty value is the empty mapping.
    pub(super) fn entries(&self, allowed: &'static str) -> Read<'_, slice::Iter<'_, (Self, Self)>> {
        match &self.value {
            Value::Map(entries) => Ok(entries.iter()),
            Value::Null => Ok([].iter()),
            _ => Err(self.fails(Problem::Unfit { found: self.kind(), allowed: allowed.into() })),
        }
    }

    /// The items of a list. An empty value is the empty list.
    pub(super) fn items(&self, allowed: &'static str) -> Read<'_, slice::Iter<'_, Self>> {
        match &self.value {
            Value::List(items) => Ok(items.iter()),
            Value::Null => Ok([].iter()),
            _ => Err(self.fails(Problem::Unfit { found: self.kind(), allowed: allowed.into() })),
        }
    }

    /// The failure of a key that a mapping must not have; `None` if it may.
    pub(super) fn unknown_key(&self, keys: &'static Keys) -> Option<Failure<'_>> {
        let Value::Text(name) = &self.value else {
            return Some(self.fails(Problem::KeyNotText { found: self.excerpt() }));
        };
        let allowed = keys.allowed;
        (!allowed.contains(&name.as_str())).then(|| {
            let near = Near::meant(name, keys.meant).or_to(name, allowed.iter().copied());
            self.fails(Problem::UnknownKey { key: Excerpt::key(name), near, allowed })
        })
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
        self.one_of_meant(words, &[])
    }

    /// The same, where people write other words, too.
    pub(super) fn one_of_meant<T: Copy>(&self, words: &[(&'static str, T)], meant: Meant) -> Read<'_, T> {
        let meaning = words.iter().find(|(word, _)| self.is_text(word)).map(|&(_, meaning)| meaning);
        meaning.ok_or_else(|| {
            let allowed: Vec<&'static str> = words.iter().map(|&(word, _)| word).collect();
            let near = match &self.value {
                Value::Text(found) => Near::meant(found, meant).or_to(found, allowed.iter().copied()),
                _ => Near(None),
            };
            self.fails(Problem::NotOneOf { found: self.excerpt(), near, allowed })
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
