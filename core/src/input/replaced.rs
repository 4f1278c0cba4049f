//! Records that Python's readers made of what the core can't read by itself: msgpack of a list
//! `[user_id, project, type, id, event, time_ms or nil, properties, identities, set, set_once, unset, add,
//! append, unset_all]`, where any of those from `properties` on may be nil. What the record's type doesn't use
//! is skipped: Python has not checked it.

use std::borrow::Cow;

use super::record::{Named, Record, Says, Update};
use crate::value::Map;
use crate::value::Value;
use crate::value::msgpack::{MsgpackError, Reader, read_value};
use crate::value::number::Number;

const FIELDS: usize = 14;

/// What Python made of a record. An error is a bug in whoever wrote the bytes.
pub fn read_replaced(bytes: &[u8], timestamp_ms: i64) -> Result<Record<'static>, MsgpackError> {
    let mut reader = Reader::new(bytes);
    if reader.array_header()? != FIELDS {
        return Err(MsgpackError::Expected("a list of 14 fields", bytes.first().copied().unwrap_or(0)));
    }
    let user_id = text(&mut reader)?;
    let project = text(&mut reader)?;
    let is_event = reader.str()? == "track";
    let id = optional_text(&mut reader)?;
    let event = optional_text(&mut reader)?;
    let time_ms = reader.optional_int()?;
    let (properties, identities, update, has_attributes);
    if is_event {
        properties = map(&mut reader)?;
        identities = named(&mut reader, text)?;
        has_attributes = skip_changes(&mut reader)?;
        update = Update::default();
    } else {
        reader.skip()?;
        properties = Map::default();
        identities = named(&mut reader, text)?;
        update = read_update(&mut reader)?;
        has_attributes = update.has_attributes();
    }
    reader.end()?;
    Ok(Record {
        user_id,
        project,
        id,
        time_ms: time_ms.unwrap_or(timestamp_ms),
        has_time: time_ms.is_some(),
        identities,
        has_attributes,
        says: if is_event {
            Says::Event { name: event.unwrap_or_default(), properties }
        } else {
            Says::Update(Box::new(update))
        },
    })
}

fn read_update(reader: &mut Reader<'_>) -> Result<Update<'static>, MsgpackError> {
    Ok(Update {
        set: map(reader)?,
        set_once: map(reader)?,
        unset: texts(reader)?,
        add: named(reader, number)?,
        append: named(reader, list)?,
        unset_all: if reader.nil()? { false } else { reader.bool()? },
    })
}

/// What an event says of attributes has no effect and is not checked, so it may hold whatever msgpack can:
/// whether anything would be set.
fn skip_changes(reader: &mut Reader<'_>) -> Result<bool, MsgpackError> {
    let mut has_attributes = false;
    for field in ["set", "set_once", "unset", "add", "append", "unset_all"] {
        let is_empty = matches!(reader.skip()?, [0xc0 | 0x80]);
        has_attributes |= !is_empty && !field.starts_with("unset");
    }
    Ok(has_attributes)
}

fn text(reader: &mut Reader<'_>) -> Result<Cow<'static, str>, MsgpackError> {
    Ok(Cow::Owned(reader.str()?.to_owned()))
}

fn optional_text(reader: &mut Reader<'_>) -> Result<Option<Cow<'static, str>>, MsgpackError> {
    if reader.nil()? { Ok(None) } else { text(reader).map(Some) }
}

fn map(reader: &mut Reader<'_>) -> Result<Map<'static>, MsgpackError> {
    match read_value(reader)? {
        Value::Map(map) => Ok(*map),
        Value::Null => Ok(Map::default()),
        _ => Err(MsgpackError::Expected("a map or nil", 0)),
    }
}

fn list(reader: &mut Reader<'_>) -> Result<Vec<Value<'static>>, MsgpackError> {
    match read_value(reader)? {
        Value::List(items) => Ok(items),
        _ => Err(MsgpackError::Expected("an array", 0)),
    }
}

fn number(reader: &mut Reader<'_>) -> Result<Number, MsgpackError> {
    Number::of(&read_value(reader)?).ok_or(MsgpackError::Expected("a number", 0))
}

fn named<V>(
    reader: &mut Reader<'_>,
    value: impl Fn(&mut Reader<'_>) -> Result<V, MsgpackError>,
) -> Result<Named<'static, V>, MsgpackError> {
    let mut found = Named::default();
    if !reader.nil()? {
        for _ in 0..reader.map_header()? {
            let name = text(reader)?;
            found.insert(name, value(reader)?);
        }
    }
    Ok(found)
}

fn texts(reader: &mut Reader<'_>) -> Result<Vec<Cow<'static, str>>, MsgpackError> {
    let mut found = Vec::new();
    if !reader.nil()? {
        for _ in 0..reader.array_header()? {
            found.push(text(reader)?);
        }
    }
    Ok(found)
}
