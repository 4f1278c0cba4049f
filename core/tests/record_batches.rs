//! What is written is read: compressed, cut, in part, with transactions.

use std::io::Write;
use std::sync::Arc;

use turnstile_core::kafka::batch::{self, HEAD};
use turnstile_core::kafka::read::{ENOUGH_BYTES, Fetched, MOST_BATCH_BYTES, Unusual};
use turnstile_core::kafka::record::Record;
use turnstile_core::kafka::write::{Batches, Finished};

const NO_LIMIT: usize = 1 << 24;

fn write(first: i64, records: i64, max_bytes: usize, is_packed: bool) -> Vec<Finished> {
    let mut batches = Batches::new(max_bytes);
    if is_packed {
        batches = batches.packed();
    }
    for number in first..first + records {
        let value = format!("the value of record {number}");
        let headers = [("name", Some(b"x".as_slice())), ("none", None)];
        let key = (number % 3 > 0).then_some(b"key".as_slice());
        let value = (number % 5 > 0).then_some(value.as_bytes());
        batches.add(1_000 - number, key, value, &headers[..(number % 3) as usize]);
    }
    batches.finish()
}

/// A batch as the log has it, from the offset on, with what its head says.
fn at(offset: i64, batch: &Finished, attributes: i16, producer: i64) -> Vec<u8> {
    let mut bytes = batch.0.clone();
    bytes[..8].copy_from_slice(&offset.to_be_bytes());
    bytes[22] |= attributes as u8;
    batch::stamp(&mut bytes, producer, 0, 0, false);
    bytes
}

fn read(bytes: &[u8], from: i64, aborted: &[(i64, i64)]) -> Result<Fetched, Unusual> {
    Fetched::read(Arc::new(bytes.to_vec()), 0, from, aborted, ENOUGH_BYTES)
}

fn offsets(fetched: &Fetched) -> Vec<i64> {
    (0..fetched.len()).map(|number| fetched.record(number).offset).collect()
}

