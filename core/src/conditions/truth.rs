//! A rule's tree: its truth, and when that may change by time alone (`rules/conditions/truth.py`).
//!
//! `change` is a lower bound on the first instant after `after_ms` at which the truth is another than at
//! `after_ms`, if no record comes.

use std::collections::HashMap;
use std::sync::Arc;

use super::Condition;
use super::attributes::AttributeCondition;
use super::batch::BatchTruth;
use crate::row::Row;
use crate::rules::ConditionsByKey;
use crate::spec::{ComparisonSpec, RuleSpec, UnknownRule};
use crate::time::FAR_MS;

/// A rule, compiled.
pub enum Node {
    State(Arc<dyn Condition>),
    Attribute(AttributeCondition),
    /// The user is in the audience with this key, for at least so long.
    Member {
        key: u32,
        for_ms: i64,
    },
    Not(Box<Node>),
    All(Vec<Node>),
    Any(Vec<Node>),
    AtLeast(usize, Vec<Node>),
    Score(Score),
    /// A batch audience's rule.
    Held(Box<BatchTruth>),
}

/// Points of the true parts, compared. All in one unit, so whole numbers.
pub struct Score {
    parts: Vec<(Node, i64)>,
    bounds: Vec<Bound>,
}

enum Bound {
    Gt(i64),
    Gte(i64),
    Lt(i64),
    Lte(i64),
    Eq(i64),
    Ne(i64),
    Between(i64, i64),
}

impl Bound {
    fn holds(&self, sum: i128) -> bool {
        match *self {
            Bound::Gt(bound) => sum > bound.into(),
            Bound::Gte(bound) => sum >= bound.into(),
            Bound::Lt(bound) => sum < bound.into(),
            Bound::Lte(bound) => sum <= bound.into(),
            Bound::Eq(bound) => sum == i128::from(bound),
            Bound::Ne(bound) => sum != i128::from(bound),
            Bound::Between(low, high) => i128::from(low) <= sum && sum <= high.into(),
        }
    }
}

/// What a rule's conditions are found by.
pub struct Known<'k> {
    pub conditions: &'k ConditionsByKey,
    /// Keys of the project's audiences by id.
    pub audiences: &'k HashMap<String, u32>,
    pub attribute: &'k dyn Fn(&crate::spec::PredicateSpec) -> Result<AttributeCondition, UnknownRule>,
}

impl Node {
    pub fn build(rule: &RuleSpec, known: &Known<'_>) -> Result<Node, UnknownRule> {
        let all = |parts: &[RuleSpec]| -> Result<Vec<Node>, UnknownRule> {
            parts.iter().map(|each| Node::build(each, known)).collect()
        };
        Ok(match rule {
            RuleSpec::All { parts } => Node::All(all(parts)?),
            RuleSpec::Any { parts } => Node::Any(all(parts)?),
            RuleSpec::Not { part } => Node::Not(Box::new(Node::build(part, known)?)),
            RuleSpec::AtLeast { n, parts } => Node::AtLeast(*n, all(parts)?),
            RuleSpec::Score { parts, comparisons } => Node::Score(Score {
                parts: parts
                    .iter()
                    .map(|each| Ok((Node::build(&each.when, known)?, each.points)))
                    .collect::<Result<_, UnknownRule>>()?,
                bounds: comparisons.iter().map(bound).collect::<Result<_, _>>()?,
            }),
            RuleSpec::State { key } => match known.conditions.get(key) {
                Some(condition) => Node::State(condition.clone()),
                None => return Err(UnknownRule(format!("no condition has the key {key}"))),
            },
            RuleSpec::AttributeCondition { test } => Node::Attribute((known.attribute)(test)?),
            RuleSpec::InAudience { audience, for_ms } => match known.audiences.get(audience) {
                Some(key) => Node::Member { key: *key, for_ms: for_ms.unwrap_or(0) },
                None => return Err(UnknownRule(format!("no audience has the id {audience}"))),
            },
        })
    }

    /// The value for a row at an instant.
    pub fn truth(&self, row: &Row, at_ms: i64) -> bool {
        match self {
            Node::State(condition) => condition.value(row, row.state(condition.key()), at_ms),
            Node::Attribute(condition) => condition.truth(row, at_ms),
            Node::Member { key, for_ms } => row
                .membership(*key)
                .is_some_and(|each| each.inside() && at_ms >= row.since_ms(each).saturating_add(*for_ms)),
            Node::Not(part) => !part.truth(row, at_ms),
            Node::All(parts) => parts.iter().all(|each| each.truth(row, at_ms)),
            Node::Any(parts) => parts.iter().any(|each| each.truth(row, at_ms)),
            Node::AtLeast(n, parts) => parts.iter().filter(|each| each.truth(row, at_ms)).count() >= *n,
            Node::Score(score) => {
                let parts = score.parts.iter().filter(|(part, _)| part.truth(row, at_ms));
                let sum = parts.map(|(_, points)| i128::from(*points)).sum();
                score.bounds.iter().all(|each| each.holds(sum))
            }
            Node::Held(batch) => batch.truth(row, at_ms),
        }
    }

