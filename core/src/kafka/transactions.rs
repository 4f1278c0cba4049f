//! Transactions that were aborted: their records are in the log, and nobody may read them (aiokafka's
//! `PartitionRecords._consume_aborted_up_to` and `_contains_abort_marker`).

use super::batch::{COMPRESSION, CONTROL, HEAD, Head, TRANSACTIONAL};
use super::record::read_record;
use super::unpack;

/// Which batches are of aborted transactions, and which are no records of anybody.
pub(super) struct Transactions {
    /// Not heard of yet, the first ones last.
    waiting: Vec<(i64, i64)>,
    aborted: Vec<i64>,
}

impl Transactions {
    pub fn new(told: &[(i64, i64)]) -> Transactions {
        let mut waiting = told.to_vec();
        waiting.sort_by_key(|each| each.1);
        waiting.reverse();
        Transactions { waiting, aborted: Vec::new() }
    }

    /// Whether to leave a batch out; None: it can't be said.
    pub fn leave_out(&mut self, head: &Head, batch: &[u8]) -> Option<bool> {
        while let Some(&(producer, first)) = self.waiting.last() {
            if first > head.base_offset {
                break;
            }
            self.waiting.pop();
            if !self.aborted.contains(&producer) {
                self.aborted.push(producer);
            }
        }
        if head.is(CONTROL) && is_abort(head, batch)? {
            self.aborted.retain(|each| *each != head.producer_id);
        }
        Some(head.is(CONTROL) || head.is(TRANSACTIONAL) && self.aborted.contains(&head.producer_id))
    }

    /// What to tell whoever reads the batches that follow: of what is aborted now, any offset is after its begin.
    pub fn rest(self) -> Vec<(i64, i64)> {
        let begun = self.aborted.into_iter().map(|producer| (producer, -1));
        begun.chain(self.waiting.into_iter().rev()).collect()
    }
}

/// Whether the marker in a control batch ends a transaction that failed.
fn is_abort(head: &Head, batch: &[u8]) -> Option<bool> {
    if head.attributes & COMPRESSION != unpack::NONE {
        return None;
    }
    let marker = read_record(head, batch, &mut { HEAD }, 0)?;
    // Version and type, two bytes each.
    let key = marker.key.of(batch)?.get(..4)?;
    Some(key == [0; 4])
}
