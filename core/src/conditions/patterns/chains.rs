//! Finding the chains of events that fit a sequence: one pass over the events in their order
//! (`rules/conditions/chains.py`).
//!
//! For each step, the open chains that end there are kept by what later steps will ask of them: the values that
//! their events bound. Of chains alike in that, one is better if its first event came later (`total`,
//! `without`), or its last one did (the next step's `within`); only those are kept that no other beats.

use std::collections::VecDeque;

use foldhash::fast::RandomState;
use indexmap::IndexMap;
use indexmap::map::Entry;
use smallvec::SmallVec;

use super::bound::BoundCheck;
use super::fits::{Fits, NO_FITS, has, less, only};
use super::layout::{LayoutBuilder, mentions};
use super::slots::{Bindings, Identity, NULL, Slot, Slots, identity};
use crate::predicates::against::RefSpec;
use crate::spec::{SequenceStepSpec, UnknownRule};

/// (time of the last event, index of the first one), the times ascending, the indexes descending.
type Ends = VecDeque<(i64, usize)>;
type Key<'s> = SmallVec<[Identity<'s>; 2]>;
/// By what tells bindings apart: the bindings, and the chains.
type Open<'s> = IndexMap<Key<'s>, (Bindings<'s>, Ends), RandomState>;

/// The chains of one sequence.
pub struct Chains {
    bound: Vec<Option<BoundCheck>>,
    within_ms: Vec<Option<i64>>,
    total_ms: Option<i64>,
    without: Fits,
    /// Of each binding, its slot in the event that binds it.
    slots: Vec<usize>,
    /// Per step, the bindings that its event binds.
    binds: Vec<Vec<usize>>,
    /// Per step, the bindings that no later step asks for.
    drops: Vec<Vec<usize>>,
    /// Per step: whether the earliest chain to reach it is as good as any that reaches it later.
    earliest: Vec<bool>,
}

impl Chains {
    /// `bound` are the steps'. Adds to the layout the slots of what they refer to.
    pub fn build(
        steps: &[SequenceStepSpec],
        has_without: bool,
        total_ms: Option<i64>,
        bound: Vec<Option<BoundCheck>>,
        layout: &mut LayoutBuilder,
    ) -> Result<Chains, UnknownRule> {
        let size = steps.len();
        let refs = layout.bindings().to_vec();
        let mut origin = Vec::with_capacity(refs.len());
        let mut used = Vec::with_capacity(refs.len());
        for each in &refs {
            let RefSpec::Ref { step, .. } = each;
            let named = steps
                .iter()
                .rposition(|SequenceStepSpec::SequenceStep { name, .. }| name.as_ref() == Some(step));
            let asks =
                steps.iter().rposition(|SequenceStepSpec::SequenceStep { event, .. }| mentions(event, each));
            match (named, asks) {
                (Some(first), Some(last)) => {
                    origin.push(first);
                    used.push(last);
                }
                _ => return Err(UnknownRule(format!("no step is named {step}"))),
            }
        }
        let within_ms: Vec<Option<i64>> =
            steps.iter().map(|SequenceStepSpec::SequenceStep { within_ms, .. }| *within_ms).collect();
        let of_step = |at: &[usize], k: usize| {
            at.iter().enumerate().filter(|(_, step)| **step == k).map(|(binding, _)| binding).collect()
        };
        let free = !has_without && total_ms.is_none();
        let earliest = |k: usize| {
            free && k + 1 < size
                && within_ms[k + 1].is_none()
                && !origin.iter().zip(&used).any(|(first, last)| *first <= k && k < *last)
        };
        Ok(Chains {
            bound,
            total_ms,
            without: if has_without { only(size) } else { NO_FITS },
            slots: refs.iter().map(|RefSpec::Ref { path, .. }| layout.value_slot(path)).collect(),
            binds: (0..size).map(|k| of_step(&origin, k)).collect(),
            drops: (0..size).map(|k| of_step(&used, k)).collect(),
            earliest: (0..size).map(earliest).collect(),
            within_ms,
        })
    }

    /// Whether the first event that may be the first step is as good as any later one.
    pub fn earliest_first(&self) -> bool {
        self.earliest.first() == Some(&true)
    }

    /// The times at which chains end, ascending. Takes steps off events that no chain needs them for.
    ///
    /// `times` ascend; `steps` are those that each event may be, `slots` its slots, if there are any.
    pub fn find(&self, times: &[i64], steps: &mut [Fits], slots: &[Slots]) -> Vec<i64> {
        let last = self.bound.len() - 1;
        let mut opened: Vec<Open<'_>> = (0..=last).map(|_| Open::default()).collect();
        let mut ends: Vec<i64> = Vec::new();
        let mut barred = 0;
        for (index, (event_ms, mine_fits)) in times.iter().copied().zip(steps.iter_mut()).enumerate() {
            let fits = *mine_fits;
            let mine = slots.get(index).map_or(&[][..], |each| &each[..]);
            // The last step first, so that an event is never two steps of one chain.
            for k in (1..=last).rev().filter(|k| has(fits, *k)) {
                if self.earliest[k] && !opened[k].is_empty() {
                    *mine_fits = less(*mine_fits, k);
                    continue;
                }
                for (bindings, first) in self.reaching(&mut opened[k - 1], k, event_ms, mine) {
                    if k < last {
                        self.open(&mut opened[k], k, bindings, mine, event_ms, first);
                    } else if first >= barred && self.in_total(event_ms.saturating_sub(times[first])) {
                        if ends.last() != Some(&event_ms) {
                            ends.push(event_ms);
                        }
                        break;
                    }
                }
            }
            if fits & self.without != NO_FITS {
                barred = index;
                opened.iter_mut().for_each(IndexMap::clear);
            }
            if has(fits, 0) {
                if self.earliest[0] && !opened[0].is_empty() {
                    *mine_fits = less(*mine_fits, 0);
                } else {
                    let none = SmallVec::from_elem(&NULL, self.slots.len());
                    self.open(&mut opened[0], 0, none, mine, event_ms, index);
                }
            }
        }
        ends
    }

    /// The chains that an event continues as step `k`: their bindings and the latest first event.
    fn reaching<'s>(
        &self,
        opened: &mut Open<'s>,
        k: usize,
        event_ms: i64,
        mine: &'s [Slot],
    ) -> Vec<(Bindings<'s>, usize)> {
        let (within_ms, bound) = (self.within_ms[k], &self.bound[k]);
        let mut found = Vec::new();
        opened.retain(|_, (bindings, chains)| {
            if let Some(within_ms) = within_ms {
                let horizon = event_ms.saturating_sub(within_ms);
                while chains.front().is_some_and(|(end_ms, _)| *end_ms < horizon) {
                    chains.pop_front();
                }
            }
            let Some((_, first)) = chains.front() else {
                return false;
            };
            if bound.as_ref().is_none_or(|bound| bound.holds(mine, bindings)) {
                found.push((bindings.clone(), *first));
            }
            true
        });
        found
    }

    /// A chain now ends at this event, as step `k`, which isn't the last one.
    fn open<'s>(
        &self,
        opened: &mut Open<'s>,
        k: usize,
        mut bindings: Bindings<'s>,
        mine: &'s [Slot],
        event_ms: i64,
        first: usize,
    ) {
        for at in &self.drops[k] {
            bindings[*at] = &NULL;
        }
        for at in &self.binds[k] {
            bindings[*at] = mine.get(self.slots[*at]).unwrap_or(&NULL);
        }
        match opened.entry(bindings.iter().copied().map(identity).collect()) {
            Entry::Vacant(entry) => {
                entry.insert((bindings, VecDeque::from([(event_ms, first)])));
            }
            Entry::Occupied(mut entry) => {
                let chains = &mut entry.get_mut().1;
                while chains.back().is_some_and(|(_, other)| *other <= first) {
                    chains.pop_back();
                }
                if chains.is_empty() || self.within_ms[k + 1].is_some() {
                    chains.push_back((event_ms, first));
                }
            }
        }
    }

    fn in_total(&self, span_ms: i64) -> bool {
        self.total_ms.is_none_or(|total_ms| span_ms <= total_ms)
    }
}
