//! Rows in memory: hot ones as structs, warm ones as their bytes, bounded in bytes.
//!
//! A row whose bytes are not in the store yet never goes. Keys are those of `tables/codec.py`, row_key.

use std::sync::Arc;

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

use crate::conditions::UnreadableState;
use crate::row::{Inside, Row, codec};
use crate::rules::RuleSet;

pub type Key = Arc<[u8]>;
pub type Bytes = Arc<[u8]>;

/// What a slot takes beside its key and its row: the counters of both `Arc`s, and its place in the index, which
/// is half empty at times.
const SLOT_BYTES: usize = size_of::<Option<Slot>>() + 2 * 2 * size_of::<usize>() + 2 * (size_of::<u32>() + 1);

/// One row. At least one of `hot` and `bytes` is there.
pub struct Slot {
    pub key: Key,
    pub hot: Option<Box<Row>>,
    /// The rules by which the states of `hot` were read.
    read_by: u32,
    /// As last staged or read from the store; of a hot row only while the store doesn't have them.
    pub bytes: Option<Bytes>,
    /// The last stage that changed the row, if the store doesn't have it yet; otherwise 0.
    pub unstored: u64,
    /// The audiences that the row was in when it was last staged, or read.
    pub inside: Inside,
    pub stored_bytes: usize,
    weight: usize,
    is_used: bool,
    /// What the draft did with it.
    pub mark: Mark,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Mark {
    Untouched,
    /// Only its timer moved: the index in `Draft::local`.
    Local(usize),
    Changed,
}

#[derive(Default)]
pub struct Slots {
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    by_key: HashTable<u32>,
    hand: usize,
    pub weight: usize,
    /// Number of the rules in use.
    rules: u32,
}

/// (project, user id) of a row key; None: it isn't one.
pub fn split_key(key: &[u8]) -> Option<(&str, &str)> {
    let text = std::str::from_utf8(key).ok()?;
    match text.strip_prefix('\0') {
        None => Some(("default", text)),
        Some(rest) => rest.split_once('\0'),
    }
}

/// The row key of a user.
pub fn row_key(project: &str, user_id: &str, into: &mut Vec<u8>) {
    into.clear();
    if project != "default" {
        into.push(0);
        into.extend_from_slice(project.as_bytes());
        into.push(0);
    }
    into.extend_from_slice(user_id.as_bytes());
}

impl Slots {
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// From here on states are those of other conditions: rows are read anew when they are used.
    pub fn other_rules(&mut self) {
        self.rules += 1;
    }

    pub fn find(&self, key: &[u8]) -> Option<u32> {
        let hash = xxh3_64(key);
        self.by_key.find(hash, |at| *self.get(*at).key == *key).copied()
    }

    pub fn get(&self, at: u32) -> &Slot {
        self.slots[at as usize].as_ref().expect("a slot that is named is in use")
    }

    /// Whether a hot row has the states of the rules in use.
    pub fn is_current(&self, slot: &Slot) -> bool {
        slot.read_by == self.rules
    }

    pub fn get_mut(&mut self, at: u32) -> &mut Slot {
        self.slots[at as usize].as_mut().expect("a slot that is named is in use")
    }

    fn insert(&mut self, slot: Slot) -> u32 {
        let hash = xxh3_64(&slot.key);
        self.weight += slot.weight;
        let at = match self.free.pop() {
            Some(at) => {
                self.slots[at as usize] = Some(slot);
                at
            }
            None => {
                self.slots.push(Some(slot));
                (self.slots.len() - 1) as u32
            }
        };
        let slots = &self.slots;
        self.by_key.insert_unique(hash, at, |other| {
            slots[*other as usize].as_ref().map_or(0, |slot| xxh3_64(&slot.key))
        });
        at
    }

    /// A row as the store has it.
    pub fn add_stored(&mut self, key: &[u8], bytes: &[u8]) -> Result<u32, UnreadableState> {
        let inside = codec::inside_of(bytes)?;
        Ok(self.insert(Slot {
            key: key.into(),
            hot: None,
            read_by: 0,
            bytes: Some(bytes.into()),
            unstored: 0,
            inside,
            stored_bytes: bytes.len(),
            weight: SLOT_BYTES + key.len() + bytes.len(),
            is_used: true,
            mark: Mark::Untouched,
        }))
    }

    /// A new user's row.
    pub fn add_new(&mut self, key: &[u8], row: Row) -> u32 {
        self.insert(Slot {
            key: key.into(),
            hot: Some(Box::new(row)),
            read_by: self.rules,
            bytes: None,
            unstored: 0,
            inside: Inside::new(),
            stored_bytes: 0,
            weight: SLOT_BYTES + key.len() + size_of::<Row>(),
            is_used: true,
            mark: Mark::Untouched,
        })
    }

