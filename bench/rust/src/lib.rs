//! What the Rust contenders share: the harness (the twin of bench/harness.hpp), and small futures.

pub mod harness;
pub mod support;
