//! From a condition of the language to the one that runs (`rules/conditions/build.py`).

use super::Built;
use super::batch::BatchCondition;
use super::nested::SinceEntryCondition;
use super::not_followed::NotFollowedCondition;
use super::sequences::SequenceCondition;
use crate::aggregates::accumulator::Accumulator;
use crate::aggregates::aggregate_condition::Aggregated;
use crate::aggregates::counts::{CountAtLeastWithin, CountEver, CountWithin};
use crate::aggregates::distincts::{DistinctEver, DistinctWithin};
use crate::aggregates::general::GeneralAggregate;
use crate::aggregates::of_events::{Count, First, Since};
use crate::aggregates::of_numbers::{Average, Extreme, Sum};
use crate::aggregates::of_values::{Distinct, DistinctOf};
use crate::aggregates::sums::{SumEver, SumWithin};
use crate::aggregates::windows::Window;
use crate::predicates::comparisons::{Compare, comparison_of};
use crate::predicates::paths::{Getter, getter, has_elements, values};
use crate::predicates::{Check, Locale, compile};
use crate::spec::{
    AggregateSpec, ConditionSpec, Path, PredicateSpec, ProjectSpec, StateConditionSpec, UnknownRule,
    WindowSpec,
};

/// The condition of its kind; `batch` stands around it where the audience is a batch one. Kinds that are not
/// known here are refused: then the Python engine runs.
pub fn build(spec: &ConditionSpec, project: &ProjectSpec) -> Built {
    let locale = project.tables.locale(&spec.zone)?;
    let inner: Built = match &spec.source {
        StateConditionSpec::EventCondition { r#where, aggregate, window, .. } => {
            let AggregateSpec::Aggregate { kind, property, comparisons, test } = aggregate;
            let check = r#where.as_ref().map(|each| compile(each, &locale)).transpose()?;
            let made = Making {
                spec,
                project,
                locale,
                kind,
                property: property.as_ref(),
                test: test.as_ref(),
                compare: comparison_of(comparisons)?,
                window: window.as_ref(),
            };
            made.condition(check)
        }
        StateConditionSpec::Sequence { window, .. } => {
            let window = window_of(window.as_ref(), &locale)?;
            Ok(Box::new(SequenceCondition::build(spec, &locale, window)?))
        }
        StateConditionSpec::NotFollowed { window, .. } => {
            let window = window_of(window.as_ref(), &locale)?;
            Ok(Box::new(NotFollowedCondition::build(spec, &locale, window)?))
        }
    };
    BatchCondition::around(inner?, spec, project)
}

fn window_of(source: Option<&WindowSpec>, locale: &Locale) -> Result<Window, UnknownRule> {
    let unknown = || UnknownRule(format!("a window that isn't known: {source:?}"));
    Window::build(source, &locale.calendar).ok_or_else(unknown)
}

/// An event condition in the making.
struct Making<'s> {
    spec: &'s ConditionSpec,
    project: &'s ProjectSpec,
    locale: Locale,
    kind: &'s str,
    property: Option<&'s Path>,
    test: Option<&'s PredicateSpec>,
    compare: Compare,
    window: Option<&'s WindowSpec>,
}

