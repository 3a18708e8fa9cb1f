//! Output: tables, JSON and YAML, messages, questions, progress, files.
//!
//! Texts from users are escaped before a terminal gets them. It must never contact the server. The commands use it.

pub(crate) mod faults;
pub(crate) mod file;
mod label;
pub(crate) mod output;
mod paint;
pub(crate) mod progress;
pub(crate) mod table;

pub(crate) use output::{Output, Yes, count, plural};
pub(crate) use table::{Column, Render, Rows, cell, name_or};
