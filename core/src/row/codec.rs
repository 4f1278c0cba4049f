//! A row's bytes (`tables/codec.py`): one version byte, then a msgpack array of the fields in their order.
//!
//! Fields are only ever appended, so a shorter array has the defaults of the rest, and what a later program
//! appends is passed over. Rows of version 1 are Python's to upgrade.

use smallvec::SmallVec;

use super::{Inside, Membership, Ordered, Row, State};
use crate::conditions::{Condition, UnreadableState};
use crate::value::Value;
use crate::value::msgpack::{MsgpackError, Reader, Writer, read_stored, read_value, write_map, write_stored};

const VERSION: u8 = 2;
const FIELDS: usize = 18;

/// Who knows the conditions whose states a row has.
pub trait Conditions {
    fn condition(&self, key: u32) -> Option<&dyn Condition>;
}

impl From<MsgpackError> for UnreadableState {
    fn from(error: MsgpackError) -> UnreadableState {
        UnreadableState(error.to_string())
    }
}

/// The bytes of a row.
pub fn encode(row: &Row) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    encode_into(row, &mut bytes);
    bytes
}

/// The same in room that is used again and again.
pub fn encode_into(row: &Row, bytes: &mut Vec<u8>) {
    bytes.clear();
    bytes.push(VERSION);
    let mut out = Writer(bytes);
    out.array_header(FIELDS);
    out.int(row.now_ms);
    out.optional_int(row.timer_ms);
    out.map_header(row.applied.len());
    for (source, offset) in &row.applied {
        out.uint((*source).into());
        out.int(*offset);
    }
    out.map_header(row.conditions.len());
    for (key, state) in &row.conditions {
        out.uint((*key).into());
        write_state(&mut out, state);
    }
    out.map_header(row.audiences.len());
    for (key, membership) in &row.audiences {
        out.uint((*key).into());
        out.array_header(3);
        out.int(membership.seq);
        out.int(membership.since_ms);
        out.int(membership.version);
    }
    write_map(&mut out, &row.attributes);
    write_instants(&mut out, &row.changed_ms);
    out.map_header(row.identities.len());
    for (name, identity) in &row.identities {
        out.str(name);
        out.str(identity);
    }
    out.bin(&row.seen);
    write_ints(&mut out, &row.seen_at);
    write_instants(&mut out, &row.changed_paths);
    out.int(row.base_ms);
    write_ints(&mut out, &row.times);
    out.uint(row.latest.into());
    out.int(row.used);
    out.int(row.free);
    out.int(row.epoch);
    out.optional_int(row.first);
}

/// The row, with states as the rules' conditions keep them in memory.
pub fn decode(bytes: &[u8], rules: &dyn Conditions) -> Result<Row, UnreadableState> {
    let (mut reader, fields) = begin(bytes)?;
    let mut row = Row::bare(0);
    for field in 0..fields {
        read_field(field, &mut reader, &mut row, rules)?;
    }
    reader.end()?;
    if row.times.is_empty() || row.latest as usize >= row.times.len() {
        return Err(UnreadableState("the latest event time has no slot".into()));
    }
    if row.seen_at.len() % 2 != 0 {
        return Err(UnreadableState("the runs of ids aren't pairs".into()));
    }
    Ok(row)
}

/// Keys of the audiences that the user of an encoded row is in.
pub fn inside_of(bytes: &[u8]) -> Result<Inside, UnreadableState> {
    let (mut reader, fields) = begin(bytes)?;
    if fields < 5 {
        return Ok(Inside::new());
    }
    for _ in 0..4 {
        reader.skip()?;
    }
    let memberships = read_memberships(&mut reader)?;
    Ok(memberships.iter().filter(|each| each.1.inside()).map(|each| each.0).collect())
}

/// Keys of the audiences that a row is in.
pub fn inside(row: &Row) -> Inside {
    row.audiences.iter().filter(|each| each.1.inside()).map(|each| each.0).collect()
}

