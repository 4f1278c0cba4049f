//! Records to finished batches (`DefaultRecordBatchBuilder`, aiokafka's `record/default_records.py`): the same
//! bytes, except that LZ4 packs a little worse here.

use std::io::Write;

use lz4_flex::frame::{BlockSize, FrameEncoder, FrameInfo};

use super::batch::{BEFORE_LENGTH, FORMAT, HEAD, seal};
use super::{unpack, varint};

/// A record's headers: names and contents.
pub type HeadersOut<'a> = &'a [(&'a str, Option<&'a [u8]>)];

/// A batch as a producer sends it, but for what `batch::stamp` writes; how many records it has.
pub type Finished = (Vec<u8>, u32);

/// Records on their way into batches of one topic partition, in order.
#[derive(Debug)]
pub struct Batches {
    max_bytes: usize,
    is_packed: bool,
    done: Vec<Finished>,
    /// The batch that takes the next record; its head is written last.
    open: Vec<u8>,
    records: i32,
    first_timestamp_ms: i64,
    max_timestamp_ms: i64,
}

impl Batches {
    /// Batches have less than `max_bytes` with their heads before they are packed, those of one record any number.
    pub fn new(max_bytes: usize) -> Batches {
        Batches {
            max_bytes,
            is_packed: false,
            done: Vec::new(),
            open: Vec::new(),
            records: 0,
            first_timestamp_ms: 0,
            max_timestamp_ms: 0,
        }
    }

    /// The same, packed by LZ4 where that is smaller.
    pub fn packed(self) -> Batches {
        Batches { is_packed: true, ..self }
    }

    pub fn add(
        &mut self,
        timestamp_ms: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: HeadersOut<'_>,
    ) {
        let unplaced = 1 + bytes_size(key) + bytes_size(value) + headers_size(headers);
        let mut since_first_ms = timestamp_ms.saturating_sub(self.first_timestamp_ms);
        let mut size = unplaced + varint::size(since_first_ms) + varint::size(i64::from(self.records));
        // aiokafka's compiled builder doesn't fill the last byte.
        if self.records > 0 && self.open.len() + size + varint::size(size as i64) >= self.max_bytes {
            self.close();
        }
        if self.records == 0 {
            self.open.resize(HEAD, 0);
            self.first_timestamp_ms = timestamp_ms;
            self.max_timestamp_ms = timestamp_ms;
            since_first_ms = 0;
            size = unplaced + 2;
        }
        self.max_timestamp_ms = self.max_timestamp_ms.max(timestamp_ms);
        let out = &mut self.open;
        varint::write(out, size as i64);
        out.push(0);
        varint::write(out, since_first_ms);
        varint::write(out, i64::from(self.records));
        put(out, key);
        put(out, value);
        varint::write(out, headers.len() as i64);
        for (name, content) in headers {
            put(out, Some(name.as_bytes()));
            put(out, *content);
        }
        self.records += 1;
    }

    /// All batches, in order.
    pub fn finish(mut self) -> Vec<Finished> {
        self.close();
        self.done
    }

    fn close(&mut self) {
        let records = std::mem::take(&mut self.records);
        if records == 0 {
            return;
        }
        let mut bytes = std::mem::take(&mut self.open);
        let is_packed = self.is_packed && pack(&mut bytes);
        let length = i32::try_from(bytes.len() - BEFORE_LENGTH).unwrap_or(i32::MAX);
        let compression = if is_packed { unpack::LZ4 } else { unpack::NONE };
        let head: [&[u8]; 12] = [
            &[0; 8], // the broker numbers them
            &length.to_be_bytes(),
            &(-1i32).to_be_bytes(), // no leader's epoch
            &[FORMAT],
            &[0; 4], // the checksum comes last
            &compression.to_be_bytes(),
            &(records - 1).to_be_bytes(),
            &self.first_timestamp_ms.to_be_bytes(),
            &self.max_timestamp_ms.to_be_bytes(),
            &[0xff; 10], // no producer, no epoch
            &[0; 4],
            &records.to_be_bytes(),
        ];
        bytes[..HEAD].copy_from_slice(&head.concat());
        seal(&mut bytes);
        self.done.push((bytes, records.unsigned_abs()));
    }
}

fn bytes_size(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(1, |bytes| varint::size(bytes.len() as i64) + bytes.len())
}

fn headers_size(headers: HeadersOut<'_>) -> usize {
    let each = headers.iter().map(|(name, content)| bytes_size(Some(name.as_bytes())) + bytes_size(*content));
    varint::size(headers.len() as i64) + each.sum::<usize>()
}

fn put(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => varint::write(out, -1),
        Some(bytes) => {
            varint::write(out, bytes.len() as i64);
            out.extend_from_slice(bytes);
        }
    }
}

/// Pack the records behind a head, if that makes them smaller. Blocks are independent, as Kafka wants them
/// (KIP-57).
fn pack(batch: &mut Vec<u8>) -> bool {
    let Some(records) = batch.get(HEAD..) else { return false };
    let info = FrameInfo::new().block_size(BlockSize::Max256KB);
    let mut writer = FrameEncoder::with_frame_info(info, Vec::new());
    let Ok(packed) = writer.write_all(records).map_err(|_| ()).and_then(|()| writer.finish().map_err(|_| ()))
    else {
        return false;
    };
    if packed.len() >= records.len() {
        return false;
    }
    batch.truncate(HEAD);
    batch.extend_from_slice(&packed);
    true
}
