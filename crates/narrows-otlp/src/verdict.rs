//! What a collector's answer means: taken, worth another try, or lost (OTLP specification, "Failures").

use crate::messages::{ExportServiceResponse, RetryInfo, RpcStatus};
use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::{HeaderMap, StatusCode};
use prost::Message;
use std::time::Duration;

/// The longest pause that a collector may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// Characters of a collector's words that are passed on.
const WORDS: usize = 200;

/// Binary fields of gRPC come with and without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What an answer means for the batch that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It was taken, but for so many of it.
    Taken {
        /// Those that the collector has no use for. They must not be sent again.
        rejected: u64,
        /// Why.
        why: String,
    },
    /// Another try may help.
    Again {
        /// Not before.
        after: Option<Duration>,
        /// What happened.
        why: String,
    },
    /// No try will help.
    Lost {
        /// What happened.
        why: String,
    },
}

/// An answer over HTTP.
pub(crate) fn of_http(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Verdict {
    if status.is_success() {
        return taken(body);
    }
    let told = RpcStatus::decode(body).map(|status| status.message).unwrap_or_default();
    let why = match words(&told) {
        told if told.is_empty() => format!("it answers {status}"),
        told => format!("it answers {status}: {told}"),
    };
    match status.as_u16() {
        429 | 502 | 503 | 504 => Verdict::Again { after: retry_after(headers), why },
        _ => Verdict::Lost { why },
    }
}

/// An answer over gRPC: its trailers, or its head where there are none.
pub(crate) fn of_grpc(status: StatusCode, trailers: &HeaderMap, body: &[u8]) -> Verdict {
    let field = |name| trailers.get(name).and_then(|value| value.to_str().ok());
    let Some(code) = field("grpc-status").and_then(|code| code.parse::<u32>().ok()) else {
        let why = format!("it answers {status} without a gRPC status");
        // Whatever stands between may be away for a moment (gRPC, "HTTP to gRPC Status Code Mapping").
        return match status.as_u16() {
            429 | 502 | 503 | 504 => Verdict::Again { after: None, why },
            _ => Verdict::Lost { why },
        };
    };
    let why = match words(field("grpc-message").unwrap_or_default()) {
        told if told.is_empty() => format!("it answers with gRPC status {code}"),
        told => format!("it answers with gRPC status {code}: {told}"),
    };
    let after = field("grpc-status-details-bin").and_then(retry_info);
    match code {
        0 => match message(body) {
            Some(message) => taken(message),
            None => Verdict::Taken { rejected: 0, why: String::new() },
        },
        // Cancelled, deadline exceeded, aborted, out of range, unavailable, data loss.
        1 | 4 | 10 | 11 | 14 | 15 => Verdict::Again { after, why },
        // Resource exhausted: only a collector that says when will have room again.
        8 if after.is_some() => Verdict::Again { after, why },
        _ => Verdict::Lost { why },
    }
}

fn taken(body: &[u8]) -> Verdict {
    let partial = ExportServiceResponse::decode(body).ok().and_then(|answer| answer.partial_success);
    let (rejected, why) =
        partial.map(|partial| (partial.rejected, words(&partial.error_message))).unwrap_or_default();
    Verdict::Taken { rejected: u64::try_from(rejected).unwrap_or(0), why }
}

/// The one message of a gRPC body, not compressed.
fn message(body: &[u8]) -> Option<&[u8]> {
    let (head, rest) = body.split_first_chunk::<5>()?;
    let [0, length @ ..] = head else { return None };
    rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.trim().parse::<u64>().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_PAUSE))
}

fn retry_info(details: &str) -> Option<Duration> {
    let bytes = BASE64.decode(details).ok()?;
    let status = RpcStatus::decode(&*bytes).ok()?;
    let info = status.details.iter().find(|detail| detail.type_url.ends_with("/google.rpc.RetryInfo"))?;
    let delay = RetryInfo::decode(&*info.value).ok()?.retry_delay?;
    let pause = Duration::from_secs(u64::try_from(delay.seconds).ok()?);
    Some((pause + Duration::from_nanos(u64::try_from(delay.nanos).unwrap_or(0))).min(LONGEST_PAUSE))
}

/// A stranger's words in one short line.
fn words(told: &str) -> String {
    told.chars().map(|one| if one.is_control() { ' ' } else { one }).take(WORDS).collect()
}

#[cfg(test)]
mod tests;
