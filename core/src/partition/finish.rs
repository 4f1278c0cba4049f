//! The end of a step, what Python computed in it, and what becomes of steps afterwards
//! (`tables/profiles.py`, `agents/evaluate/outgoing.py`, `tables/changelog/writer.py`).

use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use super::draft::Emitted;
use super::made::{Batch, Made, Written};
use super::members::moved;
use super::slots::{Bytes, Key, Mark};
use super::timers::Timer;
use super::{Partition, RowBroken};
use crate::kafka::write::Batches;
use crate::output::{Claim, Transition, write_outbox};
use crate::row::{Inside, codec};
use crate::value::msgpack::Reader;

/// A row that Python computed: key, its bytes, the timer that it had before the step.
pub struct Given {
    pub key: Vec<u8>,
    pub bytes: Vec<u8>,
    pub before_ms: Option<i64>,
    /// It changed in more than its timer.
    pub is_logged: bool,
    pub is_turned: bool,
}

/// Rows of a draft with their bytes, as `Made` has them.
pub struct Encoded {
    rows: Vec<(Key, Bytes)>,
    local: Vec<(Key, Bytes)>,
}

/// What the store must get: steps put together, in order of keys.
#[derive(Default)]
pub struct Flush {
    pub rows: Vec<(Key, Bytes)>,
    pub timers_added: Vec<Timer>,
    pub timers_dropped: Vec<Timer>,
    pub members_added: Vec<super::members::Member>,
    pub members_dropped: Vec<super::members::Member>,
}

/// A step on its way to the changelog: notes, its first checkpoint and freed slots come before its rows, its last
/// checkpoint after them.
pub struct Logged {
    pub made: Arc<Made>,
    pub head: Vec<Written>,
    pub tail: Vec<Written>,
}

/// What a batch of the changelog may have.
pub struct LogLimits {
    /// Key, value and headers of one record.
    pub record_bytes: usize,
    pub batch_bytes: usize,
}

impl Partition {
    /// What Python computed in this step becomes part of it.
    pub fn stage(
        &mut self,
        rows: Vec<Given>,
        transitions: Vec<(Vec<u8>, Vec<u8>)>,
        claims: Vec<(Vec<u8>, Vec<u8>)>,
    ) -> Result<(), RowBroken> {
        for given in rows {
            let is_new = self.slots.find(&given.key).is_none();
            let at =
                self.slots.put(&given.key, &given.bytes).map_err(|error| RowBroken::of(&given.key, error))?;
            if is_new {
                self.draft.new.push(at);
            }
            if given.is_turned {
                self.draft.turned.push(at);
            }
            if given.is_logged {
                self.draft.change(&mut self.slots, at, given.before_ms);
            } else {
                self.draft.move_timer(&mut self.slots, at, given.before_ms);
            }
        }
        for (key, bytes) in transitions {
            let slot = self.slot_of(&key)?;
            let transition = Transition::read(&mut Reader::new(&bytes));
            let transition = transition.map_err(|error| RowBroken::of(&key, error.into()))?;
            self.draft.counts.turned(&transition);
            self.draft.emitted.push(Emitted { slot, transition: Arc::new(transition) });
        }
        for (key, bytes) in claims {
            let slot = self.slot_of(&key)?;
            let claim = Claim::read(&mut Reader::new(&bytes));
            let claim = claim.map_err(|error| RowBroken::of(&key, error.into()))?;
            self.draft.claims.push((slot, Arc::new(claim)));
        }
        Ok(())
    }

    /// Where the row of an output is.
    fn slot_of(&self, key: &[u8]) -> Result<u32, RowBroken> {
        let missing = || RowBroken { key: key.into(), why: "an output of a row that isn't here".into() };
        self.slots.find(key).ok_or_else(missing)
    }

    /// The step is as if it had not begun.
    pub fn rewind(&mut self) {
        let draft = std::mem::take(&mut self.draft);
        let changed = draft.changed.iter().map(|each| each.0);
        let local = draft.local.iter().flatten().map(|each| each.0);
        let touched: HashSet<u32> = changed.chain(local).chain(draft.looked.iter().copied()).collect();
        for at in touched {
            let key = self.slots.get(at).key.clone();
            let staged = self.steps.iter().rev().find_map(|step| {
                step.rows
                    .iter()
                    .chain(&step.local)
                    .find(|(other, _)| *other == key)
                    .map(|(_, bytes)| bytes.clone())
            });
            self.slots.forget(at, staged);
        }
    }

    /// What the step changed, as bytes, for `finish`. This takes longest.
    pub fn encode(&self) -> Encoded {
        let mut scratch = Vec::new();
        let mut encode = |at: u32| (self.slots.get(at).key.clone(), self.slots.bytes_of(at, &mut scratch));
        Encoded {
            rows: self.draft.changed.iter().map(|(at, _)| encode(*at)).collect(),
            local: self.draft.local.iter().flatten().map(|(at, _)| encode(*at)).collect(),
        }
    }

