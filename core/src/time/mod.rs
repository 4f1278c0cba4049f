//! Instants are whole milliseconds since 1970 in UTC (`rules/time`).

pub mod calendar;
pub mod civil;
pub mod cron;
pub mod instants;
pub mod schedules;

/// Later than every instant, and in sums with durations too: never. `-FAR_MS` is earlier than every one.
pub const FAR_MS: i64 = 1 << 61;
