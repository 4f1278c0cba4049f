//! A step that is computed: what it writes to the changelog and the store, and what it sends.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;
use smallvec::SmallVec;

use super::draft::Counts;
use super::members::Member;
use super::slots::{Bytes, Key};
use super::timers::Timer;
use crate::kafka::write::Batches;
use crate::output::{Claim, Output, Transition};

/// A record to write: key, value, headers.
pub type Written = (Vec<u8>, Option<Vec<u8>>, Vec<(String, Vec<u8>)>);
/// A finished record batch and how many records it has.
pub type Batch = (Vec<u8>, u32);

/// Name and content of a header.
type Header<'h> = (&'h str, Option<&'h [u8]>);

/// One step. Its rows stay here until the store has them.
#[derive(Default)]
pub struct Made {
    pub number: u64,
    /// Of its rows in `Slots`, the timer index and the index of members.
    pub stage: u64,
    /// Rows that go to the changelog and the store, in the order in which they changed.
    pub rows: Vec<(Key, Bytes)>,
    /// Rows in which only the timer changed: for the store alone.
    pub local: Vec<(Key, Bytes)>,
    /// Where `rows` and then `local` are in memory.
    pub slots: Vec<u32>,
    pub timers_added: Vec<Timer>,
    pub timers_dropped: Vec<Timer>,
    pub members_added: Vec<Member>,
    pub members_dropped: Vec<Member>,
    /// With their row keys, in order.
    pub transitions: Vec<(Key, Arc<Transition>)>,
    /// Of identities, with their row keys, in order.
    pub claims: Vec<(Key, Arc<Claim>)>,
    pub counts: Counts,
}

impl Made {
    /// Neither the changelog nor the store nor an output has anything of it.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
            && self.local.is_empty()
            && self.timers_dropped.is_empty()
            && self.transitions.is_empty()
            && self.claims.is_empty()
    }

    /// How often users entered (true) or left, by project and audience (id).
    pub fn moves(&self) -> Vec<(bool, String, String, u64)> {
        let mut counts: HashMap<(bool, &str, &str), u64> = HashMap::new();
        for (_, each) in self.transitions.iter().filter(|(_, each)| each.destination.is_none()) {
            *counts.entry((each.is_enter(), &each.project, &each.audience)).or_default() += 1;
        }
        let named = |((is_enter, project, audience), count): ((bool, &str, &str), u64)| {
            (is_enter, project.to_string(), audience.to_string(), count)
        };
        counts.into_iter().map(named).collect()
    }

    /// Batches for the topic of claims, which has so many partitions: (its partition, batch, records).
    pub fn claim_outputs(&self, partitions: u32, most_bytes: usize) -> Vec<(u32, Batch)> {
        let mut targets: BTreeMap<u32, Batches> = BTreeMap::new();
        let (mut key, mut body) = (Vec::new(), Vec::new());
        for (_, claim) in &self.claims {
            key.clear();
            body.clear();
            let target = claim.write_key(&mut key, partitions);
            claim.write_body(&mut body);
            let batches = targets.entry(target).or_insert_with(|| Batches::new(most_bytes));
            batches.add(claim.time_ms.max(0), Some(&key), Some(&body), &[]);
        }
        finished(targets)
    }
}

/// Batches of steps, in order, for the topic of transitions: (its partition, batch, records). `partitions`: how
/// many it has, if its partitions aren't the table's.
pub fn outputs(
    steps: &[&Made],
    partition: u32,
    partitions: Option<u32>,
    most_bytes: usize,
) -> Vec<(u32, Batch)> {
    let mut targets: BTreeMap<u32, Batches> = BTreeMap::new();
    let mut body = Vec::new();
    for (_, transition) in steps.iter().flat_map(|step| &step.transitions) {
        let target = match partitions {
            None => partition,
            Some(partitions) => super::place::partition_of(transition.user_id.as_bytes(), partitions),
        };
        let batches = targets.entry(target).or_insert_with(|| Batches::new(most_bytes));
        let output = Output::new(transition);
        body.clear();
        output.write_body(&mut body);
        let headers = output.headers();
        let headers: SmallVec<[Header<'_>; 8]> =
            headers.iter().map(|(name, content)| (*name, Some(&**content))).collect();
        let key = transition.user_id.as_bytes();
        batches.add(transition.at_ms.max(0), Some(key), Some(&body), &headers);
    }
    finished(targets)
}

fn finished(targets: BTreeMap<u32, Batches>) -> Vec<(u32, Batch)> {
    let of =
        |(target, batches): (u32, Batches)| batches.finish().into_iter().map(move |batch| (target, batch));
    targets.into_iter().flat_map(of).collect()
}
