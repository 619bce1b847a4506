//! The known name that an unknown one was probably meant to be.

/// Most letters that may be wrong.
const MAXIMUM_SLIPS: usize = 3;
/// Most names that are compared, so that a long text of mistakes is told quickly.
const MAXIMUM_NAMES: usize = 1000;

/// Other words for what is known here.
const SYNONYMS: [(&str, &str); 26] = [
    ("h2", "http2"),
    ("http/2", "http2"),
    ("http/1.1", "http1"),
    ("http1.1", "http1"),
    ("http2", "h2"),
    ("http/2", "h2"),
    ("http1", "http/1.1"),
    ("http1.1", "http/1.1"),
    ("sni", "server_name"),
    ("hostname", "server_name"),
    ("source-hash", "consistent-hash"),
    ("source", "consistent-hash"),
    ("ip_hash", "consistent-hash"),
    ("ip-hash", "consistent-hash"),
    ("healthcheck", "health"),
    ("health_check", "health"),
    ("retry", "retries"),
    ("leastconn", "least-connections"),
    ("least_conn", "least-connections"),
    ("least_time", "peak-ewma"),
    ("ewma", "peak-ewma"),
    ("ring-hash", "ketama"),
    ("ring_hash", "ketama"),
    ("draining", "drain"),
    ("maint", "maintenance"),
    ("up", "ready"),
];

/// Keys that are looked for in a table and stand elsewhere, or in another form: table, key, help.
const ELSEWHERE: [(&str, &str, &str); 30] = [
    ("ListenerTls", "cert", LISTENER_CERTIFICATE),
    ("ListenerTls", "key", LISTENER_CERTIFICATE),
    ("ListenerTls", "certificate", LISTENER_CERTIFICATE),
    ("ListenerTls", "ca", "clients' certificates: `clients: { ca: clients.pem }`"),
    (
        "HealthCheck",
        "path",
        "in the check by HTTP: `http: { path: /healthz }`, or `http: /healthz` for short",
    ),
    ("HealthCheck", "status", "in the check by HTTP: `http: { path: /healthz, status: 200-299 }`"),
    ("HealthCheck", "send", "in the check by TCP or UDP: `tcp: { send: ..., expect: ... }`"),
    ("HealthCheck", "expect", "in the check by TCP or UDP: `tcp: { send: ..., expect: ... }`"),
    ("UpstreamLimits", "max_connections", "`connections`, of each endpoint"),
    ("UpstreamTls", "cert", UPSTREAM_CERTIFICATE),
    ("UpstreamTls", "key", UPSTREAM_CERTIFICATE),
    (
        "UpstreamTls",
        "alpn",
        "`protocol` of the upstream, beside `tls`, decides: `protocol: http2` asks for h2, `auto` leaves it to the server",
    ),
    ("Retries", "attempts", "did you mean `limit`? It counts further attempts, after the first"),
    ("Retries", "tries", "did you mean `limit`? It counts further attempts, after the first"),
    ("Retries", "num_retries", "did you mean `limit`?"),
    ("HttpCheck", "expect", "what must be in the body: `body: ...`; the status: `status: 200`"),
    (
        "HealthCheck",
        "user",
        "in the check of its kind: `postgresql: { user: narrows }` or `mysql: { user: narrows }`",
    ),
    ("HealthCheck", "database", "in the check by PostgreSQL: `postgresql: { user: narrows, database: app }`"),
    ("HealthCheck", "password", "in the check by Redis: `redis: { password: ... }`"),
    ("HealthCheck", "service", "in the check by gRPC: `grpc: { service: ... }`"),
    ("Stickiness", "source", "the client's address is a key: `key: source`"),
    ("Stickiness", "name", "in the cookie: `cookie: { name: ... }`, or `cookie: NAME` for short"),
    ("Route", "stickiness", OF_UPSTREAM),
    ("Route", "sticky", OF_UPSTREAM),
    ("Route", "health", OF_UPSTREAM),
    ("Route", "balance", OF_UPSTREAM),
    ("Route", "passive", OF_UPSTREAM),
    ("Route", "breaker", OF_UPSTREAM),
    ("Route", "hash_key", OF_UPSTREAM),
    ("Route", "endpoints", OF_UPSTREAM),
];
const OF_UPSTREAM: &str = "this belongs to the upstream, not to a route";
const LISTENER_CERTIFICATE: &str =
    "a listener may have several: `certificates: [{ cert: site.pem, key: site.key }]`";
const UPSTREAM_CERTIFICATE: &str =
    "the certificate that is shown to servers: `certificate: { cert: proxy.pem, key: proxy.key }`";

/// What to write in place of a key that a table does not have.
pub(crate) fn elsewhere(table: &str, key: &str) -> Option<&'static str> {
    ELSEWHERE.iter().find(|(of, name, _)| *of == table && *name == key).map(|(_, _, help)| *help)
}

/// The nearest of `known`, when it is near enough to be a slip.
pub fn nearest<'k>(written: &str, known: &[&'k str]) -> Option<&'k str> {
    if written.len() > 64 {
        return None;
    }
    let synonyms = SYNONYMS.iter().filter(|(word, _)| *word == written);
    if let Some(name) = synonyms.flat_map(|(_, name)| known.iter().find(|known| *known == name)).next() {
        return Some(name);
    }
    let plain = |text: &str| text.to_ascii_lowercase().replace(['-', '_'], "");
    let wanted = plain(written);
    let allowed = (wanted.chars().count() / 3).clamp(1, MAXIMUM_SLIPS);
    let is_comparable = |name: &&&str| name.len().abs_diff(written.len()) <= 2 * MAXIMUM_SLIPS;
    known
        .iter()
        .take(MAXIMUM_NAMES)
        .filter(is_comparable)
        .map(|name| (distance(&wanted, &plain(name)), *name))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
        .or_else(|| {
            // One is the other with more letters: `upstreams` and `upstream`.
            let related = |name: &&&str| wanted.len() > 2 && (plain(name).starts_with(&wanted));
            known.iter().take(MAXIMUM_NAMES).find(related).copied()
        })
}

/// Letters to insert, remove, replace or swap (Damerau-Levenshtein, optimal string alignment).
fn distance(one: &str, two: &str) -> usize {
    let (one, two): (Vec<char>, Vec<char>) = (one.chars().collect(), two.chars().collect());
    let mut rows = vec![(0..=two.len()).collect::<Vec<usize>>()];
    for i in 1..=one.len() {
        let mut row = vec![i];
        for j in 1..=two.len() {
            let replace = rows[i - 1][j - 1] + usize::from(one[i - 1] != two[j - 1]);
            let mut best = replace.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && one[i - 1] == two[j - 2] && one[i - 2] == two[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[one.len()][two.len()]
}
