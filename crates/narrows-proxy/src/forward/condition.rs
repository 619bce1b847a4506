//! Whether an attempt that came to nothing is worth another one.

use crate::Fault;
use narrows_plan::{PassiveCheck, RetryConditions};
use narrows_upstream::{AttemptFailure, ConnectFailure, EndpointState, Open, Running};
use narrows_wire::http1::ResponseHead;
use std::rc::Rc;
use std::time::Duration;

/// How an attempt failed, as conditions name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// No connection could be made.
    Connect,
    /// The endpoint said that it has not looked at the request.
    Refused,
    /// The connection broke before a byte of the answer.
    Reset,
    /// Not a byte of the answer came in time.
    TimedOut,
    /// The endpoint did not answer in HTTP, or broke in the head of its answer.
    Answer,
    /// The time of the whole request ran out, most of it while the endpoint was waited for.
    Late,
    /// It is not the endpoint that failed.
    Elsewhere,
}

impl Cause {
    /// The cause of a fault that an attempt met. `is_silent`: not a byte of an answer came.
    pub(super) fn of(fault: Fault, is_silent: bool, is_refused: bool) -> Cause {
        match fault {
            Fault::Connect(_) => Cause::Connect,
            Fault::ResponseMissing if is_refused => Cause::Refused,
            Fault::ResponseMissing if is_silent => Cause::Reset,
            Fault::ResponseHeadTimedOut | Fault::TryTimedOut if is_silent => Cause::TimedOut,
            Fault::ResponseMissing
            | Fault::ResponseHeadTimedOut
            | Fault::TryTimedOut
            | Fault::ResponseHead(_) => Cause::Answer,
            _ => Cause::Elsewhere,
        }
    }

    /// Whether an attempt that failed so is worth another one.
    pub(super) fn is_worth_another(self, on: &RetryConditions) -> bool {
        match self {
            Cause::Connect => on.connect_failure,
            Cause::Refused => on.refused_stream,
            Cause::Reset => on.reset,
            Cause::TimedOut => on.timeout,
            Cause::Answer | Cause::Late | Cause::Elsewhere => false,
        }
    }

    /// The cause, for people.
    pub(super) fn words(self) -> &'static str {
        match self {
            Cause::Connect => "no connection could be made",
            Cause::Refused => "it refused the request unseen",
            Cause::Reset => "the connection broke before an answer",
            Cause::TimedOut => "no answer came in time",
            Cause::Answer => "its answer could not be read",
            Cause::Late => "the time of the request ran out",
            Cause::Elsewhere => "it was not the endpoint that failed",
        }
    }

    /// How it failed, for those who judge the endpoint; `None` when it is not to blame.
    fn failure(self, fault: Fault) -> Option<AttemptFailure> {
        match self {
            // We are the ones who have nothing left.
            Cause::Connect
                if matches!(fault, Fault::Connect(ConnectFailure::Exhausted | ConnectFailure::Full)) =>
            {
                None
            }
            Cause::Connect => Some(AttemptFailure::Connect),
            Cause::Reset | Cause::Answer => Some(AttemptFailure::Reset),
            Cause::TimedOut | Cause::Late => Some(AttemptFailure::Timeout),
            Cause::Refused | Cause::Elsewhere => None,
        }
    }
}

/// An attempt that came to nothing.
pub(super) struct Failed {
    pub(super) fault: Fault,
    pub(super) cause: Cause,
    /// The last endpoint that it was made on.
    pub(super) endpoint: Rc<EndpointState>,
    /// Not one byte of the request was taken.
    pub(super) is_unsent: bool,
    /// The connection had carried a request before, so that its end may be an old story.
    pub(super) is_reused: bool,
    /// Its place at the endpoint.
    pub(super) running: Option<Running>,
    /// The place of the connection that was reused.
    pub(super) open: Option<Open>,
}

impl Failed {
    /// The same without its places, which go to who waits for them.
    pub(super) fn letting_go(self) -> Failed {
        Failed { running: None, open: None, ..self }
    }

    /// Tells those who judge the endpoint.
    pub(super) fn report(&self) {
        if let Some(failure) = self.cause.failure(self.fault) {
            self.endpoint.failed(failure);
        }
    }
}

/// Whether an answer is one of those that are worth another attempt.
pub(super) fn is_worth_another(bytes: &[u8], response: &ResponseHead, on: &RetryConditions) -> bool {
    if on.statuses.is_empty() && on.grpc_statuses.is_empty() {
        return false;
    }
    is_within(response.status, &on.statuses)
        || (!on.grpc_statuses.is_empty()
            && grpc_status(bytes, response).is_some_and(|status| on.grpc_statuses.contains(&status)))
}

/// The status of a gRPC call that came without a message: its trailers are the head then.
fn grpc_status(bytes: &[u8], response: &ResponseHead) -> Option<u8> {
    let mut fields = response.fields.iter();
    let status = fields.find(|field| field.name.of(bytes).eq_ignore_ascii_case(b"grpc-status"))?;
    std::str::from_utf8(status.value.of(bytes)).ok()?.parse().ok()
}

/// Reports an answer to those who judge the endpoint.
pub(crate) fn report_answer(
    endpoint: &EndpointState,
    passive: Option<&PassiveCheck>,
    status: u16,
    took: Option<Duration>,
) {
    if passive.is_some_and(|passive| is_within(status, &passive.statuses)) {
        endpoint.failed(AttemptFailure::Status(status));
    } else {
        endpoint.succeeded(took);
    }
}

fn is_within(status: u16, ranges: &[(u16, u16)]) -> bool {
    ranges.iter().any(|(first, last)| (*first..=*last).contains(&status))
}

#[cfg(test)]
mod tests;
