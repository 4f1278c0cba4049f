//! Claims of identities (`rules/state/identities.py`), and the records of their topic (`tables/claims.py`).

use std::sync::Arc;

use crate::partition::place::partition_of;
use crate::time::instants::format_instant;
use crate::value::json_write::write_str;
use crate::value::msgpack::{MsgpackError, Reader, Writer};

const FIELDS: usize = 6;

/// At `time_ms` a user says that an identity is the user's (`unset`: that it no longer is).
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    pub project: Arc<str>,
    pub namespace: Box<str>,
    pub value: Box<str>,
    pub user_id: Box<str>,
    pub time_ms: i64,
    pub unset: bool,
}

impl Claim {
    pub fn write(&self, writer: &mut Writer<'_>) {
        writer.array_header(FIELDS);
        writer.str(&self.project);
        writer.str(&self.namespace);
        writer.str(&self.value);
        writer.str(&self.user_id);
        writer.int(self.time_ms);
        writer.bool(self.unset);
    }

    pub fn read(reader: &mut Reader<'_>) -> Result<Claim, MsgpackError> {
        let fields = reader.array_header()?;
        if fields < FIELDS {
            return Err(MsgpackError::Truncated);
        }
        let claim = Claim {
            project: reader.str()?.into(),
            namespace: reader.str()?.into(),
            value: reader.str()?.into(),
            user_id: reader.str()?.into(),
            time_ms: reader.int()?,
            unset: reader.bool()?,
        };
        super::transition::skip_newer_fields(reader, fields, FIELDS)?;
        Ok(claim)
    }

    /// Appends the record's key; the partition that it goes to.
    pub fn write_key(&self, out: &mut Vec<u8>, partitions: u32) -> u32 {
        let start = out.len();
        for (part, before) in [(&*self.project, b'['), (&*self.namespace, b','), (&*self.value, b',')] {
            out.push(before);
            write_str(out, part);
        }
        out.push(b']');
        let partition = partition_of(&out[start..], partitions);
        out.pop();
        out.push(b',');
        write_str(out, &self.user_id);
        out.push(b']');
        partition
    }

    /// Appends the record's value.
    pub fn write_body(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"time\":\"");
        out.extend_from_slice(&format_instant(self.time_ms));
        out.extend_from_slice(if self.unset { b"\",\"unset\":true}" } else { b"\",\"unset\":false}" });
    }
}
