//! Records of one source partition, taken in log order, and timers that stream time passed
//! (`agents/evaluate/partition/apply.py`, `Pipeline.punctuate`).

use std::sync::Arc;

use super::draft::Emitted;
use super::slice::{Entry, Slice, key_of};
use super::slots::split_key;
use super::timers::Timer;
use super::{Partition, RowBroken};
use crate::decide::{self, Cause};
use crate::input::{Record, Says};
use crate::output::{Claim, Transition, Trigger};
use crate::row::{Row, codec, dedupe};
use crate::rules::{ProjectRules, RuleSet};
use crate::time::instants::MAX_MS;
use crate::value::json_write;

/// Larger properties don't go along with the transitions that an event causes.
const TRIGGER_BYTES: usize = 4096;

/// What became of a slice, beside what is in the draft.
#[derive(Default, Debug)]
pub struct Taken {
    /// So many records of the slice; the rest is another step's.
    pub taken: usize,
    pub stream_time_ms: i64,
    /// Those of users of other partitions, by their place in the slice.
    pub repartitioned: Vec<(usize, String)>,
    /// Those that would let a user's attributes grow to so many bytes.
    pub refused: Vec<(usize, usize)>,
    pub is_full: bool,
}

/// After so many records, or timers, whoever waits to look at rows may do so: about a tenth of a millisecond.
pub const PART: usize = 32;

/// A slice that is being taken, part by part.
pub struct Taking {
    slice: Option<Slice>,
    next: usize,
    pub taken: Taken,
}

/// Where the records of a slice come from.
pub struct From {
    /// `tables/codec.py`, source_key.
    pub source: u32,
    /// Records up to this offset were taken in an earlier life of the partition.
    pub floor: i64,
    /// Offsets of records that an earlier life refused because of their rows.
    pub refused_before: Vec<i64>,
    /// The draft may grow as it likes.
    pub is_unbounded: bool,
}

impl Partition {
    /// Apply the slice that was read, by `take_part`.
    pub fn begin_taking(&mut self) -> Taking {
        let taken = Taken { stream_time_ms: self.draft.stream_time_ms, ..Taken::default() };
        Taking { slice: self.slice.take(), next: 0, taken }
    }

    /// Apply the next records of the slice; whether there are more. Rows that are not in memory by now are new.
    pub fn take_part(&mut self, taking: &mut Taking, from: &From) -> Result<bool, RowBroken> {
        let Taking { slice, next, taken } = taking;
        let Some(slice) = slice else { return Ok(false) };
        let (part, entries) = (slice.borrow_owner(), slice.borrow_dependent());
        let end = entries.len().min(*next + PART);
        let mut is_over = end == entries.len();
        let rules = self.rules.clone();
        let mut scratch = Vec::new();
        for (at, entry) in entries.iter().enumerate().take(end).skip(*next) {
            let meta = part.fetched.record(part.start + at);
            taken.taken += 1;
            self.draft.fed_bytes += meta.value.map_or(0, <[u8]>::len);
            if self.draft.stream_time_ms < meta.timestamp_ms && meta.timestamp_ms <= MAX_MS {
                self.draft.stream_time_ms = meta.timestamp_ms;
            }
            let Entry::Record(found, record) = entry else { continue };
            let key = key_of(record, &mut scratch);
            let found = found.or_else(|| self.slots.find(key));
            if found.is_none() && !self.place.owns(&record.user_id) {
                self.draft.counts.repartitioned += 1;
                taken.repartitioned.push((at, record.user_id.to_string()));
                continue;
            }
            if meta.offset <= from.floor || from.refused_before.contains(&meta.offset) {
                self.draft.counts.repeated += 1;
                continue;
            }
            let one = One {
                source: from.source,
                offset: meta.offset,
                timestamp_ms: meta.timestamp_ms,
                value_bytes: meta.value.map_or(0, <[u8]>::len),
            };
            match self.take_one(&rules, key, found, record, &one)? {
                Outcome::Refused(size) => taken.refused.push((at, size)),
                Outcome::Turned if !from.is_unbounded && self.is_full() => {
                    is_over = true;
                    break;
                }
                _ => {}
            }
        }
        *next = end;
        taken.stream_time_ms = self.draft.stream_time_ms;
        taken.is_full = self.is_full();
        Ok(!is_over)
    }

