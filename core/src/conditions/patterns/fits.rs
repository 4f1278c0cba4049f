//! Which of a condition's patterns an event fits: a set of their numbers (`rules/conditions/fits.py`).

/// Bit `n` is set if the event fits the pattern with the number `n`, from 0. States hold it as it is.
pub type Fits = u32;

pub const NO_FITS: Fits = 0;

/// How many patterns a condition may have here: a sequence has at most ten steps, and `without`.
pub const MOST_PATTERNS: usize = 31;

/// The set of this number.
pub const fn only(number: usize) -> Fits {
    1 << number
}

pub const fn has(fits: Fits, number: usize) -> bool {
    (fits >> number) & 1 == 1
}

/// The set without this number.
pub const fn less(fits: Fits, number: usize) -> Fits {
    fits & !(1 << number)
}
