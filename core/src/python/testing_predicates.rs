//! Predicates, calendars and schedules by themselves, for the tests that compare them with Python's
//! (`tests/core`). Objects come as msgpack.

use std::sync::Arc;

use indexmap::IndexMap;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use serde::Deserialize;

use super::UnknownRule;
use crate::conditions::attributes::AttributeCondition;
use crate::predicates::paths::Subject;
use crate::predicates::{self, Tables};
use crate::row::Row;
use crate::spec::{PredicateSpec, ScheduleSpec};
use crate::time::calendar::{self, Unit};
use crate::time::schedules;
use crate::value::msgpack::{Reader, read_value};
use crate::value::{Map, Value};

/// What tables are made of, as in a rule set's spec.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TablesSpec {
    zones: IndexMap<String, Vec<(i64, i64)>>,
    folds: IndexMap<String, String>,
}

fn json<'j, T: Deserialize<'j>>(text: &'j [u8]) -> PyResult<T> {
    serde_json::from_slice(text).map_err(|error| UnknownRule::new_err(error.to_string()))
}

fn unknown(rule: crate::spec::UnknownRule) -> PyErr {
    UnknownRule::new_err(rule.to_string())
}

fn object(packed: &[u8]) -> PyResult<Map<'static>> {
    match read_value(&mut Reader::new(packed)) {
        Ok(Value::Map(map)) => Ok(*map),
        other => Err(PyValueError::new_err(format!("{other:?}"))),
    }
}

fn tables(text: &[u8]) -> PyResult<Tables> {
    let spec: TablesSpec = json(text)?;
    Ok(Tables::new(&spec.zones, &spec.folds))
}

/// A predicate over an object: `rules.predicates.dates.compile_dated_predicate`.
#[pyclass(frozen)]
pub struct Predicate(predicates::Check);

#[pymethods]
impl Predicate {
    #[new]
    fn new(spec: &[u8], zone: &str, table: &[u8]) -> PyResult<Predicate> {
        let locale = tables(table)?.locale(zone).map_err(unknown)?;
        let spec: PredicateSpec = json(spec)?;
        Ok(Predicate(predicates::compile(&spec, &locale).map_err(unknown)?))
    }

    fn holds(&self, packed: &[u8], at_ms: i64) -> PyResult<bool> {
        Ok(self.0.holds_at(&object(packed)?, at_ms))
    }

    fn next_change(&self, packed: &[u8], after_ms: i64) -> PyResult<i64> {
        Ok(self.0.next_change(Subject::Object(&object(packed)?), after_ms))
    }
}

/// A condition on attributes: `rules.conditions.attributes.compile_attribute`.
#[pyclass(frozen)]
pub struct Attribute(AttributeCondition);

#[pymethods]
impl Attribute {
    #[new]
    fn new(spec: &[u8], zone: &str, table: &[u8]) -> PyResult<Attribute> {
        let locale = tables(table)?.locale(zone).map_err(unknown)?;
        Ok(Attribute(AttributeCondition::build(&json(spec)?, &locale).map_err(unknown)?))
    }

    /// (truth at the instant, when it may change after it)
    fn at(
        &self,
        packed: &[u8],
        changed_ms: Vec<(String, i64)>,
        changed_paths: Vec<(String, i64)>,
        at_ms: i64,
    ) -> PyResult<(bool, i64)> {
        let mut row = Row::bare(0);
        row.attributes = object(packed)?;
        row.changed_ms.extend(changed_ms.into_iter().map(|(name, at_ms)| (name.into(), at_ms)));
        row.changed_paths.extend(changed_paths.into_iter().map(|(name, at_ms)| (name.into(), at_ms)));
        Ok((self.0.truth(&row, at_ms), self.0.change(&row, at_ms)))
    }
}

/// `rules.time.calendar.Calendar`.
#[pyclass(frozen)]
pub struct Calendar(Arc<calendar::Calendar>);

fn unit_of(name: &str) -> PyResult<Unit> {
    Unit::of(name).ok_or_else(|| PyValueError::new_err(name.to_owned()))
}

#[pymethods]
impl Calendar {
    #[new]
    fn new(zone: &str, table: Vec<(i64, i64)>) -> Calendar {
        Calendar(Arc::new(calendar::Calendar::new(zone, &table)))
    }

    fn bounds(&self, unit: &str, at_ms: i64) -> PyResult<(i64, i64, i64)> {
        let found = self.0.bounds(unit_of(unit)?, at_ms);
        Ok((found.start_ms, found.end_ms, found.number))
    }

    fn start(&self, unit: &str, number: i64) -> PyResult<i64> {
        Ok(self.0.start(unit_of(unit)?, number))
    }

    fn ordinal(&self, at_ms: i64) -> i64 {
        self.0.date(at_ms).ordinal()
    }

    /// `wall_ms`: what the clock shows, as if it were UTC.
    fn instants(&self, wall_ms: i64) -> (i64, Option<i64>) {
        self.0.instants(wall_ms)
    }
}

/// `rules.time.schedules.ComputeInstants`.
#[pyclass(frozen)]
pub struct Schedule(schedules::Schedule);

#[pymethods]
impl Schedule {
    #[new]
    fn new(spec: &[u8], calendar: &Calendar, created_ms: i64) -> PyResult<Schedule> {
        let spec: ScheduleSpec = json(spec)?;
        Ok(Schedule(schedules::Schedule::build(&spec, &calendar.0, created_ms).map_err(unknown)?))
    }

    fn latest(&self, at_ms: i64) -> Option<i64> {
        self.0.latest(at_ms)
    }

    fn next(&self, after_ms: i64) -> Option<i64> {
        self.0.next(after_ms)
    }
}

/// `rules.predicates.operators.compile_pattern`.
#[pyclass(frozen)]
pub struct Pattern(predicates::re2::Pattern);

#[pymethods]
impl Pattern {
    #[new]
    fn new(pattern: &str) -> PyResult<Pattern> {
        Ok(Pattern(predicates::re2::Pattern::compile(pattern).map_err(unknown)?))
    }

    fn is_found_in(&self, text: &str) -> bool {
        self.0.is_found_in(text)
    }
}

pub fn register(testing: &Bound<'_, PyModule>) -> PyResult<()> {
    testing.add_class::<Predicate>()?;
    testing.add_class::<Attribute>()?;
    testing.add_class::<Pattern>()?;
    testing.add_class::<Calendar>()?;
    testing.add_class::<Schedule>()
}
