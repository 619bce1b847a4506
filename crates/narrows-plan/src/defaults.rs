//! Every default in one place. Each is safe for a port that faces strangers.

use std::time::Duration;

/// Largest request or response head, bytes.
pub const HEAD_BYTES: usize = 32 * 1024;
/// Most header fields in a head.
pub const HEADER_FIELDS: usize = 100;
/// Longest request target, bytes.
pub const URI_BYTES: usize = 8 * 1024;
/// Largest request body, bytes.
pub const BODY_BYTES: u64 = 1 << 30;
/// From the first byte of a request head to its last.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two reads of a request body.
pub const BODY_IDLE: Duration = Duration::from_secs(30);
/// Between two requests on a downstream connection.
pub const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// To connect to an endpoint.
pub const CONNECT: Duration = Duration::from_secs(5);
/// From the end of a request to the response head.
pub const RESPONSE_HEAD: Duration = Duration::from_secs(60);
/// Between two reads of a response body.
pub const RESPONSE_IDLE: Duration = Duration::from_secs(60);
/// Between two writes that the client accepts.
pub const WRITE_IDLE: Duration = Duration::from_secs(30);
/// An upgraded connection or HTTP tunnel on which nothing moves.
pub const TUNNEL_IDLE: Duration = Duration::from_secs(3600);
/// A TCP flow on which nothing moves.
pub const TCP_IDLE: Duration = Duration::from_secs(3600);
/// A UDP session on which nothing moves.
pub const UDP_IDLE: Duration = Duration::from_secs(60);
/// Sessions of a UDP listener at one time.
pub const UDP_SESSIONS: usize = 65_536;
/// To receive a TLS client hello when the route needs one.
pub const PEEK: Duration = Duration::from_secs(5);
/// Lowest average rate of a request body, bytes per second, after [`BODY_RATE_GRACE`].
pub const MINIMUM_BODY_RATE: u64 = 128;
/// How long a body may be slow before [`MINIMUM_BODY_RATE`] holds.
pub const BODY_RATE_GRACE: Duration = Duration::from_secs(10);
/// How long a graceful stop waits.
pub const DRAIN: Duration = Duration::from_secs(30);
/// Idle connections kept per worker and endpoint.
pub const POOL_IDLE: usize = 64;
/// How long an idle upstream connection is kept; below the 60 s and 75 s at which common servers close theirs.
pub const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Further attempts after the first one failed.
pub const RETRIES: u32 = 2;
/// Largest error page or fixed body read from a file, bytes.
pub const PAGE_BYTES: u64 = 1 << 20;
/// From the first byte of a TLS handshake to its end.
pub const HANDSHAKE: Duration = Duration::from_secs(10);
/// HTTP/2 requests that run at once on a connection.
pub const HTTP2_STREAMS: u32 = 100;
/// Bytes of one HTTP/2 body that are on their way and not taken yet.
pub const HTTP2_WINDOW: u32 = 64 << 10;
/// How often a quiet HTTP/2 connection to an endpoint is asked whether it is there.
pub const HTTP2_UPSTREAM_PING: Duration = Duration::from_secs(30);
