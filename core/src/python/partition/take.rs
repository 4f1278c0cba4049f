//! Records: read, completed from the store, applied.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use super::Partition;
use super::convert::{Keys, keys};
use crate::partition;
use crate::partition::slice::{Part, Slice};
use crate::partition::slots::Key;
use crate::partition::take::From;
use crate::python::asked::broken;
use crate::python::fetched::PyFetched;

#[pymethods]
impl Partition {
    /// Decode records `start` to `end` of a fetch: (odd ones by their place in the slice, missing row keys).
    fn read<'py>(
        &self,
        py: Python<'py>,
        fetched: &PyFetched,
        start: usize,
        end: usize,
    ) -> (Vec<usize>, Bound<'py, PyList>) {
        let part = Part { fetched: fetched.0.clone(), start, end };
        let (odd, missing) = py.detach(|| {
            let limits = self.0.read(|inner| inner.limits);
            let slice = Slice::read(part, &limits); // lookups need not wait for this
            self.0.write(|inner| inner.expect(slice))
        });
        (odd, keys(py, &missing))
    }

    /// What Python's reader made of an odd record (msgpack, `input::read_replaced`); None: a dead letter, or
    /// nobody's. Its row key, if that row is not in memory.
    fn replace<'py>(
        &self,
        py: Python<'py>,
        at: usize,
        record: Option<&[u8]>,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let missing = self.0.write(|inner| inner.replace(at, record));
        let missing = missing.map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(missing.map(|key| PyBytes::new(py, &key)))
    }

    /// Which of these row keys are not in memory.
    fn missing<'py>(&self, py: Python<'py>, of: Keys<'py>) -> Bound<'py, PyList> {
        let wanted: Vec<Key> = of.iter().map(|key| Key::from(key.as_bytes())).collect();
        let missing = py.detach(|| self.0.read(|inner| inner.missing(wanted.into_iter())));
        keys(py, &missing)
    }

    /// What the store has of rows; None: it has none.
    fn supply(&self, of: Keys<'_>, values: Vec<Option<Bound<'_, PyBytes>>>) -> PyResult<()> {
        self.0.write(|inner| {
            for (key, value) in of.iter().zip(&values) {
                if let Some(value) = value {
                    inner.supply(key.as_bytes(), value.as_bytes()).map_err(broken)?;
                }
            }
            Ok(())
        })
    }

    /// Apply the slice that was read: (records taken, stream time in ms, repartitioned [(place, user id)],
    /// refused [(place, bytes that the attributes would have)], whether the step is full).
    #[pyo3(signature = (source, floor, refused_before, is_unbounded=false))]
    #[allow(clippy::type_complexity)]
    fn take(
        &self,
        py: Python<'_>,
        source: u32,
        floor: i64,
        refused_before: Vec<i64>,
        is_unbounded: bool,
    ) -> PyResult<(usize, i64, Vec<(usize, String)>, Vec<(usize, usize)>, bool)> {
        let from = From { source, floor, refused_before, is_unbounded };
        let taken = py.detach(|| {
            let mut taking = self.0.write(partition::Partition::begin_taking);
            self.0.write_in_parts(|inner| inner.take_part(&mut taking, &from))?;
            Ok(taking.taken)
        });
        let taken = taken.map_err(broken)?;
        Ok((taken.taken, taken.stream_time_ms, taken.repartitioned, taken.refused, taken.is_full))
    }
}
