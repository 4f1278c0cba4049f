//! Conditions that take events and keep a state (`rules/state/condition.py` and the kinds in
//! `rules/aggregates` and `rules/conditions`).

use crate::row::{Row, State};
use crate::spec::UnknownRule;
use crate::value::Map;
use crate::value::msgpack::{Reader, read_stored};

#[cfg(test)]
mod any_bytes;
pub mod attributes;
pub mod batch;
pub mod build;
pub mod nested;
pub mod not_followed;
pub mod patterns;
pub mod sequence_state;
pub mod sequences;
#[cfg(test)]
mod tests;
pub mod truth;

/// One event as a condition takes it. `decided_ms`: up to when timers are decided.
#[derive(Clone, Copy)]
pub struct Taken<'e, 'a> {
    pub name: &'e str,
    pub properties: &'e Map<'a>,
    pub event_ms: i64,
    pub decided_ms: i64,
    pub now_ms: i64,
}

/// One condition, shared by every audience that has it: `rules.state.condition.Condition`.
pub trait Condition: Send + Sync {
    fn key(&self) -> u32;

    /// Whether the value may change by time alone.
    fn has_timers(&self) -> bool;

    /// The truth at an instant, for this state of the row's.
    fn value(&self, row: &Row, state: Option<&State>, at_ms: i64) -> bool;

    /// The first instant after `after_ms` at which the value changes by time alone.
    fn next_timer(&self, row: &Row, state: &State, after_ms: i64) -> Option<i64>;

    /// Take one event (`rules.decide.take` and Python's `Condition.take`). False: the state is as before. If the truth
    /// is another, or may now change sooner by time, the key is added to `touched`.
    fn update(&self, row: &mut Row, event: &Taken<'_, '_>, touched: &mut Vec<u32>) -> bool;

    /// From what the row's bytes have of it to the state in memory, and back: the bytes are the same for both
    /// engines. Kinds that keep `State::Stored` need not say anything.
    fn read(&self, stored: crate::row::Stored) -> Result<State, UnreadableState> {
        Ok(State::Stored(Box::new(stored)))
    }

    /// `read` of a row's bytes, for kinds that most rows have a state of.
    fn read_from(&self, reader: &mut Reader<'_>) -> Result<State, UnreadableState> {
        self.read(read_stored(reader)?)
    }

    /// Samples that had to go because a user had more than `max_samples` of them, since the last call.
    fn take_dropped(&self) -> u64 {
        0
    }
}

/// A row's bytes have something in the place of a state that its condition never writes.
#[derive(Debug)]
pub struct UnreadableState(pub String);

pub type Built = Result<Box<dyn Condition>, UnknownRule>;
