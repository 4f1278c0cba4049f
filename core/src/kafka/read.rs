//! What a fetch gave of a partition, as records (aiokafka's `PartitionRecords`, `consumer/fetcher.py`).
//!
//! Records stay where they are: in the fetch's bytes, or in what a compressed batch was unpacked to. Whatever
//! isn't as a well-behaved producer writes it is `Unusual`: then aiokafka's own reader takes that fetch, and
//! reads it or says what is wrong.

use std::fmt;
use std::sync::Arc;

use super::batch::{self, COMPRESSION, Found, HEAD, Head};
use super::record::{Place, Record, Span, read_record};
use super::transactions::Transactions;
use super::unpack;

/// After so many bytes the rest of a fetch is left for another `Fetched`: compressed batches grow.
pub const ENOUGH_BYTES: usize = 16 * 1024 * 1024;
/// A batch that is larger is `Unusual`.
pub const MOST_BATCH_BYTES: usize = 64 * 1024 * 1024;
const RECORD_BYTES: usize = size_of::<Place>();
/// Length, attributes, timestamp, offset, key, value, number of headers: a byte each.
const LEAST_RECORD_BYTES: usize = 7;

/// The bytes of a fetch, whoever has them.
pub type Raw = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// Why this reader leaves a fetch to aiokafka's.
#[derive(Clone, Debug, PartialEq)]
pub struct Unusual(pub String);

impl fmt::Display for Unusual {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "the fetch can't be read here: {}", self.0)
    }
}

impl std::error::Error for Unusual {}

/// Records of one partition, in log order, ascending by offset.
pub struct Fetched {
    raw: Raw,
    unpacked: Vec<Vec<u8>>,
    places: Vec<Place>,
    next_offset: i64,
    rest: Option<usize>,
    aborted: Vec<(i64, i64)>,
}

impl Fetched {
    /// Records from `from_offset` on, of the complete batches that begin at byte `start`.
    ///
    /// `aborted`: producers and first offsets of aborted transactions, as the broker told them with the fetch;
    /// empty for those who read uncommitted records, too. It reads on until `enough` bytes are unpacked.
    pub fn read(
        raw: Raw,
        start: usize,
        from_offset: i64,
        aborted: &[(i64, i64)],
        enough: usize,
    ) -> Result<Fetched, Unusual> {
        let mut found = Fetched {
            raw: raw.clone(),
            unpacked: Vec::new(),
            places: Vec::new(),
            next_offset: from_offset,
            rest: None,
            aborted: Vec::new(),
        };
        let data: &[u8] = (*raw).as_ref();
        if u32::try_from(data.len()).is_err() {
            return Err(Unusual(format!("it has {} bytes", data.len())));
        }
        let mut transactions = Transactions::new(aborted);
        let (mut at, mut taken) = (start, 0usize);
        loop {
            match batch::find(data, at) {
                Found::Cut => break,
                Found::Other(Some(magic)) => return Err(Unusual(format!("format {magic} (magic)"))),
                Found::Other(None) => return Err(Unusual(format!("no batch is at byte {at}"))),
                Found::Batch(_) if taken >= enough => {
                    found.rest = Some(at);
                    break;
                }
                Found::Batch(batch) => {
                    taken += found.take(batch, at, &mut transactions)?;
                    at += batch.len();
                }
            }
        }
        found.aborted = transactions.rest();
        Ok(found)
    }

