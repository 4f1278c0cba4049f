//! The native engine of Turnstile: the same rules, rows and bytes as the Python one, which is its reference.
//!
//! Each module says which Python module it follows. Nothing here reads a clock or does I/O: raw fetched bytes
//! and rows come in, finished record batches and rows go out (docs/decisions tells why).
//!
//! - `value`       JSON values; msgpack and JSON, byte for byte as msgspec writes them
//! - `time`        instants, calendars (zones come as tables from Python), schedules
//! - `row`         one user's row: its fields, its bytes, event times, ids seen, attributes
//! - `predicates`  what events and attributes are tested for
//! - `aggregates`  conditions that aggregate events, and their windows
//! - `conditions`  the other conditions: patterns, and those that stand around another one; a rule's truth
//! - `decide`      what one record, or passing time, does to one user
//! - `input`       bytes of a record to an event or a profile update
//! - `output`      transitions and outboxes as they are written
//! - `kafka`       record batches, read and written
//! - `partition`   rows of one partition in memory, and steps over them
//! - `python`      what Python calls

pub mod aggregates;
pub mod conditions;
pub mod decide;
pub mod input;
pub mod kafka;
pub mod output;
pub mod partition;
pub mod predicates;
#[cfg(feature = "python")]
mod python;
pub mod row;
pub mod rules;
pub mod spec;
pub mod time;
pub mod value;

/// Rows, keys and records are many small pieces, made in one thread and let go in another one: the system's
/// allocator takes a third more of the CPU for them. Python and RocksDB keep theirs.
#[cfg(feature = "python")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
