//! Sequences: events in order of event time, some choice of which fits the steps
//! (`rules/conditions/sequences.py`).
//!
//! Late events may fill a gap or, with `without`, break a chain, so the events are kept that may still be part
//! of one, with the steps that they fit; the chains are looked for again when a last step or a late event comes.
//! What is true at an instant rests only on the times at which chains end.

use super::patterns::chains::Chains;
use super::patterns::fits::{Fits, MOST_PATTERNS, NO_FITS, has, less, only};
use super::patterns::layout::{LayoutBuilder, has_ref};
use super::patterns::pattern_condition::{PatternKind, Patterns, update};
use super::sequence_state::{SequenceEvents, SequenceState};
use super::{Condition, Taken, UnreadableState};
use crate::aggregates::windows::Window;
use crate::predicates::Locale;
use crate::predicates::paths::Subject;
use crate::row::{Row, State, Stored};
use crate::spec::{ConditionSpec, EventPatternSpec, SequenceStepSpec, StateConditionSpec, UnknownRule};
use crate::time::FAR_MS;

/// Events that complete nothing are looked through, to let go of some, whenever so many more are kept.
const TIDY_EVERY: usize = 8;
/// What an event fits that can be the first step and nothing else.
const FIRST: Fits = only(0);

pub struct SequenceCondition {
    patterns: Patterns,
    chains: Chains,
    /// Per step but the first.
    within_ms: Vec<Option<i64>>,
    total_ms: Option<i64>,
    has_without: bool,
    /// Once true, always true.
    is_final: bool,
    only_grows: bool,
    last: usize,
    /// An earlier last step is no better than a later one where neither is held against steps before.
    latest_last: bool,
}

impl SequenceCondition {
    pub fn build(
        spec: &ConditionSpec,
        locale: &Locale,
        window: Window,
    ) -> Result<SequenceCondition, UnknownRule> {
        let StateConditionSpec::Sequence { steps, without, total_ms, .. } = &spec.source else {
            return Err(UnknownRule("no sequence".into()));
        };
        if steps.len() < 2 || steps.len() >= MOST_PATTERNS {
            return Err(UnknownRule(format!("a sequence of {} steps", steps.len())));
        }
        let mut layout = LayoutBuilder::new(locale.clone());
        let (mut patterns, mut bound) = (Vec::new(), Vec::new());
        for SequenceStepSpec::SequenceStep { event, .. } in steps {
            let (pattern, check) = layout.pattern(event)?;
            patterns.push(pattern);
            bound.push(check);
        }
        if let Some(without) = without {
            patterns.push(layout.pattern(without)?.0);
        }
        let chains = Chains::build(steps, without.is_some(), *total_ms, bound, &mut layout)?;
        let last = steps.len() - 1;
        let SequenceStepSpec::SequenceStep { event, within_ms: last_within_ms, .. } = &steps[last];
        let EventPatternSpec::EventPattern { r#where: last_where, .. } = event;
        let is_always = matches!(window, Window::Always { .. });
        let only_grows = without.is_none() && window.joins_at_once();
        Ok(SequenceCondition {
            chains,
            within_ms: steps[1..]
                .iter()
                .map(|SequenceStepSpec::SequenceStep { within_ms, .. }| *within_ms)
                .collect(),
            total_ms: *total_ms,
            has_without: without.is_some(),
            is_final: without.is_none() && is_always,
            only_grows,
            last,
            latest_last: only_grows
                && total_ms.is_none()
                && last_within_ms.is_none()
                && !last_where.as_ref().is_some_and(has_ref),
            patterns: Patterns {
                key: spec.key,
                max_samples: spec.max_samples,
                layout: layout.build(),
                patterns,
                has_timers: !is_always,
                window,
                dropped: Default::default(),
            },
        })
    }

    /// Look for chains; whether others end than before.
    fn look(&self, ends: &mut Vec<i64>, kept: &mut SequenceEvents, now_ms: i64) -> bool {
        let mut found = self.chains.find(&kept.times, &mut kept.steps, kept.slots.as_deref().unwrap_or(&[]));
        if !self.has_without {
            found.extend_from_slice(ends);
            found.sort_unstable();
            found.dedup();
        }
        let found = self.thin(&found, now_ms);
        let changed = found != *ends;
        *ends = found;
        changed
    }

    /// One end of those that count at the same instants, and of those that count now the latest.
    fn thin(&self, ends: &[i64], now_ms: i64) -> Vec<i64> {
        let window = &self.patterns.window;
        let (first, joined) = window.counting(ends, now_ms);
        let mut kept = if joined > first { vec![ends[joined - 1]] } else { Vec::new() };
        for end in &ends[joined..] {
            if kept.last().is_none_or(|last| *last < window.alike(*end).0) {
                kept.push(*end);
            }
        }
        kept
    }

    /// Per step, the earliest time of an event that may still be one; the last is that of `without`.
    fn horizons(&self, low: i64, ends: &[i64]) -> Vec<i64> {
        let latest = match ends.last() {
            Some(end) if self.only_grows => low.max(end.saturating_add(1)),
            _ => low,
        };
        let mut horizon = latest;
        let mut horizons = vec![horizon];
        for within_ms in self.within_ms.iter().rev() {
            horizon = within_ms.map_or(-FAR_MS, |within_ms| horizon.saturating_sub(within_ms));
            if let Some(total_ms) = self.total_ms {
                horizon = horizon.max(latest.saturating_sub(total_ms));
            }
            horizons.push(horizon.max(-FAR_MS));
        }
        horizons.reverse();
        horizons.push(horizons[0]);
        horizons
    }

    fn needed(&self, mut fits: Fits, event_ms: i64, horizons: &[i64]) -> Fits {
        if matches!(self.patterns.window, Window::Always { last_ms, .. } if event_ms > last_ms) {
            return NO_FITS;
        }
        for (number, horizon) in horizons.iter().enumerate() {
            if event_ms < *horizon {
                fits = less(fits, number);
            }
        }
        fits
    }

    /// Take steps off events that come too late to be them in a chain that isn't complete yet.
    fn take_off(&self, kept: &mut SequenceEvents, horizons: &[i64]) {
        let late = kept.times.partition_point(|each| *each < horizons[self.last]);
        for (fits, event_ms) in kept.steps.iter_mut().zip(&kept.times).take(late) {
            *fits = self.needed(*fits, *event_ms, horizons);
        }
        if self.latest_last {
            let may_be_last = kept.steps.iter_mut().rev().filter(|fits| has(**fits, self.last));
            may_be_last.skip(1).for_each(|fits| *fits = less(*fits, self.last));
        }
    }

    /// Let go of what is in no chain to come.
    fn prune(&self, ends: &mut Vec<i64>, kept: &mut SequenceEvents, low: i64, thoroughly: bool) {
        ends.drain(..ends.partition_point(|each| *each < low));
        if self.is_final && !ends.is_empty() {
            return;
        }
        let horizons = self.horizons(low, ends);
        if thoroughly {
            self.take_off(kept, &horizons);
            kept.keep_needed();
        }
        let mut gone = kept.times.partition_point(|each| *each < horizons[0]);
        let over = (kept.times.len() - gone).saturating_sub(self.patterns.max_samples);
        if over > 0 {
            self.patterns.drop_samples(over);
            gone += over;
        }
        kept.drop_first(gone);
    }
}

impl PatternKind for SequenceCondition {
    type State = SequenceState;

