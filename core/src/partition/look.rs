//! Lookups: memberships of many users at an instant, as JSON (`app/worker/held.py` in Python, `app/lookup/answers.py`
//! says what the fields mean). Nothing here changes a row: timers that are due are fired on a copy.

use std::borrow::Cow;

use super::slots::{self, Key};
use super::{Partition, RowBroken};
use crate::decide::{self, Scratch, predict};
use crate::row::{Row, codec};
use crate::rules::{ProjectRules, RuleSet};
use crate::time::instants::format_instant;
use crate::value::json_write::{write_int, write_str};

/// What is asked of each user.
pub struct Question<'q> {
    pub project: &'q str,
    /// Ids of audiences; None: all that the user is in.
    pub audiences: Option<&'q [String]>,
    /// Not before this instant.
    pub at_ms: i64,
    /// `ok`, or why the answer isn't whole.
    pub status: &'q str,
    /// Fields that come last, as JSON with a comma in front.
    pub more: &'q str,
}

/// A question, with what the rules say about it.
pub struct Look<'q> {
    question: &'q Question<'q>,
    rules: &'q ProjectRules,
    /// Indexes of the audiences to tell of.
    wanted: Vec<usize>,
    at_ms: i64,
    scratch: Scratch,
}

impl<'q> Look<'q> {
    /// At `stream_time_ms` at the earliest.
    pub fn new(question: &'q Question<'q>, rules: &'q RuleSet, stream_time_ms: i64) -> Look<'q> {
        let rules = &**rules.project(question.project);
        let wanted = match question.audiences {
            None => (0..rules.audiences.len()).collect(),
            Some(ids) => {
                let place = |id: &String| rules.audiences.iter().position(|each| *each.id == **id);
                ids.iter().filter_map(place).collect()
            }
        };
        let at_ms = question.at_ms.max(stream_time_ms);
        Look { question, rules, wanted, at_ms, scratch: Scratch::default() }
    }

    /// The answer for a user of whom nothing is known.
    pub fn nobody(&self, user_id: &str) -> Vec<u8> {
        let mut out = Vec::with_capacity(96 + user_id.len());
        self.begin(&mut out, "unknown_user", user_id);
        self.end(&mut out, self.at_ms);
        out
    }

    /// The answer by a row's bytes.
    pub fn stored(&mut self, user_id: &str, key: &[u8], bytes: &[u8]) -> Result<Vec<u8>, RowBroken> {
        let row = codec::decode(bytes, self.rules).map_err(|error| RowBroken::of(key, error))?;
        Ok(self.row(user_id, Cow::Owned(row)))
    }

    /// The answer by a row.
    pub fn row(&mut self, user_id: &str, row: Cow<'_, Row>) -> Vec<u8> {
        if row.is_stub() {
            return self.nobody(user_id);
        }
        let then_ms = self.at_ms.max(row.now_ms);
        let row = if row.timer_ms.is_some_and(|timer_ms| timer_ms <= then_ms) {
            let mut row = row.into_owned();
            decide::fire(self.rules, &mut row, then_ms + 1, &mut Vec::new(), &mut self.scratch);
            Cow::Owned(row)
        } else {
            row
        };
        let mut out = Vec::with_capacity(128 + user_id.len() + 128 * self.wanted.len().min(8));
        self.begin(&mut out, self.question.status, user_id);
        let is_named = self.question.audiences.is_some();
        let mut is_first = true;
        for index in &self.wanted {
            let audience = &self.rules.audiences[*index];
            let membership = row.membership(audience.key).filter(|each| each.inside());
            if membership.is_none() && !is_named {
                continue;
            }
            if !std::mem::replace(&mut is_first, false) {
                out.push(b',');
            }
            write_str(&mut out, &audience.id);
            match membership {
                None => out.extend_from_slice(b":{\"member\":false,\"since\":null,\"exit_at\":null}"),
                Some(membership) => {
                    out.extend_from_slice(b":{\"member\":true,\"since\":");
                    write_instant(&mut out, Some(row.since_ms(membership)));
                    out.extend_from_slice(b",\"exit_at\":");
                    write_instant(&mut out, predict::exit_ahead(self.rules, *index, &row, then_ms));
                    out.extend_from_slice(b",\"version\":");
                    write_int(&mut out, membership.version);
                    out.push(b'}');
                }
            }
        }
        self.end(&mut out, then_ms);
        out
    }

    fn begin(&self, out: &mut Vec<u8>, status: &str, user_id: &str) {
        out.extend_from_slice(b"{\"status\":\"");
        out.extend_from_slice(status.as_bytes());
        out.extend_from_slice(b"\",\"user_id\":");
        write_str(out, user_id);
        out.extend_from_slice(b",\"memberships\":{");
    }

    fn end(&self, out: &mut Vec<u8>, as_of_ms: i64) {
        out.extend_from_slice(b"},\"as_of\":");
        write_instant(out, Some(as_of_ms));
        out.extend_from_slice(self.question.more.as_bytes());
        out.push(b'}');
    }
}

fn write_instant(out: &mut Vec<u8>, ms: Option<i64>) {
    match ms {
        None => out.extend_from_slice(b"null"),
        Some(ms) => {
            out.push(b'"');
            out.extend_from_slice(&format_instant(ms));
            out.push(b'"');
        }
    }
}

/// What is known of a row where it isn't in memory.
pub enum Elsewhere<'b> {
    NotAsked,
    Nowhere,
    Stored(&'b [u8]),
}

impl Partition {
    /// The answer for each user, between two parts of a step. None: the row isn't in memory, and `elsewhere` was
    /// not asked.
    pub fn look<'b>(
        &self,
        question: &Question<'_>,
        users: impl Iterator<Item = (&'b str, Elsewhere<'b>)>,
    ) -> Result<Vec<Option<Vec<u8>>>, RowBroken> {
        let mut look = Look::new(question, &self.rules, self.draft.stream_time_ms);
        let mut key = Vec::new();
        users
            .map(|(user_id, elsewhere)| {
                slots::row_key(question.project, user_id, &mut key);
                match self.slots.find(&key) {
                    Some(at) => self.look_at(&mut look, at, user_id).map(Some),
                    None => match elsewhere {
                        Elsewhere::NotAsked => Ok(None),
                        Elsewhere::Nowhere => Ok(Some(look.nobody(user_id))),
                        Elsewhere::Stored(bytes) => look.stored(user_id, &key, bytes).map(Some),
                    },
                }
            })
            .collect()
    }