/// The timer of a row that is in memory, otherwise of its bytes.
pub fn timer_of(row: Option<&Row>, bytes: &[u8]) -> Option<i64> {
    match row {
        Some(row) => row.timer_ms,
        None => begin(bytes).ok().and_then(|(mut reader, _)| {
            reader.skip().ok()?;
            reader.optional_int().ok().flatten()
        }),
    }
}

/// How many bytes attributes, their instants and identities have (`apply.py`, _is_refused).
pub fn attributes_bytes(row: &Row) -> usize {
    let mut bytes = Vec::new();
    let mut out = Writer(&mut bytes);
    out.map_header(3);
    out.str("attributes");
    write_map(&mut out, &row.attributes);
    out.str("changed");
    write_instants(&mut out, &row.changed_ms);
    out.str("identities");
    out.map_header(row.identities.len());
    for (name, identity) in &row.identities {
        out.str(name);
        out.str(identity);
    }
    bytes.len()
}

fn begin(bytes: &[u8]) -> Result<(Reader<'_>, usize), UnreadableState> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => {
            let mut reader = Reader::new(rest);
            let fields = reader.array_header()?;
            if fields == 0 {
                return Err(UnreadableState("the row has no fields".into()));
            }
            Ok((reader, fields))
        }
        Some((version, _)) => Err(UnreadableState(format!("row version {version:02x} is not the core's"))),
        None => Err(UnreadableState("the row has no bytes".into())),
    }
}

fn read_field(
    field: usize,
    reader: &mut Reader<'_>,
    row: &mut Row,
    rules: &dyn Conditions,
) -> Result<(), UnreadableState> {
    match field {
        0 => row.now_ms = reader.int()?,
        1 => row.timer_ms = reader.optional_int()?,
        2 => {
            let size = reader.map_header()?;
            row.applied = SmallVec::with_capacity(Reader::reserved(size));
            for _ in 0..size {
                row.applied.push((reader.key()?, reader.int()?));
            }
        }
        3 => {
            let size = reader.map_header()?;
            row.conditions = Vec::with_capacity(Reader::reserved(size));
            for _ in 0..size {
                let key = reader.key()?;
                let state = match rules.condition(key) {
                    Some(condition) => condition.read_from(reader)?,
                    None => State::Stored(Box::new(read_stored(reader)?)),
                };
                row.conditions.push((key, state));
            }
        }
        4 => row.audiences = read_memberships(reader)?,
        5 => {
            row.attributes = match read_value(reader)? {
                Value::Map(map) => *map,
                _ => return Err(UnreadableState("attributes are no map".into())),
            }
        }
        6 => row.changed_ms = read_instants(reader)?,
        7 => {
            for _ in 0..reader.map_header()? {
                let (name, identity) = (Box::from(reader.str()?), Box::from(reader.str()?));
                row.identities.insert(name, identity);
            }
        }
        8 => row.seen = reader.bin()?.to_vec(),
        9 => row.seen_at = read_ints(reader)?,
        10 => row.changed_paths = read_instants(reader)?,
        11 => row.base_ms = reader.int()?,
        12 => row.times = read_ints(reader)?,
        13 => row.latest = reader.key()?,
        14 => row.used = reader.int()?,
        15 => row.free = reader.int()?,
        16 => row.epoch = reader.int()?,
        17 => row.first = reader.optional_int()?,
        _ => {
            reader.skip()?;
        }
    }
    Ok(())
}

fn read_memberships(reader: &mut Reader<'_>) -> Result<Vec<(u32, Membership)>, UnreadableState> {
    let size = reader.map_header()?;
    let mut found = Vec::with_capacity(Reader::reserved(size));
    for _ in 0..size {
        let key = reader.key()?;
        let fields = reader.array_header()?;
        if fields < 3 {
            return Err(UnreadableState("a membership has three fields".into()));
        }
        let membership = Membership { seq: reader.int()?, since_ms: reader.int()?, version: reader.int()? };
        for _ in 3..fields {
            reader.skip()?;
        }
        found.push((key, membership));
    }
    Ok(found)
}

