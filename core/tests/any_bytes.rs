//! Any bytes give records or a reason: no panic, no endless loop, bounded memory.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use turnstile_core::kafka::batch;
use turnstile_core::kafka::read::{ENOUGH_BYTES, Fetched, MOST_BATCH_BYTES, Unusual};
use turnstile_core::kafka::unpack::unpack;
use turnstile_core::kafka::write::Batches;

/// Read all of it in parts, as Python does; everything that can be asked of what is found.
fn read(bytes: Vec<u8>, from: i64, aborted: &[(i64, i64)], enough: usize) -> Result<Vec<i64>, Unusual> {
    let raw = Arc::new(bytes);
    let (mut start, mut from, mut told, mut found) = (0, from, aborted.to_vec(), Vec::new());
    loop {
        let part = Fetched::read(raw.clone(), start, from, &told, enough)?;
        for number in 0..part.len() {
            let record = part.record(number);
            assert!(record.offset >= from);
            assert!(found.last().is_none_or(|last| *last < record.offset));
            assert!(record.headers.count() <= raw.len().max(MOST_BATCH_BYTES));
            found.push(record.offset);
        }
        part.last_timestamp_ms(0, part.len());
        assert_eq!(part.end_within(0, part.len(), part.value_bytes(0, part.len())), part.len());
        assert!(part.next_offset() >= from);
        (from, told) = (part.next_offset(), part.aborted().to_vec());
        match part.rest() {
            Some(rest) => {
                assert!(rest > start);
                start = rest;
            }
            None => return Ok(found),
        }
    }
}

type Given = (i64, Option<Vec<u8>>, Option<Vec<u8>>);

fn batches(records: Vec<Given>, max_bytes: usize, is_packed: bool) -> Vec<u8> {
    let mut batches = Batches::new(max_bytes);
    if is_packed {
        batches = batches.packed();
    }
    for (timestamp_ms, key, value) in &records {
        let headers = [("name", value.as_deref()), ("", None)];
        batches.add(*timestamp_ms, key.as_deref(), value.as_deref(), &headers[..key.is_some() as usize * 2]);
    }
    let mut offset = 0i64;
    let mut log = Vec::new();
    for (mut bytes, count) in batches.finish() {
        bytes[..8].copy_from_slice(&offset.to_be_bytes());
        offset += i64::from(count);
        log.extend(bytes);
    }
    log
}

fn content() -> impl Strategy<Value = Option<Vec<u8>>> {
    proptest::option::of(vec(any::<u8>(), 0..40))
}

fn log() -> impl Strategy<Value = Vec<u8>> {
    let records = vec((-1_000_000i64..1 << 61, content(), content()), 1..60);
    (records, 100usize..2_000, any::<bool>())
        .prop_map(|(records, max_bytes, is_packed)| batches(records, max_bytes, is_packed))
}

/// The checksums of the batches that `find` sees, so that what is broken lies behind them.
fn sealed(mut log: Vec<u8>) -> Vec<u8> {
    let mut at = 0;
    while let batch::Found::Batch(found) = batch::find(&log, at) {
        let end = at + found.len();
        batch::seal(&mut log[at..end]);
        at = end;
    }
    log
}

proptest! {
    #[test]
    fn nothing_written_is_lost(records in vec((any::<i32>(), content(), content()), 1..60), packed: bool) {
        let count = records.len() as i64;
        let records = records.into_iter().map(|(at, key, value)| (i64::from(at), key, value)).collect();
        let found = read(batches(records, 500, packed), 0, &[], ENOUGH_BYTES).unwrap();
        prop_assert_eq!(found, (0..count).collect::<Vec<_>>());
    }

    #[test]
    fn any_bytes_give_records_or_a_reason(bytes in vec(any::<u8>(), 0..300), from: i64, enough in 0usize..400) {
        let _ = read(bytes, from, &[], enough);
    }

    #[test]
    fn broken_batches_give_records_or_a_reason(
        log in log(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        compression in 0u8..8,
        aborted in vec((-1i64..3, -1i64..60), 0..4),
        from in 0i64..60,
        enough in 1usize..3_000,
    ) {
        let mut log = log;
        if compression > 0 {
            log[22] = log[22] & !7 | compression;
        }
        for (place, byte) in changes {
            let at = place.index(log.len());
            log[at] = byte;
        }
        let _ = read(sealed(log), from, &aborted, enough);
    }

    #[test]
    fn any_compressed_bytes_are_unpacked_or_a_reason_is_given(
        compression in 1i16..5,
        bytes in vec(any::<u8>(), 0..400),
        most in 0usize..5_000,
        with_head: bool,
    ) {
        let heads: [&[u8]; 4] = [
            &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff],
            b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01",
            &[0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82],
            &[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58],
        ];
        let head = if with_head { heads[compression as usize - 1] } else { &[] };
        if let Ok(found) = unpack(compression, &[head, &bytes].concat(), most) {
            prop_assert!(found.len() <= most);
        }
    }
}
