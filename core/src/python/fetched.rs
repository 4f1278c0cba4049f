//! `Fetched` for Python: records stay in the bytes of the fetch until somebody looks at one.

use std::sync::Arc;

use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use crate::kafka::read::{ENOUGH_BYTES, Fetched, Raw, Unusual};
use crate::kafka::record::{Headers, Record};
use crate::kafka::{batch, write};

pyo3::create_exception!(
    turnstile_core,
    UnusualFetch,
    pyo3::exceptions::PyValueError,
    "A fetch that aiokafka's own reader must read; the text says why."
);

type Name = String;
type Content<'py> = Option<Bound<'py, PyBytes>>;
type Parts<'py> = (i64, i64, Content<'py>, Content<'py>, Vec<(Name, Content<'py>)>);
type Given = (i64, i64, Option<PyBackedBytes>, Option<PyBackedBytes>);

/// What one fetch gave of a partition, or given records; see `kafka::read`.
#[pyclass(name = "Fetched", frozen, module = "turnstile_core")]
pub struct PyFetched(pub Arc<Fetched>);

impl From<Unusual> for PyErr {
    fn from(error: Unusual) -> PyErr {
        UnusualFetch::new_err(error.to_string())
    }
}

#[pymethods]
impl PyFetched {
    /// Records from `from_offset` on of the batches that begin at byte `start`. Raises UnusualFetch.
    #[new]
    #[pyo3(signature = (raw, from_offset, aborted, start=0, enough_bytes=ENOUGH_BYTES))]
    fn new(
        py: Python<'_>,
        raw: PyBackedBytes,
        from_offset: i64,
        aborted: Vec<(i64, i64)>,
        start: usize,
        enough_bytes: usize,
    ) -> PyResult<PyFetched> {
        let raw: Raw = Arc::new(raw);
        let found = py.detach(|| Fetched::read(raw, start, from_offset, &aborted, enough_bytes))?;
        Ok(PyFetched(Arc::new(found)))
    }

    /// From (offset, timestamp_ms, key, value), without headers. Raises UnusualFetch for 4 GiB of them.
    #[staticmethod]
    fn of(records: Vec<Given>) -> PyResult<PyFetched> {
        let records = records.iter().map(|(offset, timestamp_ms, key, value)| Record {
            offset: *offset,
            timestamp_ms: *timestamp_ms,
            key: key.as_deref(),
            value: value.as_deref(),
            headers: Headers::default(),
        });
        Ok(PyFetched(Arc::new(Fetched::of(records)?)))
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    #[getter]
    fn next_offset(&self) -> i64 {
        self.0.next_offset()
    }

    /// The byte from which on batches were left for another `Fetched`; None: there are none.
    #[getter]
    fn rest(&self) -> Option<usize> {
        self.0.rest()
    }

    /// What to say of aborted transactions when the rest is read.
    #[getter]
    fn aborted(&self) -> Vec<(i64, i64)> {
        self.0.aborted().to_vec()
    }

    /// (offset, timestamp_ms, key, value, headers). Raises IndexError.
    fn record<'py>(&self, py: Python<'py>, number: usize) -> PyResult<Parts<'py>> {
        let record = self.known(number)?;
        let bytes = |content: Option<&[u8]>| content.map(|content| PyBytes::new(py, content));
        let headers = record.headers.map(|(name, content)| (name.to_string(), bytes(content))).collect();
        Ok((record.offset, record.timestamp_ms, bytes(record.key), bytes(record.value), headers))
    }

    /// Raises IndexError.
    fn offset(&self, number: usize) -> PyResult<i64> {
        Ok(self.known(number)?.offset)
    }

    /// Raises IndexError.
    fn timestamp_ms(&self, number: usize) -> PyResult<i64> {
        Ok(self.known(number)?.timestamp_ms)
    }

    /// The largest timestamp of records `start` to `end`; None: there are none.
    fn last_timestamp_ms(&self, start: usize, end: usize) -> Option<i64> {
        self.0.last_timestamp_ms(start, end)
    }

    /// Bytes of the values of records `start` to `end`.
    fn value_bytes(&self, start: usize, end: usize) -> u64 {
        self.0.value_bytes(start, end)
    }

    /// Where a slice ends that begins at `start`: before `end`, with at most `most_bytes` of values, but one
    /// record at least.
    fn end_within(&self, start: usize, end: usize, most_bytes: u64) -> usize {
        self.0.end_within(start, end, most_bytes)
    }
}

impl PyFetched {
    fn known(&self, number: usize) -> PyResult<Record<'_>> {
        if number < self.0.len() {
            Ok(self.0.record(number))
        } else {
            Err(PyIndexError::new_err(format!("{number} of {} records", self.0.len())))
        }
    }
}

/// The batch with what a producer writes when it sends it: see `kafka::batch::stamp`.
#[pyfunction]
#[pyo3(signature = (batch, producer_id, epoch, sequence, is_transactional=false))]
fn stamp<'py>(
    py: Python<'py>,
    batch: &[u8],
    producer_id: i64,
    epoch: i16,
    sequence: i32,
    is_transactional: bool,
) -> PyResult<Bound<'py, PyBytes>> {
    PyBytes::new_with(py, batch.len(), |bytes| {
        bytes.copy_from_slice(batch);
        batch::stamp(bytes, producer_id, epoch, sequence, is_transactional);
        Ok(())
    })
}

type Taken = (i64, Option<PyBackedBytes>, Option<PyBackedBytes>, Vec<(String, Option<PyBackedBytes>)>);

/// Finished batches of (timestamp_ms, key, value, headers), each with the number of its records: see
/// `kafka::write`.
#[pyfunction]
#[pyo3(signature = (records, max_bytes, is_packed=false))]
fn batches<'py>(
    py: Python<'py>,
    records: Vec<Taken>,
    max_bytes: usize,
    is_packed: bool,
) -> Vec<(Bound<'py, PyBytes>, u32)> {
    let mut found = write::Batches::new(max_bytes);
    if is_packed {
        found = found.packed();
    }
    for (timestamp_ms, key, value, headers) in &records {
        let headers: Vec<_> =
            headers.iter().map(|(name, content)| (name.as_str(), content.as_deref())).collect();
        found.add(*timestamp_ms, key.as_deref(), value.as_deref(), &headers);
    }
    found.finish().into_iter().map(|(bytes, count)| (PyBytes::new(py, &bytes), count)).collect()
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyFetched>()?;
    module.add("UnusualFetch", module.py().get_type::<UnusualFetch>())?;
    module.add_function(wrap_pyfunction!(stamp, module)?)?;
    module.add_function(wrap_pyfunction!(batches, module)?)
}
