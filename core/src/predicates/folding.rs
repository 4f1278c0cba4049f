//! `str.casefold`: the text that a character becomes depends on that character alone.

use std::borrow::Cow;
use std::collections::HashMap;

use indexmap::IndexMap;

/// The folding of each character that another text stands for; of ASCII it is known without a table.
#[derive(Debug, Default)]
pub struct Folds(HashMap<char, Box<str>, foldhash::fast::RandomState>);

impl Folds {
    pub fn new(folds: &IndexMap<String, String>) -> Folds {
        let one = |text: &str| {
            let mut characters = text.chars();
            characters.next().filter(|_| characters.next().is_none())
        };
        Folds(folds.iter().filter_map(|(from, to)| Some((one(from)?, to.as_str().into()))).collect())
    }

    /// Whether there is a table: otherwise no rule may ask for folding.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn fold<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if text.is_ascii() {
            if text.bytes().any(|each| each.is_ascii_uppercase()) {
                return Cow::Owned(text.to_ascii_lowercase());
            }
            return Cow::Borrowed(text);
        }
        let mut folded = String::with_capacity(text.len());
        for each in text.chars() {
            match self.0.get(&each) {
                Some(to) => folded.push_str(to),
                None => folded.push(each.to_ascii_lowercase()),
            }
        }
        Cow::Owned(folded)
    }
}
