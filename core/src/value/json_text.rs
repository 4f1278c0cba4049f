//! What texts in JSON have in common when they are read and when they are written.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// From `at` on, where the first quote, backslash or control character is; the end of the bytes if there is
/// none. Eight bytes at once (https://graphics.stanford.edu/~seander/bithacks.html#ZeroInWord).
#[inline]
pub fn next_special(bytes: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*chunk);
        let found =
            (zero_bytes(word ^ (ONES * 0x22)) | zero_bytes(word ^ (ONES * 0x5c)) | controls(word)) & HIGHS;
        if found != 0 {
            // The lowest mark is right; those above it may be carries.
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while let Some(byte) = bytes.get(at) {
        if matches!(byte, b'"' | b'\\' | 0..0x20) {
            return at;
        }
        at += 1;
    }
    bytes.len()
}

fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word
}

/// Marks bytes below 0x20.
fn controls(word: u64) -> u64 {
    word.wrapping_sub(ONES * 0x20) & !word
}

/// What the escape at the beginning of these bytes means, and its length. None: it means nothing, as half of a
/// surrogate pair.
pub fn escape(bytes: &[u8]) -> Option<(char, usize)> {
    let meant = match bytes.get(1)? {
        byte @ (b'"' | b'\\' | b'/') => char::from(*byte),
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let unit = unit(bytes)?;
            if !(0xd800..0xdc00).contains(&unit) {
                return Some((char::from_u32(unit)?, 6));
            }
            let low = unit_of_half(bytes.get(6..)?)?;
            return Some((char::from_u32(0x10000 + ((unit - 0xd800) << 10) + low)?, 12));
        }
        _ => return None,
    };
    Some((meant, 2))
}

/// The second half of a surrogate pair, without its mark.
fn unit_of_half(bytes: &[u8]) -> Option<u32> {
    let low = unit(bytes)?;
    (0xdc00..0xe000).contains(&low).then(|| low - 0xdc00)
}

/// The number of `\uXXXX`.
fn unit(bytes: &[u8]) -> Option<u32> {
    let [b'\\', b'u', digits @ ..] = bytes.first_chunk::<6>()? else { return None };
    digits.iter().try_fold(0, |unit, byte| Some(unit << 4 | char::from(*byte).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_finds_the_first(bytes in proptest::collection::vec(prop_oneof![Just(b'a'), any::<u8>()], 0..40), at in 0usize..45) {
            let found = bytes.iter().enumerate().skip(at)
                .find(|(_, byte)| matches!(byte, b'"' | b'\\' | 0..0x20)).map_or(bytes.len(), |(at, _)| at);
            prop_assert_eq!(next_special(&bytes, at), found);
        }
    }
}
