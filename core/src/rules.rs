//! The rules of one project: what the decider looks up per record (`rules/compile/project_rules.py`).

use std::collections::HashMap;
use std::sync::Arc;

use crate::conditions::attributes::AttributeCondition;
use crate::conditions::truth::{Known, Node};
use crate::conditions::{Condition, batch, build};
use crate::decide::send::Destination;
use crate::row::Row;
use crate::row::codec::Conditions;
use crate::spec::{
    self, BatchGroupSpec, EventIndexSpec, Path, PredicateSpec, ProjectSpec, ReadersSpec, UnknownRule,
};
use crate::time::schedules::Schedule;

type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// Looked up for each state of a row that is read.
pub type ConditionsByKey = Map<u32, Arc<dyn Condition>>;

/// All projects' rules, by name.
pub struct RuleSet {
    projects: Map<String, Arc<ProjectRules>>,
    none: Arc<ProjectRules>,
}

impl RuleSet {
    pub fn read(json: &[u8]) -> Result<RuleSet, UnknownRule> {
        let spec = spec::read(json)?;
        let mut projects = Map::default();
        for (name, each) in &spec {
            projects.insert(name.clone(), Arc::new(ProjectRules::build(name, each)?));
        }
        Ok(RuleSet { projects, none: Arc::new(ProjectRules::default()) })
    }

    /// Samples that conditions have let go of since the last call, because a user had too many.
    pub fn take_dropped(&self) -> u64 {
        let conditions = self.projects.values().flat_map(|each| each.conditions.values());
        conditions.map(|each| each.take_dropped()).sum()
    }

    pub fn project(&self, name: &str) -> &Arc<ProjectRules> {
        self.projects.get(name).unwrap_or(&self.none)
    }
}

#[derive(Default)]
pub struct ProjectRules {
    pub name: Arc<str>,
    pub audiences: Vec<Audience>,
    pub conditions: ConditionsByKey,
    readers: Map<u32, Readers>,
    by_event: Map<String, EventIndex>,
    any_event: EventIndex,
    pub by_time: ByTime,
    by_attribute: Map<String, Readers>,
    /// Paths deep in attributes, per root name, whose changes are noted.
    pub watched: Map<String, Vec<Path>>,
    /// Audiences whose rule holds for a user of whom nothing is known yet.
    pub initial: Vec<usize>,
    pub is_nested: bool,
    /// Those that get events.
    pub destinations: Vec<Destination>,
}

pub struct Audience {
    pub key: u32,
    pub id: Arc<str>,
    pub name: Arc<str>,
    pub version: i64,
    /// What decides; of a batch audience `Node::Held`.
    pub rule: Node,
    pub is_still: bool,
    pub needs: Vec<usize>,
    pub dependents: Vec<usize>,
}

/// Indexes of the audiences that read one thing; `anchored` by the key of a condition without whose state they
/// can't hold (`rules/compile/readers.py`).
#[derive(Default)]
pub struct Readers {
    always: Vec<usize>,
    anchored: Vec<(u32, Vec<usize>)>,
}

impl Readers {
    /// Those to look at for a row that has these states.
    pub fn of(&self, row: &Row, into: &mut Vec<usize>) {
        into.extend_from_slice(&self.always);
        if self.anchored.len() <= row.conditions.len() {
            for (key, audiences) in &self.anchored {
                if row.has_state(*key) {
                    into.extend_from_slice(audiences);
                }
            }
        } else {
            for (key, _) in &row.conditions {
                if let Ok(at) = self.anchored.binary_search_by_key(key, |each| each.0) {
                    into.extend_from_slice(&self.anchored[at].1);
                }
            }
        }
    }
}

/// Conditions by the text that a property must equal.
type ByText = Map<String, Vec<Arc<dyn Condition>>>;

/// Who takes the events of one name: always, or where a property has one of the texts that they ask for.
#[derive(Default)]
pub struct EventIndex {
    pub always: Vec<Arc<dyn Condition>>,
    pub by_value: Vec<(String, ByText)>,
}

/// Which audiences time alone may change (`rules/compile/by_time.py`).
#[derive(Default)]
pub struct ByTime {
    conditions: Map<u32, Readers>,
    attributes: Vec<(String, Readers)>,
    members: Map<u32, Vec<usize>>,
    pub batch_groups: Vec<BatchGroup>,
}

impl ByTime {
    /// The audiences that time alone may change for this user, batch ones aside; some may come twice.
    pub fn of(&self, row: &Row, into: &mut Vec<usize>) {
        for (key, _) in &row.conditions {
            if let Some(readers) = self.conditions.get(key) {
                readers.of(row, into);
            }
        }
        for (name, readers) in &self.attributes {
            if row.attributes.contains_key(name.as_str()) || row.changed_ms.contains_key(name.as_str()) {
                readers.of(row, into);
            }
        }
        if !self.members.is_empty() {
            for (key, _) in &row.audiences {
                if let Some(audiences) = self.members.get(key) {
                    into.extend_from_slice(audiences);
                }
            }
        }
    }
}

/// Batch audiences with the same compute instants, the only ones at which they change.
pub struct BatchGroup {
    pub schedule: Arc<Schedule>,
    readers: Readers,
    members: Vec<(u32, usize)>,
}

impl BatchGroup {
    pub fn of(&self, row: &Row, into: &mut Vec<usize>) {
        for (key, index) in &self.members {
            if row.membership(*key).is_some() {
                into.push(*index);
            }
        }
        self.readers.of(row, into);
    }
}

