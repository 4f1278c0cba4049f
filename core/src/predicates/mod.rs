//! What events and attributes are tested for (`rules/predicates`).
//!
//! `compile` makes a `Check` of a predicate. Python compiles predicates with and without dates apart, for speed;
//! here one `Check` is both, and needs an instant only if it has tests of dates (`Check::is_dated`).

pub mod against;
pub mod comparisons;
pub mod compiled;
pub mod dates;
pub mod elements;
pub mod folding;
pub mod operators;
pub mod paths;
pub mod re2;
pub mod tables;

pub use compiled::{Check, compile};
pub use tables::{Locale, Tables};
