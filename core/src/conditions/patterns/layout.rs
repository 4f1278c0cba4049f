//! Event patterns whose `where` may refer to an earlier event, as `{ref: v.sku}` (`rules/conditions/patterns.py`).
//!
//! What is known when the event comes is tested then. What refers to another event waits for it: of the event
//! those values are kept that the tests will need, its *slots*. A slot is the value of a property, null where it
//! is missing, or the truth of a test that stands beside a reference.

use std::collections::HashSet;

use super::bound::BoundCheck;
use super::slots::{Extractor, Layout};
use crate::predicates::against::{Against, RefSpec};
use crate::predicates::elements::Quantifier;
use crate::predicates::paths::getter;
use crate::predicates::{Check, Locale, compile};
use crate::spec::{EventPatternSpec, Path, PredicateSpec, UnknownRule};

const ANY_EVENT: &str = "*";

pub struct Pattern {
    names: Vec<String>,
    /// What needs no other event.
    pub fixed: Option<Check>,
}

impl Pattern {
    /// Whether events of this name match.
    pub fn takes(&self, name: &str) -> bool {
        self.names.iter().any(|each| each == name || each == ANY_EVENT)
    }
}

/// Collects the slots of a condition's events, and the bindings that its references name.
pub struct LayoutBuilder {
    shared: Shared,
    root: Vec<Extractor>,
}

struct Shared {
    locale: Locale,
    bindings: Vec<RefSpec>,
    /// Properties that are compared for more than being equal: their texts are kept whole.
    ordered: HashSet<Path>,
    /// Properties that are compared for being equal: both are kept whole, or both as digests.
    equal: Vec<(Path, Path)>,
}

impl LayoutBuilder {
    pub fn new(locale: Locale) -> LayoutBuilder {
        let shared = Shared { locale, bindings: Vec::new(), ordered: HashSet::new(), equal: Vec::new() };
        LayoutBuilder { shared, root: Vec::new() }
    }

    pub fn bindings(&self) -> &[RefSpec] {
        &self.shared.bindings
    }

    /// The slot of a property's value.
    pub fn value_slot(&mut self, path: &Path) -> usize {
        value_slot(&mut self.root, path, false)
    }

    /// Compile a pattern, adding the slots and bindings that it needs. Apart: what needs another event.
    pub fn pattern(
        &mut self,
        source: &EventPatternSpec,
    ) -> Result<(Pattern, Option<BoundCheck>), UnknownRule> {
        let EventPatternSpec::EventPattern { names, r#where } = source;
        let parts = match r#where {
            None => &[],
            Some(PredicateSpec::AllTests { parts }) => &parts[..],
            Some(other) => std::slice::from_ref(other),
        };
        let (bound, fixed): (Vec<_>, Vec<_>) = parts.iter().partition(|each| has_ref(each));
        let fixed = match fixed.is_empty() {
            true => None,
            false => {
                let all = PredicateSpec::AllTests { parts: fixed.into_iter().cloned().collect() };
                Some(compile(&all, &self.shared.locale)?)
            }
        };
        let checks = bound.into_iter().map(|each| self.shared.bound(&mut self.root, false, each));
        let checks = checks.collect::<Result<Vec<_>, _>>()?;
        let bound = if checks.is_empty() { None } else { Some(BoundCheck::every(checks)) };
        Ok((Pattern { names: names.clone(), fixed }, bound))
    }

    pub fn build(mut self) -> Layout {
        for each in &mut self.root {
            if let Extractor::Value { path, whole, .. } = each {
                *whole = self.shared.ordered.contains(path);
            }
        }
        Layout { extractors: self.root }
    }
}

