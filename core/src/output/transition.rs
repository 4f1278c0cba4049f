//! Transitions and outboxes, and their msgpack (`rules/state/row.py`, `Outbox` of `tables/codec.py`).

use std::borrow::Cow;
use std::sync::Arc;

use super::claim::Claim;
use crate::value::msgpack::{MsgpackError, Reader, Writer};

/// The record that caused a transition.
#[derive(Clone, Debug, PartialEq)]
pub struct Trigger {
    /// None: it was a profile update.
    pub event: Option<Box<str>>,
    pub id: Option<Box<str>>,
    pub time_ms: i64,
    /// The event's, as JSON; empty where they are large, or there are none.
    pub properties: Box<[u8]>,
}

/// One user entering (odd `seq`) or leaving (even) one audience, at an instant; with a `destination` one event on
/// its way there.
#[derive(Clone, Debug, PartialEq)]
pub struct Transition {
    pub project: Arc<str>,
    pub audience: Arc<str>,
    pub audience_name: Arc<str>,
    pub audience_version: i64,
    pub user_id: Arc<str>,
    pub seq: i64,
    pub at_ms: i64,
    pub cause: Cow<'static, str>,
    /// Shared by all transitions that one record causes.
    pub trigger: Option<Arc<Trigger>>,
    pub entered_at_ms: i64,
    pub exit_at_ms: Option<i64>,
    pub entered_at_is_bound: bool,
    /// Whose event it is; None: it is a transition.
    pub destination: Option<Arc<str>>,
}

/// The outputs of a row that were not known to be in Kafka when the row was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Outbox {
    pub step: i64,
    pub transitions: Vec<Transition>,
    pub claims: Vec<Claim>,
}

const TRANSITION_FIELDS: usize = 13;
const CAUSES: [&str; 8] = ["event", "profile", "time", "definition", "backfill", "merge", "delete", "manual"];

impl Transition {
    pub fn is_enter(&self) -> bool {
        self.seq & 1 == 1 && self.destination.is_none()
    }

    pub fn is_exit(&self) -> bool {
        self.seq & 1 == 0 && self.destination.is_none()
    }

    pub fn write(&self, writer: &mut Writer<'_>) {
        writer.array_header(TRANSITION_FIELDS);
        writer.str(&self.project);
        writer.str(&self.audience);
        writer.str(&self.audience_name);
        writer.int(self.audience_version);
        writer.str(&self.user_id);
        writer.int(self.seq);
        writer.int(self.at_ms);
        writer.str(&self.cause);
        match &self.trigger {
            Some(trigger) => trigger.write(writer),
            None => writer.nil(),
        }
        writer.int(self.entered_at_ms);
        writer.optional_int(self.exit_at_ms);
        writer.bool(self.entered_at_is_bound);
        writer.str(self.destination.as_deref().unwrap_or_default());
    }

    pub fn read(reader: &mut Reader<'_>) -> Result<Transition, MsgpackError> {
        let fields = reader.array_header()?;
        if fields < 11 {
            return Err(MsgpackError::Truncated);
        }
        let transition = Transition {
            project: reader.str()?.into(),
            audience: reader.str()?.into(),
            audience_name: reader.str()?.into(),
            audience_version: reader.int()?,
            user_id: reader.str()?.into(),
            seq: reader.int()?,
            at_ms: reader.int()?,
            cause: cause_of(reader.str()?),
            trigger: if reader.nil()? { None } else { Some(Arc::new(Trigger::read(reader)?)) },
            entered_at_ms: reader.int()?,
            exit_at_ms: reader.optional_int()?,
            entered_at_is_bound: if fields > 11 { reader.bool()? } else { false },
            destination: if fields > 12 {
                Some(reader.str()?).filter(|name| !name.is_empty()).map(Into::into)
            } else {
                None
            },
        };
        skip_newer_fields(reader, fields, TRANSITION_FIELDS)?;
        Ok(transition)
    }
}

impl Trigger {
    fn write(&self, writer: &mut Writer<'_>) {
        writer.array_header(4);
        writer.optional_str(self.event.as_deref());
        writer.optional_str(self.id.as_deref());
        writer.int(self.time_ms);
        writer.bin(&self.properties);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Trigger, MsgpackError> {
        let fields = reader.array_header()?;
        if fields < 3 {
            return Err(MsgpackError::Truncated);
        }
        let trigger = Trigger {
            event: reader.optional_str()?.map(Into::into),
            id: reader.optional_str()?.map(Into::into),
            time_ms: reader.int()?,
            properties: if fields > 3 { reader.bin()?.into() } else { Box::default() },
        };
        skip_newer_fields(reader, fields, 4)?;
        Ok(trigger)
    }
}

impl Outbox {
    pub fn read(bytes: &[u8]) -> Result<Outbox, MsgpackError> {
        let mut reader = Reader::new(bytes);
        let fields = reader.array_header()?;
        if fields < 2 {
            return Err(MsgpackError::Truncated);
        }
        let step = reader.int()?;
        let count = reader.array_header()?;
        let mut transitions = Vec::with_capacity(Reader::reserved(count));
        for _ in 0..count {
            transitions.push(Transition::read(&mut reader)?);
        }
        let mut claims = Vec::new();
        if fields > 2 {
            for _ in 0..reader.array_header()? {
                claims.push(Claim::read(&mut reader)?);
            }
            skip_newer_fields(&mut reader, fields, 3)?;
        }
        reader.end()?;
        Ok(Outbox { step, transitions, claims })
    }

    pub fn write(&self, out: &mut Vec<u8>) {
        write_outbox(out, self.step, self.transitions.iter(), self.claims.iter());
    }
}

/// An outbox of transitions and claims, wherever they are.
pub fn write_outbox<'t>(
    out: &mut Vec<u8>,
    step: i64,
    transitions: impl ExactSizeIterator<Item = &'t Transition>,
    claims: impl ExactSizeIterator<Item = &'t Claim>,
) {
    let mut writer = Writer(out);
    writer.array_header(3);
    writer.int(step);
    writer.array_header(transitions.len());
    for transition in transitions {
        transition.write(&mut writer);
    }
    writer.array_header(claims.len());
    for claim in claims {
        claim.write(&mut writer);
    }
}

/// Structs only get new fields at their end.
pub(super) fn skip_newer_fields(
    reader: &mut Reader<'_>,
    fields: usize,
    known: usize,
) -> Result<(), MsgpackError> {
    for _ in known..fields {
        reader.skip()?;
    }
    Ok(())
}

fn cause_of(text: &str) -> Cow<'static, str> {
    match CAUSES.iter().find(|each| **each == text) {
        Some(known) => Cow::Borrowed(known),
        None => Cow::Owned(text.to_owned()),
    }
}
