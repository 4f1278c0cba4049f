//! What the conditions share whose events fit patterns: sequences, and what isn't followed.

pub mod bound;
pub mod chains;
pub mod fits;
pub mod layout;
pub mod pattern_condition;
pub mod slots;