    /// After an instant: when the value may change by time; `FAR_MS`: never.
    pub fn change(&self, row: &Row, after_ms: i64) -> i64 {
        match self {
            Node::State(condition) => match row.state(condition.key()) {
                Some(state) if condition.has_timers() => {
                    condition.next_timer(row, state, after_ms).unwrap_or(FAR_MS)
                }
                _ => FAR_MS,
            },
            Node::Attribute(condition) => condition.change(row, after_ms),
            Node::Member { for_ms: 0, .. } => FAR_MS,
            Node::Member { key, for_ms } => match row.membership(*key) {
                Some(each) if each.inside() => {
                    let timer_ms = row.since_ms(each).saturating_add(*for_ms);
                    if timer_ms > after_ms { timer_ms } else { FAR_MS }
                }
                _ => FAR_MS,
            },
            Node::Not(part) => part.change(row, after_ms),
            Node::All(parts) => held(parts, false, row, after_ms),
            Node::Any(parts) => held(parts, true, row, after_ms),
            Node::AtLeast(n, parts) => at_least(*n, parts, row, after_ms),
            Node::Score(score) => {
                score.parts.iter().map(|(part, _)| part.change(row, after_ms)).min().unwrap_or(FAR_MS)
            }
            Node::Held(batch) => batch.change(row, after_ms),
        }
    }

    /// Whether it changes by records only: then nothing need be asked.
    pub fn is_still(&self) -> bool {
        match self {
            Node::State(condition) => !condition.has_timers(),
            Node::Attribute(condition) => condition.is_still(),
            Node::Member { for_ms, .. } => *for_ms == 0,
            Node::Not(part) => part.is_still(),
            Node::All(parts) | Node::Any(parts) | Node::AtLeast(_, parts) => parts.iter().all(Node::is_still),
            Node::Score(score) => score.parts.iter().all(|(part, _)| part.is_still()),
            Node::Held(_) => false,
        }
    }
}

/// Of `all` (held false by each false part) and `any` (held true by each true part).
///
/// While parts hold it, it can't change before the last of them lets go; otherwise any part may change it.
fn held(parts: &[Node], holding: bool, row: &Row, after_ms: i64) -> i64 {
    if let [part] = parts {
        return part.change(row, after_ms);
    }
    let (mut last_ms, mut soonest_ms) = (-FAR_MS, FAR_MS);
    for part in parts {
        if part.truth(row, after_ms) == holding {
            let timer_ms = part.change(row, after_ms);
            if timer_ms >= FAR_MS {
                return FAR_MS;
            }
            last_ms = last_ms.max(timer_ms);
        } else if last_ms == -FAR_MS {
            soonest_ms = soonest_ms.min(part.change(row, after_ms));
        }
    }
    if last_ms == -FAR_MS { soonest_ms } else { last_ms }
}

fn at_least(n: usize, parts: &[Node], row: &Row, after_ms: i64) -> i64 {
    let (mut of_true, mut of_false) = (Vec::new(), Vec::new());
    for part in parts {
        let change_ms = part.change(row, after_ms);
        if part.truth(row, after_ms) { of_true.push(change_ms) } else { of_false.push(change_ms) }
    }
    // So many parts must change before it can: the false ones up to n, or the true ones to below n.
    let (needed, mut timers) = match n.checked_sub(of_true.len()) {
        Some(missing) if missing > 0 => (missing, of_false),
        _ => (of_true.len() + 1 - n.min(of_true.len()), of_true),
    };
    timers.sort_unstable();
    if needed >= 1 { timers.get(needed - 1).copied().unwrap_or(FAR_MS) } else { FAR_MS }
}

fn bound(comparison: &ComparisonSpec) -> Result<Bound, UnknownRule> {
    let ComparisonSpec::Comparison { operator, operand } = comparison;
    let unknown = || UnknownRule(format!("score: {operator} {operand}"));
    let one = || operand.as_i64().ok_or_else(unknown);
    Ok(match operator.as_str() {
        "gt" => Bound::Gt(one()?),
        "gte" => Bound::Gte(one()?),
        "lt" => Bound::Lt(one()?),
        "lte" => Bound::Lte(one()?),
        "eq" => Bound::Eq(one()?),
        "ne" => Bound::Ne(one()?),
        "between" => match operand.as_array().map(Vec::as_slice) {
            Some([low, high]) => {
                Bound::Between(low.as_i64().ok_or_else(unknown)?, high.as_i64().ok_or_else(unknown)?)
            }
            _ => return Err(unknown()),
        },
        _ => return Err(unknown()),
    })
}
