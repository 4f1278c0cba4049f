//! Records of one source partition on their way into a step: decoded, not applied yet.

use std::sync::Arc;

use hashbrown::HashSet;
use self_cell::self_cell;

use super::slots::{Key, Slots, row_key};
use super::{Limits, Partition};
use crate::input::{self, Record};
use crate::kafka::read::Fetched;
use crate::value::msgpack::MsgpackError;

/// One record of the slice, read.
pub enum Entry<'f> {
    /// The row's slot, if it was in memory when the slice was read.
    Record(Option<u32>, Box<Record<'f>>),
    /// The core doesn't read it; Python says what it is.
    Odd,
    /// A dead letter, or nobody's: only its timestamp counts.
    Nothing,
}

type Entries<'f> = Vec<Entry<'f>>;

pub struct Part {
    pub fetched: Arc<Fetched>,
    pub start: usize,
    pub end: usize,
}

self_cell!(
    pub struct Slice {
        owner: Part,
        #[covariant]
        dependent: Entries,
    }
);

impl Slice {
    /// Decode records; the partition's rows have nothing to do with it.
    pub fn read(part: Part, limits: &Limits) -> Slice {
        Slice::new(part, |part| (part.start..part.end).map(|at| read_one(part, at, limits)).collect())
    }

    pub fn odd(&self) -> Vec<usize> {
        let entries = self.borrow_dependent().iter().enumerate();
        entries.filter(|(_, each)| matches!(each, Entry::Odd)).map(|(at, _)| at).collect()
    }

    /// Note where the rows of the records are; keys of those that are not in memory, each once.
    fn find(&mut self, slots: &Slots) -> Vec<Key> {
        self.with_dependent_mut(|_, entries| {
            let mut missing = HashSet::new();
            let mut scratch = Vec::new();
            for entry in entries {
                if let Entry::Record(at, record) = entry {
                    let key = key_of(record, &mut scratch);
                    *at = slots.find(key);
                    if at.is_none() && !missing.contains(key) {
                        missing.insert(Key::from(key));
                    }
                }
            }
            missing.into_iter().collect()
        })
    }

    /// What Python made of an odd record (`input::read_replaced`); its key, if it is one of a user's.
    fn replace(&mut self, at: usize, made: Option<&[u8]>) -> Result<Option<Key>, MsgpackError> {
        self.with_dependent_mut(|part, entries| {
            let Some(entry) = entries.get_mut(at) else { return Ok(None) };
            let Some(made) = made else {
                *entry = Entry::Nothing;
                return Ok(None);
            };
            let record = input::read_replaced(made, part.fetched.record(part.start + at).timestamp_ms)?;
            let key = Key::from(key_of(&record, &mut Vec::new()));
            *entry = Entry::Record(None, Box::new(record));
            Ok(Some(key))
        })
    }
}

fn read_one<'f>(part: &'f Part, at: usize, limits: &Limits) -> Entry<'f> {
    let record = part.fetched.record(at);
    let read = record.value.and_then(|value| input::read(value, record.timestamp_ms, limits.max_bytes));
    read.map_or(Entry::Odd, |read| Entry::Record(None, Box::new(read)))
}

/// The row key of a record's user; `scratch` is only room.
pub fn key_of<'k>(record: &'k Record<'_>, scratch: &'k mut Vec<u8>) -> &'k [u8] {
    if record.project == "default" {
        return record.user_id.as_bytes();
    }
    row_key(&record.project, &record.user_id, scratch);
    scratch
}

impl Partition {
    /// The slice is the next to be taken; which of its records are odd, by their place in it, and which rows
    /// aren't in memory.
    pub fn expect(&mut self, mut slice: Slice) -> (Vec<usize>, Vec<Key>) {
        let found = (slice.odd(), slice.find(&self.slots));
        self.slice = Some(slice);
        found
    }

    /// What Python made of an odd record of the slice; its key, if that row isn't in memory.
    pub fn replace(&mut self, at: usize, made: Option<&[u8]>) -> Result<Option<Key>, MsgpackError> {
        let Some(slice) = &mut self.slice else { return Ok(None) };
        let key = slice.replace(at, made)?;
        Ok(key.filter(|key| self.slots.find(key).is_none()))
    }
}