impl Making<'_> {
    fn condition(&self, check: Option<Check>) -> Built {
        let common = Aggregated::new(self.spec.key, check, self.compare.clone(), self.spec.max_samples);
        if let Some(WindowSpec::SinceEntry { .. }) = self.window {
            return self.of_accumulator(common);
        }
        // A batch audience's condition keeps two states at times: they name no times of the row's.
        let names_times = self.spec.batch.is_none();
        let has_many_values = self.property.is_some_and(|path| has_elements(path));
        match (self.kind, self.window) {
            _ if has_many_values => self.of_accumulator(common),
            ("count", None) => Ok(Box::new(CountEver::new(common))),
            ("sum", None) => Ok(Box::new(SumEver::new(common, self.getter()?))),
            ("distinct", None) => Ok(Box::new(DistinctEver::new(common, self.getter()?))),
            ("count", Some(WindowSpec::Within { length_ms })) if names_times => {
                Ok(if is_count_at_least(&self.compare) {
                    Box::new(CountAtLeastWithin::new(common, *length_ms))
                } else {
                    Box::new(CountWithin::new(common, *length_ms))
                })
            }
            ("sum", Some(WindowSpec::Within { length_ms })) if names_times => {
                Ok(Box::new(SumWithin::new(common, self.getter()?, *length_ms)))
            }
            ("distinct", Some(WindowSpec::Within { length_ms })) if names_times => {
                Ok(Box::new(DistinctWithin::new(common, self.getter()?, *length_ms)))
            }
            _ => self.of_accumulator(common),
        }
    }

    /// Any aggregate, over any window (`rules/aggregates/of_events.py`, build_accumulator).
    fn of_accumulator(&self, common: Aggregated) -> Built {
        let compare = self.compare.clone();
        match self.kind {
            "count" => self.around(common, Count::new(compare)),
            "sum" => self.around(common, Sum { path: values(self.path()?), compare }),
            "avg" => self.around(common, Average { path: values(self.path()?), compare }),
            "min" | "max" => {
                let is_greatest = self.kind == "max";
                self.around(common, Extreme { path: values(self.path()?), compare, is_greatest })
            }
            "distinct" => {
                self.around(common, Distinct::new(compare, DistinctOf::Property(values(self.path()?))))
            }
            "days" => {
                let days = DistinctOf::Days(self.locale.calendar.clone());
                self.around(common, Distinct::new(compare, days))
            }
            "first" | "last" => {
                let test = self.test.ok_or_else(|| self.unknown("no test"))?;
                let test = compile(&of_the_value(test)?, &self.locale)?;
                let path = values(self.path()?);
                self.around(common, First { path, test, is_last: self.kind == "last" })
            }
            "since_first" | "since_last" => {
                self.around(common, Since::new(compare, self.kind == "since_last"))
            }
            _ => Err(self.unknown("an aggregate that isn't known")),
        }
    }

    /// The window around an accumulator.
    fn around<A: Accumulator + 'static>(&self, common: Aggregated, accumulator: A) -> Built {
        if let Some(WindowSpec::SinceEntry { audience }) = self.window {
            let key = self.project.audiences.iter().find(|each| each.id == *audience).map(|each| each.key);
            let key = key.ok_or_else(|| UnknownRule(format!("no audience has the id {audience}")))?;
            let strictly = self.spec.batch.is_some();
            return Ok(Box::new(SinceEntryCondition::new(common, key, accumulator, strictly)));
        }
        let window = Window::build(self.window, &self.locale.calendar);
        let window = window.ok_or_else(|| self.unknown("a window that isn't known"))?;
        Ok(Box::new(GeneralAggregate::new(common, window, accumulator)))
    }

    fn path(&self) -> Result<&Path, UnknownRule> {
        self.property.ok_or_else(|| self.unknown("no property"))
    }

    fn getter(&self) -> Result<Getter, UnknownRule> {
        Ok(getter(self.path()?))
    }

    fn unknown(&self, what: &str) -> UnknownRule {
        UnknownRule(format!("{what}: {} of {:?} in {:?}", self.kind, self.property, self.window))
    }
}

/// Whether more events can only make it true, or keep it so, and none aren't enough.
fn is_count_at_least(compare: &Compare) -> bool {
    compare.is_at_least() && !compare.holds_of_int(0)
}

/// Tests of a property, as tests of its value.
fn of_the_value(predicate: &PredicateSpec) -> Result<PredicateSpec, UnknownRule> {
    Ok(match predicate.clone() {
        PredicateSpec::Test { operator, operand, .. } => {
            PredicateSpec::Test { path: Path::new(), operator, operand }
        }
        PredicateSpec::Elements { quantifier, test, .. } => {
            PredicateSpec::Elements { path: Path::new(), quantifier, test }
        }
        PredicateSpec::AllTests { parts } => {
            PredicateSpec::AllTests { parts: parts.iter().map(of_the_value).collect::<Result<_, _>>()? }
        }
        other => return Err(UnknownRule(format!("not tests of one property: {other:?}"))),
    })
}
