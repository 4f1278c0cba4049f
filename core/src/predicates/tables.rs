//! What comes as tables from Python (`rules/compile/tables.py`), so that one source rules both engines: time
//! zones and case folding.

use std::collections::HashMap;
use std::sync::Arc;

use indexmap::IndexMap;

use super::folding::Folds;
use crate::spec::UnknownRule;
use crate::time::calendar::Calendar;

/// Tables that all rules share.
#[derive(Debug, Default)]
pub struct Tables {
    calendars: HashMap<String, Arc<Calendar>>,
    folds: Arc<Folds>,
}

/// What a predicate is compiled with: the audience's calendar, and case folding.
#[derive(Clone, Debug)]
pub struct Locale {
    pub calendar: Arc<Calendar>,
    pub folds: Arc<Folds>,
}

impl Tables {
    /// `zones`: (first instant in UTC, offset in ms) by name; `folds`: characters whose case folding is another
    /// text.
    pub fn new(zones: &IndexMap<String, Vec<(i64, i64)>>, folds: &IndexMap<String, String>) -> Tables {
        let calendars =
            zones.iter().map(|(zone, table)| (zone.clone(), Arc::new(Calendar::new(zone, table)))).collect();
        Tables { calendars, folds: Arc::new(Folds::new(folds)) }
    }

    /// The calendar of a time zone of the rules.
    pub fn calendar(&self, zone: &str) -> Result<Arc<Calendar>, UnknownRule> {
        match self.calendars.get(zone) {
            Some(calendar) => Ok(calendar.clone()),
            None if zone == "UTC" => Ok(Arc::new(Calendar::new("UTC", &[]))),
            None => Err(UnknownRule(format!("no table of the time zone {zone}"))),
        }
    }

    pub fn locale(&self, zone: &str) -> Result<Locale, UnknownRule> {
        Ok(Locale { calendar: self.calendar(zone)?, folds: self.folds.clone() })
    }
}
