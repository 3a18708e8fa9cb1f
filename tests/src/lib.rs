//! What proves the engine from outside: a lab of network namespaces with real traffic.

pub mod lab;
