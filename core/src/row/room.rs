//! How much memory a row takes: what bounds the rows in memory (`partition::slots`).

use super::{Membership, Row, State, Sums};
use crate::aggregates::accumulator::Accumulated;
use crate::aggregates::distincts::Distinct;
use crate::conditions::batch::HeldState;
use crate::conditions::not_followed::NotFollowedState;
use crate::conditions::sequence_state::SequenceState;
use crate::row::Stored;

impl Row {
    /// Bytes of the row and of the lists in it, but for texts and values of attributes and what states hold
    /// besides: that is about as much as the row's stored bytes.
    pub fn room_bytes(&self) -> usize {
        let states = self.conditions.iter().map(|each| each.1.boxed_bytes());
        size_of::<Row>()
            + self.conditions.capacity() * size_of::<(u32, State)>()
            + states.sum::<usize>()
            + self.audiences.capacity() * size_of::<(u32, Membership)>()
            + self.attributes.room_bytes()
            + self.changed_ms.room_bytes()
            + self.changed_paths.room_bytes()
            + self.identities.room_bytes()
            + (self.seen_at.capacity() + self.times.capacity()) * size_of::<i64>()
    }
}

impl State {
    /// Of what the state points to, its own size.
    fn boxed_bytes(&self) -> usize {
        match self {
            State::Count(_) | State::Refs(_) | State::Sum(_) => 0,
            State::Sums(_) => size_of::<Sums>(),
            State::Distinct(_) => size_of::<Distinct>(),
            State::Accumulated(_) => size_of::<Accumulated>(),
            State::Sequence(_) => size_of::<SequenceState>(),
            State::NotFollowed(_) => size_of::<NotFollowedState>(),
            State::Held(_) => size_of::<HeldState>(),
            State::Stored(_) => size_of::<Stored>(),
        }
    }
}
