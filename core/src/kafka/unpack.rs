//! Compressed records of a batch to their bytes, never more than `most` (`aiokafka/codec.py`).

use std::io::Read;

/// What `Head::attributes` says of compression.
pub const NONE: i16 = 0;
pub const GZIP: i16 = 1;
pub const SNAPPY: i16 = 2;
pub const LZ4: i16 = 3;
pub const ZSTD: i16 = 4;

const XERIAL: &[u8] = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
/// ruzstd takes a frame's window from memory before it reads the frame.
const MOST_WINDOW_BYTES: u64 = 32 * 1024 * 1024;

/// The error is a sentence's end: "… can't be read here, because …".
pub fn unpack(compression: i16, packed: &[u8], most: usize) -> Result<Vec<u8>, String> {
    match compression {
        GZIP => bounded(flate2::bufread::MultiGzDecoder::new(packed), most),
        SNAPPY => snappy(packed, most),
        LZ4 => lz4(packed, most),
        ZSTD => zstd(packed, most),
        other => Err(format!("compression {other} is unknown")),
    }
}

fn bounded(reader: impl Read, most: usize) -> Result<Vec<u8>, String> {
    let mut found = Vec::new();
    reader.take(most as u64 + 1).read_to_end(&mut found).map_err(|error| error.to_string())?;
    if found.len() > most { Err(too_much(most)) } else { Ok(found) }
}

fn too_much(most: usize) -> String {
    format!("it has more than {most} bytes when it is unpacked")
}

/// Java's clients write blocks behind a head of their own, others one block.
fn snappy(packed: &[u8], most: usize) -> Result<Vec<u8>, String> {
    let Some(mut left) = packed.strip_prefix(XERIAL).filter(|left| !left.is_empty()) else {
        return block(packed, most);
    };
    let mut found = Vec::new();
    while !left.is_empty() {
        let cut = || "a block is cut off".to_string();
        let (length, rest) = left.split_first_chunk::<4>().ok_or_else(cut)?;
        let length = usize::try_from(i32::from_be_bytes(*length)).map_err(|error| error.to_string())?;
        let (packed, rest) = rest.split_at_checked(length).ok_or_else(cut)?;
        found.append(&mut block(packed, most - found.len())?);
        left = rest;
    }
    Ok(found)
}

fn block(packed: &[u8], most: usize) -> Result<Vec<u8>, String> {
    let length = snap::raw::decompress_len(packed).map_err(|error| error.to_string())?;
    if length > most {
        return Err(too_much(most));
    }
    snap::raw::Decoder::new().decompress_vec(packed).map_err(|error| error.to_string())
}

fn lz4(packed: &[u8], most: usize) -> Result<Vec<u8>, String> {
    let mut reader = lz4_flex::frame::FrameDecoder::new(packed);
    let found = bounded(&mut reader, most)?;
    if reader.get_ref().is_empty() { Ok(found) } else { Err("bytes follow its LZ4 frame".to_string()) }
}

fn zstd(packed: &[u8], most: usize) -> Result<Vec<u8>, String> {
    let window = window_bytes(packed).ok_or_else(|| "it has no head of a zstd frame".to_string())?;
    if window > MOST_WINDOW_BYTES {
        return Err(format!("its window of {window} bytes is too large"));
    }
    let mut left = packed;
    let reader = ruzstd::decoding::StreamingDecoder::new(&mut left).map_err(|error| error.to_string())?;
    let found = bounded(reader, most)?;
    if left.is_empty() { Ok(found) } else { Err("bytes follow its zstd frame".to_string()) }
}

/// How far back a zstd frame refers (RFC 8878, 3.1.1.1): a window, or all of the content in one segment.
fn window_bytes(frame: &[u8]) -> Option<u64> {
    let descriptor = *frame.get(4)?;
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    if descriptor & 0x20 == 0 {
        let window = *frame.get(5)?;
        let base = 1u64 << (10 + (window >> 3));
        return Some(base + base / 8 * u64::from(window & 7));
    }
    let size = 1usize << (descriptor >> 6);
    let content = frame.get(5 + dictionary..5 + dictionary + size)?;
    let length = content.iter().rev().fold(0u64, |found, byte| found << 8 | u64::from(*byte));
    Some(if size == 2 { length + 256 } else { length })
}
