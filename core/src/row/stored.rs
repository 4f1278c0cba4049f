//! From what a row's bytes have of a state to the lists that it is (`rules/state/row.py`, State).

use super::{State, Stored};
use crate::conditions::UnreadableState;
use crate::time::FAR_MS;

impl State {
    /// Whether Python's `if state` is false: such a state is as good as none.
    pub fn is_nothing(&self) -> bool {
        match self {
            State::Refs(refs) => refs.is_empty(),
            State::Sum(exact) => exact.is_empty(),
            State::Stored(stored) => match &**stored {
                Stored::List(items) => items.is_empty(),
                Stored::Str(text) => text.is_empty(),
                _ => false,
            },
            _ => false,
        }
    }
}

/// A list, or what is wrong.
pub fn list(stored: Stored) -> Result<Vec<Stored>, UnreadableState> {
    match stored {
        Stored::List(items) => Ok(items),
        other => Err(UnreadableState(format!("a list is expected, not {}", kind_of(&other)))),
    }
}

/// An instant (ms).
pub fn instant(stored: Stored) -> Result<i64, UnreadableState> {
    match int(stored)? {
        at_ms if (-FAR_MS..=FAR_MS).contains(&at_ms) => Ok(at_ms),
        at_ms => Err(UnreadableState(format!("{at_ms} is no instant"))),
    }
}

/// Instants (ms) that ascend; the same one may come again.
pub fn ascending(stored: Stored) -> Result<Vec<i64>, UnreadableState> {
    let times = list(stored)?.into_iter().map(instant).collect::<Result<Vec<i64>, _>>()?;
    if times.is_sorted() { Ok(times) } else { Err(UnreadableState("times don't ascend".into())) }
}

pub fn int(stored: Stored) -> Result<i64, UnreadableState> {
    match stored {
        Stored::Int(number) => Ok(number),
        other => Err(UnreadableState(format!("a whole number is expected, not {}", kind_of(&other)))),
    }
}

/// Without what it holds: messages don't tell of users.
fn kind_of(stored: &Stored) -> &'static str {
    match stored {
        Stored::Nil => "nothing",
        Stored::Bool(_) => "a boolean",
        Stored::Int(_) | Stored::UInt(_) => "a whole number",
        Stored::Float(_) => "a float",
        Stored::Str(_) => "a text",
        Stored::Bytes(_) => "bytes",
        Stored::List(_) => "a list",
        Stored::Map(_) => "a map",
    }
}
