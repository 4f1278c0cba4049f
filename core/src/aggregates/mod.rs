//! Conditions that aggregate events (`rules/aggregates`): counts, sums, distinct values and the rest, over
//! windows. `conditions::build` says which kind is whose.

pub mod accumulator;
pub mod aggregate_condition;
pub mod counts;
pub mod distincts;
pub mod general;
pub mod of_events;
pub mod of_numbers;
pub mod of_values;
pub mod sums;
#[cfg(test)]
mod tests;
pub mod windows;
