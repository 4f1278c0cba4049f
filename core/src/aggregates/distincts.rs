//! Conditions on the number of different values of a property (`rules/aggregates/distincts.py`).

use std::borrow::Cow;
use std::hash::{Hash, Hasher};

use blake2::digest::consts::U16;
use blake2::{Blake2b, Digest};

use super::aggregate_condition::{Aggregated, next_expiry_timer, position, position_or};
use crate::conditions::{Condition, Taken, UnreadableState};
use crate::predicates::paths::Getter;
use crate::row::codec::write_refs;
use crate::row::event_times::{instants, place, reference, slots, time_of};
use crate::row::{Refs, Row, State, Stored};
use crate::value::Value;
use crate::value::msgpack::Writer;

/// The state of both kinds: [values] for ever, [references ascending by time, values] in a window.
#[derive(Clone, Debug, Default)]
pub struct Distinct {
    refs: Refs,
    values: Vec<Different<'static>>,
}

impl Distinct {
    /// One for each value in a window; none of values for ever.
    pub fn refs(&self) -> &[u32] {
        &self.refs
    }

    /// [references, values] in a window, the values alone for ever.
    pub fn write(&self, out: &mut Writer<'_>) {
        if !self.refs.is_empty() {
            out.array_header(2);
            write_refs(out, &self.refs);
        }
        out.array_header(self.values.len());
        self.values.iter().for_each(|each| each.write(out));
    }
}

/// What `distinct` tells values apart by: strings, numbers and booleans.
#[derive(Clone, Debug, PartialEq)]
pub enum Different<'v> {
    Text(Cow<'v, str>),
    Int(i64),
    /// Only above what an `Int` holds.
    UInt(u64),
    /// Never a whole number.
    Float(f64),
}

impl Eq for Different<'_> {}

impl Hash for Different<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Different::Text(text) => text.hash(state),
            Different::Int(whole) => whole.hash(state),
            Different::UInt(whole) => whole.hash(state),
            Different::Float(number) => number.to_bits().hash(state),
        }
    }
}

impl<'v> Different<'v> {
    /// What tells a property's value from others; `None` for what takes no part.
    pub fn of(value: Option<&'v Value<'_>>) -> Option<Different<'v>> {
        Some(match value? {
            Value::Str(text) if is_long(text) || text.starts_with('\0') => hashed(text.as_bytes()),
            Value::Str(text) => Different::Text(Cow::Borrowed(text)),
            Value::Bool(true) => Different::Text(Cow::Borrowed("\0true")),
            Value::Bool(false) => Different::Text(Cow::Borrowed("\0false")),
            Value::Int(whole) => Different::Int(*whole),
            Value::Float(number) if number.is_finite() && number.fract() == 0.0 => whole(*number),
            Value::Float(number) => Different::Float(*number),
            Value::Null | Value::List(_) | Value::Map(_) => return None,
        })
    }

    pub fn into_owned(self) -> Different<'static> {
        match self {
            Different::Text(text) => Different::Text(Cow::Owned(text.into_owned())),
            Different::Int(whole) => Different::Int(whole),
            Different::UInt(whole) => Different::UInt(whole),
            Different::Float(number) => Different::Float(number),
        }
    }

    fn write(&self, out: &mut Writer<'_>) {
        match self {
            Different::Text(text) => out.str(text),
            Different::Int(whole) => out.int(*whole),
            Different::UInt(whole) => out.uint(*whole),
            Different::Float(number) => out.float(*number),
        }
    }

    pub fn stored(&self) -> Stored {
        match self {
            Different::Text(text) => Stored::Str(text.as_ref().into()),
            Different::Int(whole) => Stored::Int(*whole),
            Different::UInt(whole) => Stored::UInt(*whole),
            Different::Float(number) => Stored::Float(*number),
        }
    }
}

/// Longer than 64 characters.
fn is_long(text: &str) -> bool {
    text.len() > 64 && text.chars().nth(64).is_some()
}

