//! A partition's rows as Python has them, and steps over them (`core/src/partition`): the class itself. Its methods are in
//! the modules below, in the order of a step.

use pyo3::prelude::*;

use super::rules::Rules;
use crate::partition::place::Place;
use crate::partition::shared::Shared;
use crate::partition::{self, Limits};
use crate::row::dedupe::Dedupe;

pub mod convert;
mod finish;
mod look;
mod stage;
mod take;
mod timers;

/// Rows of one partition, and steps over them (`core/src/partition`).
#[pyclass(frozen, module = "turnstile_core")]
pub struct Partition(Shared);

#[pymethods]
impl Partition {
    /// `dedupe`: (run_ms, forgotten_ms, most ids). `sizes`: members by audience key, as the store has them.
    #[new]
    #[pyo3(signature = (rules, *, partition, partitions, cache_bytes, max_bytes, max_attributes_bytes, dedupe, step_transitions, step_bytes, sizes))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        rules: &Rules,
        partition: u32,
        partitions: u32,
        cache_bytes: usize,
        max_bytes: usize,
        max_attributes_bytes: usize,
        dedupe: (i64, i64, usize),
        step_transitions: usize,
        step_bytes: usize,
        sizes: Vec<(u32, i64)>,
    ) -> Partition {
        let (run_ms, forgotten_ms, most) = dedupe;
        let dedupe = Dedupe { run_ms, forgotten_ms, most };
        let limits =
            Limits { max_bytes, max_attributes_bytes, dedupe, step_transitions, step_bytes, cache_bytes };
        let place = Place { partition, partitions };
        Partition(Shared::new(partition::Partition::new(place, limits, rules.0.clone(), sizes)))
    }

    /// Use other rules from the next step on.
    fn define(&self, rules: &Rules) {
        self.0.write(|inner| inner.define(rules.0.clone()));
    }

    /// A step begins.
    fn begin(&self, py: Python<'_>, stream_time_ms: i64, epoch: i64) {
        py.detach(|| self.0.write(|inner| inner.begin(stream_time_ms, epoch)));
    }

    /// The step is as if it had not begun.
    fn rewind(&self) {
        self.0.write(partition::Partition::rewind);
    }

    /// Stream time of the step, whatever the core took.
    fn set_stream_time(&self, stream_time_ms: i64) {
        self.0.write(|inner| inner.set_stream_time(stream_time_ms));
    }

    #[getter]
    fn is_full(&self) -> bool {
        self.0.read(partition::Partition::is_full)
    }

    /// How many transitions the step has so far.
    #[getter]
    fn emitted(&self) -> usize {
        self.0.read(partition::Partition::emitted)
    }
}

impl Partition {
    /// Read at once, or else wait without the GIL, because a step may need that to go on.
    fn reading<T: Send>(&self, py: Python<'_>, reader: impl Fn(&partition::Partition) -> T + Sync) -> T {
        self.0.try_read(&reader).unwrap_or_else(|| py.detach(|| self.0.read(&reader)))
    }
}
