//! Where a user lives: the partition that Kafka's own partitioner gives the id (`agents/kafka/placement.py`).

/// One partition of the table, and the number of them.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub partition: u32,
    pub partitions: u32,
}

impl Place {
    pub fn owns(&self, user_id: &str) -> bool {
        partition_of(user_id.as_bytes(), self.partitions) == self.partition
    }
}

/// Kafka's default partitioner: positive murmur2 modulo the partitions.
pub fn partition_of(key: &[u8], partitions: u32) -> u32 {
    if partitions == 1 { 0 } else { (murmur2(key) & 0x7FFF_FFFF) % partitions }
}

/// 32-bit MurmurHash2 with the seed that Kafka's Java client uses. Austin Appleby's algorithm, public domain.
fn murmur2(key: &[u8]) -> u32 {
    const M: u32 = 0x5BD1_E995;
    let mut value = 0x9747_B28C ^ key.len() as u32;
    let words = key.chunks_exact(4);
    let rest = words.remainder();
    for word in words {
        let mut word = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(M);
        word = (word ^ (word >> 24)).wrapping_mul(M);
        value = value.wrapping_mul(M) ^ word;
    }
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0u32, |tail, byte| (tail << 8) | u32::from(*byte));
        value = (value ^ tail).wrapping_mul(M);
    }
    value = (value ^ (value >> 13)).wrapping_mul(M);
    value ^ (value >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_hash_of_kafkas_own_tests() {
        // org.apache.kafka.common.utils.UtilsTest
        assert_eq!(murmur2(b"21") as i32, -973_932_308);
        assert_eq!(murmur2(b"foobar") as i32, -790_332_482);
        assert_eq!(murmur2(b"a-little-bit-long-string") as i32, -985_981_536);
        assert_eq!(murmur2(b"abc") as i32, 479_470_107);
    }
}
