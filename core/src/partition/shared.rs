//! A partition that steps change while lookups read: whoever reads waits for a part of a step at most.

use parking_lot::{RwLock, RwLockReadGuard, RwLockUpgradableReadGuard, RwLockWriteGuard};

use super::Partition;

/// Steps write, lookups read, several at a time. Rows are whole between two parts of a step.
pub struct Shared(RwLock<Held>);

struct Held {
    partition: Partition,
    /// A part of a step began and has not ended: while nobody has the lock, it panicked.
    is_torn: bool,
}

impl Shared {
    pub fn new(partition: Partition) -> Shared {
        Shared(RwLock::new(Held { partition, is_torn: false }))
    }

    /// Read, after the part of a step that is under way.
    pub fn read<T>(&self, reader: impl FnOnce(&Partition) -> T) -> T {
        reader(whole(&self.0.read()))
    }

    /// Read at once, unless a step is under way: then nothing is done.
    pub fn try_read<T>(&self, reader: impl FnOnce(&Partition) -> T) -> Option<T> {
        self.0.try_read().map(|held| reader(whole(&held)))
    }

    /// Change it, when nobody reads.
    pub fn write<T>(&self, writer: impl FnOnce(&mut Partition) -> T) -> T {
        change(&mut self.0.write(), writer)
    }

    /// Change it in parts, as long as `part` says that there are more. Who waits reads between two of them.
    pub fn write_in_parts<E>(
        &self,
        mut part: impl FnMut(&mut Partition) -> Result<bool, E>,
    ) -> Result<(), E> {
        let mut held = self.0.write();
        while change(&mut held, &mut part)? {
            RwLockWriteGuard::bump(&mut held);
        }
        Ok(())
    }

    /// Compute from it while others read, then change it by what came of it. No step may be under way elsewhere.
    pub fn read_then_write<T, R>(
        &self,
        reader: impl FnOnce(&Partition) -> T,
        writer: impl FnOnce(&mut Partition, T) -> R,
    ) -> R {
        let held: RwLockUpgradableReadGuard<'_, Held> = self.0.upgradable_read();
        assert!(!held.is_torn, "no step has panicked");
        let found = reader(&held.partition);
        let mut held = RwLockUpgradableReadGuard::upgrade(held);
        change(&mut held, |partition| writer(partition, found))
    }
}

/// A panic in a step ends the worker; nobody uses the partition after that.
fn whole<'h>(held: &'h RwLockReadGuard<'_, Held>) -> &'h Partition {
    assert!(!held.is_torn, "no step has panicked");
    &held.partition
}

fn change<T>(held: &mut RwLockWriteGuard<'_, Held>, writer: impl FnOnce(&mut Partition) -> T) -> T {
    assert!(!held.is_torn, "no step has panicked");
    held.is_torn = true;
    let given = writer(&mut held.partition);
    held.is_torn = false;
    given
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::time::{Duration, Instant};

    use super::*;
    use crate::partition::Limits;
    use crate::partition::place::Place;
    use crate::row::dedupe::Dedupe;
    use crate::rules::RuleSet;

    fn shared() -> Shared {
        let dedupe = Dedupe { run_ms: 0, forgotten_ms: 0, most: 0 };
        let limits = Limits {
            max_bytes: 1,
            max_attributes_bytes: 1,
            dedupe,
            step_transitions: 1,
            step_bytes: 1,
            cache_bytes: 1,
        };
        let place = Place { partition: 0, partitions: 1 };
        let rules = RuleSet::read(br#"{"projects":{},"zones":{},"folds":{}}"#).expect("no rules");
        Shared::new(Partition::new(place, limits, Arc::new(rules), Vec::new()))
    }

    #[test]
    fn whoever_reads_waits_for_a_part_of_a_step_and_not_for_the_step() {
        let (shared, begun, reads) = (shared(), AtomicBool::new(false), AtomicUsize::new(0));
        let ends = Instant::now() + Duration::from_secs(20);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let step = shared.write_in_parts(|_| {
                    begun.store(true, Ordering::SeqCst);
                    Ok::<_, ()>(reads.load(Ordering::SeqCst) < 3 && Instant::now() < ends)
                });
                step.expect("no part fails");
                assert!(reads.load(Ordering::SeqCst) >= 3, "the step ended before anybody could read");
            });
            while !begun.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            for _ in 0..3 {
                shared.read(|partition| assert_eq!(partition.emitted(), 0));
                reads.fetch_add(1, Ordering::SeqCst);
            }
        });
    }

    #[test]
    #[should_panic(expected = "no step has panicked")]
    fn nobody_reads_what_a_step_left_when_it_panicked() {
        let shared = shared();
        let step = std::panic::AssertUnwindSafe(|| shared.write(|_| panic!("a bug")));
        assert!(std::panic::catch_unwind(step).is_err());
        shared.read(|_| ());
    }
}
