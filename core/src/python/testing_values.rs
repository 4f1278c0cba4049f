//! Values, records and transitions by themselves, for the tests that compare them with Python's (`tests/core`).
//! What can't be read is None, so that a test may say which of both refused.

use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::input::{self, Record, Says, Update};
use crate::output::{Outbox, Output, Transition};
use crate::time::instants;
use crate::value::json_read::read_json;
use crate::value::json_write::write_json;
use crate::value::msgpack::{Reader, Writer, read_stored, read_value, write_map, write_stored, write_value};
use crate::value::number::{Number, bounded_sum, equal, key_of, same_value};
use crate::value::{Map, Value};

pub fn register(testing: &Bound<'_, PyModule>) -> PyResult<()> {
    testing.add_function(wrap_pyfunction!(json_again, testing)?)?;
    testing.add_function(wrap_pyfunction!(json_to_msgpack, testing)?)?;
    testing.add_function(wrap_pyfunction!(value_again, testing)?)?;
    testing.add_function(wrap_pyfunction!(value_to_json, testing)?)?;
    testing.add_function(wrap_pyfunction!(stored_again, testing)?)?;
    testing.add_function(wrap_pyfunction!(parse_instant, testing)?)?;
    testing.add_function(wrap_pyfunction!(number_ms, testing)?)?;
    testing.add_function(wrap_pyfunction!(format_instant, testing)?)?;
    testing.add_function(wrap_pyfunction!(read_record, testing)?)?;
    testing.add_function(wrap_pyfunction!(replaced_again, testing)?)?;
    testing.add_function(wrap_pyfunction!(transition, testing)?)?;
    testing.add_function(wrap_pyfunction!(outbox_again, testing)?)?;
    testing.add_function(wrap_pyfunction!(compare, testing)?)?;
    testing.add_function(wrap_pyfunction!(sum, testing)?)?;
    Ok(())
}

#[pyfunction]
fn json_again(json: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    write_json(&mut out, &read_json(json).ok()?);
    Some(out)
}

#[pyfunction]
fn json_to_msgpack(json: &[u8]) -> Option<Vec<u8>> {
    Some(packed(&read_json(json).ok()?))
}

#[pyfunction]
fn value_again(msgpack: &[u8]) -> Option<Vec<u8>> {
    Some(packed(&whole_value(msgpack)?))
}

#[pyfunction]
fn value_to_json(msgpack: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    write_json(&mut out, &whole_value(msgpack)?);
    Some(out)
}

#[pyfunction]
fn stored_again(msgpack: &[u8]) -> Option<Vec<u8>> {
    let mut reader = Reader::new(msgpack);
    let stored = read_stored(&mut reader).ok()?;
    reader.end().ok()?;
    let mut out = Vec::new();
    write_stored(&mut Writer(&mut out), &stored);
    Some(out)
}

#[pyfunction]
fn parse_instant(value: &Bound<'_, PyAny>) -> PyResult<Option<i64>> {
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(instants::parse_instant(&text.to_cow()?));
    }
    Ok(instants::instant_of(number(value)?))
}

#[pyfunction]
fn number_ms(value: &Bound<'_, PyAny>) -> PyResult<Option<String>> {
    Ok(instants::number_ms(number(value)?).map(|ms| ms.to_string()))
}

#[pyfunction]
fn format_instant(ms: i64) -> Vec<u8> {
    instants::format_instant(ms).to_vec()
}

/// As `input::read_replaced` takes it.
#[pyfunction]
fn read_record(value: &[u8], timestamp_ms: i64, max_bytes: usize) -> Option<Vec<u8>> {
    input::read(value, timestamp_ms, max_bytes).map(|record| record_bytes(&record.into_owned()))
}

#[pyfunction]
fn replaced_again(msgpack: &[u8], timestamp_ms: i64) -> Option<Vec<u8>> {
    input::read_replaced(msgpack, timestamp_ms).ok().map(|record| record_bytes(&record))
}

type Written = (Vec<u8>, Vec<(&'static str, Vec<u8>)>, Vec<u8>);

/// Body, headers and msgpack of a transition.
#[pyfunction]
fn transition(msgpack: &[u8]) -> Option<Written> {
    let transition = Transition::read(&mut Reader::new(msgpack)).ok()?;
    let output = Output::new(&transition);
    let (mut body, mut again) = (Vec::new(), Vec::new());
    output.write_body(&mut body);
    transition.write(&mut Writer(&mut again));
    let headers = output.headers().into_iter().map(|(name, value)| (name, value.into_owned())).collect();
    Some((body, headers, again))
}

#[pyfunction]
fn outbox_again(msgpack: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    Outbox::read(msgpack).ok()?.write(&mut out);
    Some(out)
}

/// Of two JSON values: whether they are the same, equal for Python, have equal keys; and the order of numbers.
#[pyfunction]
fn compare(one: &[u8], other: &[u8]) -> Option<(bool, bool, bool, Option<i8>)> {
    let (one, other) = (read_json(one).ok()?, read_json(other).ok()?);
    let order = Number::of(&one).zip(Number::of(&other)).and_then(|(one, other)| one.partial_cmp(&other));
    Some((
        same_value(&one, &other),
        equal(&one, &other),
        key_of(&one) == key_of(&other),
        order.map(|order| order as i8),
    ))
}

#[pyfunction]
fn sum(one: &Bound<'_, PyAny>, other: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    Ok(packed(&bounded_sum(number(one)?, number(other)?).value()))
}

fn number(value: &Bound<'_, PyAny>) -> PyResult<Number> {
    match value.extract::<i64>() {
        Ok(whole) => Ok(Number::Int(whole)),
        Err(_) => Ok(Number::Float(value.extract()?)),
    }
}

fn packed(value: &Value<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    write_value(&mut Writer(&mut out), value);
    out
}

fn whole_value(msgpack: &[u8]) -> Option<Value<'static>> {
    let mut reader = Reader::new(msgpack);
    let value = read_value(&mut reader).ok()?;
    reader.end().ok()?;
    Some(value)
}

fn record_bytes(record: &Record<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = Writer(&mut out);
    let (nothing, no_change) = (Map::default(), Update::default());
    let (kind, event, properties, update) = match &record.says {
        Says::Event { name, properties } => ("track", Some(&**name), properties, &no_change),
        Says::Update(update) => ("profile", None, &nothing, &**update),
    };
    writer.array_header(14);
    writer.str(&record.user_id);
    writer.str(&record.project);
    writer.str(kind);
    writer.optional_str(record.id.as_deref());
    writer.optional_str(event);
    writer.optional_int(record.has_time.then_some(record.time_ms));
    write_map(&mut writer, properties);
    writer.map_header(record.identities.len());
    for (name, identity) in &record.identities {
        writer.str(name);
        writer.str(identity);
    }
    write_update(&mut writer, update);
    out
}

fn write_update(writer: &mut Writer<'_>, update: &Update<'_>) {
    write_map(writer, &update.set);
    write_map(writer, &update.set_once);
    writer.array_header(update.unset.len());
    update.unset.iter().for_each(|name| writer.str(name));
    writer.map_header(update.add.len());
    for (name, amount) in &update.add {
        writer.str(name);
        write_value(writer, &amount.value());
    }
    writer.map_header(update.append.len());
    for (name, items) in &update.append {
        writer.str(name);
        writer.array_header(items.len());
        items.iter().for_each(|item| write_value(writer, item));
    }
    writer.bool(update.unset_all);
}
