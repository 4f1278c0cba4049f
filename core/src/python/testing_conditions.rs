//! `turnstile_core.testing.Conditions`: single conditions over rows as bytes, to be held against Python's.

use std::collections::HashMap;

use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::conditions::build::build;
use crate::conditions::{Condition, Taken};
use crate::row::codec::{self, decode, encode};
use crate::row::{Row, State};
use crate::spec;
use crate::value::Value;
use crate::value::msgpack::{Reader, read_value};

/// The conditions of one project.
#[pyclass(frozen)]
pub struct Conditions {
    by_key: HashMap<u32, Box<dyn Condition>>,
}

impl codec::Conditions for Conditions {
    fn condition(&self, key: u32) -> Option<&dyn Condition> {
        self.by_key.get(&key).map(|each| &**each)
    }
}

impl Conditions {
    fn of(&self, key: u32) -> PyResult<&dyn Condition> {
        codec::Conditions::condition(self, key).ok_or_else(|| PyKeyError::new_err(key))
    }

    fn row(&self, bytes: &[u8]) -> PyResult<Row> {
        decode(bytes, self).map_err(|error| PyValueError::new_err(error.0))
    }
}

#[pymethods]
impl Conditions {
    /// `rules` is what `rules.compile.spec` writes. Raises ValueError for what isn't known.
    #[new]
    fn new(rules: &[u8], project: &str) -> PyResult<Conditions> {
        let unknown = |error: spec::UnknownRule| PyValueError::new_err(error.0);
        let projects = spec::read(rules).map_err(unknown)?;
        let project = projects.get(project).ok_or_else(|| PyKeyError::new_err(project.to_string()))?;
        let built = project.conditions.iter().map(|each| Ok((each.key, build(each, project)?)));
        Ok(Conditions { by_key: built.collect::<Result<_, _>>().map_err(unknown)? })
    }

    /// Take an event; `properties` as msgpack. The row after it, whether it changed, the keys touched.
    #[pyo3(signature = (key, row, name, properties, event_ms, decided_ms, now_ms))]
    #[allow(clippy::too_many_arguments)]
    fn take<'py>(
        &self,
        py: Python<'py>,
        key: u32,
        row: &[u8],
        name: &str,
        properties: &[u8],
        event_ms: i64,
        decided_ms: i64,
        now_ms: i64,
    ) -> PyResult<(Bound<'py, PyBytes>, bool, Vec<u32>)> {
        let mut row = self.row(row)?;
        let Ok(Value::Map(properties)) = read_value(&mut Reader::new(properties)) else {
            return Err(PyValueError::new_err("properties are no map"));
        };
        let event = Taken { name, properties: &properties, event_ms, decided_ms, now_ms };
        let mut touched = Vec::new();
        let changed = self.of(key)?.update(&mut row, &event, &mut touched);
        Ok((PyBytes::new(py, &encode(&row)), changed, touched))
    }

    /// The row, read and written.
    fn again<'py>(&self, py: Python<'py>, row: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &encode(&self.row(row)?)))
    }

    fn has_timers(&self, key: u32) -> PyResult<bool> {
        Ok(self.of(key)?.has_timers())
    }

    fn value(&self, key: u32, row: &[u8], at_ms: i64) -> PyResult<bool> {
        let row = self.row(row)?;
        Ok(self.of(key)?.value(&row, row.state(key), at_ms))
    }

    /// None also where the row has no state.
    fn next_timer(&self, key: u32, row: &[u8], after_ms: i64) -> PyResult<Option<i64>> {
        let row = self.row(row)?;
        let condition = self.of(key)?;
        Ok(row.state(key).and_then(|state: &State| condition.next_timer(&row, state, after_ms)))
    }

    /// Samples let go of since the last call.
    fn take_dropped(&self, key: u32) -> PyResult<u64> {
        Ok(self.of(key)?.take_dropped())
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Conditions>()
}
