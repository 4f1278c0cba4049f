//! Transitions as they go out: JSON body and CloudEvents headers (`agents/evaluate/transitions.py`).

use std::borrow::Cow;

use blake2::digest::consts::U16;
use blake2::{Blake2b, Digest};
use smallvec::SmallVec;

use super::transition::Transition;
use crate::time::instants::{INSTANT_BYTES, format_instant};
use crate::value::json_write::{write_int, write_str};

/// Name and value of each header, in order.
pub type Headers<'t> = SmallVec<[(&'static str, Cow<'t, [u8]>); 8]>;

const PROPERTIES_HEADER: &str = "trigger.properties";

/// A transition on its way out, with what its body and its headers both have.
pub struct Output<'t> {
    transition: &'t Transition,
    id: [u8; 32],
    at: [u8; INSTANT_BYTES],
}

impl<'t> Output<'t> {
    pub fn new(transition: &'t Transition) -> Output<'t> {
        Output { transition, id: transition_id(transition), at: format_instant(transition.at_ms) }
    }

    /// Appends the record's value.
    pub fn write_body(&self, out: &mut Vec<u8>) {
        let transition = self.transition;
        out.extend_from_slice(b"{\"id\":\"");
        out.extend_from_slice(&self.id);
        out.extend_from_slice(b"\",\"event\":\"");
        out.extend_from_slice(self.event());
        out.extend_from_slice(b"\",\"project\":");
        write_str(out, &transition.project);
        out.extend_from_slice(b",\"audience\":");
        // Whoever keeps the members of audiences from the topic must not take an event for a change.
        write_str(out, if transition.destination.is_some() { "" } else { &transition.audience });
        out.extend_from_slice(b",\"audience_name\":");
        write_str(out, &transition.audience_name);
        out.extend_from_slice(b",\"audience_version\":");
        write_int(out, transition.audience_version);
        out.extend_from_slice(b",\"user_id\":");
        write_str(out, &transition.user_id);
        out.extend_from_slice(b",\"seq\":");
        write_int(out, transition.seq);
        out.extend_from_slice(b",\"at\":");
        write_quoted(out, &self.at);
        out.extend_from_slice(b",\"cause\":");
        write_str(out, &transition.cause);
        out.extend_from_slice(b",\"trigger\":");
        self.write_trigger(out);
        out.extend_from_slice(b",\"entered_at\":");
        write_quoted(out, &format_instant(transition.entered_at_ms));
        out.extend_from_slice(b",\"exit_at\":");
        match transition.exit_at_ms {
            Some(ms) => write_quoted(out, &format_instant(ms)),
            None => out.extend_from_slice(b"null"),
        }
        if transition.entered_at_is_bound {
            out.extend_from_slice(b",\"entered_at_is_bound\":true");
        }
        if let Some(destination) = &transition.destination {
            out.extend_from_slice(b",\"destination\":");
            write_str(out, destination);
            if !transition.audience.is_empty() {
                out.extend_from_slice(b",\"filter\":");
                write_str(out, &transition.audience);
            }
            if let Some(trigger) = transition.trigger.as_ref().filter(|each| !each.properties.is_empty()) {
                out.extend_from_slice(b",\"properties\":");
                out.extend_from_slice(&trigger.properties);
            }
        }
        out.push(b'}');
    }

    fn event(&self) -> &'static [u8] {
        match self.transition {
            Transition { destination: Some(_), .. } => b"event",
            enter if enter.is_enter() => b"enter",
            _ => b"exit",
        }
    }

    fn write_trigger(&self, out: &mut Vec<u8>) {
        let Some(trigger) = &self.transition.trigger else { return out.extend_from_slice(b"null") };
        out.extend_from_slice(b"{\"event\":");
        write_optional(out, trigger.event.as_deref());
        out.extend_from_slice(b",\"id\":");
        write_optional(out, trigger.id.as_deref());
        out.extend_from_slice(b",\"time\":");
        write_quoted(out, &format_instant(trigger.time_ms));
        out.push(b'}');
    }

    /// The record's headers, CloudEvents 1.0 in binary mode.
    pub fn headers(&self) -> Headers<'_> {
        let transition = self.transition;
        let kind = [b"turnstile.audience.", self.event()].concat();
        let source = [b"/turnstile/", transition.project.as_bytes()].concat();
        let mut headers: Headers<'_> = SmallVec::new();
        headers.push(("ce_specversion", Cow::Borrowed(b"1.0")));
        headers.push(("ce_id", Cow::Borrowed(&self.id)));
        headers.push(("ce_type", Cow::Owned(kind)));
        headers.push(("ce_source", Cow::Owned(source)));
        headers.push(("ce_subject", Cow::Borrowed(transition.user_id.as_bytes())));
        headers.push(("ce_time", Cow::Borrowed(&self.at)));
        headers.push(("content-type", Cow::Borrowed(b"application/json")));
        if let Some(trigger) = &transition.trigger
            && !trigger.properties.is_empty()
            && transition.destination.is_none()
        {
            headers.push((PROPERTIES_HEADER, Cow::Borrowed(&trigger.properties)));
        }
        headers
    }
}

/// A function of project, audience (or destination, of an event), user and `seq` alone: hex digits.
fn transition_id(transition: &Transition) -> [u8; 32] {
    let mut seq = Vec::with_capacity(20);
    write_int(&mut seq, transition.seq);
    let mut hash = Blake2b::<U16>::new();
    let (of, counted) = match &transition.destination {
        None => ("\0", &transition.audience),
        Some(destination) => ("\0\0", destination),
    };
    for part in [&*transition.project, of, &**counted, "\0"] {
        hash.update(part);
    }
    hash.update(&seq);
    hash.update("\0");
    hash.update(&*transition.user_id);
    let mut digits = [0; 32];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(hash.finalize()) {
        pair.copy_from_slice(&[hex(byte >> 4), hex(byte & 0xf)]);
    }
    digits
}

fn hex(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }
}

fn write_quoted(out: &mut Vec<u8>, plain: &[u8]) {
    out.push(b'"');
    out.extend_from_slice(plain);
    out.push(b'"');
}

fn write_optional(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => write_str(out, text),
        None => out.extend_from_slice(b"null"),
    }
}
