//! What proves the engine from outside: random policies and probes for its engines, and a lab of network namespaces
//! with real traffic for the whole.

pub mod generate;
pub mod lab;
pub mod packet;
