//! One record of a batch, where it lies (`DefaultRecordBatch._read_msg`, aiokafka's `record/default_records.py`).

use std::fmt;

use super::batch::{Head, LOG_APPEND_TIME};
use super::varint;

/// A record, borrowed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Record<'a> {
    pub offset: i64,
    pub timestamp_ms: i64,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: Headers<'a>,
}

/// Names and contents, read as they are asked for.
#[derive(Clone, Copy, Default)]
pub struct Headers<'a> {
    left: usize,
    data: &'a [u8],
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a str, Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let mut at = 0;
        let name = Span::read(self.data, &mut at)?.of(self.data)?;
        let content = Span::read(self.data, &mut at)?.of(self.data);
        self.data = self.data.get(at..)?;
        Some((std::str::from_utf8(name).ok()?, content))
    }
}

impl Headers<'_> {
    /// As a record has them: how many, then each.
    pub(super) fn write(self, out: &mut Vec<u8>) {
        varint::write(out, self.left as i64);
        for (name, content) in self {
            varint::write(out, name.len() as i64);
            out.extend_from_slice(name.as_bytes());
            varint::write(out, content.map_or(-1, |bytes| bytes.len() as i64));
            out.extend_from_slice(content.unwrap_or_default());
        }
    }
}

impl PartialEq for Headers<'_> {
    fn eq(&self, other: &Self) -> bool {
        Iterator::eq(*self, *other)
    }
}

impl fmt::Debug for Headers<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_list().entries(*self).finish()
    }
}

/// Part of the bytes that a record is in; a negative length: there is none (null).
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub start: u32,
    pub length: i32,
}

impl Span {
    pub const NULL: Span = Span { start: 0, length: -1 };

    /// What a length says that is at `at`, which moves behind the bytes.
    #[inline]
    pub fn read(data: &[u8], at: &mut usize) -> Option<Span> {
        let length = i32::try_from(varint::read(data, at)?).ok()?;
        let Ok(bytes) = usize::try_from(length) else { return Some(Span::NULL) };
        let start = u32::try_from(*at).ok()?;
        *at = at.checked_add(bytes).filter(|end| *end <= data.len())?;
        Some(Span { start, length })
    }

    #[inline]
    pub fn of(self, data: &[u8]) -> Option<&[u8]> {
        let length = usize::try_from(self.length).ok()?;
        data.get(self.start as usize..self.start as usize + length)
    }
}

/// Where a record is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub offset: i64,
    pub timestamp_ms: i64,
    /// 0: in the fetch itself, otherwise in what the batch was unpacked to.
    pub buffer: u32,
    pub key: Span,
    pub value: Span,
    /// Where the number of headers is.
    pub headers: u32,
}

impl Place {
    #[inline]
    pub fn record<'a>(&self, data: &'a [u8]) -> Record<'a> {
        let mut at = self.headers as usize;
        let left = varint::read(data, &mut at).and_then(|left| usize::try_from(left).ok()).unwrap_or(0);
        Record {
            offset: self.offset,
            timestamp_ms: self.timestamp_ms,
            key: self.key.of(data),
            value: self.value.of(data),
            headers: Headers { left, data: data.get(at..).unwrap_or_default() },
        }
    }

    pub fn value_bytes(&self) -> u64 {
        u64::try_from(self.value.length).unwrap_or(0)
    }
}

/// The record at `at` of a batch, which moves behind it; None: it isn't one as producers write it.
#[inline]
pub(super) fn read_record(head: &Head, data: &[u8], at: &mut usize, buffer: u32) -> Option<Place> {
    let length = usize::try_from(varint::read(data, at)?).ok()?;
    let end = at.checked_add(length)?;
    let data = data.get(..end)?;
    if *data.get(*at)? != 0 {
        return None; // attributes of records, of which Kafka has none yet
    }
    *at += 1;
    let since_first_ms = varint::read(data, at)?;
    let offset = head.base_offset.checked_add(varint::read(data, at)?)?;
    let timestamp_ms = if head.is(LOG_APPEND_TIME) {
        head.max_timestamp_ms
    } else {
        head.first_timestamp_ms.checked_add(since_first_ms)?
    };
    let key = Span::read(data, at)?;
    let value = Span::read(data, at)?;
    let headers = u32::try_from(*at).ok()?;
    let number = usize::try_from(varint::read(data, at)?).ok()?;
    for _ in 0..number {
        let name = Span::read(data, at)?.of(data)?;
        std::str::from_utf8(name).ok()?;
        Span::read(data, at)?;
    }
    (*at == end).then_some(Place { offset, timestamp_ms, buffer, key, value, headers })
}
