//! The store as a whole: what is stored is loaded, whatever happens in between.

mod arbitrary;
mod file;
pub(super) mod older;
mod pending;
mod state;
