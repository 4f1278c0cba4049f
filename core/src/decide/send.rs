//! Sending on an event: what of a user's event goes to destinations, after it is decided
//! (`rules/decide/send.py`, `rules/compile/destination.py`).

use std::sync::Arc;

use super::predict;
use crate::predicates::{Check, Tables, compile};
use crate::row::Row;
use crate::rules::ProjectRules;
use crate::spec::{DestinationSpec, EventPatternSpec, UnknownRule, WaySpec};
use crate::value::Map;

/// A destination that gets events.
pub struct Destination {
    pub name: Arc<str>,
    /// In rows: how many events it got of a user.
    key: u32,
    ways: Vec<Way>,
}

/// One way in which an event comes to a destination: it matches, and the user is in the audience.
struct Way {
    /// Index; None: whatever the user is in.
    audience: Option<usize>,
    patterns: Vec<Pattern>,
}

struct Pattern {
    /// Empty: any.
    names: Vec<Box<str>>,
    check: Option<Check>,
}

/// One event on its way to a destination: the parts that the record doesn't say.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// Index of the destination.
    pub destination: usize,
    /// Index of the audience that let it through.
    pub audience: Option<usize>,
    pub seq: i64,
    pub at_ms: i64,
    pub entered_at_ms: i64,
    pub exit_at_ms: Option<i64>,
}

const ANY_EVENT: &str = "*";

impl Destination {
    pub fn build(spec: &DestinationSpec, tables: &Tables) -> Result<Destination, UnknownRule> {
        let ways = spec.ways.iter().map(|each| Way::build(each, tables)).collect::<Result<_, _>>()?;
        Ok(Destination { name: spec.name.as_str().into(), key: spec.key, ways })
    }

    fn way_of(&self, row: &Row, rules: &ProjectRules, name: &str, taken: &At<'_>) -> Option<&Way> {
        self.ways.iter().find(|way| {
            way.audience.is_none_or(|index| row.is_in(rules.audiences[index].key))
                && way.patterns.iter().any(|each| each.matches(name, taken))
        })
    }
}

impl Way {
    fn build(spec: &WaySpec, tables: &Tables) -> Result<Way, UnknownRule> {
        let locale = tables.locale(&spec.zone)?;
        let pattern = |each: &EventPatternSpec| {
            let EventPatternSpec::EventPattern { names, r#where } = each;
            let is_any = names.iter().any(|name| name == ANY_EVENT);
            let names =
                if is_any { Vec::new() } else { names.iter().map(|name| name.as_str().into()).collect() };
            let check = r#where.as_ref().map(|each| compile(each, &locale)).transpose()?;
            Ok(Pattern { names, check })
        };
        let patterns = spec.patterns.iter().map(pattern).collect::<Result<_, UnknownRule>>()?;
        Ok(Way { audience: spec.audience, patterns })
    }
}

/// What an event says, and its time.
struct At<'a> {
    properties: &'a Map<'a>,
    event_ms: i64,
}

impl Pattern {
    fn matches(&self, name: &str, taken: &At<'_>) -> bool {
        (self.names.is_empty() || self.names.iter().any(|each| &**each == name))
            && self.check.as_ref().is_none_or(|check| check.holds_at(taken.properties, taken.event_ms))
    }
}

/// Append what destinations get of an event that `apply_event` took at `now_ms`.
pub fn send_event(
    rules: &ProjectRules,
    row: &mut Row,
    name: &str,
    time_ms: i64,
    properties: &Map<'_>,
    now_ms: i64,
    out: &mut Vec<Sent>,
) {
    let taken = At { properties, event_ms: time_ms.min(now_ms) };
    for (index, destination) in rules.destinations.iter().enumerate() {
        let Some(way) = destination.way_of(row, rules, name, &taken) else { continue };
        let membership = way.audience.and_then(|each| row.membership(rules.audiences[each].key));
        let entered_at_ms = membership.map_or(now_ms, |each| row.since_ms(each));
        let seq = row.count(destination.key, now_ms);
        let exit_at_ms = way.audience.and_then(|each| predict::exit(rules, each, row, row.now_ms));
        out.push(Sent {
            destination: index,
            audience: way.audience,
            seq,
            at_ms: now_ms,
            entered_at_ms,
            exit_at_ms,
        });
    }
}
