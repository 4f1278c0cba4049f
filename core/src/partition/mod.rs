//! One partition's rows in memory, and steps over them: `begin`, slices of records or due timers, `finish`.
//!
//! Follows `agents/evaluate/partition`, `tables/profiles.py` and `agents/evaluate/outgoing.py`. What is rare
//! (dead letters, other formats, grafts, sweeps, rows too large) Python computes on rows as bytes, and hands in
//! what came of it: `stage`.

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::HashMap;

use crate::conditions::UnreadableState;
use crate::decide::send::Sent;
use crate::decide::{Change, Scratch};
use crate::output::{Claim, Transition};
use crate::row::dedupe::Dedupe;
use crate::rules::RuleSet;

pub mod draft;
pub mod finish;
pub mod look;
pub mod made;
pub mod members;
pub mod place;
pub mod shared;
pub mod slice;
pub mod slots;
pub mod take;
pub mod timers;

use draft::Draft;
use made::Made;
use members::Members;
use place::Place;
use slice::Slice;
use slots::{Bytes, Key, Slots};
use timers::Timers;

/// Rows from here on are known by their size.
pub const LARGE_BYTES: usize = 32 * 1024;

/// What one record may bring, and when a step ends (`agents/evaluate/steps.py`, Limits).
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub max_bytes: usize,
    pub max_attributes_bytes: usize,
    pub dedupe: Dedupe,
    pub step_transitions: usize,
    pub step_bytes: usize,
    /// What rows may take in memory.
    pub cache_bytes: usize,
}

/// A row's bytes that can't be read.
#[derive(Debug)]
pub struct RowBroken {
    pub key: Key,
    pub why: String,
}

impl RowBroken {
    pub fn of(key: &[u8], error: UnreadableState) -> RowBroken {
        RowBroken { key: key.into(), why: error.0 }
    }
}

pub struct Partition {
    pub place: Place,
    pub limits: Limits,
    pub rules: Arc<RuleSet>,
    pub slots: Slots,
    pub timers: Timers,
    pub members: Members,
    draft: Draft,
    slice: Option<Slice>,
    stages: u64,
    /// Steps that the store doesn't have yet, in order.
    steps: VecDeque<Arc<Made>>,
    /// The first so many of `steps` may go to the store.
    durable: usize,
    /// Transitions that aren't known to be in Kafka, with their steps, by row key.
    unacked: HashMap<Key, Vec<(u64, Arc<Transition>)>, foldhash::fast::RandomState>,
    /// Claims, likewise.
    unacked_claims: HashMap<Key, Vec<(u64, Arc<Claim>)>, foldhash::fast::RandomState>,
    changes: Vec<Change>,
    sent: Vec<Sent>,
    scratch: Scratch,
    text: Vec<u8>,
}

impl Partition {
    pub fn new(place: Place, limits: Limits, rules: Arc<RuleSet>, sizes: Vec<(u32, i64)>) -> Partition {
        Partition {
            place,
            limits,
            rules,
            slots: Slots::default(),
            timers: Timers::default(),
            members: Members::new(sizes),
            draft: Draft::default(),
            slice: None,
            stages: 0,
            steps: VecDeque::new(),
            durable: 0,
            unacked: HashMap::default(),
            unacked_claims: HashMap::default(),
            changes: Vec::new(),
            sent: Vec::new(),
            scratch: Scratch::default(),
            text: Vec::new(),
        }
    }

    /// Use other rules from the next step on.
    pub fn define(&mut self, rules: Arc<RuleSet>) {
        self.rules = rules;
        self.slots.other_rules();
    }

    /// A step begins.
    pub fn begin(&mut self, stream_time_ms: i64, epoch: i64) {
        self.slots.shrink(self.limits.cache_bytes);
        self.draft = Draft { stream_time_ms, epoch, ..Draft::default() };
        self.slice = None;
    }

    /// Which of these rows are not in memory.
    pub fn missing(&self, keys: impl Iterator<Item = Key>) -> Vec<Key> {
        let mut seen = hashbrown::HashSet::<Key>::new();
        keys.filter(|key| self.slots.find(key).is_none() && seen.insert(key.clone())).collect()
    }

    /// What the store has of a row that is not in memory.
    pub fn supply(&mut self, key: &[u8], bytes: &[u8]) -> Result<(), RowBroken> {
        if self.slots.find(key).is_none() {
            self.slots.add_stored(key, bytes).map_err(|error| RowBroken::of(key, error))?;
        }
        Ok(())
    }

    /// A row as it is now, also within a step; None: it is not in memory.
    pub fn row(&self, key: &[u8]) -> Option<Bytes> {
        self.slots.find(key).map(|at| self.slots.bytes_of(at, &mut Vec::new()))
    }

    /// Stream time of the step, whatever was taken here.
    pub fn set_stream_time(&mut self, stream_time_ms: i64) {
        self.draft.stream_time_ms = self.draft.stream_time_ms.max(stream_time_ms);
    }

    /// How many transitions the step has so far.
    pub fn emitted(&self) -> usize {
        self.draft.emitted.len()
    }

    /// Whether it is time for another step.
    pub fn is_full(&self) -> bool {
        self.draft.emitted.len() >= self.limits.step_transitions
            || self.draft.fed_bytes + self.draft.row_bytes >= self.limits.step_bytes
    }
}
