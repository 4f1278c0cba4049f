//! What Python calls: the module `turnstile_core`. Everything that takes long releases the GIL; a mutex keeps each
//! partition to one thread.

use pyo3::create_exception;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

mod asked;
mod fetched;
mod made;
mod partition;
mod rules;
mod testing_conditions;
mod testing_exact;
mod testing_predicates;
mod testing_values;

create_exception!(
    turnstile_core,
    UnknownRule,
    PyValueError,
    "The native engine doesn't know a rule: the Python engine computes the rule set."
);
create_exception!(
    turnstile_core,
    RowUnreadable,
    PyValueError,
    "A row's bytes are none that this program writes: (row key, reason)."
);

/// As in `agents/evaluate/native/core.py`, which says what it is for.
const INTERFACE: u32 = 6;

#[pymodule]
fn turnstile_core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("UnknownRule", module.py().get_type::<UnknownRule>())?;
    module.add("RowUnreadable", module.py().get_type::<RowUnreadable>())?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("INTERFACE", INTERFACE)?;
    module.add("IS_OPTIMIZED", !cfg!(debug_assertions))?;
    module.add_class::<rules::Rules>()?;
    module.add_class::<partition::Partition>()?;
    module.add_class::<made::Made>()?;
    module.add_submodule(&testing(module.py())?)?;
    asked::register(module)?;
    fetched::register(module)
}

/// Parts of the core by themselves, for tests that compare them with Python's.
fn testing(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    let module = PyModule::new(py, "testing")?;
    testing_conditions::register(&module)?;
    testing_exact::register(&module)?;
    testing_predicates::register(&module)?;
    testing_values::register(&module)?;
    Ok(module)
}