fn packed(batch: &[u8], compression: u8, pack: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let mut bytes = [&batch[..HEAD], &pack(&batch[HEAD..])].concat();
    let length = (bytes.len() - 12) as i32;
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes[22] |= compression;
    batch::seal(&mut bytes);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

fn snappy(bytes: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(bytes).unwrap()
}

fn xerial(bytes: &[u8]) -> Vec<u8> {
    let mut out = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec();
    for block in bytes.chunks(1_000) {
        let block = snappy(block);
        out.extend_from_slice(&(block.len() as i32).to_be_bytes());
        out.extend_from_slice(&block);
    }
    out
}

#[test]
fn every_record_comes_back_whatever_packed_it() {
    let plain = &write(0, 200, NO_LIMIT, false)[0];
    let lz4 = &write(0, 200, NO_LIMIT, true)[0];
    assert!(lz4.0.len() < plain.0.len() / 2);
    for bytes in [
        plain.0.clone(),
        lz4.0.clone(),
        packed(&plain.0, 1, gzip),
        packed(&plain.0, 2, snappy),
        packed(&plain.0, 2, xerial),
        packed(&plain.0, 4, zstd),
    ] {
        let fetched = read(&bytes, 0, &[]).unwrap();
        assert_eq!((fetched.len(), fetched.next_offset(), fetched.rest()), (200, 200, None));
        let record = fetched.record(5);
        assert_eq!(
            (record.offset, record.timestamp_ms, record.key, record.value),
            (5, 995, Some(b"key".as_slice()), None)
        );
        assert_eq!(record.headers.collect::<Vec<_>>(), [("name", Some(b"x".as_slice())), ("none", None)]);
        assert_eq!(fetched.record(3).key, None);
        assert_eq!(fetched.record(4).value, Some(b"the value of record 4".as_slice()));
        assert_eq!(fetched.last_timestamp_ms(10, 20), Some(990));
        assert_eq!(fetched.value_bytes(4, 7), 42);
    }
}

#[test]
fn batches_are_no_larger_than_asked_unless_one_record_is() {
    let batches = write(0, 500, 1_000, false);
    assert!(batches.len() > 10);
    assert!(batches.iter().all(|each| each.0.len() <= 1_000));
    assert_eq!(batches.iter().map(|each| each.1).sum::<u32>(), 500);
    assert_eq!(write(0, 3, 1, false).len(), 3);
    assert!(Batches::new(1_000).finish().is_empty());
}

#[test]
fn a_fetch_may_begin_and_end_in_the_middle_of_a_batch() {
    let mut bytes = at(10, &write(0, 10, NO_LIMIT, false)[0], 0, -1);
    let first = bytes.len();
    bytes.extend(at(30, &write(0, 5, NO_LIMIT, true)[0], 0, -1));
    for end in 0..=bytes.len() {
        let fetched = read(&bytes[..end], 17, &[]).unwrap();
        let expected: &[i64] = match end {
            end if end < first => &[],
            end if end < bytes.len() => &[17, 18, 19],
            _ => &[17, 18, 19, 30, 31, 32, 33, 34],
        };
        assert_eq!(offsets(&fetched), expected);
        assert_eq!(fetched.next_offset(), expected.last().map_or(17, |last| last + 1));
    }
}

#[test]
fn aborted_transactions_and_markers_are_left_out_and_the_offset_goes_on() {
    let one = &write(0, 1, NO_LIMIT, false)[0];
    let marker = |kind: u8| {
        let mut batches = Batches::new(NO_LIMIT);
        batches.add(0, Some(&[0, 0, 0, kind]), Some(b"x"), &[]);
        batches.finish().remove(0)
    };
    let log = [
        at(0, one, batch::TRANSACTIONAL, 7),
        at(1, one, batch::TRANSACTIONAL, 8),
        at(2, one, 0, -1),
        at(3, &marker(0), batch::CONTROL | batch::TRANSACTIONAL, 7),
        at(4, one, batch::TRANSACTIONAL, 7),
        at(5, &marker(1), batch::CONTROL | batch::TRANSACTIONAL, 8),
        at(6, one, batch::TRANSACTIONAL, 7),
        at(7, &marker(0), batch::CONTROL | batch::TRANSACTIONAL, 7),
    ];
    let bytes = log.concat();
    let aborted = [(7, 6), (7, 0)];
    let fetched = read(&bytes, 0, &aborted).unwrap();
    assert_eq!((offsets(&fetched), fetched.next_offset()), (vec![1, 2, 4], 8));
    assert_eq!(offsets(&read(&bytes, 0, &[]).unwrap()), [0, 1, 2, 4, 6]);

    // Read in parts: what is known of transactions goes from one to the next.
    let (mut start, mut from, mut told, mut found) = (0, 0, aborted.to_vec(), Vec::new());
    loop {
        let part = Fetched::read(Arc::new(bytes.clone()), start, from, &told, 1).unwrap();
        found.extend(offsets(&part));
        (from, told) = (part.next_offset(), part.aborted().to_vec());
        match part.rest() {
            Some(rest) => start = rest,
            None => break,
        }
    }
    assert_eq!((found, from), (vec![1, 2, 4], 8));
}

#[test]
fn the_broker_may_say_when_records_came() {
    let bytes = at(0, &write(0, 3, NO_LIMIT, false)[0], batch::LOG_APPEND_TIME, -1);
    let fetched = read(&bytes, 0, &[]).unwrap();
    assert!((0..3).all(|number| fetched.record(number).timestamp_ms == 1_000));
}

#[test]
fn what_is_unusual_is_told() {
    let plain = write(0, 3, NO_LIMIT, false)[0].0.clone();
    let told = |change: &dyn Fn(&mut Vec<u8>), sealed: bool| {
        let mut bytes = plain.clone();
        change(&mut bytes);
        if sealed {
            batch::seal(&mut bytes);
        }
        read(&bytes, 0, &[]).err().map(|error| error.0).unwrap_or_default()
    };
    assert_eq!(told(&|bytes| bytes[16] = 1, false), "format 1 (magic)");
    assert!(told(&|bytes| bytes[70] ^= 1, false).ends_with("the checksum is wrong"));
    assert!(told(&|bytes| bytes[60] = 4, true).ends_with("the records are not as its head says"));
    assert!(told(&|bytes| bytes[57..61].fill(0x7f), true).ends_with("the records are not as its head says"));
    assert!(told(&|bytes| bytes[26] = 1, true).ends_with("a record lies behind its last offset"));
    assert!(told(&|bytes| bytes[22] |= 7, true).ends_with("compression 7 is unknown"));
    assert!(told(&|bytes| bytes[8] = 0xff, false).starts_with("no batch is at byte 0"));
}

type Pack = fn(&[u8]) -> Vec<u8>;

#[test]
fn what_would_not_fit_into_memory_is_told() {
    let plain = write(0, 1, NO_LIMIT, false)[0].0.clone();
    let bomb = |_: &[u8]| vec![0u8; MOST_BATCH_BYTES + 1];
    let pack: [(u8, Pack); 3] = [(1, gzip), (2, snappy), (4, zstd)];
    for (number, pack) in pack {
        let bytes = packed(&plain, number, |records| pack(&bomb(records)));
        let error = read(&bytes, 0, &[]).err().unwrap().0;
        assert!(error.ends_with("when it is unpacked") || error.ends_with("is too large"), "{error}");
    }
}

#[test]
fn records_from_elsewhere_are_read_alike() {
    let bytes = write(0, 10, NO_LIMIT, false)[0].0.clone();
    let fetched = read(&bytes, 2, &[]).unwrap();
    let records: Vec<Record> = (0..fetched.len()).map(|number| fetched.record(number)).collect();
    let again = Fetched::of(records.iter().copied()).unwrap();
    assert_eq!((again.len(), again.next_offset()), (8, 10));
    assert!(records.iter().enumerate().all(|(number, record)| again.record(number) == *record));
}

#[test]
fn slices_end_where_their_values_have_enough_bytes() {
    let bytes = write(0, 10, NO_LIMIT, false)[0].0.clone();
    let fetched = read(&bytes, 0, &[]).unwrap();
    assert_eq!(fetched.end_within(0, 10, 0), 1);
    assert_eq!(fetched.end_within(1, 10, 41), 2);
    assert_eq!(fetched.end_within(1, 10, 42), 3);
    assert_eq!(fetched.end_within(1, 2, 1_000), 2);
    assert_eq!(fetched.end_within(10, 10, 1_000), 10);
}
