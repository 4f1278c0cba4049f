//! Whole numbers of 1 to 10 bytes, as Kafka's records have them (protocol buffers' signed varints).

/// The number at `at`, which moves behind it; None: the bytes end before, or it has more than 64 bits.
#[inline]
pub fn read(data: &[u8], at: &mut usize) -> Option<i64> {
    let (mut number, mut shift) = (0u64, 0u32);
    loop {
        let byte = *data.get(*at)?;
        *at += 1;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return None;
        }
        number |= bits << shift;
        if byte < 0x80 {
            return Some((number >> 1) as i64 ^ -((number & 1) as i64));
        }
        shift += 7;
        if shift > 63 {
            return None;
        }
    }
}

#[inline]
pub fn write(out: &mut Vec<u8>, number: i64) {
    let mut left = zigzag(number);
    while left >= 0x80 {
        out.push(left as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}

/// How many bytes `write` takes.
#[inline]
pub fn size(number: i64) -> usize {
    (70 - (zigzag(number) | 1).leading_zeros() as usize) / 7
}

#[inline]
fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(number: i64) {
            let mut out = Vec::new();
            write(&mut out, number);
            prop_assert_eq!(out.len(), size(number));
            let mut at = 0;
            prop_assert_eq!(read(&out, &mut at), Some(number));
            prop_assert_eq!(at, out.len());
            prop_assert_eq!(read(&out[..out.len() - 1], &mut 0), None);
        }
    }

    #[test]
    fn small_and_extreme_numbers_have_their_sizes() {
        for (number, bytes) in [(0, 1), (-1, 1), (63, 1), (-64, 1), (64, 2), (i64::MAX, 10), (i64::MIN, 10)] {
            assert_eq!(size(number), bytes, "{number}");
        }
    }

    #[test]
    fn more_than_64_bits_are_no_number() {
        assert_eq!(read(&[0xff; 20], &mut 0), None);
        let mut most = [0xff; 10];
        most[9] = 1;
        assert_eq!(read(&most, &mut 0), Some(i64::MIN));
        most[9] = 2;
        assert_eq!(read(&most, &mut 0), None);
    }
}
