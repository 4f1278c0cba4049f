//! Bytes of a record to an event or a profile update (`agents/formats/native.py`).

mod native;
mod record;
mod replaced;

pub use native::read;
pub use record::{Named, Record, Says, Update};
pub use replaced::read_replaced;

#[cfg(test)]
mod tests;