    /// Stage what the step changed. Keys of rows that, with their keys, have more than `most_bytes`: then nothing
    /// is changed.
    pub fn finish(
        &mut self,
        encoded: Encoded,
        number: u64,
        most_bytes: usize,
        stale: Vec<Timer>,
    ) -> Result<Arc<Made>, Vec<Key>> {
        let Encoded { rows, local } = encoded;
        let large = rows.iter().filter(|(key, bytes)| key.len() + bytes.len() > most_bytes);
        let large: Vec<Key> = large.map(|(key, _)| key.clone()).collect();
        if !large.is_empty() {
            return Err(large);
        }
        let moved_timers: Vec<_> = self.draft.local.iter().flatten().copied().collect();
        let draft = std::mem::take(&mut self.draft);
        self.stages += 1;
        let mut made = Made {
            number,
            stage: self.stages,
            timers_dropped: stale,
            counts: draft.counts,
            ..Made::default()
        };
        self.stage_members(&draft.turned, &draft.new, &mut made);
        let all = draft.changed.iter().chain(&moved_timers);
        for ((at, before_ms), (key, bytes)) in all.zip(rows.iter().chain(&local)) {
            let timer_ms = codec::timer_of(self.slots.get(*at).hot.as_deref(), bytes);
            if timer_ms != *before_ms {
                made.timers_dropped.extend(before_ms.map(|ms| (ms, key.clone())));
                made.timers_added.extend(timer_ms.map(|ms| (ms, key.clone())));
            }
            self.slots.staged(*at, bytes.clone(), self.stages);
            made.slots.push(*at);
        }
        (made.rows, made.local) = (rows, local);
        made.transitions = draft
            .emitted
            .into_iter()
            .map(|each| (self.slots.get(each.slot).key.clone(), each.transition))
            .collect();
        for (key, transition) in &made.transitions {
            self.unacked.entry(key.clone()).or_default().push((number, transition.clone()));
        }
        let key_of = |(at, claim): (u32, Arc<Claim>)| (self.slots.get(at).key.clone(), claim);
        made.claims = draft.claims.into_iter().map(key_of).collect();
        for (key, claim) in &made.claims {
            self.unacked_claims.entry(key.clone()).or_default().push((number, claim.clone()));
        }
        self.timers.stage(self.stages, &made.timers_added, &made.timers_dropped);
        self.members.stage(self.stages, &made.members_added, &made.members_dropped);
        let made = Arc::new(made);
        if !made.is_empty() {
            self.steps.push_back(made.clone());
        }
        Ok(made)
    }

    fn stage_members(&mut self, turned: &[u32], new: &[u32], made: &mut Made) {
        let mut looked = HashSet::<u32>::new();
        for at in turned.iter().chain(new) {
            let slot = self.slots.get(*at);
            if slot.mark != Mark::Changed || !looked.insert(*at) {
                continue;
            }
            let after: Inside = match (&slot.hot, &slot.bytes) {
                (Some(row), _) => codec::inside(row),
                (None, Some(bytes)) => codec::inside_of(bytes).unwrap_or_default(),
                (None, None) => Inside::new(),
            };
            if slot.inside != after {
                moved(&slot.key, &slot.inside, &after, &mut made.members_added, &mut made.members_dropped);
                self.slots.get_mut(*at).inside = after;
            }
        }
    }

    /// The changelog batches of steps, in order. None: some outbox doesn't fit into its row's record.
    pub fn changelog(&self, steps: &[Logged], now_ms: i64, limits: &LogLimits) -> Option<Vec<Batch>> {
        let mut batches = Batches::new(limits.batch_bytes);
        for Logged { made, head, tail } in steps {
            for each in head {
                add(&mut batches, now_ms, each);
            }
            for (key, bytes) in &made.rows {
                match self.outbox(key, made.number) {
                    None => batches.add(now_ms, Some(key), Some(bytes), &[]),
                    Some(outbox) if key.len() + bytes.len() + outbox.len() <= limits.record_bytes => {
                        batches.add(now_ms, Some(key), Some(bytes), &[("outbox", Some(&outbox))]);
                    }
                    Some(_) => return None,
                }
            }
            for each in tail {
                add(&mut batches, now_ms, each);
            }
        }
        Some(batches.finish())
    }

    /// msgpack of the row's outputs that are not known to be in Kafka, up to a step's.
    pub fn outbox(&self, key: &[u8], number: u64) -> Option<Vec<u8>> {
        let (transitions, claims) = (self.unacked.get(key), self.unacked_claims.get(key));
        let transitions: Vec<&Transition> = waiting(transitions, number);
        let claims: Vec<&Claim> = waiting(claims, number);
        (!(transitions.is_empty() && claims.is_empty())).then(|| {
            let mut bytes = Vec::new();
            write_outbox(&mut bytes, number as i64, transitions.into_iter(), claims.into_iter());
            bytes
        })
    }

