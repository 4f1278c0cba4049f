//! Keys, rows and timers between Python's objects and the core's.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use crate::partition::slots::{Bytes, Key};
use crate::partition::timers::Timer;

pub type Keys<'py> = Vec<Bound<'py, PyBytes>>;
pub type Pairs<'py> = Vec<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)>;
pub type PyTimers<'py> = Vec<(i64, Bound<'py, PyBytes>)>;

pub fn keys<'py>(py: Python<'py>, of: &[Key]) -> Bound<'py, PyList> {
    PyList::new(py, of.iter().map(|key| PyBytes::new(py, key))).expect("an exact length")
}

pub fn pairs<'py>(py: Python<'py>, of: &[(Key, Bytes)]) -> Pairs<'py> {
    of.iter().map(|(key, bytes)| (PyBytes::new(py, key), PyBytes::new(py, bytes))).collect()
}

pub fn timers<'py>(py: Python<'py>, of: &[Timer]) -> PyTimers<'py> {
    of.iter().map(|(ms, key)| (*ms, PyBytes::new(py, key))).collect()
}

pub fn given_timers(of: PyTimers<'_>) -> Vec<Timer> {
    of.into_iter().map(|(ms, key)| (ms, Key::from(key.as_bytes()))).collect()
}
