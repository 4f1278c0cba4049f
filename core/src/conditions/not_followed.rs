//! Followed by nothing: an event after which another kind stayed away for a time
//! (`rules/conditions/not_followed.py`).

use super::patterns::bound::BoundCheck;
use super::patterns::fits::{Fits, has};
use super::patterns::layout::LayoutBuilder;
use super::patterns::pattern_condition::{PatternKind, Patterns, update};
use super::patterns::slots::{Bindings, NULL, Slots, write_slots};
use super::{Condition, Taken, UnreadableState};
use crate::aggregates::windows::Window;
use crate::predicates::Locale;
use crate::predicates::against::RefSpec;
use crate::predicates::paths::Subject;
use crate::row::codec::write_ints;
use crate::row::stored::{ascending, list};
use crate::row::{Row, State, Stored};
use crate::spec::{ConditionSpec, StateConditionSpec, UnknownRule};
use crate::time::FAR_MS;
use crate::value::msgpack::Writer;

const EVENT: usize = 0;
const FOLLOWER: usize = 1;

/// What is kept of the two kinds of events.
#[derive(Clone, Debug, Default)]
pub struct NotFollowedState {
    /// Events not followed so far.
    events: KeptEvents,
    /// Followers that may follow a late event.
    followers: KeptEvents,
}

/// Times, ascending, and each event's slots: only if references need them.
#[derive(Clone, Debug, Default)]
struct KeptEvents {
    times: Vec<i64>,
    slots: Option<Vec<Slots>>,
}

impl NotFollowedState {
    /// Lists of times, and of slots where references need them.
    pub fn write(&self, out: &mut Writer<'_>) {
        let slots = [&self.events, &self.followers].into_iter().filter_map(|kept| kept.slots.as_deref());
        out.array_header(2 + slots.clone().count());
        write_ints(out, &self.events.times);
        write_ints(out, &self.followers.times);
        slots.for_each(|slots| write_slots(out, slots));
    }
}

impl KeptEvents {
    fn new(has_slots: bool) -> KeptEvents {
        KeptEvents { times: Vec::new(), slots: has_slots.then(Vec::new) }
    }

    fn keep(&mut self, event_ms: i64, slots: &Slots) {
        let at = self.up_to(event_ms);
        self.times.insert(at, event_ms);
        if let Some(kept) = &mut self.slots {
            kept.insert(at, slots.clone());
        }
    }

    /// How many are before this time.
    fn before(&self, at_ms: i64) -> usize {
        self.times.partition_point(|each| *each < at_ms)
    }

    /// How many are at this time or before.
    fn up_to(&self, at_ms: i64) -> usize {
        self.times.partition_point(|each| *each <= at_ms)
    }

    fn slots_of(&self, at: usize) -> &Slots {
        static NONE: Slots = Vec::new();
        self.slots.as_ref().and_then(|slots| slots.get(at)).unwrap_or(&NONE)
    }

    fn remove(&mut self, from: usize, to: usize) {
        self.times.drain(from..to);
        if let Some(slots) = &mut self.slots {
            slots.drain(from..to);
        }
    }
}

pub struct NotFollowedCondition {
    patterns: Patterns,
    /// What holds of a follower and the event that it follows.
    bound: Option<BoundCheck>,
    /// By number of the binding, the event's slot.
    binds: Vec<usize>,
    /// How long after an event a follower may come and still undo it.
    follows_for_ms: i64,
    still: bool,
}

impl NotFollowedCondition {
    /// `window` is the language's, in which events count from `for` on.
    pub fn build(
        spec: &ConditionSpec,
        locale: &Locale,
        window: Window,
    ) -> Result<NotFollowedCondition, UnknownRule> {
        let StateConditionSpec::NotFollowed { event, follower, for_ms, still, .. } = &spec.source else {
            return Err(UnknownRule("no condition on what follows".into()));
        };
        let mut layout = LayoutBuilder::new(locale.clone());
        let (event, _) = layout.pattern(event)?;
        let (follower, bound) = layout.pattern(follower)?;
        let refs = layout.bindings().to_vec();
        Ok(NotFollowedCondition {
            bound,
            binds: refs.iter().map(|RefSpec::Ref { path, .. }| layout.value_slot(path)).collect(),
            follows_for_ms: if *still { FAR_MS } else { *for_ms },
            still: *still,
            patterns: Patterns {
                key: spec.key,
                max_samples: spec.max_samples,
                layout: layout.build(),
                patterns: vec![event, follower],
                has_timers: true,
                window: Window::Delayed { window: Box::new(window), delay_ms: *for_ms },
                dropped: Default::default(),
            },
        })
    }

    /// Events that a follower follows are done for; of the same instant, those that came before it.
    fn follow(&self, events: &mut KeptEvents, event_ms: i64, slots: &Slots) -> bool {
        let first = events.before(event_ms.saturating_sub(self.follows_for_ms));
        let end = events.up_to(event_ms);
        let Some(bound) = &self.bound else {
            events.remove(first, end);
            return first < end;
        };
        let size = events.times.len();
        for at in (first..end).rev() {
            if bound.holds(slots, &self.bindings(events.slots_of(at))) {
                events.remove(at, at + 1);
            }
        }
        events.times.len() < size
    }

    /// Whether a follower that came before this late event follows it: not one of the same instant.
    fn is_followed(&self, followers: &KeptEvents, event_ms: i64, slots: &Slots) -> bool {
        let first = followers.up_to(event_ms);
        let end = followers.up_to(event_ms.saturating_add(self.follows_for_ms));
        let Some(bound) = &self.bound else {
            return first < end;
        };
        let bindings = self.bindings(slots);
        (first..end).any(|at| bound.holds(followers.slots_of(at), &bindings))
    }

