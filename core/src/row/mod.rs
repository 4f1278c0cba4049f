//! What is known of one user (`rules/state/row.py`), in memory. `row::codec` has its bytes.

use smallvec::SmallVec;

use crate::value::Map;
use crate::value::exact::Exact;
use crate::value::in_order::InOrder;

pub mod attributes;
pub mod codec;
pub mod dedupe;
pub mod event_times;
mod room;
pub mod stored;

/// In place of `Row::first`: the user was erased, and no record came since.
pub const STUB: i64 = -(1 << 62);

/// References to `Row::times`, each the number of a slot; stored as a text with these character codes.
pub type Refs = SmallVec<[u32; 4]>;

/// Keys of the audiences that a row is in.
pub type Inside = SmallVec<[u32; 8]>;

/// A small map that keeps Python's order: a new key comes last, a replaced value stays in its place.
pub type Ordered<V> = InOrder<Box<str>, V>;

/// What a condition keeps of a user. Which variant, the condition's kind says; `Stored` is for all kinds that
/// need no speed, and for conditions that the rules don't have (their state stays as it is).
#[derive(Clone, Debug)]
pub enum State {
    /// `counts::CountEver`.
    Count(i64),
    /// `counts::CountWithin`: references ascending by time.
    Refs(Refs),
    /// `sums::SumEver`: the exact sum as non-overlapping floats.
    Sum(Exact),
    /// `sums::SumWithin`.
    Sums(Box<Sums>),
    /// `distincts`: its own struct, see there.
    Distinct(Box<crate::aggregates::distincts::Distinct>),
    /// `aggregates::general` and `conditions::nested`.
    Accumulated(Box<crate::aggregates::accumulator::Accumulated>),
    /// `sequences`.
    Sequence(Box<crate::conditions::sequence_state::SequenceState>),
    /// `not_followed`.
    NotFollowed(Box<crate::conditions::not_followed::NotFollowedState>),
    /// `batch`: another condition's states.
    Held(Box<crate::conditions::batch::HeldState>),
    /// Any other kind: the state as msgpack has it, decoded.
    Stored(Box<Stored>),
}

/// [references ascending by time, the events' values, their exact sum]
#[derive(Clone, Debug, Default)]
pub struct Sums {
    pub refs: Refs,
    pub values: Vec<f64>,
    pub exact: Exact,
}

/// A state as it is stored: msgpack's values. Integers and floats are told apart, text and bytes too.
#[derive(Clone, Debug, PartialEq)]
pub enum Stored {
    Nil,
    Bool(bool),
    Int(i64),
    UInt(u64),
    Float(f64),
    Str(Box<str>),
    Bytes(Box<[u8]>),
    List(Vec<Stored>),
    Map(Vec<(Stored, Stored)>),
}

/// One user and one audience. An odd `seq` means that the user is in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Membership {
    pub seq: i64,
    /// Instant of the last transition, as ms after `Row::base_ms`.
    pub since_ms: i64,
    pub version: i64,
}

impl Membership {
    pub fn inside(&self) -> bool {
        self.seq & 1 == 1
    }
}

/// One user. Fields as in Python's `Row`, in its order.
#[derive(Clone, Debug)]
pub struct Row {
    pub now_ms: i64,
    pub timer_ms: Option<i64>,
    pub applied: SmallVec<[(u32, i64); 1]>,
    /// By condition key, in the order in which they came.
    pub conditions: Vec<(u32, State)>,
    pub audiences: Vec<(u32, Membership)>,
    pub attributes: Map<'static>,
    pub changed_ms: Ordered<i64>,
    pub identities: Ordered<Box<str>>,
    pub seen: Vec<u8>,
    /// Runs: (second, number of ids).
    pub seen_at: Vec<i64>,
    pub changed_paths: Ordered<i64>,
    pub base_ms: i64,
    pub times: Vec<i64>,
    pub latest: u32,
    pub used: i64,
    /// `-1`: none is free.
    pub free: i64,
    pub epoch: i64,
    pub first: Option<i64>,
}