    fn take_one(
        &mut self,
        rules: &RuleSet,
        key: &[u8],
        found: Option<u32>,
        record: &Record<'_>,
        one: &One,
    ) -> Result<Outcome, RowBroken> {
        let stream_time_ms = self.draft.stream_time_ms;
        let mut fresh = None;
        let row = match found {
            Some(at) => self.slots.hot(at, rules).map_err(|error| RowBroken::of(key, error))?,
            None => fresh.insert(Row { epoch: self.draft.epoch, ..Row::new(stream_time_ms) }),
        };
        let is_new = found.is_none();
        self.draft.looked.extend(found);
        let decided_ms = row.now_ms;
        let now_ms = stream_time_ms.max(decided_ms);
        if row.applied_of(one.source) >= one.offset {
            self.draft.counts.repeated += 1;
            return Ok(Outcome::Nothing);
        }
        let is_timed = record.has_time || one.timestamp_ms >= 0;
        let time_ms = if is_timed { record.time_ms } else { now_ms };
        if let Some(size) = refused_bytes(row, record, one, self.limits.max_attributes_bytes) {
            return Ok(Outcome::Refused(size));
        }
        let known = !(is_new || row.is_stub()); // a user who was erased comes as new
        if row.is_stub() {
            row.begin_again(now_ms, self.draft.epoch);
        }
        let before_ms = if is_new { None } else { row.timer_ms };
        let mut has_id = false;
        if let (Says::Event { name, .. }, Some(id)) = (&record.says, &record.id) {
            if self.limits.dedupe.run_ms > 0 {
                has_id = true;
                let hash = dedupe::hash_of(name, id, &mut self.text);
                if dedupe::is_repeated(row, hash, now_ms, self.limits.dedupe) {
                    self.draft.counts.repeated += 1;
                    if let Some(at) = found {
                        // Noted, because the window may be over when it is read once more.
                        row.note_applied(one.source, one.offset);
                        self.draft.change(&mut self.slots, at, before_ms);
                    }
                    return Ok(Outcome::Nothing);
                }
                self.draft.counts.ids_dropped += dedupe::remember(row, hash, now_ms, self.limits.dedupe);
            }
        }
        let project = rules.project(&record.project);
        let changes = &mut self.changes;
        changes.clear();
        if before_ms.is_some_and(|before_ms| before_ms < now_ms) {
            decide::fire(project, row, now_ms, changes, &mut self.scratch);
        }
        let scratch = &mut self.scratch;
        let mut has_effect = match &record.says {
            Says::Event { name, properties } => {
                decide::apply_event(project, row, name, time_ms, properties, now_ms, known, changes, scratch)
            }
            Says::Update(update) => {
                decide::apply_profile(project, row, update, now_ms, known, changes, scratch)
            }
        } || !known;
        let claims = if record.identities.is_empty() { Vec::new() } else { take_identities(row, record) };
        has_effect |= !claims.is_empty();
        self.draft.counts.applied += 1;
        self.sent.clear();
        if let Says::Event { name, properties } = &record.says
            && !project.destinations.is_empty()
        {
            decide::send::send_event(project, row, name, time_ms, properties, now_ms, &mut self.sent);
        }
        let has_transitions = !(changes.is_empty() && self.sent.is_empty());
        let (timer_ms, leaves_trace) = (row.timer_ms, has_effect || has_transitions || has_id);
        if leaves_trace {
            row.note_applied(one.source, one.offset);
        } else if timer_ms == before_ms {
            row.now_ms = decided_ms; // as it is stored, so that it doesn't matter for how long it is in memory
        }
        let at = match (found, fresh) {
            (Some(at), _) => at,
            (None, Some(row)) => {
                let at = self.slots.add_new(key, row);
                self.draft.new.push(at);
                at
            }
            (None, None) => unreachable!("a row that is not found is made"),
        };
        if !claims.is_empty() {
            self.claim(record, &claims, now_ms, at);
        }
        if has_transitions {
            self.emit(project, &record.user_id, at, Some((record, time_ms)));
        }
        if leaves_trace {
            self.draft.change(&mut self.slots, at, before_ms);
        } else if timer_ms != before_ms {
            self.draft.move_timer(&mut self.slots, at, before_ms);
        }
        Ok(if has_transitions { Outcome::Turned } else { Outcome::Nothing })
    }

