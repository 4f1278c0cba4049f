//! The end of a step: what goes to the changelog, and then to the store.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::Partition;
use super::convert::{Pairs, PyTimers, given_timers, keys, pairs, timers};
use crate::partition;
use crate::partition::finish::{LogLimits, Logged};
use crate::partition::made::Written;
use crate::partition::slots::Key;
use crate::python::made::Made;

#[pymethods]
impl Partition {
    /// The step; or the keys of rows that, with their keys, have more than `most_bytes`: then nothing is changed.
    fn finish<'py>(
        &self,
        py: Python<'py>,
        number: u64,
        most_bytes: usize,
        stale: PyTimers<'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let stale = given_timers(stale);
        let made = py.detach(|| {
            self.0.read_then_write(partition::Partition::encode, |inner, encoded| {
                inner.finish(encoded, number, most_bytes, stale)
            })
        });
        match made {
            Ok(made) => Ok(Bound::new(py, Made(made))?.into_any()),
            Err(large) => Ok(keys(py, &large).into_any()),
        }
    }

    /// Finished batches of the changelog of steps, each with what comes before its rows and after them: (batch,
    /// records). None: some outbox needs chunks.
    fn changelog<'py>(
        &self,
        py: Python<'py>,
        steps: Vec<(Bound<'py, Made>, Vec<Written>, Vec<Written>)>,
        now_ms: i64,
        record_bytes: usize,
        batch_bytes: usize,
    ) -> Option<Vec<(Bound<'py, PyBytes>, u32)>> {
        let limits = LogLimits { record_bytes, batch_bytes };
        let steps: Vec<Logged> = steps
            .into_iter()
            .map(|(made, head, tail)| Logged { made: made.get().0.clone(), head, tail })
            .collect();
        let batches = py.detach(|| self.0.read(|inner| inner.changelog(&steps, now_ms, &limits)))?;
        Some(batches.into_iter().map(|(batch, records)| (PyBytes::new(py, &batch), records)).collect())
    }

    /// msgpack of a row's outbox as of a step; None: it is empty.
    fn outbox<'py>(&self, py: Python<'py>, key: &[u8], number: u64) -> Option<Bound<'py, PyBytes>> {
        self.reading(py, |inner| inner.outbox(key, number)).map(|bytes| PyBytes::new(py, &bytes))
    }

    /// The step's outputs are in Kafka.
    fn acked(&self, made: &Made) {
        self.0.write(|inner| inner.acked(&made.0));
    }

    /// The steps up to this one may go to the store.
    fn durable(&self, number: u64) {
        self.0.write(|inner| inner.durable(number));
    }

    #[getter]
    fn durable_rows(&self) -> usize {
        self.0.read(partition::Partition::durable_rows)
    }

    /// What the store must get of durable steps: (rows, timers added, dropped, members added, dropped).
    #[allow(clippy::type_complexity)]
    fn flush<'py>(
        &self,
        py: Python<'py>,
    ) -> (
        Pairs<'py>,
        PyTimers<'py>,
        PyTimers<'py>,
        Vec<(u32, Bound<'py, PyBytes>)>,
        Vec<(u32, Bound<'py, PyBytes>)>,
    ) {
        let flush = py.detach(|| self.0.read(partition::Partition::flush));
        let members =
            |of: &[(u32, Key)]| of.iter().map(|(audience, key)| (*audience, PyBytes::new(py, key))).collect();
        (
            pairs(py, &flush.rows),
            timers(py, &flush.timers_added),
            timers(py, &flush.timers_dropped),
            members(&flush.members_added),
            members(&flush.members_dropped),
        )
    }

    /// The store has what `flush` gave.
    fn stored(&self, py: Python<'_>) {
        py.detach(|| self.0.write(partition::Partition::stored));
    }
}
