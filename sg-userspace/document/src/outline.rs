//! Finds the path to a place in a text that cannot be parsed into a tree.
//!
//! The YAML parser reports the line and the column at which it gives up. This parses the text up to there once more, only noting
//! keys and counting items, so that the error can name the path as all others do.

use serde_saphyr::granit_parser::{Event, Parser, Span};

use super::place::{KeyPath, Position, Step};

/// What is known about a place.
#[derive(Debug, Default)]
pub(super) struct Outline {
    /// The path of the node that begins there, or that contains the place.
    pub(super) path: KeyPath,
    /// The first occurrence in its mapping of the key that begins there.
    pub(super) first_of_key: Option<Position>,
}

/// A list or a mapping that has begun.
enum Open {
    List { items: usize },
    Map { keys: Vec<(String, Position)>, awaits_value: bool },
}

impl Outline {
    /// Parses `text` up to `at`.
    pub(super) fn until(text: &str, at: Position) -> Self {
        let mut open: Vec<Open> = Vec::new();
        for (event, span) in Parser::new_from_str(text).map_while(Result::ok) {
            let here = begin(&span);
            if here > at {
                break;
            }
            match event {
                Event::Scalar(value, ..) => step(&mut open, &value, here),
                Event::Alias(_) => step(&mut open, "*", here),
                Event::SequenceStart(..) => {
                    step(&mut open, "[]", here);
                    open.push(Open::List { items: 0 });
                }
                Event::MappingStart(..) => {
                    step(&mut open, "{}", here);
                    open.push(Open::Map { keys: Vec::new(), awaits_value: false });
                }
                Event::SequenceEnd | Event::MappingEnd => {
                    open.pop();
                }
                _ => {}
            }
        }
        let first_of_key = open.last().and_then(Open::first_of_last_key);
        Self { path: KeyPath(open.iter().filter_map(Open::last_step).collect()), first_of_key }
    }
}

/// A node begins: an item, a key or the value of a key.
fn step(open: &mut [Open], name: &str, here: Position) {
    match open.last_mut() {
        None => {}
        Some(Open::List { items }) => *items += 1,
        Some(Open::Map { awaits_value: awaits_value @ true, .. }) => *awaits_value = false,
        Some(Open::Map { keys, awaits_value }) => {
            keys.push((name.to_owned(), here));
            *awaits_value = true;
        }
    }
}

impl Open {
    fn last_step(&self) -> Option<Step> {
        match self {
            Self::List { items } => items.checked_sub(1).map(Step::Item),
            Self::Map { keys, .. } => keys.last().map(|(key, _)| Step::Key(key.clone())),
        }
    }

    fn first_of_last_key(&self) -> Option<Position> {
        let Self::Map { keys, .. } = self else { return None };
        let ((last, _), before) = keys.split_last()?;
        before.iter().find(|(key, _)| key == last).map(|&(_, at)| at)
    }
}

fn begin(span: &Span) -> Position {
    Position { line: span.start.line() as u32, column: span.start.col() as u32 + 1 }
}
