//! What headers say of a request's trace, and what they are to say.

use super::{Correlation, Trace};
use crate::outgoing::write_field;
use crate::request::Request;
use narrows_plan::{HeaderEdit, Propagation};
use narrows_wire::http1::Field;
use narrows_wire::trace_context::{
    B3Fields, Decision, Parent, TRACESTATE_BYTES, is_tracestate, parse_b3, parse_b3_fields,
    parse_traceparent, write_b3, write_b3_fields, write_traceparent,
};

/// Every field that carries a trace.
const FIELDS: [&str; 8] = [
    "traceparent",
    "tracestate",
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-flags",
];

/// What a request says.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) parent: Option<Parent>,
    pub(super) decision: Decision,
    pub(super) keeps_state: bool,
    pub(super) state: String,
}

/// Reads the first of the forms that a request has.
pub(super) fn hear(forms: &[Propagation], request: &Request<'_>) -> Heard {
    let found = Found::of(request);
    for form in forms {
        let heard = match form {
            Propagation::W3c => found.w3c(request),
            Propagation::B3 | Propagation::B3Multi => found.b3(request),
        };
        if let Some(heard) = heard {
            return heard;
        }
    }
    Heard::default()
}

/// Where the fields are; one that is there twice is as good as absent.
struct Found<'h> {
    fields: [Option<&'h Field>; FIELDS.len()],
}

impl<'h> Found<'h> {
    fn of(request: &Request<'h>) -> Self {
        let mut fields = [None; FIELDS.len()];
        let mut twice = [false; FIELDS.len()];
        for field in &request.head.fields {
            if let Some(which) = which(field.name.of(request.bytes)) {
                twice[which] |= fields[which].replace(field).is_some();
            }
        }
        for (field, twice) in fields.iter_mut().zip(twice) {
            if twice {
                *field = None;
            }
        }
        Found { fields }
    }

    fn value<'r>(&self, which: usize, request: &Request<'r>) -> &'r [u8] {
        self.fields[which].map_or(&[][..], |field| field.value.of(request.bytes))
    }

    fn w3c(&self, request: &Request<'_>) -> Option<Heard> {
        let parent = parse_traceparent(self.value(0, request))?;
        let mut state = String::new();
        let mut is_whole = true;
        let states = request.head.fields.iter().map(|field| (field.name, field.value));
        for (name, value) in states {
            if !name.of(request.bytes).eq_ignore_ascii_case(b"tracestate") {
                continue;
            }
            let value = value.of(request.bytes);
            is_whole &= is_tracestate(value) && state.len() + value.len() < TRACESTATE_BYTES;
            if is_whole {
                if !state.is_empty() {
                    state.push(',');
                }
                state.push_str(std::str::from_utf8(value).unwrap_or_default());
            }
        }
        if !is_whole {
            state.clear();
        }
        Some(Heard { parent: Some(parent), decision: parent.decision, keeps_state: is_whole, state })
    }

    fn b3(&self, request: &Request<'_>) -> Option<Heard> {
        let single = self.value(2, request);
        let read = match single.is_empty() {
            false => parse_b3(single),
            true => parse_b3_fields(&B3Fields {
                trace: self.value(3, request),
                span: self.value(4, request),
                sampled: self.value(6, request),
                flags: self.value(7, request),
            }),
        };
        match read {
            Ok(parent) => Some(Heard { parent: Some(parent), decision: parent.decision, ..Heard::default() }),
            Err(decision) => Some(Heard { decision: decision?, ..Heard::default() }),
        }
    }
}

/// Which of [`FIELDS`] a name is.
fn which(name: &[u8]) -> Option<usize> {
    // Most fields are of other lengths, or begin otherwise.
    match name.first()? {
        b't' | b'T' | b'b' | b'B' | b'x' | b'X' => {
            FIELDS.iter().position(|field| field.as_bytes().eq_ignore_ascii_case(name))
        }
        _ => None,
    }
}

impl Correlation {
    /// Whether a field of the request stays behind, because this is told instead.
    pub(crate) fn replaces(&self, name: &[u8]) -> bool {
        if self.id.as_ref().is_some_and(|id| id.header.as_bytes().eq_ignore_ascii_case(name)) {
            return true;
        }
        let Some(trace) = &self.trace else { return false };
        match which(name) {
            None => false,
            Some(1) => trace.propagate.contains(&Propagation::W3c) && !trace.keeps_state,
            Some(0) => trace.propagate.contains(&Propagation::W3c),
            Some(_) => trace.propagate.iter().any(|form| *form != Propagation::W3c),
        }
    }

    /// Appends what an endpoint is told, but for what the route's `edits` say otherwise.
    pub(crate) fn write_request(&self, edits: &[HeaderEdit], out: &mut Vec<u8>) {
        let is_edited = |name: &str| edits.iter().any(|edit| edit.name().eq_ignore_ascii_case(name));
        if let Some(id) = self.id.as_ref().filter(|id| !is_edited(&id.header)) {
            write_field(&id.header, id.text.as_bytes(), out);
        }
        let Some(trace) = &self.trace else { return };
        let parent = trace.told();
        for form in &trace.propagate {
            match form {
                Propagation::W3c if !is_edited("traceparent") => {
                    out.extend_from_slice(b"traceparent: ");
                    write_traceparent(&parent, out);
                    out.extend_from_slice(b"\r\n");
                }
                Propagation::B3 if !is_edited("b3") => {
                    out.extend_from_slice(b"b3: ");
                    write_b3(&parent, out);
                    out.extend_from_slice(b"\r\n");
                }
                Propagation::B3Multi if !is_edited("x-b3-traceid") => write_b3_fields(&parent, out),
                _ => {}
            }
        }
    }

    /// The field of the answer that tells the client the request's id, where there is to be one.
    pub(crate) fn response_header(&self) -> Option<(&str, &str)> {
        let id = self.id.as_ref().filter(|id| id.responds)?;
        Some((&id.header, &id.text))
    }
}

impl Trace {
    fn told(&self) -> Parent {
        Parent {
            trace: self.trace,
            span: self.sending.get(),
            decision: self.decision,
            is_random: self.is_random,
        }
    }
}
