//! The timer index of one partition: what steps changed that isn't stored yet (`tables/timer_index.py`).

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use hashbrown::HashMap;

use super::slots::Key;
use crate::time::FAR_MS;

/// (instant in ms, row key).
pub type Timer = (i64, Key);

/// Entries with the changes of stages that are not stored. Stages are numbered from 1.
pub struct Timers {
    /// Per entry, the last unstored stage that changed it, and whether the entry is there then.
    unstored: HashMap<Timer, (u64, bool), foldhash::fast::RandomState>,
    /// The entries that unstored stages added; some of them may be dropped since.
    added: BinaryHeap<Reverse<Timer>>,
    /// How many entries of `unstored` are not there.
    pub hidden: usize,
    /// All entries before this instant are handled.
    pub floor_ms: i64,
    /// No entry lies before this instant.
    pub quiet_until_ms: i64,
    /// The first staged entry after those that the last search was for.
    next_added_ms: i64,
}

impl Default for Timers {
    fn default() -> Timers {
        Timers {
            unstored: HashMap::default(),
            added: BinaryHeap::new(),
            hidden: 0,
            floor_ms: -FAR_MS,
            quiet_until_ms: -FAR_MS,
            next_added_ms: -FAR_MS,
        }
    }
}

impl Timers {
    /// A step dropped entries, then added some; the store doesn't know yet.
    pub fn stage(&mut self, number: u64, added: &[Timer], dropped: &[Timer]) {
        for entry in dropped {
            let before = self.unstored.insert(entry.clone(), (number, false));
            self.hidden += usize::from(before.is_none_or(|(_, there)| there));
        }
        let mut earliest_ms = FAR_MS;
        for entry in added {
            let before = self.unstored.insert(entry.clone(), (number, true));
            self.hidden -= usize::from(before.is_some_and(|(_, there)| !there));
            self.added.push(Reverse(entry.clone()));
            earliest_ms = earliest_ms.min(entry.0);
        }
        if !added.is_empty() {
            self.quiet_until_ms = self.quiet_until_ms.min(earliest_ms);
            // A row that is grafted late may have a timer that stream time has passed.
            self.floor_ms = self.floor_ms.min(earliest_ms);
        }
    }

    /// The store has the stage of this number; `changed` are the entries that it added or dropped.
    pub fn stored<'t>(&mut self, number: u64, changed: impl Iterator<Item = &'t Timer>) {
        for entry in changed {
            if let Some((last, there)) = self.unstored.get(entry).copied() {
                if last == number {
                    self.unstored.remove(entry);
                    self.hidden -= usize::from(!there);
                }
            }
        }
    }

    /// After `stored`: entries far ahead would stay for as long, one for each user that ever passed.
    pub fn tidy(&mut self) {
        let there = self.unstored.iter().filter(|(_, (_, there))| *there);
        self.added = there.map(|(entry, _)| Reverse(entry.clone())).collect();
    }

    /// Up to `limit` entries before `before_ms`, in order of time. `stored` are those of the store from
    /// `floor_ms` on, `limit + hidden` at most. Where there are none, `quiet` follows.
    pub fn due(&mut self, before_ms: i64, limit: usize, stored: Vec<Timer>) -> Vec<Timer> {
        let (mut found, next_added_ms) = self.added_before(before_ms);
        found.extend(stored.into_iter().filter(|entry| !self.unstored.contains_key(entry)));
        found.sort_unstable();
        found.dedup();
        found.truncate(limit);
        self.next_added_ms = next_added_ms;
        found
    }

    /// The last search found nothing, and the store's first entry after it is at this instant; None: there is none.
    pub fn quiet(&mut self, later_ms: Option<i64>) {
        self.quiet_until_ms = self.next_added_ms.min(later_ms.unwrap_or(FAR_MS));
    }

    /// Whether `due` may find something: false is certain.
    pub fn may_be_due(&self, before_ms: i64) -> bool {
        before_ms > self.quiet_until_ms
    }

    /// All entries before this instant are handled.
    pub fn fired_until(&mut self, before_ms: i64) {
        self.floor_ms = self.floor_ms.max(before_ms);
    }

    /// The staged entries before an instant that are still there, and the instant of the next one.
    fn added_before(&mut self, before_ms: i64) -> (Vec<Timer>, i64) {
        let mut added = Vec::new();
        while self.added.peek().is_some_and(|Reverse(entry)| entry.0 < before_ms) {
            let Some(Reverse(entry)) = self.added.pop() else { break };
            if self.unstored.get(&entry).is_some_and(|(_, there)| *there) {
                added.push(entry);
            }
        }
        let next_ms = self.added.peek().map_or(FAR_MS, |Reverse(entry)| entry.0);
        // Until they are handled, that is dropped.
        self.added.extend(added.iter().cloned().map(Reverse));
        (added, next_ms)
    }

    /// How many entries are kept here.
    pub fn in_memory(&self) -> usize {
        self.added.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        name.as_bytes().into()
    }

    #[test]
    fn a_dropped_entry_hides_the_stored_one_until_the_store_has_it() {
        let mut timers = Timers::default();
        timers.stage(1, &[(50, key("b"))], &[(10, key("a"))]);
        assert_eq!(timers.hidden, 1);
        let stored = vec![(10, key("a")), (20, key("c"))];
        assert_eq!(timers.due(60, 9, stored), [(20, key("c")), (50, key("b"))]);
        timers.stored(1, [(10, key("a")), (50, key("b"))].iter());
        timers.tidy();
        assert_eq!((timers.hidden, timers.in_memory()), (0, 0));
    }

    #[test]
    fn nothing_is_asked_again_until_an_entry_may_be_due() {
        let mut timers = Timers::default();
        assert!(timers.may_be_due(5));
        assert!(timers.due(5, 9, Vec::new()).is_empty());
        timers.quiet(Some(30));
        assert!(!timers.may_be_due(30) && timers.may_be_due(31));
        timers.stage(1, &[(7, key("a"))], &[]);
        assert!(timers.may_be_due(8));
    }
}