    fn bindings<'s>(&self, slots: &'s Slots) -> Bindings<'s> {
        self.binds.iter().map(|slot| slots.get(*slot).unwrap_or(&NULL)).collect()
    }

    /// Between two followers no further apart than `for` a third follows nothing that they don't; with `still`
    /// none before the latest one does. `at`: how many followers are up to the one that came.
    fn thin(&self, followers: &mut Vec<i64>, at: usize) {
        if self.still {
            followers.drain(..followers.len().saturating_sub(1));
            return;
        }
        // The one after it, it, and the one before it; the first and the last stay.
        for middle in [at, at.wrapping_sub(1), at.wrapping_sub(2)] {
            let is_inner = 0 < middle && middle < followers.len().saturating_sub(1);
            if is_inner && followers[middle + 1] - followers[middle - 1] <= self.follows_for_ms {
                followers.remove(middle);
            }
        }
    }

    fn prune(&self, kept: &mut KeptEvents, low: i64) {
        let gone = kept.before(low);
        let over = (kept.times.len() - gone).saturating_sub(self.patterns.max_samples);
        if over > 0 {
            self.patterns.drop_samples(over);
        }
        kept.remove(0, gone + over);
    }
}

impl PatternKind for NotFollowedCondition {
    type State = NotFollowedState;

    fn patterns(&self) -> &Patterns {
        &self.patterns
    }

    fn state_of(state: State) -> Option<Box<NotFollowedState>> {
        if let State::NotFollowed(state) = state { Some(state) } else { None }
    }

    fn row_state(state: Box<NotFollowedState>) -> State {
        State::NotFollowed(state)
    }

    fn take(&self, state: &mut Option<Box<NotFollowedState>>, fits: Fits, event: &Taken<'_, '_>) -> bool {
        let (event_ms, has_slots) = (event.event_ms, self.bound.is_some());
        let low = self.patterns.window.low(event.now_ms);
        if event_ms < low {
            return false;
        }
        let kept =
            || NotFollowedState { events: KeptEvents::new(has_slots), followers: KeptEvents::new(has_slots) };
        let NotFollowedState { events, followers } = &mut **state.get_or_insert_with(|| Box::new(kept()));
        let slots = match has_slots {
            true => self.patterns.layout.slots(Subject::Object(event.properties), event_ms),
            false => Slots::new(),
        };
        let mut changed = has(fits, FOLLOWER) && self.follow(events, event_ms, &slots);
        let opens = has(fits, EVENT) && self.patterns.window.admits(event_ms);
        if opens && !self.is_followed(followers, event_ms, &slots) {
            changed = true;
            events.keep(event_ms, &slots);
        }
        if has(fits, FOLLOWER) {
            followers.keep(event_ms, &slots);
            if !has_slots {
                let at = followers.up_to(event_ms);
                self.thin(&mut followers.times, at);
            }
        }
        self.prune(events, low);
        self.prune(followers, low);
        if events.times.is_empty() && followers.times.is_empty() {
            *state = None;
        }
        changed
    }
}

impl Condition for NotFollowedCondition {
    fn key(&self) -> u32 {
        self.patterns.key
    }

    fn has_timers(&self) -> bool {
        true
    }

    fn value(&self, _row: &Row, state: Option<&State>, at_ms: i64) -> bool {
        matches!(state, Some(State::NotFollowed(state)) if self.patterns.value(&state.events.times, at_ms))
    }

    fn next_timer(&self, _row: &Row, state: &State, after_ms: i64) -> Option<i64> {
        let State::NotFollowed(state) = state else { return None };
        self.patterns.next_timer(&state.events.times, after_ms)
    }

    fn update(&self, row: &mut Row, event: &Taken<'_, '_>, touched: &mut Vec<u32>) -> bool {
        update(self, row, event, touched)
    }

    fn read(&self, stored: Stored) -> Result<State, UnreadableState> {
        let lists = list(stored)?;
        let shape = if self.bound.is_some() { 4 } else { 2 };
        if lists.is_empty() {
            return Ok(State::Stored(Box::new(Stored::List(lists))));
        }
        if lists.len() != shape {
            return Err(UnreadableState(format!("{} lists are kept, not {}", shape, lists.len())));
        }
        let mut lists = lists.into_iter();
        let (events, followers) = (ascending_of(lists.next())?, ascending_of(lists.next())?);
        let events = self.read_kept(events, lists.next())?;
        let followers = self.read_kept(followers, lists.next())?;
        Ok(State::NotFollowed(Box::new(NotFollowedState { events, followers })))
    }

    fn take_dropped(&self) -> u64 {
        self.patterns.take_dropped()
    }
}

impl NotFollowedCondition {
    fn read_kept(&self, times: Vec<i64>, slots: Option<Stored>) -> Result<KeptEvents, UnreadableState> {
        let layout = &self.patterns.layout;
        let read = |stored| list(stored)?.into_iter().map(|each| layout.read(each)).collect();
        let slots: Option<Vec<Slots>> = slots.map(read).transpose()?;
        if slots.as_ref().is_some_and(|slots| slots.len() != times.len()) {
            return Err(UnreadableState("slots are kept for other events than times".into()));
        }
        Ok(KeptEvents { times, slots })
    }
}

fn ascending_of(stored: Option<Stored>) -> Result<Vec<i64>, UnreadableState> {
    ascending(stored.unwrap_or(Stored::Nil))
}