fn read_instants(reader: &mut Reader<'_>) -> Result<Ordered<i64>, UnreadableState> {
    let mut found = Ordered::default();
    for _ in 0..reader.map_header()? {
        let (name, at_ms) = (Box::from(reader.str()?), reader.int()?);
        found.insert(name, at_ms);
    }
    Ok(found)
}

fn read_ints(reader: &mut Reader<'_>) -> Result<Vec<i64>, UnreadableState> {
    let size = reader.array_header()?;
    let mut found = Vec::with_capacity(Reader::reserved(size));
    for _ in 0..size {
        found.push(reader.int()?);
    }
    Ok(found)
}

/// A list of whole numbers.
pub fn write_ints(out: &mut Writer<'_>, numbers: &[i64]) {
    out.array_header(numbers.len());
    for number in numbers {
        out.int(*number);
    }
}

fn write_instants(out: &mut Writer<'_>, instants: &Ordered<i64>) {
    out.map_header(instants.len());
    for (name, at_ms) in instants {
        out.str(name);
        out.int(*at_ms);
    }
}

/// The bytes of a state, to see whether an event changed it; none of no state.
pub fn state_bytes(state: Option<&State>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(state) = state {
        write_state(&mut Writer(&mut bytes), state);
    }
    bytes
}

/// A state as msgpack has it.
pub fn write_state(out: &mut Writer<'_>, state: &State) {
    match state {
        State::Count(count) => {
            out.array_header(1);
            out.int(*count);
        }
        State::Refs(refs) => write_refs(out, refs),
        State::Sum(exact) => write_floats(out, exact),
        State::Sums(sums) => {
            out.array_header(3);
            write_refs(out, &sums.refs);
            write_floats(out, &sums.values);
            write_floats(out, &sums.exact);
        }
        State::Distinct(distinct) => distinct.write(out),
        State::Accumulated(state) => write_stored(out, &state.stored()),
        State::Sequence(state) => state.write(out),
        State::NotFollowed(state) => state.write(out),
        State::Held(state) => state.write(out),
        State::Stored(stored) => write_stored(out, stored),
    }
}

/// References as a text with their character codes.
pub fn write_refs(out: &mut Writer<'_>, refs: &[u32]) {
    let code = |slot: &u32| char::from_u32(*slot).unwrap_or(char::REPLACEMENT_CHARACTER);
    let bytes = refs.iter().map(|slot| code(slot).len_utf8()).sum();
    out.str_header(bytes);
    let mut text = [0; 4];
    for slot in refs {
        out.0.extend_from_slice(code(slot).encode_utf8(&mut text).as_bytes());
    }
}

fn write_floats(out: &mut Writer<'_>, floats: &[f64]) {
    out.array_header(floats.len());
    for float in floats {
        out.float(*float);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Refs;
    use crate::value::Value;

    struct Nothing;

    impl Conditions for Nothing {
        fn condition(&self, _: u32) -> Option<&dyn Condition> {
            None
        }
    }

    #[test]
    fn a_row_is_read_as_it_was_written() {
        let mut row = Row::new(1_700_000_000_000);
        row.timer_ms = Some(1_700_000_360_000);
        row.note_applied(0xFFFF_FFFF, 7);
        row.put_state(9, State::Refs(Refs::from_slice(&[0, 200])));
        row.put_state(2, State::Count(3));
        row.turn(5, 2, 1_700_000_000_001);
        row.attributes.insert("plan".into(), Value::Float(1.0));
        row.identities.insert("email".into(), "a@b".into());
        row.seen = vec![1; 6];
        row.seen_at = vec![1_700_000_000, 1];
        let bytes = encode(&row);
        let again = decode(&bytes, &Nothing).expect("a row");
        assert_eq!(encode(&again), bytes);
        assert_eq!(inside_of(&bytes).expect("a row").as_slice(), [5]);
        assert_eq!(timer_of(None, &bytes), row.timer_ms);
    }

    #[test]
    fn bytes_that_are_cut_are_no_row() {
        let bytes = encode(&Row::new(5));
        for size in 0..bytes.len() {
            assert!(decode(&bytes[..size], &Nothing).is_err(), "{size}");
        }
    }
}
