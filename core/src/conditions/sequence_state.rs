//! What is kept for a sequence (`rules/conditions/sequences.py`, SequenceState).

use super::UnreadableState;
use super::patterns::fits::{Fits, NO_FITS};
use super::patterns::slots::{Layout, Slots, write_slots};
use crate::row::Stored;
use crate::row::codec::write_ints;
use crate::row::stored::{ascending, int, list};
use crate::value::msgpack::Writer;

/// What is kept for a sequence.
#[derive(Clone, Debug, Default)]
pub struct SequenceState {
    /// Times at which chains end, ascending.
    pub ends: Vec<i64>,
    /// None: of a chain that nothing can undo the end is stored alone.
    pub events: Option<SequenceEvents>,
}

#[derive(Clone, Debug, Default)]
pub struct SequenceEvents {
    /// Event times, ascending; of the same time in order of arrival.
    pub times: Vec<i64>,
    /// Which steps each event may be; the number after the last step's is that of `without`.
    pub steps: Vec<Fits>,
    /// Each event's slots; stored only if the sequence has any.
    pub slots: Option<Vec<Slots>>,
}

impl SequenceState {
    pub fn write(&self, out: &mut Writer<'_>) {
        let slots = self.events.as_ref().and_then(|events| events.slots.as_deref());
        let events = if self.events.is_some() { 2 } else { 0 };
        out.array_header(1 + events + slots.iter().count());
        write_ints(out, &self.ends);
        if let Some(events) = &self.events {
            write_ints(out, &events.times);
            out.array_header(events.steps.len());
            events.steps.iter().for_each(|fits| out.int((*fits).into()));
        }
        if let Some(slots) = slots {
            write_slots(out, slots);
        }
    }

    /// From the state's lists; none: nothing is kept. `is_final`: ends may stand alone. `patterns`: how many
    /// steps there are, `without` included.
    pub fn read(
        stored: Stored,
        layout: &Layout,
        patterns: usize,
        is_final: bool,
    ) -> Result<Option<SequenceState>, UnreadableState> {
        let mut lists = list(stored)?.into_iter();
        let Some(ends) = lists.next() else {
            return Ok(None);
        };
        let ends = ascending(ends)?;
        let events = match (lists.next(), lists.next(), lists.next(), lists.next()) {
            (None, ..) if is_final && !ends.is_empty() => None,
            (Some(times), Some(steps), slots, None) => {
                Some(SequenceEvents::read(times, steps, slots, layout, patterns)?)
            }
            _ => return Err(UnreadableState("a sequence's state has another number of lists".into())),
        };
        Ok(Some(SequenceState { ends, events }))
    }
}

impl SequenceEvents {
    fn read(
        times: Stored,
        steps: Stored,
        slots: Option<Stored>,
        layout: &Layout,
        patterns: usize,
    ) -> Result<SequenceEvents, UnreadableState> {
        let fits_of = |stored| match Fits::try_from(int(stored)?) {
            Ok(fits) if fits >> patterns == NO_FITS => Ok(fits),
            _ => Err(UnreadableState("an event fits a step that the sequence doesn't have".into())),
        };
        let times = ascending(times)?;
        let steps = list(steps)?.into_iter().map(fits_of).collect::<Result<Vec<_>, _>>()?;
        let read = |stored| list(stored)?.into_iter().map(|each| layout.read(each)).collect();
        let slots: Option<Vec<Slots>> = slots.map(read).transpose()?;
        let same_length = slots.as_ref().is_none_or(|slots| slots.len() == times.len());
        if steps.len() != times.len() || !same_length || slots.is_some() == layout.is_empty() {
            return Err(UnreadableState("a sequence's lists don't have one item for each event".into()));
        }
        Ok(SequenceEvents { times, steps, slots })
    }

    pub fn insert(&mut self, event_ms: i64, fits: Fits, slots: impl FnOnce() -> Slots) {
        let at = self.times.partition_point(|each| *each <= event_ms);
        self.times.insert(at, event_ms);
        self.steps.insert(at, fits);
        if let Some(kept) = &mut self.slots {
            kept.insert(at, slots());
        }
    }

    /// Let go of events that may be no step.
    pub fn keep_needed(&mut self) {
        let steps = &self.steps;
        if steps.iter().all(|fits| *fits != NO_FITS) {
            return;
        }
        let mut needed = steps.iter().map(|fits| *fits != NO_FITS);
        self.times.retain(|_| needed.next().unwrap_or(true));
        if let Some(slots) = &mut self.slots {
            let mut needed = steps.iter().map(|fits| *fits != NO_FITS);
            slots.retain(|_| needed.next().unwrap_or(true));
        }
        self.steps.retain(|fits| *fits != NO_FITS);
    }

    pub fn drop_first(&mut self, gone: usize) {
        self.times.drain(..gone);
        self.steps.drain(..gone);
        if let Some(slots) = &mut self.slots {
            slots.drain(..gone);
        }
    }
}