    fn look_at(&self, look: &mut Look<'_>, at: u32, user_id: &str) -> Result<Vec<u8>, RowBroken> {
        let slot = self.slots.get(at);
        match (&slot.hot, &slot.bytes) {
            (Some(row), _) if self.slots.is_current(slot) => Ok(look.row(user_id, Cow::Borrowed(row))),
            (Some(row), _) => look.stored(user_id, &slot.key, &codec::encode(row)),
            (None, Some(bytes)) => look.stored(user_id, &slot.key, bytes),
            (None, None) => unreachable!("a slot has a row or its bytes"),
        }
    }
}

/// The same by rows as a store has them.
pub fn look_at_stored<'b>(
    rules: &RuleSet,
    question: &Question<'_>,
    users: impl Iterator<Item = (&'b str, Option<&'b [u8]>)>,
) -> Result<Vec<Vec<u8>>, RowBroken> {
    let mut look = Look::new(question, rules, question.at_ms);
    let mut key = Vec::new();
    users
        .map(|(user_id, bytes)| match bytes {
            None => Ok(look.nobody(user_id)),
            Some(bytes) => {
                slots::row_key(question.project, user_id, &mut key);
                look.stored(user_id, &Key::from(key.as_slice()), bytes)
            }
        })
        .collect()
}
