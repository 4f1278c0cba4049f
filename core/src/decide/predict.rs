//! When a member will leave if nothing more happens (`rules/decide/predict.py`).

use crate::row::Row;
use crate::rules::ProjectRules;
use crate::time::FAR_MS;

/// How many timers are looked ahead before the answer is: not known.
const STEPS: usize = 1000;

/// When the user leaves if nothing more happens; None: never, or not in `STEPS` timers.
///
/// The row must be decided up to `at_ms`. It is afterwards what it was before.
pub fn exit(rules: &ProjectRules, index: usize, row: &mut Row, at_ms: i64) -> Option<i64> {
    if rules.audiences[index].needs.is_empty() {
        return alone(rules, index, row, at_ms);
    }
    let (now_ms, audiences) = (row.now_ms, row.audiences.clone());
    let exit_ms = nested(rules, index, row, at_ms);
    (row.now_ms, row.audiences) = (now_ms, audiences);
    exit_ms
}

/// The same of a row that others read, too.
pub fn exit_ahead(rules: &ProjectRules, index: usize, row: &Row, at_ms: i64) -> Option<i64> {
    if rules.audiences[index].needs.is_empty() {
        return alone(rules, index, row, at_ms);
    }
    nested(rules, index, &mut row.clone(), at_ms)
}

/// Of an audience that asks about no other.
fn alone(rules: &ProjectRules, index: usize, row: &Row, mut at_ms: i64) -> Option<i64> {
    let audience = &rules.audiences[index];
    if audience.is_still {
        return None;
    }
    for _ in 0..STEPS {
        at_ms = audience.rule.change(row, at_ms);
        if at_ms >= FAR_MS {
            return None;
        }
        if !audience.rule.truth(row, at_ms) {
            return Some(at_ms);
        }
    }
    None
}

/// The same with the memberships that the rule asks about changing on the way.
fn nested(rules: &ProjectRules, index: usize, row: &mut Row, mut at_ms: i64) -> Option<i64> {
    let audience = &rules.audiences[index];
    let group = || audience.needs.iter().copied().chain([index]);
    for _ in 0..STEPS {
        at_ms = group().map(|each| rules.audiences[each].rule.change(row, at_ms)).min()?;
        if at_ms >= FAR_MS {
            return None;
        }
        row.now_ms = at_ms;
        for each in group() {
            let other = &rules.audiences[each];
            if other.rule.truth(row, at_ms) == row.is_in(other.key) {
                continue;
            }
            if each == index {
                return Some(at_ms);
            }
            row.turn(other.key, other.version, at_ms);
        }
    }
    None
}
