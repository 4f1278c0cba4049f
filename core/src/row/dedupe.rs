//! Events that come again under the same name and id (`rules/state/dedupe.py`).

use std::io::Write as _;

use xxhash_rust::xxh3::xxh3_64;

use super::Row;

const HASH: usize = 6;

/// How long ids are remembered, and how many of one user.
#[derive(Clone, Copy, Debug)]
pub struct Dedupe {
    /// Length of a run; 0: ids aren't remembered.
    pub run_ms: i64,
    /// How long after its beginning a run is forgotten.
    pub forgotten_ms: i64,
    pub most: usize,
}

/// 6 bytes that stand for the id of an event of this name. `scratch` is only room.
pub fn hash_of(event: &str, id: &str, scratch: &mut Vec<u8>) -> [u8; HASH] {
    scratch.clear();
    let chars = if event.is_ascii() { event.len() } else { event.chars().count() };
    write!(scratch, "{chars}:{event}{id}").expect("a Vec takes what is written");
    let hash = xxh3_64(scratch).to_be_bytes();
    [hash[0], hash[1], hash[2], hash[3], hash[4], hash[5]]
}

/// Whether an event's name and id (`hash_of`) was applied to the row recently.
pub fn is_repeated(row: &Row, record: [u8; HASH], now_ms: i64, dedupe: Dedupe) -> bool {
    // The first one at a multiple of six decides, as in Python.
    match row.seen.chunks_exact(HASH).position(|each| each == record) {
        None => false,
        Some(index) => match second(&row.seen_at, index as i64) {
            Some(second) => now_ms < second * 1000 + dedupe.forgotten_ms,
            None => false,
        },
    }
}

/// Note an id as applied at `now_ms`, and let go of those whose window is over.
///
/// Says how many went before that, because there were too many.
pub fn remember(row: &mut Row, record: [u8; HASH], now_ms: i64, dedupe: Dedupe) -> u64 {
    let runs = &mut row.seen_at;
    let (mut gone_runs, mut gone_ids) = (0, 0);
    while gone_runs + 1 < runs.len() && now_ms >= runs[gone_runs] * 1000 + dedupe.forgotten_ms {
        gone_ids += usize::try_from(runs[gone_runs + 1]).unwrap_or(0);
        gone_runs += 2;
    }
    runs.drain(..gone_runs);
    let gone = (gone_ids * HASH).min(row.seen.len());
    row.seen.drain(..gone);
    let second = (now_ms - now_ms.rem_euclid(dedupe.run_ms)).div_euclid(1000);
    let size = runs.len();
    if size >= 2 && runs[size - 2] == second {
        runs[size - 1] += 1;
    } else {
        runs.extend([second, 1]);
    }
    row.seen.extend_from_slice(&record);
    let dropped = (row.seen.len() / HASH).saturating_sub(dedupe.most);
    if dropped == 0 {
        return 0;
    }
    row.seen.drain(..dropped * HASH);
    for _ in 0..dropped {
        if runs.len() < 2 {
            break;
        }
        runs[1] -= 1;
        if runs[1] == 0 {
            runs.drain(..2);
        }
    }
    dropped as u64
}

/// The second of the run that has the `index`-th id.
fn second(runs: &[i64], mut index: i64) -> Option<i64> {
    for run in runs.chunks_exact(2) {
        if index < run[1] {
            return Some(run[0]);
        }
        index -= run[1];
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEDUPE: Dedupe = Dedupe { run_ms: 2_000, forgotten_ms: 10_000, most: 3 };

    #[test]
    fn an_id_is_forgotten_with_its_run_and_the_oldest_go_where_there_are_too_many() {
        let mut row = Row::new(0);
        let mut scratch = Vec::new();
        let ids: Vec<_> = (0..4).map(|id| hash_of("buy", &id.to_string(), &mut scratch)).collect();
        assert_eq!(
            ids.iter().map(|id| remember(&mut row, *id, 500, DEDUPE)).collect::<Vec<_>>(),
            [0, 0, 0, 1]
        );
        assert!(!is_repeated(&row, ids[0], 600, DEDUPE));
        assert!(is_repeated(&row, ids[3], 9_999, DEDUPE));
        assert!(!is_repeated(&row, ids[3], 10_000, DEDUPE));
        assert_eq!(remember(&mut row, ids[0], 10_000, DEDUPE), 0);
        assert_eq!((row.seen.len(), row.seen_at.as_slice()), (6, [10, 1].as_slice()));
    }
}
