//! Lookups as Python asks them.

use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::PyBytes;

use super::RowUnreadable;
use super::rules::Rules;
use crate::partition::RowBroken;
use crate::partition::look::{self, Question};

/// Of so many users is told without letting go of the GIL: that takes longer than the answer.
pub const FEW: usize = 8;

/// What is asked of each user; see `partition::look::Question`.
#[pyclass(frozen, module = "turnstile_core")]
pub struct Asked {
    project: String,
    audiences: Option<Vec<String>>,
    at_ms: i64,
    status: String,
    more: String,
}

#[pymethods]
impl Asked {
    #[new]
    #[pyo3(signature = (project, audiences, at_ms, status="ok", more=""))]
    fn new(project: String, audiences: Option<Vec<String>>, at_ms: i64, status: &str, more: &str) -> Asked {
        Asked { project, audiences, at_ms, status: status.into(), more: more.into() }
    }
}

impl Asked {
    pub fn question(&self) -> Question<'_> {
        Question {
            project: &self.project,
            audiences: self.audiences.as_deref(),
            at_ms: self.at_ms,
            status: &self.status,
            more: &self.more,
        }
    }
}

/// What is told of each user by the row that a store has; None: it has none. Raises RowUnreadable.
#[pyfunction]
fn look_at_stored<'py>(
    py: Python<'py>,
    rules: &Rules,
    asked: &Asked,
    users: Vec<PyBackedStr>,
    stored: Vec<Option<PyBackedBytes>>,
) -> PyResult<Vec<Bound<'py, PyBytes>>> {
    let question = asked.question();
    let users = || users.iter().zip(&stored).map(|(user, bytes)| (&**user, bytes.as_deref()));
    let found = py.detach(|| look::look_at_stored(&rules.0, &question, users())).map_err(broken)?;
    Ok(found.into_iter().map(|json| PyBytes::new(py, &json)).collect())
}

/// The partition of each user id.
#[pyfunction]
fn partitions_of(users: Vec<PyBackedStr>, partitions: u32) -> Vec<u32> {
    users.iter().map(|each| crate::partition::place::partition_of(each.as_bytes(), partitions)).collect()
}

pub fn broken(error: RowBroken) -> PyErr {
    RowUnreadable::new_err((error.key.to_vec(), error.why))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Asked>()?;
    module.add_function(wrap_pyfunction!(look_at_stored, module)?)?;
    module.add_function(wrap_pyfunction!(partitions_of, module)?)
}
