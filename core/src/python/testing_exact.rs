//! `turnstile_core.testing`: exact sums and their rounding, to be held against Python's.

use pyo3::prelude::*;

use crate::value::exact;

/// `math.fsum`.
#[pyfunction]
fn fsum(numbers: Vec<f64>) -> f64 {
    exact::fsum(numbers)
}

/// `round(number, 9)`.
#[pyfunction]
fn round_9(number: f64) -> f64 {
    exact::round_9(number)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(fsum, module)?)?;
    module.add_function(wrap_pyfunction!(round_9, module)?)
}
