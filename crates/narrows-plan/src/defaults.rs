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
/// How long a process that is to take over may take until it serves.
pub const UPGRADE_TIMEOUT: Duration = Duration::from_secs(60);
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
/// Failures in a row before an endpoint is ejected.
pub const PASSIVE_FAILURES: u32 = 5;
/// How often success rates and answer times are judged.
pub const PASSIVE_INTERVAL: Duration = Duration::from_secs(10);
/// The first ejection of an endpoint.
pub const EJECTION: Duration = Duration::from_secs(10);
/// The longest ejection of an endpoint.
pub const MAXIMUM_EJECTION: Duration = Duration::from_secs(300);
/// Most endpoints that are ejected at one time, per cent.
pub const EJECTED_SHARE: u32 = 50;
/// Between two health checks of an endpoint.
pub const CHECK_INTERVAL: Duration = Duration::from_secs(2);
/// A health check that takes longer has failed.
pub const CHECK_TIMEOUT: Duration = Duration::from_secs(2);
/// Per cent by which an interval between checks is longer or shorter.
pub const CHECK_JITTER: u32 = 10;
/// Checks in a row that pass before an endpoint is up.
pub const CHECK_RISE: u32 = 2;
/// Checks in a row that fail before an endpoint is down.
pub const CHECK_FALL: u32 = 3;
/// Requests that wait for an endpoint that has room.
pub const QUEUE_LENGTH: u32 = 1024;
/// How long a request waits for an endpoint that has room.
pub const QUEUE_TIMEOUT: Duration = Duration::from_secs(5);
/// Most retries that run at one time, per cent of the running requests.
pub const RETRY_BUDGET: u32 = 20;
/// Bytes of a request body that are kept to be sent again.
pub const REPLAY_BYTES: usize = 64 << 10;
/// Entries of a stick table.
pub const STICK_TABLE_SIZE: usize = 100_000;
/// How long an entry of a stick table lives without being used.
pub const STICK_TABLE_EXPIRE: Duration = Duration::from_secs(30 * 60);
/// Per cent of requests that fail before a breaker opens.
pub const BREAKER_FAILURE_RATE: u32 = 50;
/// Requests within the window below which a breaker never opens.
pub const BREAKER_REQUESTS: u32 = 20;
/// What a breaker's rate is taken over.
pub const BREAKER_WINDOW: Duration = Duration::from_secs(10);
/// How long a breaker stays open.
pub const BREAKER_OPEN: Duration = Duration::from_secs(5);
/// Requests that a half-open breaker lets through.
pub const BREAKER_PROBES: u32 = 3;
/// Fewest and most concurrent requests of adaptive concurrency, per worker.
pub const CONCURRENCY: (u32, u32) = (4, 1000);
/// How often adaptive concurrency measures the answer time without load.
pub const CONCURRENCY_BASELINE: Duration = Duration::from_secs(60);
/// A DNS question without an answer.
pub const DNS_TIMEOUT: Duration = Duration::from_secs(2);
/// A name is not looked up more often, whatever its TTL.
pub const DNS_MINIMUM_TTL: Duration = Duration::from_secs(1);
/// A name is looked up at least this often.
pub const DNS_MAXIMUM_TTL: Duration = Duration::from_secs(300);
/// The next look-up after one that failed.
pub const DNS_RETRY: Duration = Duration::from_secs(5);
/// Bytes of a request body that are kept for a mirror.
pub const MIRROR_BYTES: usize = 64 << 10;
/// Mirrored requests that run at one time, per worker.
pub const MIRROR_RUNNING: u32 = 100;
/// How long the answer to a mirrored request is waited for.
pub const MIRROR_TIMEOUT: Duration = Duration::from_secs(10);
/// One request to the collector of traces.
pub const OTLP_TIMEOUT: Duration = Duration::from_secs(10);
