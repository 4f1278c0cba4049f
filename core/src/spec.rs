//! Compiled rules as data: what `rules/compile/spec.py` writes. A class or field that is not known here is an
//! error, so that a rule is never computed otherwise than Python does.

use std::fmt;
use std::sync::Arc;

use indexmap::IndexMap;
use serde::Deserialize;

use crate::predicates::Tables;

/// The native engine doesn't know a rule: the Python engine computes the whole rule set.
#[derive(Debug)]
pub struct UnknownRule(pub String);

impl fmt::Display for UnknownRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// By name of the project.
pub type RuleSetSpec = IndexMap<String, ProjectSpec>;

/// All projects' rules with the tables that they share.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct Whole {
    projects: RuleSetSpec,
    /// (first instant in UTC, offset in ms) by time zone.
    zones: IndexMap<String, Vec<(i64, i64)>>,
    /// Characters whose case folding is another text; empty where no rule asks.
    folds: IndexMap<String, String>,
}

pub fn read(json: &[u8]) -> Result<RuleSetSpec, UnknownRule> {
    let mut whole: Whole = serde_json::from_slice(json).map_err(|error| UnknownRule(error.to_string()))?;
    let tables = Arc::new(Tables::new(&whole.zones, &whole.folds));
    for project in whole.projects.values_mut() {
        project.tables = tables.clone();
    }
    Ok(whole.projects)
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct ProjectSpec {
    pub conditions: Vec<ConditionSpec>,
    pub audiences: Vec<AudienceSpec>,
    pub readers: Vec<(u32, ReadersSpec)>,
    pub by_event: Vec<(String, EventIndexSpec)>,
    pub any_event: EventIndexSpec,
    pub by_time: ByTimeSpec,
    pub by_attribute: Vec<(String, ReadersSpec)>,
    pub watched: Vec<(String, Vec<Path>)>,
    pub initial: Vec<usize>,
    pub is_nested: bool,
    pub destinations: Vec<DestinationSpec>,
    /// Time zones and case folding, for all projects.
    #[serde(skip)]
    pub tables: Arc<Tables>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct ConditionSpec {
    pub key: u32,
    pub max_samples: usize,
    /// Time zone (IANA) of an audience that has it.
    pub zone: String,
    pub source: StateConditionSpec,
    /// `where` has tests of dates against the event's time: `rules/conditions/dated_where.py`.
    pub is_dated: bool,
    /// Of a batch audience's condition: index of such an audience, for its schedule.
    pub batch: Option<usize>,
    /// `rules/conditions/batch.py` stands around it.
    pub is_held: bool,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct AudienceSpec {
    pub key: u32,
    pub id: String,
    pub name: String,
    pub version: i64,
    pub zone: String,
    pub rule: RuleSpec,
    pub needs: Vec<usize>,
    pub dependents: Vec<usize>,
    pub schedule: Option<ScheduleSpec>,
    pub published_ms: i64,
}

/// A destination that gets events (`rules/compile/destination.py`).
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct DestinationSpec {
    pub key: u32,
    pub name: String,
    pub ways: Vec<WaySpec>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct WaySpec {
    /// Index.
    pub audience: Option<usize>,
    pub zone: String,
    pub patterns: Vec<EventPatternSpec>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct ReadersSpec {
    pub always: Vec<usize>,
    pub anchored: Vec<(u32, Vec<usize>)>,
}

/// A text that a property must equal; keys of conditions.
pub type KeysOfValue = (String, Vec<u32>);

/// Keys of the conditions that take an event, in order.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct EventIndexSpec {
    pub always: Vec<u32>,
    /// By property.
    pub by_value: Vec<(String, Vec<KeysOfValue>)>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct ByTimeSpec {
    pub conditions: Vec<(u32, ReadersSpec)>,
    pub attributes: Vec<(String, ReadersSpec)>,
    pub members: Vec<(u32, Vec<usize>)>,
    pub batch_groups: Vec<BatchGroupSpec>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct BatchGroupSpec {
    /// Index of an audience of the group: its schedule is that of all.
    pub audience: usize,
    pub readers: ReadersSpec,
    pub members: Vec<(u32, usize)>,
}

#[derive(Deserialize, Debug)]
#[serde(tag = "is", deny_unknown_fields)]
pub enum ScheduleSpec {
    Schedule { kind: String, cron: String, table: Option<CronTableSpec> },
}

/// `rules/time/cron.py`.
#[derive(Deserialize, Debug, Clone)]
#[serde(tag = "is", deny_unknown_fields)]
pub enum CronTableSpec {
    CronTable {
        minutes: Vec<i64>,
        months: Vec<i64>,
        days: Vec<i64>,
        is_last_day: bool,
        weekdays: Vec<i64>,
        nth: Vec<(i64, i64)>,
        is_either: bool,
        is_twice: bool,
    },
}

#[derive(Deserialize, Debug)]
#[serde(tag = "is", deny_unknown_fields)]
pub enum RuleSpec {
    All {
        parts: Vec<RuleSpec>,
    },
    Any {
        parts: Vec<RuleSpec>,
    },
    Not {
        part: Box<RuleSpec>,
    },
    AtLeast {
        n: usize,
        parts: Vec<RuleSpec>,
    },
    Score {
        parts: Vec<ScoredSpec>,
        comparisons: Vec<ComparisonSpec>,
    },
    /// A condition with a state, by its key.
    State {
        key: u32,
    },
    AttributeCondition {
        test: PredicateSpec,
    },
    InAudience {
        audience: String,
        for_ms: Option<i64>,
    },
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct ScoredSpec {
    pub when: RuleSpec,
    /// In the unit in which the bounds are whole numbers, too (`rules/model/points.py`).
    pub points: i64,
}

/// `rules/model/language.py`, StateCondition.
#[derive(Deserialize, Debug)]
#[serde(tag = "is", deny_unknown_fields)]
pub enum StateConditionSpec {
    EventCondition {
        names: Vec<String>,
        r#where: Option<PredicateSpec>,
        aggregate: AggregateSpec,
        window: Option<WindowSpec>,
    },
    Sequence {
        steps: Vec<SequenceStepSpec>,
        without: Option<EventPatternSpec>,
        total_ms: Option<i64>,
        window: Option<WindowSpec>,
    },
    NotFollowed {
        event: EventPatternSpec,
        follower: EventPatternSpec,
        for_ms: i64,
        window: Option<WindowSpec>,
        still: bool,
    },
}

#[derive(Deserialize, Debug)]
#[serde(tag = "is", deny_unknown_fields)]
pub enum AggregateSpec {
    Aggregate {
        kind: String,
        property: Option<Path>,
        comparisons: Vec<ComparisonSpec>,
        test: Option<PredicateSpec>,
    },
}

#[derive(Deserialize, Debug, Clone)]
#[serde(tag = "is", deny_unknown_fields)]
pub enum ComparisonSpec {
    /// A number, or a list of two for `between`.
    Comparison { operator: String, operand: serde_json::Value },
}

#[derive(Deserialize, Debug, Clone)]
#[serde(tag = "is", deny_unknown_fields)]
pub enum WindowSpec {
    Within { length_ms: i64 },
    BetweenAgo { far_ms: i64, near_ms: i64 },
    FromTo { from_ms: Option<i64>, to_ms: Option<i64> },
    Period { unit: String, length: i64, ago: i64 },
    SinceEntry { audience: String },
}

#[derive(Deserialize, Debug)]
#[serde(tag = "is", deny_unknown_fields)]
pub enum EventPatternSpec {
    EventPattern { names: Vec<String>, r#where: Option<PredicateSpec> },
}

#[derive(Deserialize, Debug)]
#[serde(tag = "is", deny_unknown_fields)]
pub enum SequenceStepSpec {
    SequenceStep { event: EventPatternSpec, within_ms: Option<i64>, name: Option<String> },
}

/// A dotted name, split.
pub type Path = Vec<String>;

#[derive(Deserialize, Debug, Clone)]
#[serde(tag = "is", deny_unknown_fields)]
pub enum PredicateSpec {
    /// The operand is a scalar, a list, or an object `{is: Ref, step, path}`.
    Test {
        path: Path,
        operator: String,
        operand: serde_json::Value,
    },
    Elements {
        path: Path,
        quantifier: String,
        test: Box<PredicateSpec>,
    },
    AllTests {
        parts: Vec<PredicateSpec>,
    },
    AnyTest {
        parts: Vec<PredicateSpec>,
    },
    NotTest {
        part: Box<PredicateSpec>,
    },
}