/// The whole number that a float is; too long to be stored as it is, its hash.
fn whole(number: f64) -> Different<'static> {
    const LIMIT: f64 = (1u64 << 63) as f64;
    if (-LIMIT..LIMIT).contains(&number) {
        Different::Int(number as i64)
    } else if (LIMIT..2.0 * LIMIT).contains(&number) {
        Different::UInt(number as u64)
    } else {
        hashed(format!("{number:.0}").as_bytes())
    }
}

fn hashed(bytes: &[u8]) -> Different<'static> {
    let mut text = String::with_capacity(33);
    text.push('\0');
    for byte in Blake2b::<U16>::digest(bytes) {
        for half in [byte >> 4, byte & 15] {
            text.push(char::from_digit(half.into(), 16).unwrap_or('0'));
        }
    }
    Different::Text(Cow::Owned(text))
}

/// Different values, as `Different::stored` has them.
pub fn read_different(stored: Stored) -> Result<Vec<Different<'static>>, UnreadableState> {
    let unreadable = || UnreadableState("different values are a list of texts and numbers".into());
    let Stored::List(parts) = stored else { return Err(unreadable()) };
    let one = |part| {
        Some(match part {
            Stored::Str(text) => Different::Text(Cow::Owned(text.into())),
            Stored::Int(whole) => Different::Int(whole),
            Stored::UInt(whole) => i64::try_from(whole).map_or(Different::UInt(whole), Different::Int),
            Stored::Float(number) => Different::Float(number),
            _ => return None,
        })
    };
    parts.into_iter().map(one).collect::<Option<_>>().ok_or_else(unreadable)
}

/// State: the different values, no more than the comparisons can tell apart.
pub struct DistinctEver {
    common: Aggregated,
    get: Getter,
    bound: usize,
}

impl DistinctEver {
    pub fn new(common: Aggregated, get: Getter) -> DistinctEver {
        DistinctEver { bound: common.count_bound(), common, get }
    }
}

fn distinct_of(state: Option<&State>) -> Option<&Distinct> {
    if let Some(State::Distinct(distinct)) = state { Some(distinct) } else { None }
}

impl Condition for DistinctEver {
    fn key(&self) -> u32 {
        self.common.key
    }

    fn has_timers(&self) -> bool {
        false
    }

    fn value(&self, _row: &Row, state: Option<&State>, _at_ms: i64) -> bool {
        self.common.holds(distinct_of(state).map_or(0, |distinct| distinct.values.len()))
    }

    fn next_timer(&self, _row: &Row, _state: &State, _after_ms: i64) -> Option<i64> {
        None
    }

    fn update(&self, row: &mut Row, event: &Taken<'_, '_>, touched: &mut Vec<u32>) -> bool {
        if !self.common.admits(event) {
            return false;
        }
        let Some(value) = Different::of(self.get.of(event.properties)) else { return false };
        let key = self.common.key;
        let index = position_or(row, key, || State::Distinct(Box::default()));
        let State::Distinct(distinct) = &mut row.conditions[index].1 else { return false };
        let number = distinct.values.len();
        if number >= self.bound || distinct.values.contains(&value) {
            return false;
        }
        distinct.values.push(value.into_owned());
        if self.common.holds(number + 1) != self.common.holds(number) {
            touched.push(key);
        }
        true
    }

    fn read(&self, stored: Stored) -> Result<State, UnreadableState> {
        Ok(State::Distinct(Box::new(Distinct { refs: Refs::new(), values: read_different(stored)? })))
    }
}

/// State: [references ascending by time, the events' values]: the latest values, no more than it takes.
pub struct DistinctWithin {
    common: Aggregated,
    get: Getter,
    length_ms: i64,
    bound: usize,
}

impl DistinctWithin {
    pub fn new(common: Aggregated, get: Getter, length_ms: i64) -> DistinctWithin {
        DistinctWithin { bound: common.count_bound(), common, get, length_ms }
    }

