//! Output: tables, JSON and YAML, messages, questions, progress, failures.
//!
//! Texts from users are escaped before a terminal gets them. It must never contact the server. The commands use it.

pub(crate) mod column;
pub(crate) mod faults;
mod label;
pub(crate) mod output;
mod paint;
pub(crate) mod progress;
pub(crate) mod table;

pub(crate) use column::{Column, Render, cell, name_or};
pub(crate) use output::{Output, Yes, count, plural};
pub(crate) use table::Rows;
