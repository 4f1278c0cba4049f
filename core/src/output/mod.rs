//! Transitions and outboxes as they are written (`agents/evaluate/transitions.py`, `rules/state/row.py`).

mod body;
mod claim;
mod transition;

pub use body::{Headers, Output};
pub use claim::Claim;
pub use transition::{Outbox, Transition, Trigger, write_outbox};

#[cfg(test)]
mod tests;
