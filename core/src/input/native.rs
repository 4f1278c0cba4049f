//! The native format (`agents/formats/native.py`, and `check` and `native` of `agents/formats/records.py`).

use std::borrow::Cow;

use super::record::{Named, Record, Says, Update};
use crate::time::instants::{MAX_MS, instant_of, parse_instant};
use crate::value::json_read::{JsonReader, MAX_DEPTH, Unread};
use crate::value::number::Number;
use crate::value::{Map, Value};

/// Length of a user id, an event name, a record id, an attribute's name: characters.
const MAX_NAME_CHARS: usize = 512;
const MAX_PROJECT_CHARS: usize = 64;

type Checked<T> = Result<T, Unread>;

/// The event or profile update of a record's value. None: it is no single native record, or a bad one, or an
/// unusual one; then Python's reader decides. What is read here Python reads the same way.
pub fn read(value: &[u8], timestamp_ms: i64, max_bytes: usize) -> Option<Record<'_>> {
    if value.len() > max_bytes || timestamp_ms > MAX_MS {
        return None;
    }
    let mut reader = JsonReader::new(value).ok()?;
    let mut fields = Fields::default();
    reader.object(|reader, name| fields.read(reader, &name)).ok()?;
    reader.end().ok()?;
    fields.record(timestamp_ms)
}

/// The fields as they came; of one that comes twice, the last.
#[derive(Default)]
struct Fields<'a> {
    user_id: Option<Cow<'a, str>>,
    is_profile: bool,
    id: Option<Cow<'a, str>>,
    project: Option<Cow<'a, str>>,
    event: Option<Cow<'a, str>>,
    time_ms: Option<i64>,
    properties: Map<'a>,
    identities: Named<'a, Cow<'a, str>>,
    update: Option<Box<Update<'a>>>,
}

impl<'a> Fields<'a> {
    fn read(&mut self, reader: &mut JsonReader<'a>, name: &str) -> Checked<()> {
        match name {
            "user_id" => self.user_id = Some(id(reader)?),
            "event" => self.event = if reader.null()? { None } else { Some(reader.string()?) },
            "type" => {
                self.is_profile = match &*reader.string()? {
                    "track" => false,
                    "profile" => true,
                    _ => return Err(Unread),
                }
            }
            "id" => self.id = if reader.null()? { None } else { Some(limited(id(reader)?)?) },
            "project" => self.project = Some(project(reader.string()?)?),
            "time" => self.time_ms = time(reader)?,
            "properties" => self.properties = map(reader)?,
            "identities" => self.identities = identities(reader)?,
            "set" => self.update().set = attributes(reader)?,
            "set_once" => self.update().set_once = attributes(reader)?,
            "add" => self.update().add = numbers(reader)?,
            "append" => self.update().append = lists(reader)?,
            "unset" => self.update().unset = names(reader)?,
            "unset_all" => self.update().unset_all = reader.bool()?,
            _ => drop(reader.value(MAX_DEPTH)?),
        }
        Ok(())
    }

    fn update(&mut self) -> &mut Update<'a> {
        self.update.get_or_insert_default()
    }

    fn record(self, timestamp_ms: i64) -> Option<Record<'a>> {
        let user_id = self.user_id?;
        if user_id.is_empty() || is_long(&user_id) || user_id.contains('\0') {
            return None;
        }
        let has_changes = self.update.as_ref().is_some_and(|update| !update.is_empty());
        let has_attributes = self.update.as_ref().is_some_and(|update| update.has_attributes());
        let says = if self.is_profile {
            if !has_changes && self.identities.is_empty() {
                return None;
            }
            Says::Update(self.update.unwrap_or_default())
        } else {
            let name = self.event?;
            // An event with changes of attributes may be a plain one that ignores them, or not.
            if name.is_empty() || is_long(&name) || has_changes {
                return None;
            }
            Says::Event { name, properties: self.properties }
        };
        Some(Record {
            user_id,
            project: self.project.unwrap_or(Cow::Borrowed("default")),
            id: self.id,
            time_ms: self.time_ms.unwrap_or(timestamp_ms),
            has_time: self.time_ms.is_some(),
            identities: self.identities,
            has_attributes,
            says,
        })
    }
}