    /// The row, ready to be read and changed by these rules.
    pub fn hot(&mut self, at: u32, rules: &RuleSet) -> Result<&mut Row, UnreadableState> {
        let number = self.rules;
        let slot = self.slots[at as usize].as_mut().expect("a slot that is named is in use");
        slot.is_used = true;
        if slot.hot.is_none() || slot.read_by != number {
            let written = match (&slot.hot, &slot.bytes) {
                (Some(row), _) => codec::encode(row).into(),
                (None, Some(bytes)) => bytes.clone(),
                (None, None) => unreachable!("a slot has a row or its bytes"),
            };
            let (project, _) = split_key(&slot.key).unwrap_or_default();
            slot.hot = Some(Box::new(codec::decode(&written, &**rules.project(project))?));
            slot.read_by = number;
            if slot.unstored == 0 {
                slot.bytes = None;
            }
            slot.stored_bytes = written.len();
            let weight = slot.weighs();
            self.weight = self.weight + weight - slot.weight;
            slot.weight = weight;
        }
        Ok(slot.hot.as_mut().expect("it was read just now"))
    }

    /// The row was staged with these bytes.
    pub fn staged(&mut self, at: u32, bytes: Bytes, stage: u64) {
        let slot = self.slots[at as usize].as_mut().expect("a slot that is named is in use");
        slot.stored_bytes = bytes.len();
        slot.bytes = Some(bytes);
        slot.unstored = stage;
        slot.mark = Mark::Untouched;
        let weight = slot.weighs();
        self.weight = self.weight + weight - slot.weight;
        slot.weight = weight;
    }

    /// The row is these bytes from here on, changed outside of the core.
    pub fn put(&mut self, key: &[u8], bytes: &[u8]) -> Result<u32, UnreadableState> {
        let at = match self.find(key) {
            Some(at) => at,
            None => {
                let at = self.add_stored(key, bytes)?;
                self.get_mut(at).inside = Inside::new();
                at
            }
        };
        let slot = self.get_mut(at);
        slot.hot = None;
        slot.bytes = Some(bytes.into());
        Ok(at)
    }

    /// The store has the row of this stage, which was in this slot.
    pub fn stored(&mut self, at: u32, key: &Key, stage: u64) {
        let Some(slot) = self.slots.get_mut(at as usize).and_then(Option::as_mut) else { return };
        if slot.unstored == stage && Arc::ptr_eq(&slot.key, key) {
            slot.unstored = 0;
            if slot.hot.is_some() {
                slot.bytes = None;
                let weight = slot.weighs();
                let before = std::mem::replace(&mut slot.weight, weight);
                self.weight = self.weight + weight - before;
            }
        }
    }

    /// The row as it is now. `scratch` is only room.
    pub fn bytes_of(&self, at: u32, scratch: &mut Vec<u8>) -> Bytes {
        let slot = self.get(at);
        match (&slot.hot, &slot.bytes) {
            (Some(row), _) => {
                codec::encode_into(row, scratch);
                scratch.as_slice().into()
            }
            (None, Some(bytes)) => bytes.clone(),
            (None, None) => unreachable!("a slot has a row or its bytes"),
        }
    }

    /// What the draft did to the row is forgotten. `staged`: the bytes of its last stage that isn't stored.
    pub fn forget(&mut self, at: u32, staged: Option<Bytes>) {
        let slot = self.get_mut(at);
        slot.mark = Mark::Untouched;
        slot.hot = None;
        match staged {
            Some(bytes) => slot.bytes = Some(bytes),
            None => self.remove(at), // the store has it, or nobody
        }
    }

    fn remove(&mut self, at: u32) {
        if let Some(slot) = self.slots[at as usize].take() {
            self.weight -= slot.weight;
            let hash = xxh3_64(&slot.key);
            if let Ok(entry) = self.by_key.find_entry(hash, |other| *other == at) {
                entry.remove();
            }
            self.free.push(at);
        }
    }

    /// Between steps: let go of what was not used lately until the rest fits into `most_bytes`.
    pub fn shrink(&mut self, most_bytes: usize) {
        let mut looks = 3 * self.slots.len();
        while self.weight > most_bytes && looks > 0 {
            looks -= 1;
            self.hand = (self.hand + 1) % self.slots.len();
            let Some(slot) = self.slots[self.hand].as_mut() else { continue };
            if std::mem::replace(&mut slot.is_used, false) {
                continue;
            }
            if let Some(row) = slot.hot.take() {
                if slot.bytes.is_none() {
                    slot.bytes = Some(codec::encode(&row).into());
                }
                let weight = slot.weighs();
                let before = std::mem::replace(&mut slot.weight, weight);
                self.weight = self.weight + weight - before;
            } else if slot.unstored == 0 {
                self.remove(self.hand as u32);
            }
        }
    }

    /// Keys of the rows that the store doesn't have as they are.
    pub fn unstored_keys(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter().flatten().filter(|slot| slot.unstored > 0)
    }
}

impl Slot {
    fn weighs(&self) -> usize {
        let hot = self.hot.as_ref().map_or(0, |row| row.room_bytes() + self.stored_bytes);
        SLOT_BYTES + self.key.len() + hot + self.bytes.as_ref().map_or(0, |bytes| bytes.len())
    }
}