    /// Keep a value at the latest time at which it came; it is among the latest.
    fn put(&self, row: &mut Row, index: usize, event_ms: i64, value: Different<'_>) {
        let slot = reference(row, event_ms);
        let mut kept = None;
        if let State::Distinct(distinct) = &mut row.conditions[index].1
            && let Some(known) = distinct.values.iter().position(|each| *each == value)
        {
            distinct.refs.remove(known);
            kept = Some(distinct.values.remove(known));
        }
        let refs = distinct_of(Some(&row.conditions[index].1)).map_or(&[][..], Distinct::refs);
        let at = place(row, refs, event_ms);
        if let State::Distinct(distinct) = &mut row.conditions[index].1 {
            distinct.refs.insert(at, slot);
            distinct.values.insert(at, kept.unwrap_or_else(|| value.into_owned()));
        }
    }

    /// Whether a value at this time is news: neither known at it or later, nor too early to be kept.
    fn is_news(&self, row: &Row, event_ms: i64, value: &Different<'_>) -> bool {
        let Some(distinct) = distinct_of(row.state(self.common.key)) else { return true };
        let oldest = match distinct.values.iter().position(|each| each == value) {
            Some(known) => distinct.refs.get(known),
            None if distinct.values.len() < self.bound => None,
            None => distinct.refs.first(),
        };
        oldest.is_none_or(|slot| time_of(row, *slot) < event_ms)
    }
}

impl Condition for DistinctWithin {
    fn key(&self) -> u32 {
        self.common.key
    }

    fn has_timers(&self) -> bool {
        true
    }

    fn value(&self, row: &Row, state: Option<&State>, at_ms: i64) -> bool {
        let refs = distinct_of(state).map_or(&[][..], Distinct::refs);
        self.common.holds(refs.len() - place(row, refs, at_ms - self.length_ms))
    }

    fn next_timer(&self, row: &Row, state: &State, after_ms: i64) -> Option<i64> {
        let times = instants(row, distinct_of(Some(state))?.refs());
        next_expiry_timer(&times, self.length_ms, after_ms, |count| self.common.holds(count))
    }

    fn update(&self, row: &mut Row, event: &Taken<'_, '_>, touched: &mut Vec<u32>) -> bool {
        if !self.common.admits(event) {
            return false;
        }
        let key = self.common.key;
        let before = self.value(row, row.state(key), event.decided_ms);
        let horizon = event.now_ms - self.length_ms;
        let value = Different::of(self.get.of(event.properties))
            .filter(|value| event.event_ms > horizon && self.is_news(row, event.event_ms, value));
        let is_news = value.is_some();
        let index = match value {
            Some(value) => {
                let index = position_or(row, key, || State::Distinct(Box::default()));
                self.put(row, index, event.event_ms, value);
                index
            }
            None => match position(row, key) {
                Some(index) => index,
                None => return false,
            },
        };
        let refs = distinct_of(Some(&row.conditions[index].1)).map_or(&[][..], Distinct::refs);
        let gone = place(row, refs, horizon).max(refs.len().saturating_sub(self.bound));
        if !is_news && gone == 0 {
            return false;
        }
        if gone == refs.len() {
            row.conditions.remove(index);
        } else if let State::Distinct(distinct) = &mut row.conditions[index].1 {
            distinct.refs.drain(..gone);
            distinct.values.drain(..gone);
        }
        if !self.common.compare.is_at_least() || self.value(row, row.state(key), event.now_ms) != before {
            touched.push(key);
        }
        true
    }

    fn read(&self, stored: Stored) -> Result<State, UnreadableState> {
        let unreadable = || UnreadableState("different values in a window are references and values".into());
        let Stored::List(parts) = stored else { return Err(unreadable()) };
        let Ok([Stored::Str(refs), values]) = <[Stored; 2]>::try_from(parts) else {
            return Err(unreadable());
        };
        let (refs, values) = (slots(&refs), read_different(values)?);
        if refs.len() != values.len() {
            return Err(unreadable());
        }
        Ok(State::Distinct(Box::new(Distinct { refs, values })))
    }
}
