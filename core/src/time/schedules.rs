//! Compute instants of batch audiences (`rules/time/schedules.py`), in the audience's time zone.

use std::sync::Arc;

use super::calendar::{Calendar, Unit};
use super::cron::Cron;
use crate::spec::{ScheduleSpec, UnknownRule};

/// The compute instants of an audience.
#[derive(Debug)]
pub enum Schedule {
    /// One instant, at which the audience was created.
    Once(i64),
    /// The beginnings of calendar periods.
    Periodic(Arc<Calendar>, Unit),
    Cron(Cron),
}

impl Schedule {
    pub fn build(
        spec: &ScheduleSpec,
        calendar: &Arc<Calendar>,
        created_ms: i64,
    ) -> Result<Schedule, UnknownRule> {
        let ScheduleSpec::Schedule { kind, cron, table } = spec;
        if let Some(table) = table {
            return Ok(Schedule::Cron(Cron::new(calendar.clone(), table.clone())));
        }
        let unit = match kind.as_str() {
            "once" => return Ok(Schedule::Once(created_ms)),
            "daily" => Unit::Day,
            "weekly" => Unit::Week,
            "monthly" => Unit::Month,
            _ => return Err(UnknownRule(format!("schedule {kind} {cron}"))),
        };
        Ok(Schedule::Periodic(calendar.clone(), unit))
    }

    /// The last compute instant at or before an instant.
    pub fn latest(&self, at_ms: i64) -> Option<i64> {
        match self {
            Schedule::Once(created_ms) => (*created_ms <= at_ms).then_some(*created_ms),
            Schedule::Periodic(calendar, unit) => Some(calendar.bounds(*unit, at_ms).start_ms),
            Schedule::Cron(cron) => cron.latest(at_ms),
        }
    }

    /// The first compute instant after an instant.
    pub fn next(&self, after_ms: i64) -> Option<i64> {
        match self {
            Schedule::Once(created_ms) => (*created_ms > after_ms).then_some(*created_ms),
            Schedule::Periodic(calendar, unit) => {
                let end_ms = calendar.bounds(*unit, after_ms).end_ms;
                (end_ms > after_ms).then_some(end_ms) // the years that can be written are over
            }
            Schedule::Cron(cron) => cron.next(after_ms),
        }
    }
}