    /// The step's outputs are in Kafka: its outboxes need not be kept.
    pub fn acked(&mut self, made: &Made) {
        forget(&mut self.unacked, made.transitions.iter().map(|each| &each.0), made.number);
        forget(&mut self.unacked_claims, made.claims.iter().map(|each| &each.0), made.number);
    }

    /// The step is in the changelog, its outputs are in Kafka: the store may have it.
    pub fn durable(&mut self, number: u64) {
        self.durable = self.steps.iter().take_while(|step| step.number <= number).count();
    }

    /// Rows and dropped timers that may go to the store and are not there yet.
    pub fn durable_rows(&self) -> usize {
        let steps = self.steps.iter().take(self.durable);
        steps.map(|step| step.rows.len() + step.local.len() + step.timers_dropped.len()).sum()
    }

    /// What the durable steps change in the store, together.
    pub fn flush(&self) -> Flush {
        let mut rows: HashMap<&Key, &Bytes, foldhash::fast::RandomState> = HashMap::default();
        let (mut timers, mut members) = (HashMap::new(), HashMap::new());
        for step in self.steps.iter().take(self.durable) {
            rows.extend(step.rows.iter().chain(&step.local).map(|(key, bytes)| (key, bytes)));
            then(&mut timers, &step.timers_dropped, &step.timers_added);
            then(&mut members, &step.members_dropped, &step.members_added);
        }
        let mut rows: Vec<_> = rows.into_iter().map(|(key, bytes)| (key.clone(), bytes.clone())).collect();
        rows.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        let ((timers_added, timers_dropped), (members_added, members_dropped)) =
            (sides(timers), sides(members));
        Flush { rows, timers_added, timers_dropped, members_added, members_dropped }
    }

    /// The store has what `flush` gave.
    pub fn stored(&mut self) {
        for step in self.steps.drain(..self.durable) {
            for (at, (key, _)) in step.slots.iter().zip(step.rows.iter().chain(&step.local)) {
                self.slots.stored(*at, key, step.stage);
            }
            self.timers.stored(step.stage, step.timers_dropped.iter().chain(&step.timers_added));
            self.members.stored(step.stage, step.members_dropped.iter().chain(&step.members_added));
        }
        self.durable = 0;
        self.timers.tidy();
    }
}

/// Outputs of steps, by row key.
type Unacked<T> = HashMap<Key, Vec<(u64, Arc<T>)>, foldhash::fast::RandomState>;

/// Of a row's outputs, those up to a step's.
fn waiting<T>(of: Option<&Vec<(u64, Arc<T>)>>, number: u64) -> Vec<&T> {
    of.into_iter().flatten().filter(|(at, _)| *at <= number).map(|(_, each)| &**each).collect()
}

/// The outputs of these rows are in Kafka, up to a step's.
fn forget<'k, T>(unacked: &mut Unacked<T>, keys: impl Iterator<Item = &'k Key>, number: u64) {
    for key in keys {
        if let Some(waiting) = unacked.get_mut(key) {
            waiting.retain(|(at, _)| *at > number);
            if waiting.is_empty() {
                unacked.remove(key);
            }
        }
    }
}

fn add(batches: &mut Batches, now_ms: i64, (key, value, headers): &Written) {
    let headers: Vec<_> = headers.iter().map(|(name, each)| (name.as_str(), Some(each.as_slice()))).collect();
    batches.add(now_ms, Some(key), value.as_deref(), &headers);
}

/// What entries become that are dropped and then added: per entry whether it was there before, and is after.
fn then<'e, T: std::hash::Hash + Eq>(
    moves: &mut HashMap<&'e T, (bool, bool)>,
    dropped: &'e [T],
    added: &'e [T],
) {
    for (entries, is_there) in [(dropped, false), (added, true)] {
        for entry in entries {
            moves.entry(entry).and_modify(|each| each.1 = is_there).or_insert((!is_there, is_there));
        }
    }
}

/// (added, dropped) of moves that changed anything, in order.
fn sides<T: Ord + Clone>(moves: HashMap<&T, (bool, bool)>) -> (Vec<T>, Vec<T>) {
    let (mut added, mut dropped) = (Vec::new(), Vec::new());
    for (entry, (before, after)) in moves {
        match (before, after) {
            (false, true) => added.push(entry.clone()),
            (true, false) => dropped.push(entry.clone()),
            _ => {}
        }
    }
    added.sort_unstable();
    dropped.sort_unstable();
    (added, dropped)
}
