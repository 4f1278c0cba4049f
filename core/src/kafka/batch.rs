//! The head of a record batch: the 61 bytes before its records.

/// Bytes of the head.
pub const HEAD: usize = 61;
/// First offset and length, which the length doesn't count.
pub const BEFORE_LENGTH: usize = 12;
const MAGIC: usize = 16;
pub const CRC: usize = 17;
/// The CRC is over everything from here on.
pub const ATTRIBUTES: usize = 21;
pub const FORMAT: u8 = 2;

pub const COMPRESSION: i16 = 0x07;
pub const LOG_APPEND_TIME: i16 = 0x08;
pub const TRANSACTIONAL: i16 = 0x10;
pub const CONTROL: i16 = 0x20;

/// What of a batch's head readers look at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Head {
    pub base_offset: i64,
    pub crc: u32,
    pub attributes: i16,
    pub last_offset_delta: i32,
    pub first_timestamp_ms: i64,
    pub max_timestamp_ms: i64,
    pub producer_id: i64,
    pub records: i32,
}

/// One batch of those that lie in a row.
#[derive(Debug, PartialEq)]
pub enum Found<'a> {
    Batch(&'a [u8]),
    /// The bytes end before a batch does: a fetch cuts its last one off.
    Cut,
    /// Not of this format (its version, when it is an older one).
    Other(Option<u8>),
}

/// The batch that begins at `at`.
pub fn find(data: &[u8], at: usize) -> Found<'_> {
    let Some(length) = data.get(at..).and_then(|rest| rest.get(8..BEFORE_LENGTH)) else { return Found::Cut };
    let Ok(length) = usize::try_from(number(length) as i32) else { return Found::Other(None) };
    let Some(batch) = data.get(at..at.saturating_add(BEFORE_LENGTH + length)) else { return Found::Cut };
    match batch.get(MAGIC) {
        Some(&FORMAT) if batch.len() >= HEAD => Found::Batch(batch),
        Some(&magic) => Found::Other(Some(magic)),
        None => Found::Other(None),
    }
}

impl Head {
    /// None: fewer bytes than a head has.
    pub fn read(batch: &[u8]) -> Option<Head> {
        let at = |start: usize, end: usize| batch.get(start..end).map(number);
        Some(Head {
            base_offset: at(0, 8)? as i64,
            crc: at(CRC, 21)? as u32,
            attributes: at(ATTRIBUTES, 23)? as i16,
            last_offset_delta: at(23, 27)? as i32,
            first_timestamp_ms: at(27, 35)? as i64,
            max_timestamp_ms: at(35, 43)? as i64,
            producer_id: at(43, 51)? as i64,
            records: at(57, HEAD)? as i32,
        })
    }

    pub fn is(&self, attribute: i16) -> bool {
        self.attributes & attribute != 0
    }
}

/// A big-endian number of up to eight bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |found, byte| found << 8 | u64::from(*byte))
}

/// Of a batch with a whole head.
pub fn checksum(batch: &[u8]) -> u32 {
    crc32c::crc32c(batch.get(ATTRIBUTES..).unwrap_or_default())
}

/// Write what a producer knows only when it sends a batch, and the checksum again. Nothing happens to bytes
/// that are no batch.
pub fn stamp(batch: &mut [u8], producer_id: i64, epoch: i16, sequence: i32, is_transactional: bool) {
    if batch.len() < HEAD {
        return;
    }
    if is_transactional {
        batch[ATTRIBUTES + 1] |= TRANSACTIONAL as u8;
    }
    batch[43..51].copy_from_slice(&producer_id.to_be_bytes());
    batch[51..53].copy_from_slice(&epoch.to_be_bytes());
    batch[53..57].copy_from_slice(&sequence.to_be_bytes());
    seal(batch);
}

/// Write the checksum.
pub fn seal(batch: &mut [u8]) {
    let crc = checksum(batch);
    if let Some(place) = batch.get_mut(CRC..ATTRIBUTES) {
        place.copy_from_slice(&crc.to_be_bytes());
    }
}
