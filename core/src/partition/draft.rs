//! A step in the making (`agents/evaluate/steps.py`, Draft).

use std::sync::Arc;

use super::slots::{Mark, Slots};
use crate::output::{Claim, Transition};

/// What a step did; every record ends in one of the first three here, or is Python's to count.
#[derive(Clone, Copy, Default, Debug, PartialEq)]
pub struct Counts {
    pub applied: u64,
    pub repeated: u64,
    pub repartitioned: u64,
    pub enters: u64,
    pub exits: u64,
    pub timers: u64,
    pub ids_dropped: u64,
}

impl Counts {
    pub fn turned(&mut self, transition: &Transition) {
        if transition.is_enter() {
            self.enters += 1;
        } else if transition.is_exit() {
            self.exits += 1;
        }
    }
}

/// A transition of a row.
pub struct Emitted {
    pub slot: u32,
    pub transition: Arc<Transition>,
}

#[derive(Default)]
pub struct Draft {
    pub stream_time_ms: i64,
    /// The rules epoch of new rows.
    pub epoch: i64,
    /// Rows that changed, in order, each with the timer that it had before the step.
    pub changed: Vec<(u32, Option<i64>)>,
    /// Likewise, of rows in which nothing but the timer changed; None: it changed in more later.
    pub local: Vec<Option<(u32, Option<i64>)>>,
    /// Rows whose memberships may have changed; some more than once.
    pub turned: Vec<u32>,
    pub emitted: Vec<Emitted>,
    /// Of identities, each with its row.
    pub claims: Vec<(u32, Arc<Claim>)>,
    pub counts: Counts,
    pub fed_bytes: usize,
    /// Of large rows that it changed.
    pub row_bytes: usize,
    /// Rows that were not there before.
    pub new: Vec<u32>,
    /// Rows that a record was applied to, whether that changed them or not; some more than once.
    pub looked: Vec<u32>,
}

impl Draft {
    /// A row changed, and must go to the changelog; `before_ms` is the timer that it had.
    pub fn change(&mut self, slots: &mut Slots, at: u32, before_ms: Option<i64>) {
        let slot = slots.get_mut(at);
        let before_ms = match std::mem::replace(&mut slot.mark, Mark::Changed) {
            Mark::Changed => return,
            Mark::Untouched => before_ms,
            Mark::Local(index) => self.local[index].take().map_or(before_ms, |(_, before_ms)| before_ms),
        };
        if slot.stored_bytes > super::LARGE_BYTES {
            self.row_bytes += slot.stored_bytes;
        }
        self.changed.push((at, before_ms));
    }

    /// Nothing but the row's timer changed.
    pub fn move_timer(&mut self, slots: &mut Slots, at: u32, before_ms: Option<i64>) {
        let slot = slots.get_mut(at);
        if slot.mark == Mark::Untouched {
            slot.mark = Mark::Local(self.local.len());
            self.local.push(Some((at, before_ms)));
        }
    }
}
