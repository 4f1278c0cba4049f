//! What is kept of an event until another one is held against it (`rules/conditions/patterns.py`, Layout.slots).

use blake2::digest::consts::U16;
use blake2::{Blake2b, Digest};
use smallvec::SmallVec;

use crate::conditions::UnreadableState;
use crate::predicates::Check;
use crate::predicates::paths::{Getter, Subject, elements_of};
use crate::row::Stored;
use crate::row::stored::list;
use crate::spec::Path;
use crate::value::Value;
use crate::value::msgpack::{Writer, write_value};

/// Longer texts are kept as digests where they are only compared for being equal.
const LONGEST_TEXT: usize = 64;

/// What is kept of one property of an event, or the truth of a test of it.
pub type Slot = Value<'static>;
/// What is kept of an event, as the condition's `Layout` says.
pub type Slots = Vec<Slot>;
/// By number of the binding: what an earlier event bound it to.
pub type Bindings<'s> = SmallVec<[&'s Slot; 2]>;

pub static NULL: Slot = Value::Null;

/// How the slots of a condition's events are made.
pub struct Layout {
    pub(super) extractors: Vec<Extractor>,
}

pub(super) enum Extractor {
    Value {
        path: Path,
        get: Getter,
        whole: bool,
    },
    Truth(Check),
    /// For each element of a list the slots that its own tests need.
    Elements {
        get: Getter,
        inside: Layout,
    },
}

impl Layout {
    pub fn is_empty(&self) -> bool {
        self.extractors.is_empty()
    }

    pub fn slots(&self, subject: Subject<'_, '_>, event_ms: i64) -> Slots {
        self.extractors.iter().map(|each| each.slot(subject, event_ms)).collect()
    }

    /// An event's slots from what the state has of them.
    pub fn read(&self, stored: Stored) -> Result<Slots, UnreadableState> {
        let slots = list(stored)?;
        if slots.len() != self.extractors.len() {
            let (found, wanted) = (slots.len(), self.extractors.len());
            return Err(UnreadableState(format!("an event has {found} slots, not {wanted}")));
        }
        self.extractors.iter().zip(slots).map(|(each, stored)| each.read(stored)).collect()
    }
}

impl Extractor {
    fn slot(&self, subject: Subject<'_, '_>, event_ms: i64) -> Slot {
        match self {
            Extractor::Value { get, whole, .. } => kept(get.get(subject), *whole),
            Extractor::Truth(check) => Value::Bool(check.holds_of(subject, event_ms)),
            Extractor::Elements { get, inside } => {
                let elements = elements_of(get.get(subject)).iter();
                let slots = elements.map(|each| Value::List(inside.slots(Subject::Value(each), event_ms)));
                Value::List(slots.collect())
            }
        }
    }

    fn read(&self, stored: Stored) -> Result<Slot, UnreadableState> {
        match (self, stored) {
            (Extractor::Value { .. }, stored) => kept_value(stored),
            (Extractor::Truth(_), Stored::Bool(is)) => Ok(Value::Bool(is)),
            (Extractor::Elements { inside, .. }, stored) => {
                let elements = list(stored)?.into_iter().map(|each| inside.read(each).map(Value::List));
                Ok(Value::List(elements.collect::<Result<_, _>>()?))
            }
            (Extractor::Truth(_), _) => {
                Err(UnreadableState("a test's truth is kept as true or false".into()))
            }
        }
    }
}

/// A property's value as it is stored until another event is held against it.
fn kept(value: Option<&Value<'_>>, whole: bool) -> Slot {
    match value {
        None | Some(Value::Null | Value::Map(_)) => Value::Null, // a map equals nothing, and has nothing in order
        Some(Value::List(items)) if whole => {
            let scalars = items.iter().filter(|each| !matches!(each, Value::List(_)));
            Value::List(scalars.map(|each| kept(Some(each), true)).collect())
        }
        Some(Value::List(_)) => Value::Null,
        Some(Value::Str(text)) if !whole && is_digested(text) => Value::Str(digest(text).into()),
        Some(scalar) => scalar.clone().into_owned(),
    }
}

fn is_digested(text: &str) -> bool {
    text.starts_with('\0') || (text.len() > LONGEST_TEXT && text.chars().count() > LONGEST_TEXT)
}

fn digest(text: &str) -> String {
    let hash = Blake2b::<U16>::digest(text.as_bytes());
    let mut written = String::from("\0");
    for byte in hash {
        written.extend([byte >> 4, byte & 15].map(|half| char::from_digit(half.into(), 16).unwrap_or('0')));
    }
    written
}

/// What tells apart what operators tell apart: 1 from true, but not from 1.0.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Identity<'s> {
    /// Null, or what is as an operand of the wrong type, and acts as missing.
    Nothing,
    Bool(bool),
    Whole(i64),
    /// The bits of a number that isn't whole, or too large.
    Float(u64),
    Text(&'s str),
}

pub fn identity(value: &Slot) -> Identity<'_> {
    match value {
        Value::Null | Value::List(_) | Value::Map(_) => Identity::Nothing,
        Value::Bool(is) => Identity::Bool(*is),
        Value::Int(number) => Identity::Whole(*number),
        Value::Float(number) => {
            let is_whole = number.trunc() == *number && (-(2f64.powi(63))..2f64.powi(63)).contains(number);
            if is_whole { Identity::Whole(*number as i64) } else { Identity::Float(number.to_bits()) }
        }
        Value::Str(text) => Identity::Text(text),
    }
}

/// Of each event, its slots.
pub fn write_slots(out: &mut Writer<'_>, events: &[Slots]) {
    out.array_header(events.len());
    for slots in events {
        out.array_header(slots.len());
        slots.iter().for_each(|slot| write_value(out, slot));
    }
}

/// What was kept of a property, or an element of it: a scalar, or a list of such.
pub fn kept_value(stored: Stored) -> Result<Slot, UnreadableState> {
    Ok(match stored {
        Stored::Nil => Value::Null,
        Stored::Bool(is) => Value::Bool(is),
        Stored::Int(number) => Value::Int(number),
        Stored::Float(number) => Value::Float(number),
        Stored::Str(text) => Value::Str(String::from(text).into()),
        items @ Stored::List(_) => {
            Value::List(list(items)?.into_iter().map(kept_scalar).collect::<Result<_, _>>()?)
        }
        Stored::UInt(_) | Stored::Bytes(_) | Stored::Map(_) => {
            return Err(UnreadableState("an event's value is neither a scalar nor a list of such".into()));
        }
    })
}

fn kept_scalar(stored: Stored) -> Result<Slot, UnreadableState> {
    match stored {
        Stored::List(_) => Err(UnreadableState("a list in a list is kept of no event".into())),
        scalar => kept_value(scalar),
    }
}
