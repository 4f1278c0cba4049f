//! Compiled rules as Python has them.

use std::sync::Arc;

use pyo3::prelude::*;

use super::UnknownRule;
use crate::rules::RuleSet;

#[pyclass(frozen, module = "turnstile_core")]
pub struct Rules(pub Arc<RuleSet>);

#[pymethods]
impl Rules {
    #[new]
    fn new(py: Python<'_>, spec: &[u8]) -> PyResult<Rules> {
        let read = py.detach(|| RuleSet::read(spec));
        read.map(|rules| Rules(Arc::new(rules))).map_err(|error| UnknownRule::new_err(error.to_string()))
    }

    /// How many samples conditions have let go of since the last call, because a user had too many.
    fn take_dropped(&self) -> u64 {
        self.0.take_dropped()
    }
}
