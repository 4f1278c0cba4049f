//! What Python computed, taken into a step.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::Partition;
use crate::partition::finish::Given;
use crate::python::asked::broken;

#[pymethods]
impl Partition {
    /// A row as it is now, also within a step; None: it is not in memory.
    fn row<'py>(&self, py: Python<'py>, key: &[u8]) -> Option<Bound<'py, PyBytes>> {
        self.reading(py, |inner| inner.row(key)).map(|bytes| PyBytes::new(py, &bytes))
    }

    /// Rows: (key, bytes, timer before, whether more than the timer changed, whether memberships may have).
    /// Transitions, claims: (row key, msgpack).
    #[allow(clippy::type_complexity)]
    fn stage(
        &self,
        rows: Vec<(Vec<u8>, Vec<u8>, Option<i64>, bool, bool)>,
        transitions: Vec<(Vec<u8>, Vec<u8>)>,
        claims: Vec<(Vec<u8>, Vec<u8>)>,
    ) -> PyResult<()> {
        let rows = rows
            .into_iter()
            .map(|(key, bytes, before_ms, is_logged, is_turned)| Given {
                key,
                bytes,
                before_ms,
                is_logged,
                is_turned,
            })
            .collect();
        self.0.write(|inner| inner.stage(rows, transitions, claims)).map_err(broken)
    }
}
