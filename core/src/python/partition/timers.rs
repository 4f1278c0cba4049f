//! Timers: found, fired.

use pyo3::prelude::*;

use super::Partition;
use super::convert::{PyTimers, given_timers, timers};
use crate::partition::take::PART;
use crate::python::asked::broken;

#[pymethods]
impl Partition {
    /// (first instant to ask the store about, how many entries more than the limit) for `due`.
    fn due_search(&self) -> (i64, usize) {
        self.0.read(|inner| (inner.timers.floor_ms, inner.timers.hidden))
    }

    /// Up to `limit` entries before an instant, stored or staged. `stored`: what the store has of `due_search`.
    /// Where there are none, `quiet` follows.
    fn due<'py>(
        &self,
        py: Python<'py>,
        before_ms: i64,
        limit: usize,
        stored: PyTimers<'py>,
    ) -> PyTimers<'py> {
        let stored = given_timers(stored);
        let found = self.0.write(|inner| inner.timers.due(before_ms, limit, stored));
        timers(py, &found)
    }

    /// The last search found nothing, and the store's first entry after it is at this instant.
    #[pyo3(signature = (later_ms))]
    fn quiet(&self, later_ms: Option<i64>) {
        self.0.write(|inner| inner.timers.quiet(later_ms));
    }

    /// Whether `due` may find something: False is certain.
    fn may_be_due(&self, before_ms: i64) -> bool {
        self.0.read(|inner| inner.timers.may_be_due(before_ms))
    }

    /// All entries before this instant are handled.
    fn fired_until(&self, before_ms: i64) {
        self.0.write(|inner| inner.timers.fired_until(before_ms));
    }

    #[getter]
    fn timers_in_memory(&self) -> usize {
        self.0.read(|inner| inner.timers.in_memory())
    }

    /// Fire timers; rows that are not in memory by now don't exist: (how many were looked at, stale entries).
    fn fire<'py>(
        &self,
        py: Python<'py>,
        due: PyTimers<'py>,
        is_unbounded: bool,
    ) -> PyResult<(usize, PyTimers<'py>)> {
        let due = given_timers(due);
        let (mut looked, mut stale) = (0, Vec::new());
        let fired = py.detach(|| {
            self.0.write_in_parts(|inner| {
                let part = &due[looked..due.len().min(looked + PART)];
                let (some, mut of_no_row) = inner.fire(part, is_unbounded)?;
                looked += some;
                stale.append(&mut of_no_row);
                Ok(some == part.len() && looked < due.len())
            })
        });
        fired.map_err(broken)?;
        Ok((looked, timers(py, &stale)))
    }
}
