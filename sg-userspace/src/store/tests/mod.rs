//! The room as a whole: what goes in comes out, whatever happens in between.

mod arbitrary;
mod file;
pub(super) mod ladder;
mod state;
