//! An answer as a test reads it.

use super::Received;
use super::frame::Fields;

/// What a client got for a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The interim heads, such as 103.
    pub interim: Vec<Fields>,
    /// The final head; empty while it is missing.
    pub fields: Fields,
    /// The content.
    pub body: Vec<u8>,
    /// The trailers.
    pub trailers: Fields,
    /// The code of RST_STREAM, when one came.
    pub reset: Option<u32>,
    /// Whether the stream was ended in order.
    pub ended: bool,
}

impl Answer {
    pub(super) fn of(received: &Received) -> Answer {
        let mut answer = Answer {
            body: received.body.clone(),
            reset: received.reset,
            ended: received.ended,
            ..Answer::default()
        };
        for head in &received.heads {
            if answer.is_final() {
                answer.trailers.clone_from(head);
            } else if value(head, ":status").is_some_and(|status| status.starts_with('1')) {
                answer.interim.push(head.clone());
            } else {
                answer.fields.clone_from(head);
            }
        }
        answer
    }

    /// Whether the final head is there.
    pub fn is_final(&self) -> bool {
        !self.fields.is_empty()
    }

    /// The status; 0 when the stream was reset before.
    pub fn status(&self) -> u16 {
        self.header(":status").and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    /// The value of the first field `name`.
    pub fn header(&self, name: &str) -> Option<&str> {
        value(&self.fields, name)
    }

    /// The value of a trailer.
    pub fn trailer(&self, name: &str) -> Option<&str> {
        value(&self.trailers, name)
    }

    /// The content as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

fn value<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}