    fn patterns(&self) -> &Patterns {
        &self.patterns
    }

    fn state_of(state: State) -> Option<Box<SequenceState>> {
        if let State::Sequence(state) = state { Some(state) } else { None }
    }

    fn row_state(state: Box<SequenceState>) -> State {
        State::Sequence(state)
    }

    fn take(&self, state: &mut Option<Box<SequenceState>>, fits: Fits, event: &Taken<'_, '_>) -> bool {
        let ends = state.as_ref().map_or(&[][..], |state| &state.ends);
        if self.is_final && !ends.is_empty() {
            return false;
        }
        let (event_ms, window, layout) = (event.event_ms, &self.patterns.window, &self.patterns.layout);
        let admitted = if window.admits(event_ms) { fits } else { less(fits, self.last) };
        let low = window.low(event.now_ms);
        let fits = self.needed(admitted, event_ms, &self.horizons(low, ends));
        if fits == NO_FITS {
            return false;
        }
        let SequenceState { ends, events } = &mut **state.get_or_insert_default();
        let slots = (!layout.is_empty()).then(Vec::new);
        let kept = events.get_or_insert_with(|| SequenceEvents { slots, ..Default::default() });
        let in_order = kept.times.last().is_none_or(|last| event_ms >= *last);
        let begins_again = in_order && fits == FIRST && self.chains.earliest_first();
        if begins_again && kept.steps.iter().any(|each| has(*each, 0)) {
            return false;
        }
        kept.insert(event_ms, fits, || layout.slots(Subject::Object(event.properties), event_ms));
        let look = !in_order || has(fits, self.last) || kept.times.len() % TIDY_EVERY == 0;
        let changed = look && self.look(ends, kept, event.now_ms);
        self.prune(ends, kept, low, look);
        let keeps_none = kept.times.is_empty();
        if self.is_final && !ends.is_empty() {
            *events = None;
        } else if keeps_none && ends.is_empty() {
            *state = None;
        }
        changed && !self.only_grows
    }
}

impl Condition for SequenceCondition {
    fn key(&self) -> u32 {
        self.patterns.key
    }

    fn has_timers(&self) -> bool {
        self.patterns.has_timers
    }

    fn value(&self, _row: &Row, state: Option<&State>, at_ms: i64) -> bool {
        matches!(state, Some(State::Sequence(state)) if self.patterns.value(&state.ends, at_ms))
    }

    fn next_timer(&self, _row: &Row, state: &State, after_ms: i64) -> Option<i64> {
        let State::Sequence(state) = state else { return None };
        self.patterns.next_timer(&state.ends, after_ms)
    }

    fn update(&self, row: &mut Row, event: &Taken<'_, '_>, touched: &mut Vec<u32>) -> bool {
        update(self, row, event, touched)
    }

    fn read(&self, stored: Stored) -> Result<State, UnreadableState> {
        let Patterns { layout, patterns, .. } = &self.patterns;
        Ok(match SequenceState::read(stored, layout, patterns.len(), self.is_final)? {
            Some(state) => State::Sequence(Box::new(state)),
            None => State::Stored(Box::new(Stored::List(Vec::new()))),
        })
    }

    fn take_dropped(&self) -> u64 {
        self.patterns.take_dropped()
    }
}
