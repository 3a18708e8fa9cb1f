//! What the project's tests share.

pub mod generate;
pub mod lab;
