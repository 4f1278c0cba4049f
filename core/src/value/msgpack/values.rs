//! Values of events and attributes, and states as they are stored.

use std::borrow::Cow;

use super::{MsgpackError, Reader, Writer};
use crate::row::Stored;
use crate::value::{Map, Value};

/// A value with bytes of its own. Raw bytes, extensions, keys that are no text and whole numbers beyond 64 bits
/// are errors: Python's readers let none of them into events or attributes.
pub fn read_value(reader: &mut Reader<'_>) -> Result<Value<'static>, MsgpackError> {
    Ok(match reader.peek()? {
        0xc0 => {
            reader.nil()?;
            Value::Null
        }
        0xc2 | 0xc3 => Value::Bool(reader.bool()?),
        0xca | 0xcb => Value::Float(reader.float()?),
        0xa0..0xc0 | 0xd9..0xdc => Value::Str(Cow::Owned(reader.str()?.to_owned())),
        0x90..0xa0 | 0xdc | 0xdd => {
            let items = reader.array_header()?;
            let mut list = Vec::with_capacity(Reader::reserved(items));
            reader.nested(|inner| {
                for _ in 0..items {
                    list.push(read_value(inner)?);
                }
                Ok(())
            })?;
            Value::List(list)
        }
        0x80..0x90 | 0xde | 0xdf => Value::Map(Box::new(read_map(reader)?)),
        _ => Value::Int(reader.int()?),
    })
}

/// A map of values by name. Of a name that comes twice, the last value in the first place, as a Python dict.
fn read_map(reader: &mut Reader<'_>) -> Result<Map<'static>, MsgpackError> {
    let entries = reader.map_header()?;
    let mut map = Map::default();
    map.reserve(Reader::reserved(entries));
    reader.nested(|inner| {
        for _ in 0..entries {
            let name = Cow::Owned(inner.str()?.to_owned());
            map.insert(name, read_value(inner)?);
        }
        Ok(())
    })?;
    Ok(map)
}

pub fn write_value(writer: &mut Writer<'_>, value: &Value<'_>) {
    match value {
        Value::Null => writer.nil(),
        Value::Bool(is) => writer.bool(*is),
        Value::Int(number) => writer.int(*number),
        Value::Float(number) => writer.float(*number),
        Value::Str(text) => writer.str(text),
        Value::List(items) => {
            writer.array_header(items.len());
            items.iter().for_each(|item| write_value(writer, item));
        }
        Value::Map(map) => write_map(writer, map),
    }
}

pub fn write_map(writer: &mut Writer<'_>, map: &Map<'_>) {
    writer.map_header(map.len());
    for (name, value) in map {
        writer.str(name);
        write_value(writer, value);
    }
}

/// A state as it is stored. Extensions are errors.
pub fn read_stored(reader: &mut Reader<'_>) -> Result<Stored, MsgpackError> {
    Ok(match reader.peek()? {
        0xc0 => {
            reader.nil()?;
            Stored::Nil
        }
        0xc2 | 0xc3 => Stored::Bool(reader.bool()?),
        0xca | 0xcb => Stored::Float(reader.float()?),
        0xa0..0xc0 | 0xd9..0xdc => Stored::Str(reader.str()?.into()),
        0xc4..0xc7 => Stored::Bytes(reader.bin()?.into()),
        0x90..0xa0 | 0xdc | 0xdd => {
            let items = reader.array_header()?;
            let mut list = Vec::with_capacity(Reader::reserved(items));
            reader.nested(|inner| {
                for _ in 0..items {
                    list.push(read_stored(inner)?);
                }
                Ok(())
            })?;
            Stored::List(list)
        }
        0x80..0x90 | 0xde | 0xdf => {
            let entries = reader.map_header()?;
            let mut map = Vec::with_capacity(Reader::reserved(entries));
            reader.nested(|inner| {
                for _ in 0..entries {
                    map.push((read_stored(inner)?, read_stored(inner)?));
                }
                Ok(())
            })?;
            Stored::Map(map)
        }
        _ if reader.is_large() => Stored::UInt(reader.large()?),
        _ => Stored::Int(reader.int()?),
    })
}

pub fn write_stored(writer: &mut Writer<'_>, stored: &Stored) {
    match stored {
        Stored::Nil => writer.nil(),
        Stored::Bool(is) => writer.bool(*is),
        Stored::Int(number) => writer.int(*number),
        Stored::UInt(number) => writer.uint(*number),
        Stored::Float(number) => writer.float(*number),
        Stored::Str(text) => writer.str(text),
        Stored::Bytes(bytes) => writer.bin(bytes),
        Stored::List(items) => {
            writer.array_header(items.len());
            items.iter().for_each(|item| write_stored(writer, item));
        }
        Stored::Map(entries) => {
            writer.map_header(entries.len());
            for (key, value) in entries {
                write_stored(writer, key);
                write_stored(writer, value);
            }
        }
    }
}
