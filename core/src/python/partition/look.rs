//! Reading: users, rows, sizes, members.

use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::{PyBytes, PyList};

use super::Partition;
use super::convert::{Keys, keys};
use crate::partition;
use crate::partition::look::Elsewhere;
use crate::partition::slots::Key;
use crate::python::asked::{Asked, FEW, broken};

#[pymethods]
impl Partition {
    /// What is told of each user (`partition::look`), as JSON. None: the row is not in memory. With `stored`, what
    /// the store has of those rows, nobody is None.
    #[pyo3(signature = (asked, users, stored=None))]
    fn look<'py>(
        &self,
        py: Python<'py>,
        asked: &Asked,
        users: Vec<PyBackedStr>,
        stored: Option<Vec<Option<PyBackedBytes>>>,
    ) -> PyResult<Vec<Option<Bound<'py, PyBytes>>>> {
        let question = asked.question();
        let elsewhere = |number: usize| match &stored {
            None => Elsewhere::NotAsked,
            Some(stored) => stored[number].as_deref().map_or(Elsewhere::Nowhere, Elsewhere::Stored),
        };
        let look = |inner: &partition::Partition| {
            inner.look(&question, users.iter().enumerate().map(|(number, each)| (&**each, elsewhere(number))))
        };
        let found = if users.len() <= FEW { self.reading(py, look) } else { py.detach(|| self.0.read(look)) };
        let found = found.map_err(broken)?;
        Ok(found.into_iter().map(|each| each.map(|json| PyBytes::new(py, &json))).collect())
    }

    /// Rows as they are in memory; None: not in memory.
    fn rows<'py>(&self, py: Python<'py>, of: Keys<'py>) -> Vec<Option<Bound<'py, PyBytes>>> {
        let wanted: Vec<&[u8]> = of.iter().map(|key| key.as_bytes()).collect();
        let found: Vec<_> =
            py.detach(|| self.0.read(|inner| wanted.iter().map(|key| inner.row(key)).collect()));
        found.into_iter().map(|each| each.map(|bytes| PyBytes::new(py, &bytes))).collect()
    }

    /// Keys of the rows that the store doesn't have as they are.
    fn unstored_keys<'py>(&self, py: Python<'py>) -> Keys<'py> {
        self.0.read(|inner| inner.slots.unstored_keys().map(|slot| PyBytes::new(py, &slot.key)).collect())
    }

    #[getter]
    fn unstored_rows(&self) -> usize {
        self.0.read(|inner| inner.slots.unstored_keys().count())
    }

    #[getter]
    fn cached_rows(&self) -> usize {
        self.0.read(|inner| inner.slots.len())
    }

    #[getter]
    fn cached_bytes(&self) -> usize {
        self.0.read(|inner| inner.slots.weight)
    }

    /// By audience key, how many members there are after the last step.
    fn sizes(&self) -> std::collections::HashMap<u32, i64> {
        self.0.read(|inner| inner.members.sizes.iter().map(|(audience, size)| (*audience, *size)).collect())
    }

    /// How many members more than its limit a page must read from the store.
    fn page_search(&self, audience: u32, after: &[u8]) -> usize {
        self.0.read(|inner| inner.members.hidden(audience, after))
    }

    /// Up to `limit` row keys of members above `after`, in key order; `stored` are those of the store.
    fn page<'py>(
        &self,
        py: Python<'py>,
        audience: u32,
        after: &[u8],
        limit: usize,
        stored: Keys<'py>,
    ) -> Bound<'py, PyList> {
        let stored = stored.iter().map(|key| Key::from(key.as_bytes())).collect();
        let found = self.0.read(|inner| inner.members.page(audience, after, limit, stored));
        keys(py, &found)
    }
}
