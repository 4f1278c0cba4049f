//! Rules, partitions and steps as Python has them.

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::{PyBytes, PyList};

use super::UnknownRule;
use super::asked::{Asked, FEW, broken};
use super::fetched::PyFetched;
use crate::output::{Claim, Transition};
use crate::partition::finish::{Given, LogLimits, Logged};
use crate::partition::look::Elsewhere;
use crate::partition::made::{self, Written};
use crate::partition::place::Place;
use crate::partition::shared::Shared;
use crate::partition::slice::{Part, Slice};
use crate::partition::slots::Key;
use crate::partition::take::{From, PART};
use crate::partition::timers::Timer;
use crate::partition::{self, Limits};
use crate::row::dedupe::Dedupe;
use crate::rules::RuleSet;
use crate::value::msgpack::Writer;

type Keys<'py> = Vec<Bound<'py, PyBytes>>;
type PyTimers<'py> = Vec<(i64, Bound<'py, PyBytes>)>;

/// Compiled rules (`rules.compile.spec.spec_of`). Raises UnknownRule.
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

/// A step that is computed.
#[pyclass(frozen, module = "turnstile_core")]
pub struct Made(Arc<made::Made>);

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
    fn rows<'py>(&self, py: Python<'py>) -> Vec<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
        pairs(py, &self.0.rows)
    }

    /// Row key and msgpack of each transition, in order.
    fn transitions<'py>(&self, py: Python<'py>) -> Vec<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
        let written = |transition: &Transition| {
            let mut bytes = Vec::new();
            transition.write(&mut Writer(&mut bytes));
            PyBytes::new(py, &bytes)
        };
        self.0.transitions.iter().map(|(key, each)| (PyBytes::new(py, key), written(each))).collect()
    }

    /// Row key and msgpack of each claim of an identity, in order.
    fn claims<'py>(&self, py: Python<'py>) -> Vec<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
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

/// Rows of one partition, and steps over them (`core/src/partition`).
#[pyclass(frozen, module = "turnstile_core")]
pub struct Partition(Shared);