    /// Fire timers that stream time passed. Rows that are not in memory by now don't exist. Gives the entries of
    /// the index that are no row's any more, and how many were looked at.
    pub fn fire(&mut self, due: &[Timer], is_unbounded: bool) -> Result<(usize, Vec<Timer>), RowBroken> {
        let rules = self.rules.clone();
        let stream_time_ms = self.draft.stream_time_ms;
        let mut stale = Vec::new();
        for (looked, (timer_ms, key)) in due.iter().enumerate() {
            if !is_unbounded && self.is_full() {
                return Ok((looked, stale));
            }
            self.draft.counts.timers += 1;
            let Some(at) = self.slots.find(key) else {
                stale.push((*timer_ms, key.clone())); // left by a recovery over older rows
                continue;
            };
            let row = self.slots.hot(at, &rules).map_err(|error| RowBroken::of(key, error))?;
            let Some((project, user_id)) = split_key(key).filter(|_| row.timer_ms == Some(*timer_ms)) else {
                stale.push((*timer_ms, key.clone()));
                continue;
            };
            self.changes.clear();
            let project = rules.project(project);
            decide::fire(project, row, stream_time_ms, &mut self.changes, &mut self.scratch);
            if self.changes.is_empty() {
                self.draft.move_timer(&mut self.slots, at, Some(*timer_ms));
            } else {
                self.emit(project, user_id, at, None);
                self.draft.change(&mut self.slots, at, Some(*timer_ms));
            }
        }
        Ok((due.len(), stale))
    }

    /// The record's user claims these of its identities.
    fn claim(&mut self, record: &Record<'_>, namespaces: &[usize], time_ms: i64, at: u32) {
        let project: Arc<str> = (&*record.project).into();
        for (namespace, value) in namespaces.iter().filter_map(|each| record.identities.get_index(*each)) {
            let claim = Claim {
                project: project.clone(),
                namespace: (&**namespace).into(),
                value: (&**value).into(),
                user_id: (&*record.user_id).into(),
                time_ms,
                unset: false,
            };
            self.draft.claims.push((at, Arc::new(claim)));
        }
    }

