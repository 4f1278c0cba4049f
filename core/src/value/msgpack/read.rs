//! The reader.

use super::{MAX_DEPTH, MsgpackError};

type Read<T> = Result<T, MsgpackError>;

/// Reads msgpack from bytes; texts and bytes are borrowed from them.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    depth: usize,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes, depth: 0 }
    }

    /// What is not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The value is read, and nothing comes after it.
    pub fn end(&self) -> Read<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(MsgpackError::TrailingBytes) }
    }

    /// The first byte of the next value.
    #[inline]
    pub fn peek(&self) -> Read<u8> {
        self.rest.first().copied().ok_or(MsgpackError::Truncated)
    }

    /// Takes a nil if there is one.
    #[inline]
    pub fn nil(&mut self) -> Read<bool> {
        let is = self.peek()? == 0xc0;
        if is {
            self.byte()?;
        }
        Ok(is)
    }

    #[inline]
    pub fn bool(&mut self) -> Read<bool> {
        match self.byte()? {
            0xc2 => Ok(false),
            0xc3 => Ok(true),
            other => Err(MsgpackError::Expected("a boolean", other)),
        }
    }

    #[inline]
    pub fn int(&mut self) -> Read<i64> {
        match self.byte()? {
            tag @ 0..0x80 => Ok(i64::from(tag)),
            tag @ 0xe0.. => Ok(i64::from(tag as i8)),
            0xcc => Ok(i64::from(self.byte()?)),
            0xcd => Ok(i64::from(u16::from_be_bytes(self.fixed()?))),
            0xce => Ok(i64::from(u32::from_be_bytes(self.fixed()?))),
            0xcf => i64::try_from(u64::from_be_bytes(self.fixed()?)).map_err(|_| MsgpackError::TooLarge),
            0xd0 => Ok(i64::from(self.byte()? as i8)),
            0xd1 => Ok(i64::from(i16::from_be_bytes(self.fixed()?))),
            0xd2 => Ok(i64::from(i32::from_be_bytes(self.fixed()?))),
            0xd3 => Ok(i64::from_be_bytes(self.fixed()?)),
            other => Err(MsgpackError::Expected("a whole number", other)),
        }
    }

    /// A whole number of 32 bits, such as a key.
    #[inline]
    pub fn key(&mut self) -> Read<u32> {
        u32::try_from(self.int()?).map_err(|_| MsgpackError::TooLarge)
    }

    /// A whole number from 2^63 on, which `int` can't read. Look with `is_large` before.
    pub fn large(&mut self) -> Read<u64> {
        match self.byte()? {
            0xcf => Ok(u64::from_be_bytes(self.fixed()?)),
            other => Err(MsgpackError::Expected("a large whole number", other)),
        }
    }

    /// Whether the next value is a whole number from 2^63 on.
    pub fn is_large(&self) -> bool {
        matches!(self.rest, [0xcf, high, ..] if *high >= 0x80)
    }

    #[inline]
    pub fn float(&mut self) -> Read<f64> {
        match self.byte()? {
            0xcb => Ok(f64::from_be_bytes(self.fixed()?)),
            0xca => Ok(f64::from(f32::from_be_bytes(self.fixed()?))),
            other => Err(MsgpackError::Expected("a float", other)),
        }
    }

    #[inline]
    pub fn str(&mut self) -> Read<&'a str> {
        let length = match self.byte()? {
            tag @ 0xa0..0xc0 => usize::from(tag & 0x1f),
            0xd9 => usize::from(self.byte()?),
            0xda => self.length16()?,
            0xdb => self.length32()?,
            other => return Err(MsgpackError::Expected("a text", other)),
        };
        std::str::from_utf8(self.take(length)?).map_err(|_| MsgpackError::NotUtf8)
    }

    /// A text, or nil.
    #[inline]
    pub fn optional_str(&mut self) -> Read<Option<&'a str>> {
        if self.nil()? { Ok(None) } else { self.str().map(Some) }
    }

    /// A whole number, or nil.
    #[inline]
    pub fn optional_int(&mut self) -> Read<Option<i64>> {
        if self.nil()? { Ok(None) } else { self.int().map(Some) }
    }

    pub fn bin(&mut self) -> Read<&'a [u8]> {
        let length = match self.byte()? {
            0xc4 => usize::from(self.byte()?),
            0xc5 => self.length16()?,
            0xc6 => self.length32()?,
            other => return Err(MsgpackError::Expected("bytes", other)),
        };
        self.take(length)
    }

    /// The number of items of an array. There are at least so many bytes left, but reserve memory for few of
    /// them only (`reserved`): arrays in one another may each claim as much.
    #[inline]
    pub fn array_header(&mut self) -> Read<usize> {
        let items = match self.byte()? {
            tag @ 0x90..0xa0 => usize::from(tag & 0x0f),
            0xdc => self.length16()?,
            0xdd => self.length32()?,
            other => return Err(MsgpackError::Expected("an array", other)),
        };
        if items > self.rest.len() { Err(MsgpackError::Truncated) } else { Ok(items) }
    }

    /// The number of entries of a map; as of `array_header`.
    #[inline]
    pub fn map_header(&mut self) -> Read<usize> {
        let entries = match self.byte()? {
            tag @ 0x80..0x90 => usize::from(tag & 0x0f),
            0xde => self.length16()?,
            0xdf => self.length32()?,
            other => return Err(MsgpackError::Expected("a map", other)),
        };
        if entries > self.rest.len() / 2 { Err(MsgpackError::Truncated) } else { Ok(entries) }
    }

    /// Capacity to begin with for as many items as a header says.
    pub fn reserved(items: usize) -> usize {
        items.min(256)
    }

    /// One level further down, for what `inner` reads.
    #[inline]
    pub fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Read<T>) -> Read<T> {
        if self.depth == MAX_DEPTH {
            return Err(MsgpackError::TooDeep);
        }
        self.depth += 1;
        let found = inner(self)?;
        self.depth -= 1;
        Ok(found)
    }

    /// Skips one value, of whatever type, and gives its bytes.
    pub fn skip(&mut self) -> Read<&'a [u8]> {
        let from = self.rest;
        let mut pending = 1usize; // no recursion: any depth, in constant memory
        while pending > 0 {
            pending -= 1;
            match self.peek()? {
                0x90..0xa0 | 0xdc | 0xdd => pending = pending.saturating_add(self.array_header()?),
                0x80..0x90 | 0xde | 0xdf => pending = pending.saturating_add(self.map_header()? * 2),
                0xa0..0xc0 | 0xd9..0xdc => self.raw_str()?,
                0xc4..0xc7 => drop(self.bin()?),
                0xc0 | 0xc2 | 0xc3 => drop(self.byte()?),
                0xca | 0xcb => drop(self.float()?),
                _ if self.is_large() => drop(self.large()?),
                _ => drop(self.int()?),
            }
        }
        Ok(&from[..from.len() - self.rest.len()])
    }

    /// Skips a text without looking whether it is UTF-8: what is skipped is not used.
    fn raw_str(&mut self) -> Read<()> {
        match self.str() {
            Ok(_) | Err(MsgpackError::NotUtf8) => Ok(()),
            Err(error) => Err(error),
        }
    }

    #[inline]
    fn byte(&mut self) -> Read<u8> {
        let (&first, rest) = self.rest.split_first().ok_or(MsgpackError::Truncated)?;
        self.rest = rest;
        Ok(first)
    }

    #[inline]
    fn fixed<const N: usize>(&mut self) -> Read<[u8; N]> {
        let (&bytes, rest) = self.rest.split_first_chunk::<N>().ok_or(MsgpackError::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }

    #[inline]
    fn take(&mut self, length: usize) -> Read<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(MsgpackError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn length16(&mut self) -> Read<usize> {
        Ok(usize::from(u16::from_be_bytes(self.fixed()?)))
    }

    #[inline]
    fn length32(&mut self) -> Read<usize> {
        Ok(u32::from_be_bytes(self.fixed()?) as usize)
    }
}
