//! The times of events in a row: kept once each, however many conditions count the event
//! (`rules/state/event_times.py`). States name slots of `Row::times` by their numbers.

use super::{Refs, Row, State, Stored};

/// How many more slots a row may have than were in use when that was looked at last.
const SPARE: i64 = 12;
/// Times further from the base would take more bytes than others.
const NEAR_MS: i64 = 1 << 31;
const NO_SLOT: i64 = -1;
/// Codes that no text can be stored with; their slots are never used.
const SURROGATES: std::ops::Range<usize> = 0xD800..0xE000;

/// The slot of an event's time; the latest one that was added is known again.
pub fn reference(row: &mut Row, event_ms: i64) -> u32 {
    let mut at = event_ms - row.base_ms;
    if row.time(row.latest) == at {
        return row.latest;
    }
    if row.free == NO_SLOT && row.times.len() as i64 >= row.used + SPARE {
        collect(row);
        at = event_ms - row.base_ms;
    }
    let slot = match usize::try_from(row.free).ok().filter(|slot| *slot < row.times.len()) {
        None => added(row, at),
        Some(slot) => {
            row.free = row.times[slot];
            row.times[slot] = at;
            slot as u32
        }
    };
    row.latest = slot;
    slot
}

/// A new slot.
fn added(row: &mut Row, at: i64) -> u32 {
    if row.times.len() == SURROGATES.start {
        row.times.resize(SURROGATES.end, 0);
    }
    row.times.push(at);
    (row.times.len() - 1) as u32
}

/// The event time (ms) that one reference names.
#[inline]
pub fn time_of(row: &Row, slot: u32) -> i64 {
    row.base_ms + row.time(slot)
}

/// The event times (ms) that references name.
pub fn instants(row: &Row, refs: &[u32]) -> Vec<i64> {
    refs.iter().map(|slot| time_of(row, *slot)).collect()
}

/// How many of the references, ascending by time, are of times up to `event_ms`.
#[inline]
pub fn place(row: &Row, refs: &[u32], event_ms: i64) -> usize {
    let at = event_ms - row.base_ms;
    match (refs.first(), refs.last()) {
        (Some(first), Some(last)) if row.time(*first) <= at => {
            if row.time(*last) <= at {
                return refs.len();
            }
            refs.partition_point(|slot| row.time(*slot) <= at)
        }
        _ => 0,
    }
}

impl Row {
    /// What a slot holds. States that come from bytes are checked when they are read: their slots exist.
    #[inline]
    pub fn time(&self, slot: u32) -> i64 {
        self.times.get(slot as usize).copied().unwrap_or(0)
    }
}

/// Free the slots that no state names. If the latest time is far from the base, it becomes the base.
pub fn collect(row: &mut Row) {
    let mut used = vec![false; row.times.len()];
    let mut number = 0;
    let mut highest = 0;
    let mut note = |slot: u32| {
        if let Some(is) = used.get_mut(slot as usize) {
            number += i64::from(!*is);
            *is = true;
            highest = highest.max(slot as usize);
        }
    };
    note(row.latest);
    for (_, state) in &row.conditions {
        refs_in(state, &mut note);
    }
    row.used = number;
    row.times.truncate(highest + 1);
    let latest = row.time(row.latest);
    let by_ms = if latest.abs() > NEAR_MS { latest } else { 0 };
    row.free = NO_SLOT;
    for slot in (0..row.times.len()).rev() {
        if used[slot] {
            row.times[slot] -= by_ms;
        } else if !SURROGATES.contains(&slot) {
            row.times[slot] = row.free;
            row.free = slot as i64;
        }
    }
    if by_ms != 0 {
        row.base_ms += by_ms;
        if let Some(first) = &mut row.first {
            *first -= by_ms;
        }
        for (_, membership) in &mut row.audiences {
            membership.since_ms -= by_ms;
        }
    }
}

/// The references of a state: it may be they, or begin with them and have lists after.
fn refs_in(state: &State, note: &mut impl FnMut(u32)) {
    match state {
        State::Refs(refs) => refs.iter().copied().for_each(note),
        State::Sums(sums) => sums.refs.iter().copied().for_each(note),
        State::Distinct(distinct) => distinct.refs().iter().copied().for_each(note),
        State::Count(_) | State::Sum(_) | State::Accumulated(_) => {}
        State::Sequence(_) | State::NotFollowed(_) | State::Held(_) => {}
        State::Stored(stored) => stored_refs(stored).iter().copied().for_each(note),
    }
}

/// The references of a state as it is stored: a text, or a list that begins with a text and a list.
pub fn stored_refs(stored: &Stored) -> Refs {
    match stored {
        Stored::Str(text) => slots(text),
        Stored::List(parts) => match parts.as_slice() {
            [Stored::Str(text), Stored::List(_), ..] => slots(text),
            _ => Refs::new(),
        },
        _ => Refs::new(),
    }
}

/// A text's character codes: the slots that it names.
pub fn slots(text: &str) -> Refs {
    text.chars().map(|each| each as u32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_that_no_state_names_is_used_again() {
        let mut row = Row::new(1_000);
        for event_ms in 1_001..1_020 {
            let slot = reference(&mut row, event_ms);
            row.put_state(7, State::Refs(Refs::from_slice(&[slot])));
        }
        assert!(row.times.len() <= 16, "{:?}", row.times);
        assert_eq!(time_of(&row, row.latest), 1_019);
    }

    #[test]
    fn a_time_far_from_the_base_becomes_the_base() {
        let mut row = Row::new(0);
        row.turn(3, 1, 5);
        for each in 0..14 {
            let slot = reference(&mut row, NEAR_MS * 2 + each);
            row.put_state(7, State::Refs(Refs::from_slice(&[slot])));
        }
        assert!(row.base_ms > NEAR_MS);
        assert_eq!(row.since_ms(row.membership(3).expect("member")), 5);
        assert_eq!(row.first.map(|first| row.base_ms + first), Some(0));
    }
}