impl Row {
    /// The row of a user's first record at `now_ms` (`rules/decide/decide.py`, new_row).
    pub fn new(now_ms: i64) -> Row {
        Row { base_ms: now_ms, first: Some(0), ..Row::bare(now_ms) }
    }

    /// `Row(now_ms)`: nothing is known.
    pub fn bare(now_ms: i64) -> Row {
        Row {
            now_ms,
            timer_ms: None,
            applied: SmallVec::new(),
            conditions: Vec::new(),
            audiences: Vec::new(),
            attributes: Map::default(),
            changed_ms: Ordered::default(),
            identities: Ordered::default(),
            seen: Vec::new(),
            seen_at: Vec::new(),
            changed_paths: Ordered::default(),
            base_ms: 0,
            times: vec![0],
            latest: 0,
            used: 0,
            free: -1,
            epoch: 0,
            first: None,
        }
    }

    /// Whether it is what stays of a user who was erased.
    pub fn is_stub(&self) -> bool {
        self.first == Some(STUB)
    }

    /// The first record of a user who was erased comes: from nothing, but with the `seq` that was.
    pub fn begin_again(&mut self, now_ms: i64, epoch: i64) {
        self.now_ms = now_ms;
        self.first = Some(now_ms - self.base_ms);
        self.epoch = epoch;
    }

    #[inline]
    pub fn state(&self, key: u32) -> Option<&State> {
        self.conditions.iter().find(|each| each.0 == key).map(|each| &each.1)
    }

    #[inline]
    pub fn state_mut(&mut self, key: u32) -> Option<&mut State> {
        self.conditions.iter_mut().find(|each| each.0 == key).map(|each| &mut each.1)
    }

    #[inline]
    pub fn has_state(&self, key: u32) -> bool {
        self.conditions.iter().any(|each| each.0 == key)
    }

    /// As a Python dict: the place of a key that is there stays, a new one comes last.
    pub fn put_state(&mut self, key: u32, state: State) {
        match self.state_mut(key) {
            Some(kept) => *kept = state,
            None => self.conditions.push((key, state)),
        }
    }

    /// As `dict.pop(key, None)`: the order of the others stays.
    pub fn pop_state(&mut self, key: u32) -> Option<State> {
        let at = self.conditions.iter().position(|each| each.0 == key)?;
        Some(self.conditions.remove(at).1)
    }

    /// Last applied offset of a source partition; -1: none.
    pub fn applied_of(&self, source: u32) -> i64 {
        self.applied.iter().find(|each| each.0 == source).map_or(-1, |each| each.1)
    }

    pub fn note_applied(&mut self, source: u32, offset: i64) {
        match self.applied.iter_mut().find(|each| each.0 == source) {
            Some(kept) => kept.1 = offset,
            None => self.applied.push((source, offset)),
        }
    }

    #[inline]
    pub fn membership(&self, key: u32) -> Option<&Membership> {
        self.audiences.iter().find(|each| each.0 == key).map(|each| &each.1)
    }

    /// Instant of a membership's last transition.
    pub fn since_ms(&self, membership: &Membership) -> i64 {
        self.base_ms + membership.since_ms
    }

    pub fn is_in(&self, key: u32) -> bool {
        self.membership(key).is_some_and(Membership::inside)
    }

    /// The user enters or leaves an audience at an instant; `version` is its definition's.
    pub fn turn(&mut self, key: u32, version: i64, at_ms: i64) -> Membership {
        let since_ms = at_ms - self.base_ms;
        let at = match self.audiences.iter().position(|each| each.0 == key) {
            Some(at) => at,
            None => {
                self.audiences.push((key, Membership { seq: 0, since_ms: 0, version }));
                self.audiences.len() - 1
            }
        };
        let membership = &mut self.audiences[at].1;
        membership.seq += 1;
        membership.since_ms = since_ms;
        membership.version = version;
        *membership
    }

    /// One more event goes to a destination with this key: its number. It is kept as a membership of nobody's.
    pub fn count(&mut self, key: u32, at_ms: i64) -> i64 {
        self.turn(key, 0, at_ms);
        self.turn(key, 0, at_ms).seq / 2
    }
}
