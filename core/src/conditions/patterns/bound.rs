//! Tests of an event against earlier ones, by what is kept of both (`rules/conditions/patterns.py`, BoundCheck).

use super::slots::{NULL, Slot};
use crate::predicates::against::Against;
use crate::predicates::elements::Quantifier;
use crate::value::Value;

/// Whether an event, by its slots, fits what earlier events were bound to.
pub enum BoundCheck {
    /// The slot has the truth of a test that needs no other event.
    Truth {
        slot: usize,
    },
    /// An operator between a slot and a binding.
    Against {
        slot: usize,
        binding: usize,
        operator: Against,
    },
    /// The slot has, for each element of a list, the slots that `test` needs.
    Elements {
        slot: usize,
        quantifier: Quantifier,
        test: Box<BoundCheck>,
    },
    Not(Box<BoundCheck>),
    All(Vec<BoundCheck>),
    Any(Vec<BoundCheck>),
}

impl BoundCheck {
    pub fn holds(&self, slots: &[Slot], bindings: &[&Slot]) -> bool {
        let of = |slot: usize| slots.get(slot).unwrap_or(&NULL);
        match self {
            BoundCheck::Truth { slot } => matches!(of(*slot), Value::Bool(true)),
            BoundCheck::Against { slot, binding, operator } => {
                operator.holds(Some(of(*slot)), bindings.get(*binding).copied())
            }
            BoundCheck::Elements { slot, quantifier, test } => {
                let elements = if let Value::List(elements) = of(*slot) { &elements[..] } else { &[] };
                quantifier.decide(elements.iter().map(|each| match each {
                    Value::List(slots) => test.holds(slots, bindings),
                    _ => false, // never: slots are checked when they are read
                }))
            }
            BoundCheck::Not(part) => !part.holds(slots, bindings),
            BoundCheck::All(parts) => parts.iter().all(|each| each.holds(slots, bindings)),
            BoundCheck::Any(parts) => parts.iter().any(|each| each.holds(slots, bindings)),
        }
    }

    /// All of them; one is itself.
    pub fn every(mut checks: Vec<BoundCheck>) -> BoundCheck {
        match checks.pop() {
            Some(only) if checks.is_empty() => only,
            Some(last) => {
                checks.push(last);
                BoundCheck::All(checks)
            }
            None => BoundCheck::All(checks),
        }
    }
}
