//! msgpack as `msgspec.msgpack` writes and reads it (https://github.com/msgpack/msgpack/blob/master/spec.md):
//! the smallest form of whole numbers and lengths, floats always with 64 bits, maps in their order.
//!
//! Reading checks everything, because rows come from topics: it never panics, goes at most `MAX_DEPTH` levels
//! down, and never allocates more than in proportion to the bytes that are there.

use std::fmt;

mod read;
mod values;
mod write;

pub use read::Reader;
pub use values::{read_stored, read_value, write_map, write_stored, write_value};
pub use write::Writer;

/// Levels of arrays and maps. A row has at most some forty.
pub const MAX_DEPTH: usize = 128;

/// The bytes are no msgpack, or of another shape than the reader expects.
#[derive(Debug, Clone, PartialEq)]
pub enum MsgpackError {
    /// The bytes end in the middle of a value.
    Truncated,
    /// Another type than expected: what was expected, and the first byte of what is there.
    Expected(&'static str, u8),
    NotUtf8,
    TooDeep,
    /// More bytes than the value has.
    TrailingBytes,
    /// A whole number that has no place in 64 bits with a sign.
    TooLarge,
}

impl fmt::Display for MsgpackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MsgpackError::Truncated => f.write_str("the msgpack bytes end in the middle of a value"),
            MsgpackError::Expected(what, byte) => {
                write!(f, "expected {what} in msgpack, got byte {byte:#04x}")
            }
            MsgpackError::NotUtf8 => f.write_str("a text in msgpack is not UTF-8"),
            MsgpackError::TooDeep => write!(f, "msgpack is nested deeper than {MAX_DEPTH} levels"),
            MsgpackError::TrailingBytes => f.write_str("there are bytes after the msgpack value"),
            MsgpackError::TooLarge => f.write_str("a whole number in msgpack is larger than 2^63 - 1"),
        }
    }
}

impl std::error::Error for MsgpackError {}

#[cfg(test)]
mod tests;