impl ProjectRules {
    fn build(name: &str, spec: &ProjectSpec) -> Result<ProjectRules, UnknownRule> {
        let schedules: Vec<Option<Arc<Schedule>>> = spec
            .audiences
            .iter()
            .map(|each| Ok(batch::schedule_of(each, &spec.tables)?.map(Arc::new)))
            .collect::<Result<_, UnknownRule>>()?;
        let mut conditions = ConditionsByKey::default();
        for each in &spec.conditions {
            conditions.insert(each.key, Arc::from(build::build(each, spec)?));
        }
        let keys = spec.audiences.iter().map(|each| (each.id.clone(), each.key)).collect();
        let mut audiences = Vec::with_capacity(spec.audiences.len());
        for (each, schedule) in spec.audiences.iter().zip(&schedules) {
            let locale = spec.tables.locale(&each.zone)?;
            let attribute = |test: &PredicateSpec| AttributeCondition::build(test, &locale);
            let known = Known { conditions: &conditions, audiences: &keys, attribute: &attribute };
            let rule = Node::build(&each.rule, &known)?;
            let rule = match schedule {
                None => rule,
                Some(schedule) => Node::Held(Box::new(batch::BatchTruth {
                    key: each.key,
                    rule,
                    schedule: schedule.clone(),
                })),
            };
            audiences.push(Audience {
                key: each.key,
                id: each.id.as_str().into(),
                name: each.name.as_str().into(),
                version: each.version,
                is_still: rule.is_still(),
                rule,
                needs: each.needs.clone(),
                dependents: each.dependents.clone(),
            });
        }
        let by_time = &spec.by_time;
        Ok(ProjectRules {
            name: name.into(),
            audiences,
            readers: by_key(&spec.readers),
            by_event: spec
                .by_event
                .iter()
                .map(|(name, each)| Ok((name.clone(), event_index(each, &conditions)?)))
                .collect::<Result<_, UnknownRule>>()?,
            any_event: event_index(&spec.any_event, &conditions)?,
            by_time: ByTime {
                conditions: by_key(&by_time.conditions),
                attributes: by_time
                    .attributes
                    .iter()
                    .map(|(name, each)| (name.clone(), readers(each)))
                    .collect(),
                members: by_time.members.iter().cloned().collect(),
                batch_groups: by_time
                    .batch_groups
                    .iter()
                    .map(|each| batch_group(each, &schedules))
                    .collect::<Result<_, _>>()?,
            },
            by_attribute: spec
                .by_attribute
                .iter()
                .map(|(name, each)| (name.clone(), readers(each)))
                .collect(),
            watched: spec.watched.iter().cloned().collect(),
            initial: spec.initial.clone(),
            is_nested: spec.is_nested,
            destinations: spec
                .destinations
                .iter()
                .map(|each| Destination::build(each, &spec.tables))
                .collect::<Result<_, UnknownRule>>()?,
            conditions,
        })
    }

    /// Who takes events of a name.
    pub fn event(&self, name: &str) -> &EventIndex {
        self.by_event.get(name).unwrap_or(&self.any_event)
    }

    /// The audiences that read a condition.
    pub fn readers_of(&self, key: u32, row: &Row, into: &mut Vec<usize>) {
        if let Some(readers) = self.readers.get(&key) {
            readers.of(row, into);
        }
    }

    /// The audiences that read an attribute, by its root name.
    pub fn attribute_readers_of(&self, name: &str, row: &Row, into: &mut Vec<usize>) {
        if let Some(readers) = self.by_attribute.get(name) {
            readers.of(row, into);
        }
    }
}

impl Conditions for ProjectRules {
    fn condition(&self, key: u32) -> Option<&dyn Condition> {
        self.conditions.get(&key).map(|each| &**each)
    }
}

fn readers(spec: &ReadersSpec) -> Readers {
    let mut anchored = spec.anchored.clone();
    anchored.sort_unstable_by_key(|each| each.0);
    Readers { always: spec.always.clone(), anchored }
}

fn by_key(spec: &[(u32, ReadersSpec)]) -> Map<u32, Readers> {
    spec.iter().map(|(key, each)| (*key, readers(each))).collect()
}

fn batch_group(
    spec: &BatchGroupSpec,
    schedules: &[Option<Arc<Schedule>>],
) -> Result<BatchGroup, UnknownRule> {
    let schedule = schedules.get(spec.audience).cloned().flatten();
    Ok(BatchGroup {
        schedule: schedule.ok_or_else(|| UnknownRule("a batch group without a schedule".into()))?,
        readers: readers(&spec.readers),
        members: spec.members.clone(),
    })
}

fn event_index(spec: &EventIndexSpec, conditions: &ConditionsByKey) -> Result<EventIndex, UnknownRule> {
    let find = |keys: &[u32]| {
        keys.iter()
            .map(|key| {
                conditions
                    .get(key)
                    .cloned()
                    .ok_or_else(|| UnknownRule(format!("no condition has the key {key}")))
            })
            .collect::<Result<Vec<_>, _>>()
    };
    let mut by_value = Vec::new();
    for (attribute, texts) in &spec.by_value {
        let mut found = Map::default();
        for (text, keys) in texts {
            found.insert(text.clone(), find(keys)?);
        }
        by_value.push((attribute.clone(), found));
    }
    Ok(EventIndex { always: find(&spec.always)?, by_value })
}
