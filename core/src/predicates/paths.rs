//! What the names of properties and attributes stand for in an object (`rules/predicates/paths.py`).
//!
//! A name that is a key as it stands wins, then the longest prefix that is a key; what is left of the name goes
//! on inside its value. The winning prefix is final. `None` is Python's MISSING.

use std::sync::LazyLock;

use crate::value::{Map, Value};

/// What a predicate is about.
#[derive(Clone, Copy)]
pub enum Subject<'v, 'a> {
    Object(&'v Map<'a>),
    /// An element of a list, or the value of a property; what isn't an object has no names.
    Value(&'v Value<'a>),
    Missing,
}

/// Stands for the whole of an object: no operator looks into it.
static OBJECT: LazyLock<Value<'static>> = LazyLock::new(|| Value::Map(Box::default()));

/// The value at a path in an object.
#[derive(Clone, Debug)]
pub struct Getter {
    /// The parts with dots between: what stands for some of them is a slice of it.
    whole: Box<str>,
    /// Where each part begins and ends.
    parts: Box<[(usize, usize)]>,
}

pub fn getter(path: &[String]) -> Getter {
    let mut at = 0;
    let parts = path.iter().map(|part| {
        let begin = at;
        at += part.len() + 1;
        (begin, begin + part.len())
    });
    Getter { parts: parts.collect(), whole: path.join(".").into() }
}

impl Getter {
    pub fn get<'v, 'a>(&self, subject: Subject<'v, 'a>) -> Option<&'v Value<'a>> {
        match subject {
            Subject::Object(_) if self.parts.is_empty() => Some(&OBJECT),
            Subject::Object(object) => self.of(object),
            Subject::Value(value) if self.parts.is_empty() => Some(value),
            Subject::Value(Value::Map(object)) => self.of(object),
            Subject::Value(_) | Subject::Missing => None,
        }
    }

    /// The path is not empty.
    #[inline]
    pub fn of<'v, 'a>(&self, object: &'v Map<'a>) -> Option<&'v Value<'a>> {
        if self.parts.len() == 1 {
            return object.get(&self.whole);
        }
        self.rest(object, 0)
    }

    fn rest<'v, 'a>(&self, mut object: &'v Map<'a>, mut from: usize) -> Option<&'v Value<'a>> {
        'inside: while let Some((begin, _)) = self.parts.get(from) {
            for (at, (_, end)) in self.parts.iter().enumerate().skip(from).rev() {
                let Some(value) = self.whole.get(*begin..*end).and_then(|name| object.get(name)) else {
                    continue;
                };
                match value {
                    _ if at + 1 == self.parts.len() => return Some(value),
                    Value::Map(inner) => {
                        (object, from) = (inner, at + 1);
                        continue 'inside;
                    }
                    _ => return None,
                }
            }
            return None;
        }
        None
    }
}

/// What ends a part of a path that stands for the elements of a list.
pub const ELEMENTS: &str = "[]";

/// Whether a path stands for as many values as lists have elements.
pub fn has_elements(path: &[String]) -> bool {
    path.iter().any(|part| part.ends_with(ELEMENTS))
}

/// The keys of an object that may lead to a path, the shortest first.
pub fn prefixes_of(path: &[String]) -> impl Iterator<Item = String> + '_ {
    (1..=path.len()).map(|size| path.iter().take(size).map(String::as_str).collect::<Vec<_>>().join("."))
}

/// The elements of a list; what isn't one has none.
pub fn elements_of<'v, 'a>(value: Option<&'v Value<'a>>) -> &'v [Value<'a>] {
    match value {
        Some(Value::List(items)) => items,
        _ => &[],
    }
}

/// The values that a path stands for in an object: one, or those of the elements of lists.
#[derive(Clone, Debug)]
pub enum Values {
    One(Getter),
    /// Of the list that is found; `None`: the elements themselves.
    Elements(Getter, Option<Box<Values>>),
}

pub fn values(path: &[String]) -> Values {
    let Some(at) = path.iter().position(|part| part.ends_with(ELEMENTS)) else {
        return Values::One(getter(path));
    };
    let (before, rest) = path.split_at(at + 1);
    let mut list = before.to_vec();
    if let Some(last) = list.last_mut() {
        last.truncate(last.len() - ELEMENTS.len());
    }
    Values::Elements(getter(&list), (!rest.is_empty()).then(|| Box::new(values(rest))))
}

impl Values {
    /// Each value, `None` where an element lacks the name.
    pub fn each<'v, 'a>(&self, object: &'v Map<'a>, take: &mut dyn FnMut(Option<&'v Value<'a>>)) {
        self.each_of(Subject::Object(object), take);
    }

    fn each_of<'v, 'a>(&self, subject: Subject<'v, 'a>, take: &mut dyn FnMut(Option<&'v Value<'a>>)) {
        match self {
            Values::One(getter) => take(getter.get(subject)),
            Values::Elements(getter, rest) => {
                for element in elements_of(getter.get(subject)) {
                    match rest {
                        None => take(Some(element)),
                        Some(rest) => rest.each_of(Subject::Value(element), take),
                    }
                }
            }
        }
    }

    /// The value, of lists that of the first element that has one.
    pub fn first<'v, 'a>(&self, object: &'v Map<'a>) -> Option<&'v Value<'a>> {
        if let Values::One(getter) = self {
            return getter.get(Subject::Object(object));
        }
        let mut first = None;
        self.each(object, &mut |value| first = first.or(value));
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(parts: &[&str]) -> Vec<String> {
        parts.iter().map(|each| (*each).to_owned()).collect()
    }

    fn object(entries: Vec<(&'static str, Value<'static>)>) -> Map<'static> {
        entries.into_iter().map(|(name, value)| (name.into(), value)).collect()
    }

    #[test]
    fn the_longest_prefix_that_is_a_key_wins_and_no_shorter_one_is_tried() {
        let inner = object(vec![("c", Value::Int(1))]);
        let whole = object(vec![("a", Value::Map(Box::new(inner))), ("a.b", Value::Int(2))]);
        let found = |parts: &[&str]| match getter(&path(parts)).of(&whole) {
            Some(Value::Int(number)) => Some(*number),
            _ => None,
        };
        assert_eq!(found(&["a", "c"]), Some(1));
        assert_eq!(found(&["a", "b"]), Some(2));
        assert_eq!(found(&["a", "b", "c"]), None);
    }

    #[test]
    fn an_element_without_the_name_counts_as_missing() {
        let with = Value::Map(Box::new(object(vec![("n", Value::Int(1))])));
        let whole = object(vec![("l", Value::List(vec![Value::Int(5), with]))]);
        let mut seen = Vec::new();
        values(&path(&["l[]", "n"])).each(&whole, &mut |value| seen.push(value.is_some()));
        assert_eq!(seen, [false, true]);
        assert!(matches!(values(&path(&["l[]", "n"])).first(&whole), Some(Value::Int(1))));
    }
}