#[pymethods]
impl Partition {
    /// `dedupe`: (run_ms, forgotten_ms, most ids). `sizes`: members by audience key, as the store has them.
    #[new]
    #[pyo3(signature = (rules, *, partition, partitions, cache_bytes, max_bytes, max_attributes_bytes, dedupe, step_transitions, step_bytes, sizes))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        rules: &Rules,
        partition: u32,
        partitions: u32,
        cache_bytes: usize,
        max_bytes: usize,
        max_attributes_bytes: usize,
        dedupe: (i64, i64, usize),
        step_transitions: usize,
        step_bytes: usize,
        sizes: Vec<(u32, i64)>,
    ) -> Partition {
        let (run_ms, forgotten_ms, most) = dedupe;
        let dedupe = Dedupe { run_ms, forgotten_ms, most };
        let limits =
            Limits { max_bytes, max_attributes_bytes, dedupe, step_transitions, step_bytes, cache_bytes };
        let place = Place { partition, partitions };
        Partition(Shared::new(partition::Partition::new(place, limits, rules.0.clone(), sizes)))
    }

    /// Use other rules from the next step on.
    fn define(&self, rules: &Rules) {
        self.0.write(|inner| inner.define(rules.0.clone()));
    }

    /// A step begins.
    fn begin(&self, py: Python<'_>, stream_time_ms: i64, epoch: i64) {
        py.detach(|| self.0.write(|inner| inner.begin(stream_time_ms, epoch)));
    }

    // -- records ----------------------------------------------------------------------------------------

    /// Decode records `start` to `end` of a fetch: (odd ones by their place in the slice, missing row keys).
    fn read<'py>(
        &self,
        py: Python<'py>,
        fetched: &PyFetched,
        start: usize,
        end: usize,
    ) -> (Vec<usize>, Bound<'py, PyList>) {
        let part = Part { fetched: fetched.0.clone(), start, end };
        let (odd, missing) = py.detach(|| {
            let limits = self.0.read(|inner| inner.limits);
            let slice = Slice::read(part, &limits); // lookups need not wait for this
            self.0.write(|inner| inner.expect(slice))
        });
        (odd, keys(py, &missing))
    }

    /// What Python's reader made of an odd record (msgpack, `input::read_replaced`); None: a dead letter, or
    /// nobody's. Its row key, if that row is not in memory.
    fn replace<'py>(
        &self,
        py: Python<'py>,
        at: usize,
        record: Option<&[u8]>,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let missing = self.0.write(|inner| inner.replace(at, record));
        let missing = missing.map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(missing.map(|key| PyBytes::new(py, &key)))
    }

    /// Which of these row keys are not in memory.
    fn missing<'py>(&self, py: Python<'py>, of: Keys<'py>) -> Bound<'py, PyList> {
        let wanted: Vec<Key> = of.iter().map(|key| Key::from(key.as_bytes())).collect();
        let missing = py.detach(|| self.0.read(|inner| inner.missing(wanted.into_iter())));
        keys(py, &missing)
    }

    /// What the store has of rows; None: it has none.
    fn supply(&self, of: Keys<'_>, values: Vec<Option<Bound<'_, PyBytes>>>) -> PyResult<()> {
        self.0.write(|inner| {
            for (key, value) in of.iter().zip(&values) {
                if let Some(value) = value {
                    inner.supply(key.as_bytes(), value.as_bytes()).map_err(broken)?;
                }
            }
            Ok(())
        })
    }

    /// Apply the slice that was read: (records taken, stream time in ms, repartitioned [(place, user id)],
    /// refused [(place, bytes that the attributes would have)], whether the step is full).
    #[pyo3(signature = (source, floor, refused_before, is_unbounded=false))]
    #[allow(clippy::type_complexity)]
    fn take(
        &self,
        py: Python<'_>,
        source: u32,
        floor: i64,
        refused_before: Vec<i64>,
        is_unbounded: bool,
    ) -> PyResult<(usize, i64, Vec<(usize, String)>, Vec<(usize, usize)>, bool)> {
        let from = From { source, floor, refused_before, is_unbounded };
        let taken = py.detach(|| {
            let mut taking = self.0.write(partition::Partition::begin_taking);
            self.0.write_in_parts(|inner| inner.take_part(&mut taking, &from))?;
            Ok(taking.taken)
        });
        let taken = taken.map_err(broken)?;
        Ok((taken.taken, taken.stream_time_ms, taken.repartitioned, taken.refused, taken.is_full))
    }

    // -- timers -----------------------------------------------------------------------------------------

    /// (first instant to ask the store about, how many entries more than the limit) for `due`.
    fn due_search(&self) -> (i64, usize) {
        self.0.read(|inner| (inner.timers.floor_ms, inner.timers.hidden))
    }

    /// Up to `limit` entries before an instant, stored or staged. `stored`: what the store has of `due_search`.
    /// Where there are none, `quiet` follows.
    fn due<'py>(
        &self,
        py: Python<'py>,
        before_ms: i64,
        limit: usize,
        stored: PyTimers<'py>,
    ) -> PyTimers<'py> {
        let stored = given_timers(stored);
        let found = self.0.write(|inner| inner.timers.due(before_ms, limit, stored));
        timers(py, &found)
    }

    /// The last search found nothing, and the store's first entry after it is at this instant.
    #[pyo3(signature = (later_ms))]
    fn quiet(&self, later_ms: Option<i64>) {
        self.0.write(|inner| inner.timers.quiet(later_ms));
    }

    /// Whether `due` may find something: False is certain.
    fn may_be_due(&self, before_ms: i64) -> bool {
        self.0.read(|inner| inner.timers.may_be_due(before_ms))
    }

    /// All entries before this instant are handled.
    fn fired_until(&self, before_ms: i64) {
        self.0.write(|inner| inner.timers.fired_until(before_ms));
    }

    #[getter]
    fn timers_in_memory(&self) -> usize {
        self.0.read(|inner| inner.timers.in_memory())
    }

    /// Fire timers; rows that are not in memory by now don't exist: (how many were looked at, stale entries).
    fn fire<'py>(
        &self,
        py: Python<'py>,
        due: PyTimers<'py>,
        is_unbounded: bool,
    ) -> PyResult<(usize, PyTimers<'py>)> {
        let due = given_timers(due);
        let (mut looked, mut stale) = (0, Vec::new());
        let fired = py.detach(|| {
            self.0.write_in_parts(|inner| {
                let part = &due[looked..due.len().min(looked + PART)];
                let (some, mut of_no_row) = inner.fire(part, is_unbounded)?;
                looked += some;
                stale.append(&mut of_no_row);
                Ok(some == part.len() && looked < due.len())
            })
        });
        fired.map_err(broken)?;
        Ok((looked, timers(py, &stale)))
    }

    // -- what Python computed ---------------------------------------------------------------------------

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

    /// The step is as if it had not begun.
    fn rewind(&self) {
        self.0.write(partition::Partition::rewind);
    }

    /// Stream time of the step, whatever the core took.
    fn set_stream_time(&self, stream_time_ms: i64) {
        self.0.write(|inner| inner.set_stream_time(stream_time_ms));
    }

    #[getter]
    fn is_full(&self) -> bool {
        self.0.read(partition::Partition::is_full)
    }

    /// How many transitions the step has so far.
    #[getter]
    fn emitted(&self) -> usize {
        self.0.read(partition::Partition::emitted)
    }

    // -- the end of a step ------------------------------------------------------------------------------

    /// The step; or the keys of rows that, with their keys, have more than `most_bytes`: then nothing is changed.
    fn finish<'py>(
        &self,
        py: Python<'py>,
        number: u64,
        most_bytes: usize,
        stale: PyTimers<'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let stale = given_timers(stale);
        let made = py.detach(|| {
            self.0.read_then_write(partition::Partition::encode, |inner, encoded| {
                inner.finish(encoded, number, most_bytes, stale)
            })
        });
        match made {
            Ok(made) => Ok(Bound::new(py, Made(made))?.into_any()),
            Err(large) => Ok(keys(py, &large).into_any()),
        }
    }

    /// Finished batches of the changelog of steps, each with what comes before its rows and after them: (batch,
    /// records). None: some outbox needs chunks.
    fn changelog<'py>(
        &self,
        py: Python<'py>,
        steps: Vec<(Bound<'py, Made>, Vec<Written>, Vec<Written>)>,
        now_ms: i64,
        record_bytes: usize,
        batch_bytes: usize,
    ) -> Option<Vec<(Bound<'py, PyBytes>, u32)>> {
        let limits = LogLimits { record_bytes, batch_bytes };
        let steps: Vec<Logged> = steps
            .into_iter()
            .map(|(made, head, tail)| Logged { made: made.get().0.clone(), head, tail })
            .collect();
        let batches = py.detach(|| self.0.read(|inner| inner.changelog(&steps, now_ms, &limits)))?;
        Some(batches.into_iter().map(|(batch, records)| (PyBytes::new(py, &batch), records)).collect())
    }

    /// msgpack of a row's outbox as of a step; None: it is empty.
    fn outbox<'py>(&self, py: Python<'py>, key: &[u8], number: u64) -> Option<Bound<'py, PyBytes>> {
        self.reading(py, |inner| inner.outbox(key, number)).map(|bytes| PyBytes::new(py, &bytes))
    }

    /// The step's outputs are in Kafka.
    fn acked(&self, made: &Made) {
        self.0.write(|inner| inner.acked(&made.0));
    }

    /// The steps up to this one may go to the store.
    fn durable(&self, number: u64) {
        self.0.write(|inner| inner.durable(number));
    }

    #[getter]
    fn durable_rows(&self) -> usize {
        self.0.read(partition::Partition::durable_rows)
    }

    /// What the store must get of durable steps: (rows, timers added, dropped, members added, dropped).
    #[allow(clippy::type_complexity)]
    fn flush<'py>(
        &self,
        py: Python<'py>,
    ) -> (
        Vec<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)>,
        PyTimers<'py>,
        PyTimers<'py>,
        Vec<(u32, Bound<'py, PyBytes>)>,
        Vec<(u32, Bound<'py, PyBytes>)>,
    ) {
        let flush = py.detach(|| self.0.read(partition::Partition::flush));
        let members =
            |of: &[(u32, Key)]| of.iter().map(|(audience, key)| (*audience, PyBytes::new(py, key))).collect();
        (
            pairs(py, &flush.rows),
            timers(py, &flush.timers_added),
            timers(py, &flush.timers_dropped),
            members(&flush.members_added),
            members(&flush.members_dropped),
        )
    }

    /// The store has what `flush` gave.
    fn stored(&self, py: Python<'_>) {
        py.detach(|| self.0.write(partition::Partition::stored));
    }

    // -- reading ----------------------------------------------------------------------------------------

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

impl Partition {
    /// Read at once, or else wait without the GIL, because a step may need that to go on.
    fn reading<T: Send>(&self, py: Python<'_>, reader: impl Fn(&partition::Partition) -> T + Sync) -> T {
        self.0.try_read(&reader).unwrap_or_else(|| py.detach(|| self.0.read(&reader)))
    }
}

fn keys<'py>(py: Python<'py>, of: &[Key]) -> Bound<'py, PyList> {
    PyList::new(py, of.iter().map(|key| PyBytes::new(py, key))).expect("an exact length")
}

fn pairs<'py>(
    py: Python<'py>,
    of: &[(Key, crate::partition::slots::Bytes)],
) -> Vec<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
    of.iter().map(|(key, bytes)| (PyBytes::new(py, key), PyBytes::new(py, bytes))).collect()
}

fn timers<'py>(py: Python<'py>, of: &[Timer]) -> PyTimers<'py> {
    of.iter().map(|(ms, key)| (*ms, PyBytes::new(py, key))).collect()
}

fn given_timers(of: PyTimers<'_>) -> Vec<Timer> {
    of.into_iter().map(|(ms, key)| (ms, Key::from(key.as_bytes()))).collect()
}
