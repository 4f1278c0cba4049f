//! Kafka's record batches (format version 2, "magic 2"): read out of what a fetch gave, and written for a
//! producer. Source of the format: Apache Kafka's documentation, "Message Format".

pub mod batch;
pub mod read;
pub mod record;
mod transactions;
pub mod unpack;
pub mod varint;
pub mod write;
