//! A computed step as Python has it: its rows, its transitions, its outputs as finished batches.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::partition::convert::{Pairs, pairs};
use crate::output::{Claim, Transition};
use crate::partition::made;
use crate::value::msgpack::Writer;

/// A step that is computed.
#[pyclass(frozen, module = "turnstile_core")]
pub struct Made(pub Arc<made::Made>);

#[pymethods]
impl Made {
    #[getter]
    fn number(&self) -> u64 {
        self.0.number
    }

    /// How many rows go to the changelog.
    #[getter]
    fn changed(&self) -> usize {
        self.0.rows.len()
    }

    /// How many rows, and dropped timers, go to the store.
    #[getter]
    fn stored(&self) -> usize {
        self.0.rows.len() + self.0.local.len() + self.0.timers_dropped.len()
    }

    #[getter]
    fn emitted(&self) -> usize {
        self.0.transitions.len()
    }

    /// How many identities users claimed.
    #[getter]
    fn claimed(&self) -> usize {
        self.0.claims.len()
    }

    /// (applied, repeated, repartitioned, enters, exits, timers, ids dropped) of what the core computed; enters and exits of
    /// all.
    #[getter]
    fn counts(&self) -> (u64, u64, u64, u64, u64, u64, u64) {
        let counts = &self.0.counts;
        (
            counts.applied,
            counts.repeated,
            counts.repartitioned,
            counts.enters,
            counts.exits,
            counts.timers,
            counts.ids_dropped,
        )
    }

    /// Row key and value of what goes to the changelog.
    fn rows<'py>(&self, py: Python<'py>) -> Pairs<'py> {
        pairs(py, &self.0.rows)
    }

    /// Row key and msgpack of each transition, in order.
    fn transitions<'py>(&self, py: Python<'py>) -> Pairs<'py> {
        let written = |transition: &Transition| {
            let mut bytes = Vec::new();
            transition.write(&mut Writer(&mut bytes));
            PyBytes::new(py, &bytes)
        };
        self.0.transitions.iter().map(|(key, each)| (PyBytes::new(py, key), written(each))).collect()
    }

    /// Row key and msgpack of each claim of an identity, in order.
    fn claims<'py>(&self, py: Python<'py>) -> Pairs<'py> {
        let written = |claim: &Claim| {
            let mut bytes = Vec::new();
            claim.write(&mut Writer(&mut bytes));
            PyBytes::new(py, &bytes)
        };
        self.0.claims.iter().map(|(key, each)| (PyBytes::new(py, key), written(each))).collect()
    }

    /// Finished batches for the topic of claims: (its partition, batch, records).
    fn claim_outputs<'py>(
        &self,
        py: Python<'py>,
        partitions: u32,
        most_bytes: usize,
    ) -> Vec<(u32, Bound<'py, PyBytes>, u32)> {
        let found = py.detach(|| self.0.claim_outputs(partitions, most_bytes)).into_iter();
        found.map(|(target, (batch, records))| (target, PyBytes::new(py, &batch), records)).collect()
    }

    /// How often users entered (true) or left, by project and audience (id).
    fn moves(&self) -> Vec<(bool, String, String, u64)> {
        self.0.moves()
    }

    /// Finished batches of this step and later ones for the topic of transitions: (its partition, batch, records).
    #[pyo3(signature = (later, partition, partitions, most_bytes))]
    fn outputs<'py>(
        &self,
        py: Python<'py>,
        later: Vec<Bound<'py, Made>>,
        partition: u32,
        partitions: Option<u32>,
        most_bytes: usize,
    ) -> Vec<(u32, Bound<'py, PyBytes>, u32)> {
        let steps: Vec<&made::Made> =
            std::iter::once(&*self.0).chain(later.iter().map(|each| &*each.get().0)).collect();
        let found = py.detach(|| made::outputs(&steps, partition, partitions, most_bytes)).into_iter();
        found.map(|(target, (batch, records))| (target, PyBytes::new(py, &batch), records)).collect()
    }
}
