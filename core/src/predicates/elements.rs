//! `some`, `every` and `none`: predicates over the elements of a list (`rules/predicates/elements.py`).

use crate::spec::UnknownRule;

/// How elements decide.
#[derive(Clone, Copy, Debug)]
pub enum Quantifier {
    Some,
    /// All, and there is one.
    Every,
    None,
}

impl Quantifier {
    pub fn of(name: &str) -> Result<Quantifier, UnknownRule> {
        Ok(match name {
            "some" => Quantifier::Some,
            "every" => Quantifier::Every,
            "none" => Quantifier::None,
            _ => return Err(UnknownRule(format!("quantifier {name}"))),
        })
    }

    /// From what holds of each element to what holds of the list.
    pub fn decide(self, mut found: impl ExactSizeIterator<Item = bool>) -> bool {
        match self {
            Quantifier::Some => found.any(|each| each),
            Quantifier::Every => found.len() > 0 && found.all(|each| each),
            Quantifier::None => !found.any(|each| each),
        }
    }
}