impl Shared {
    /// `inside`: of the elements of a list in an event. Their texts are kept whole.
    fn bound(
        &mut self,
        extractors: &mut Vec<Extractor>,
        inside: bool,
        predicate: &PredicateSpec,
    ) -> Result<BoundCheck, UnknownRule> {
        if !has_ref(predicate) {
            extractors.push(Extractor::Truth(compile(predicate, &self.locale)?));
            return Ok(BoundCheck::Truth { slot: extractors.len() - 1 });
        }
        let mut all = |parts: &[PredicateSpec]| -> Result<Vec<BoundCheck>, UnknownRule> {
            parts.iter().map(|each| self.bound(extractors, inside, each)).collect()
        };
        match predicate {
            PredicateSpec::AllTests { parts } => Ok(BoundCheck::every(all(parts)?)),
            PredicateSpec::AnyTest { parts } => Ok(BoundCheck::Any(all(parts)?)),
            PredicateSpec::NotTest { part } => {
                Ok(BoundCheck::Not(Box::new(self.bound(extractors, inside, part)?)))
            }
            PredicateSpec::Test { path, operator, operand } => match RefSpec::of(operand) {
                Some(to) => self.against_ref(extractors, inside, path, operator, to),
                None => Err(UnknownRule(format!("not a test with a reference: {predicate:?}"))),
            },
            PredicateSpec::Elements { path, quantifier, test } => {
                let mut own = Vec::new();
                let check = self.bound(&mut own, true, test)?;
                extractors
                    .push(Extractor::Elements { get: getter(path), inside: Layout { extractors: own } });
                let (slot, quantifier) = (extractors.len() - 1, Quantifier::of(quantifier)?);
                Ok(BoundCheck::Elements { slot, quantifier, test: Box::new(check) })
            }
        }
    }

    fn against_ref(
        &mut self,
        extractors: &mut Vec<Extractor>,
        inside: bool,
        path: &Path,
        operator: &str,
        to: RefSpec,
    ) -> Result<BoundCheck, UnknownRule> {
        let RefSpec::Ref { path: to_path, .. } = &to;
        if inside {
            self.keep_whole(to_path);
        } else {
            self.equal.push((path.clone(), to_path.clone()));
            let is_equality = operator == "eq" || operator == "ne";
            if !is_equality || self.ordered.contains(path) || self.ordered.contains(to_path) {
                self.keep_whole(path);
                self.keep_whole(to_path);
            }
        }
        let slot = value_slot(extractors, path, inside);
        let binding = self.binding(to);
        Ok(BoundCheck::Against { slot, binding, operator: Against::compile(operator, &self.locale)? })
    }

    /// This property's texts are compared for more than being equal.
    fn keep_whole(&mut self, path: &Path) {
        if !self.ordered.insert(path.clone()) {
            return;
        }
        let beside: Vec<Path> = self
            .equal
            .iter()
            .filter(|(one, other)| one == path || other == path)
            .flat_map(|(one, other)| [one.clone(), other.clone()])
            .collect();
        beside.iter().for_each(|each| self.keep_whole(each));
    }

    fn binding(&mut self, to: RefSpec) -> usize {
        match self.bindings.iter().position(|each| *each == to) {
            Some(at) => at,
            None => {
                self.bindings.push(to);
                self.bindings.len() - 1
            }
        }
    }
}

fn value_slot(extractors: &mut Vec<Extractor>, path: &Path, whole: bool) -> usize {
    let known = |each: &Extractor| matches!(each, Extractor::Value { path: other, .. } if other == path);
    extractors.iter().position(known).unwrap_or_else(|| {
        extractors.push(Extractor::Value { path: path.clone(), get: getter(path), whole });
        extractors.len() - 1
    })
}

/// Whether a predicate refers to another event.
pub fn has_ref(predicate: &PredicateSpec) -> bool {
    some_operand(predicate, &|operand| RefSpec::of(operand).is_some())
}

/// Whether events of a pattern are held against what this reference names.
pub fn mentions(source: &EventPatternSpec, to: &RefSpec) -> bool {
    let EventPatternSpec::EventPattern { r#where, .. } = source;
    r#where
        .as_ref()
        .is_some_and(|each| some_operand(each, &|operand| RefSpec::of(operand).as_ref() == Some(to)))
}

fn some_operand(predicate: &PredicateSpec, is: &dyn Fn(&serde_json::Value) -> bool) -> bool {
    match predicate {
        PredicateSpec::Test { operand, .. } => is(operand),
        PredicateSpec::Elements { test: part, .. } | PredicateSpec::NotTest { part } => {
            some_operand(part, is)
        }
        PredicateSpec::AllTests { parts } | PredicateSpec::AnyTest { parts } => {
            parts.iter().any(|each| some_operand(each, is))
        }
    }
}