    /// Records that didn't come from a fetch. Raises `Unusual` for more than 4 GiB of them.
    pub fn of<'a>(records: impl IntoIterator<Item = Record<'a>>) -> Result<Fetched, Unusual> {
        let mut data = Vec::new();
        let mut places = Vec::new();
        let mut next_offset = 0;
        for record in records {
            let too_many = || Unusual("its records are too large together".to_string());
            let mut put = |bytes: Option<&[u8]>| {
                let Some(bytes) = bytes else { return Ok(Span::NULL) };
                let start = u32::try_from(data.len()).map_err(|_| too_many())?;
                let length = i32::try_from(bytes.len()).map_err(|_| too_many())?;
                data.extend_from_slice(bytes);
                Ok(Span { start, length })
            };
            let (key, value) = (put(record.key)?, put(record.value)?);
            let headers = u32::try_from(data.len()).map_err(|_| too_many())?;
            record.headers.write(&mut data);
            let Record { offset, timestamp_ms, .. } = record;
            places.push(Place { offset, timestamp_ms, buffer: 0, key, value, headers });
            next_offset = offset.saturating_add(1);
        }
        let raw: Raw = Arc::new(data);
        Ok(Fetched { raw, unpacked: Vec::new(), places, next_offset, rest: None, aborted: Vec::new() })
    }

    pub fn len(&self) -> usize {
        self.places.len()
    }

    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Where the next fetch begins: after the last record, or after what is left out at the end.
    pub fn next_offset(&self) -> i64 {
        self.next_offset
    }

    /// The byte where complete batches begin that were not read; None: there are none.
    pub fn rest(&self) -> Option<usize> {
        self.rest
    }

    /// What to say of aborted transactions when the rest is read.
    pub fn aborted(&self) -> &[(i64, i64)] {
        &self.aborted
    }

    /// # Panics
    /// If there is no record with that number, as slices do.
    #[inline]
    pub fn record(&self, number: usize) -> Record<'_> {
        let place = &self.places[number];
        place.record(self.buffer(place.buffer))
    }

    /// The largest timestamp of records `start` to `end`; None: there are none.
    pub fn last_timestamp_ms(&self, start: usize, end: usize) -> Option<i64> {
        self.between(start, end).iter().map(|place| place.timestamp_ms).max()
    }

    /// Bytes of the values of records `start` to `end`.
    pub fn value_bytes(&self, start: usize, end: usize) -> u64 {
        self.between(start, end).iter().map(Place::value_bytes).sum()
    }

    /// Where a slice ends that begins at `start`: before `end`, with `most` bytes of values at most, but one
    /// record at least.
    pub fn end_within(&self, start: usize, end: usize, most: u64) -> usize {
        let mut left = most;
        let records = self.between(start, end);
        let fit = records.iter().take_while(|place| {
            let fits = left.checked_sub(place.value_bytes());
            left = fits.unwrap_or(0);
            fits.is_some()
        });
        start + fit.count().max(records.len().min(1))
    }

    fn between(&self, start: usize, end: usize) -> &[Place] {
        self.places.get(start..end.min(self.places.len())).unwrap_or_default()
    }

    fn buffer(&self, number: u32) -> &[u8] {
        match (number as usize).checked_sub(1) {
            None => (*self.raw).as_ref(),
            Some(at) => self.unpacked.get(at).map_or(&[], Vec::as_slice),
        }
    }

    /// Take the records of a batch that lies at byte `start`; how many bytes they take in memory.
    fn take(
        &mut self,
        batch: &[u8],
        start: usize,
        transactions: &mut Transactions,
    ) -> Result<usize, Unusual> {
        let head = Head::read(batch).ok_or_else(|| Unusual("a batch has no head".to_string()))?;
        let unusual = |why: String| Unusual(format!("in the batch at offset {}, {why}", head.base_offset));
        if head.crc != batch::checksum(batch) {
            return Err(unusual("the checksum is wrong".to_string()));
        }
        let next_offset = head
            .base_offset
            .checked_add(i64::from(head.last_offset_delta))
            .and_then(|last| last.checked_add(1))
            .filter(|next| head.base_offset >= 0 && *next >= self.next_offset)
            .ok_or_else(|| unusual(format!("the last offset is {} later", head.last_offset_delta)))?;
        if transactions.leave_out(&head, batch).ok_or_else(|| unusual("no marker is found".to_string()))? {
            self.next_offset = next_offset;
            return Ok(0);
        }
        let compression = head.attributes & COMPRESSION;
        let taken = self.places.len();
        let mut bytes = 0;
        if compression == unpack::NONE {
            // Spans are of the whole fetch: the records after this batch must not be read as part of it.
            let raw = self.raw.clone();
            let within = (*raw).as_ref().get(..start + batch.len()).unwrap_or_default();
            self.read_records(&head, within, start + HEAD, 0)
        } else {
            let packed = batch.get(HEAD..).unwrap_or_default();
            let unpacked = unpack::unpack(compression, packed, MOST_BATCH_BYTES).map_err(unusual)?;
            bytes += unpacked.len();
            let number = u32::try_from(self.unpacked.len() + 1).unwrap_or(u32::MAX);
            let found = self.read_records(&head, &unpacked, 0, number);
            self.unpacked.push(unpacked);
            found
        }
        .ok_or_else(|| unusual("the records are not as its head says".to_string()))?;
        if self.places.last().is_some_and(|last| last.offset >= next_offset) {
            return Err(unusual("a record lies behind its last offset".to_string()));
        }
        self.next_offset = next_offset;
        Ok(bytes + (self.places.len() - taken) * RECORD_BYTES)
    }

    /// The records of one batch, which take all of `data` from `at` on.
    fn read_records(&mut self, head: &Head, data: &[u8], mut at: usize, buffer: u32) -> Option<()> {
        let records = usize::try_from(head.records).ok()?;
        let fits = records.checked_mul(LEAST_RECORD_BYTES)? <= data.len().checked_sub(at)?;
        if !fits || records.checked_mul(RECORD_BYTES)? > MOST_BATCH_BYTES {
            return None;
        }
        self.places.reserve(records);
        for _ in 0..records {
            let place = read_record(head, data, &mut at, buffer)?;
            // A fetch begins at a batch, so the first records may be known already.
            if place.offset >= self.next_offset {
                self.next_offset = place.offset.checked_add(1)?;
                self.places.push(place);
            }
        }
        (at == data.len()).then_some(())
    }
}
