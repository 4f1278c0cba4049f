//! Conditions on attributes, against the clock where an operator is about dates or changes
//! (`rules/conditions/attributes.py`).

use crate::predicates::paths::{Getter, Subject, getter, prefixes_of};
use crate::predicates::{Check, Locale, compile};
use crate::row::Row;
use crate::spec::{PredicateSpec, UnknownRule};
use crate::time::FAR_MS;

/// How many possible changes are looked at before the last of them is the answer, a lower bound.
const MAX_LOOKS: usize = 64;

/// The tests on one attribute. They keep no state: the row has the attributes and when they changed.
#[derive(Clone, Debug)]
pub struct AttributeCondition {
    test: Node,
    is_still: bool,
}

#[derive(Clone, Debug)]
enum Node {
    /// What the attributes' values decide, against the clock where dates are about it.
    OfValues(Check),
    ChangedWithin(ChangedWithin),
    Not(Box<Node>),
    All(Vec<Node>),
    Any(Vec<Node>),
}

#[derive(Clone, Debug)]
struct ChangedWithin {
    path: Vec<String>,
    /// The path's whole name, and the attributes that may lead to it.
    whole: String,
    roots: Vec<String>,
    get: Getter,
    length_ms: i64,
}

impl AttributeCondition {
    pub fn build(test: &PredicateSpec, locale: &Locale) -> Result<AttributeCondition, UnknownRule> {
        let test = Node::build(test, locale)?;
        Ok(AttributeCondition { is_still: test.is_still(), test })
    }

    /// The value for a row at an instant.
    pub fn truth(&self, row: &Row, at_ms: i64) -> bool {
        self.test.truth(row, at_ms)
    }

    /// After an instant: when the value may change by time; `FAR_MS`: never.
    pub fn change(&self, row: &Row, after_ms: i64) -> i64 {
        if self.is_still {
            return FAR_MS;
        }
        let (now, mut at_ms) = (self.truth(row, after_ms), after_ms);
        for _ in 0..MAX_LOOKS {
            at_ms = self.test.change(row, at_ms);
            if at_ms >= FAR_MS || self.truth(row, at_ms) != now {
                break;
            }
        }
        at_ms
    }

    /// Whether it changes by records only.
    pub fn is_still(&self) -> bool {
        self.is_still
    }
}

impl Node {
    fn build(spec: &PredicateSpec, locale: &Locale) -> Result<Node, UnknownRule> {
        if !asks_for_changes(spec) {
            return Ok(Node::OfValues(compile(spec, locale)?));
        }
        let all = |parts: &[PredicateSpec]| {
            parts.iter().map(|each| Node::build(each, locale)).collect::<Result<_, _>>()
        };
        Ok(match spec {
            PredicateSpec::Test { path, operand, .. } => {
                let length_ms = operand.as_i64();
                let length_ms = length_ms.ok_or_else(|| UnknownRule(format!("changed_within {operand}")))?;
                Node::ChangedWithin(ChangedWithin {
                    path: path.clone(),
                    whole: path.join("."),
                    roots: prefixes_of(path).collect(),
                    get: getter(path),
                    length_ms,
                })
            }
            PredicateSpec::NotTest { part } => Node::Not(Box::new(Node::build(part, locale)?)),
            PredicateSpec::AllTests { parts } => Node::All(all(parts)?),
            PredicateSpec::AnyTest { parts } => Node::Any(all(parts)?),
            PredicateSpec::Elements { .. } => {
                return Err(UnknownRule("no attribute tells when an element changed".into()));
            }
        })
    }

    fn truth(&self, row: &Row, at_ms: i64) -> bool {
        match self {
            Node::OfValues(check) => check.holds_at(&row.attributes, at_ms),
            Node::ChangedWithin(test) => at_ms < test.end_ms(row),
            Node::Not(part) => !part.truth(row, at_ms),
            Node::All(parts) => parts.iter().all(|each| each.truth(row, at_ms)),
            Node::Any(parts) => parts.iter().any(|each| each.truth(row, at_ms)),
        }
    }

    /// When one of its tests may change, each by itself.
    fn change(&self, row: &Row, after_ms: i64) -> i64 {
        match self {
            Node::OfValues(check) => check.next_change(Subject::Object(&row.attributes), after_ms),
            Node::ChangedWithin(test) => {
                let end_ms = test.end_ms(row);
                if end_ms > after_ms { end_ms } else { FAR_MS }
            }
            Node::Not(part) => part.change(row, after_ms),
            Node::All(parts) | Node::Any(parts) => {
                parts.iter().map(|each| each.change(row, after_ms)).fold(FAR_MS, i64::min)
            }
        }
    }

    fn is_still(&self) -> bool {
        match self {
            Node::OfValues(check) => !check.is_dated(),
            Node::ChangedWithin(_) => false,
            Node::Not(part) => part.is_still(),
            Node::All(parts) | Node::Any(parts) => parts.iter().all(Node::is_still),
        }
    }
}

impl ChangedWithin {
    fn end_ms(&self, row: &Row) -> i64 {
        self.last_change_ms(row).map_or(-FAR_MS, |changed_ms| changed_ms.saturating_add(self.length_ms))
    }

    /// When the value at the path last became another, or came to be, or went (`rules/state/profile_update.py`,
    /// last_change_ms).
    fn last_change_ms(&self, row: &Row) -> Option<i64> {
        if self.path.len() == 1 {
            return row.changed_ms.get(&self.whole).copied();
        }
        if let Some(noted_ms) = row.changed_paths.get(&self.whole) {
            return Some(*noted_ms);
        }
        self.get.get(Subject::Object(&row.attributes))?;
        self.roots.iter().filter_map(|root| row.changed_ms.get(root).copied()).max()
    }
}

/// Whether a test of it is `changed_within`.
fn asks_for_changes(spec: &PredicateSpec) -> bool {
    match spec {
        PredicateSpec::Test { operator, .. } => operator == "changed_within",
        PredicateSpec::Elements { test: part, .. } | PredicateSpec::NotTest { part } => {
            asks_for_changes(part)
        }
        PredicateSpec::AllTests { parts } | PredicateSpec::AnyTest { parts } => {
            parts.iter().any(asks_for_changes)
        }
    }
}