    /// What `self.changes` says of a row goes out.
    fn emit(
        &mut self,
        project: &Arc<ProjectRules>,
        user_id: &str,
        at: u32,
        record: Option<(&Record<'_>, i64)>,
    ) {
        let user_id: Arc<str> = user_id.into();
        let trigger = record.and_then(|(record, time_ms)| {
            let is_its = self.changes.iter().any(|each| each.cause != Cause::Time);
            is_its.then(|| Arc::new(trigger_of(record, time_ms, TRIGGER_BYTES)))
        });
        for change in &self.changes {
            let audience = &project.audiences[change.audience];
            let transition = Transition {
                project: project.name.clone(),
                audience: audience.id.clone(),
                audience_name: audience.name.clone(),
                audience_version: audience.version,
                user_id: user_id.clone(),
                seq: change.seq,
                at_ms: change.at_ms,
                cause: change.cause.text().into(),
                trigger: if change.cause == Cause::Time { None } else { trigger.clone() },
                entered_at_ms: change.entered_at_ms,
                exit_at_ms: change.exit_at_ms,
                entered_at_is_bound: false,
                destination: None,
            };
            self.draft.counts.turned(&transition);
            self.draft.emitted.push(Emitted { slot: at, transition: Arc::new(transition) });
        }
        if let (Some((record, time_ms)), false) = (record, self.sent.is_empty()) {
            self.emit_sent(project, &user_id, at, Arc::new(trigger_of(record, time_ms, usize::MAX)));
        }
        self.draft.turned.push(at);
    }
}

impl Partition {
    /// What `self.sent` says of an event goes out.
    fn emit_sent(&mut self, project: &Arc<ProjectRules>, user_id: &Arc<str>, at: u32, trigger: Arc<Trigger>) {
        let nobody: Arc<str> = "".into();
        for sent in &self.sent {
            let audience = sent.audience.map(|index| &project.audiences[index]);
            let transition = Transition {
                project: project.name.clone(),
                audience: audience.map_or(&nobody, |each| &each.id).clone(),
                audience_name: audience.map_or(&nobody, |each| &each.name).clone(),
                audience_version: audience.map_or(0, |each| each.version),
                user_id: user_id.clone(),
                seq: sent.seq,
                at_ms: sent.at_ms,
                cause: Cause::Event.text().into(),
                trigger: Some(trigger.clone()),
                entered_at_ms: sent.entered_at_ms,
                exit_at_ms: sent.exit_at_ms,
                entered_at_is_bound: false,
                destination: Some(project.destinations[sent.destination].name.clone()),
            };
            self.draft.emitted.push(Emitted { slot: at, transition: Arc::new(transition) });
        }
    }
}

fn trigger_of(record: &Record<'_>, time_ms: i64, most_bytes: usize) -> Trigger {
    let mut kept = Vec::new();
    let event = match &record.says {
        Says::Event { name, properties } => {
            if !properties.is_empty() {
                json_write::write_object(&mut kept, properties);
            }
            Some(Box::from(&**name))
        }
        Says::Update(_) => None,
    };
    if kept.len() > most_bytes {
        kept.clear();
    }
    Trigger { event, id: record.id.as_deref().map(Box::from), time_ms, properties: kept.into() }
}

/// Where one record lies, and what its bytes say beside its value.
struct One {
    source: u32,
    offset: i64,
    timestamp_ms: i64,
    value_bytes: usize,
}

enum Outcome {
    Nothing,
    /// Transitions came of it.
    Turned,
    /// The attributes would have so many bytes.
    Refused(usize),
}

/// Add the identities that are new or others; which of the record's they are.
fn take_identities(row: &mut Row, record: &Record<'_>) -> Vec<usize> {
    let mut news = Vec::new();
    for (index, (name, identity)) in record.identities.iter().enumerate() {
        if is_news(row, name, identity) {
            row.identities.insert(Box::from(&**name), Box::from(&**identity));
            news.push(index);
        }
    }
    news
}

fn has_new_identities(row: &Row, record: &Record<'_>) -> bool {
    record.identities.iter().any(|(name, each)| is_news(row, name, each))
}

/// An empty text says nothing of an identity.
fn is_news(row: &Row, name: &str, identity: &str) -> bool {
    !identity.is_empty() && row.identities.get(name).is_none_or(|known| **known != *identity)
}

/// How large attributes and identities would be, if that is more than allowed.
fn refused_bytes(row: &Row, record: &Record<'_>, one: &One, most_bytes: usize) -> Option<usize> {
    if !(record.has_attributes || has_new_identities(row, record)) {
        return None;
    }
    let size = one.value_bytes + codec::attributes_bytes(row);
    (size > most_bytes).then_some(size)
}