fn is_long(text: &str) -> bool {
    text.len() > MAX_NAME_CHARS && text.chars().count() > MAX_NAME_CHARS
}

fn limited(text: Cow<'_, str>) -> Checked<Cow<'_, str>> {
    if is_long(&text) { Err(Unread) } else { Ok(text) }
}

/// Of attributes and identities.
fn checked_name(text: Cow<'_, str>) -> Checked<Cow<'_, str>> {
    if text.is_empty() { Err(Unread) } else { limited(text) }
}

/// An id that is a whole number is its decimal digits.
fn id<'a>(reader: &mut JsonReader<'a>) -> Checked<Cow<'a, str>> {
    if reader.peek()? == b'"' {
        return reader.string();
    }
    match reader.number()? {
        Value::Int(number) => Ok(Cow::Owned(number.to_string())),
        _ => Err(Unread),
    }
}

fn project(text: Cow<'_, str>) -> Checked<Cow<'_, str>> {
    let fits = |text: &str| {
        (1..=MAX_PROJECT_CHARS).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    if fits(&text) { Ok(text) } else { Err(Unread) }
}

fn time(reader: &mut JsonReader<'_>) -> Checked<Option<i64>> {
    let time_ms = match reader.peek()? {
        b'n' => return reader.null().map(|_| None),
        b'"' => parse_instant(&reader.string()?),
        _ => Number::of(&reader.number()?).and_then(instant_of),
    };
    time_ms.map(Some).ok_or(Unread)
}

/// Whether an object is empty because it is null or `[]`, as PHP writes an empty one.
fn is_nothing(reader: &mut JsonReader<'_>) -> Checked<bool> {
    match reader.peek()? {
        b'n' => reader.null(),
        b'[' => reader.array(|_| Err(Unread)).map(|()| true),
        _ => Ok(false),
    }
}

fn map<'a>(reader: &mut JsonReader<'a>) -> Checked<Map<'a>> {
    if is_nothing(reader)? { Ok(Map::default()) } else { reader.map(MAX_DEPTH) }
}

fn attributes<'a>(reader: &mut JsonReader<'a>) -> Checked<Map<'a>> {
    let found = map(reader)?;
    if found.keys().any(|name| name.is_empty() || is_long(name)) { Err(Unread) } else { Ok(found) }
}

/// An object whose values `value` reads, with names that are checked.
fn named<'a, V>(
    reader: &mut JsonReader<'a>,
    value: impl Fn(&mut JsonReader<'a>) -> Checked<V>,
) -> Checked<Named<'a, V>> {
    let mut found = Named::default();
    if !is_nothing(reader)? {
        reader.object(|reader, name| {
            let name = checked_name(name)?;
            found.insert(name, value(reader)?);
            Ok(())
        })?;
    }
    Ok(found)
}

fn identities<'a>(reader: &mut JsonReader<'a>) -> Checked<Named<'a, Cow<'a, str>>> {
    named(reader, |reader| limited(id(reader)?))
}

fn numbers<'a>(reader: &mut JsonReader<'a>) -> Checked<Named<'a, Number>> {
    named(reader, |reader| Number::of(&reader.number()?).ok_or(Unread))
}

fn lists<'a>(reader: &mut JsonReader<'a>) -> Checked<Named<'a, Vec<Value<'a>>>> {
    named(reader, |reader| reader.list(MAX_DEPTH - 1))
}

fn names<'a>(reader: &mut JsonReader<'a>) -> Checked<Vec<Cow<'a, str>>> {
    let mut found = Vec::new();
    if !reader.null()? {
        reader.array(|reader| {
            found.push(checked_name(reader.string()?)?);
            Ok(())
        })?;
    }
    Ok(found)
}
