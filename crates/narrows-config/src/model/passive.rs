//! Passive checks as they are written.

use super::time;
use crate::shape::{Duration, Number, OneOrMany, OrOff, Percent, StatusRange, Switch, table};
use narrows_plan::defaults;

table! {
    /// Judging servers by what real traffic meets: those that fail get none for a while (they are ejected). `on` in its place
    /// takes the defaults.
    PassiveCheck {
        /// Failures in a row, over all workers, before a server is ejected. A failure is a connect that failed, a connection
        /// that broke before an answer, an answer that did not begin in time (`retries.try_timeout`, `timeouts.response_head`,
        /// `timeouts.request`), or an answer with one of `statuses`.
        failures: OrOff<Number<1, 1_000_000>> = defaults::PASSIVE_FAILURES.to_string(),
        /// Statuses that are failures: `503`, `502-504` or `5xx`, or a list of such.
        statuses: OrOff<OneOrMany<StatusRange>> = "502-504",
        /// How often success rates and answer times are judged.
        interval: Duration = time(defaults::PASSIVE_INTERVAL),
        /// Ejects servers whose success rate is far below the others'.
        success_rate: Switch<SuccessRate> = "off",
        /// Ejects servers whose answers take much longer than the others'.
        latency: Switch<LatencyOutlier> = "off",
        /// The first ejection lasts this long, the n-th in a row n times as long; n goes down by one for each such time in which
        /// the server behaves.
        ejection: Duration = time(defaults::EJECTION),
        /// The longest ejection.
        maximum_ejection: Duration = time(defaults::MAXIMUM_EJECTION),
        /// Most servers that are ejected at one time; one always may be, when there are two or more.
        share: Percent<0, 100> = format!("{}%", defaults::EJECTED_SHARE),
    }
}

table! {
    /// When a success rate is far below the others'.
    SuccessRate {
        /// This many standard deviations below the mean; `190%` is 1.9.
        deviation: Percent<1, 100_000> = "190%",
        /// Requests in an interval below which a server is not judged.
        requests: Number<1, 1_000_000_000> = "100",
        /// Servers with enough requests below which none is judged.
        endpoints: Number<2, 1_000_000> = "3",
    }
}

table! {
    /// When answers take much longer than the others'.
    LatencyOutlier {
        /// Above this share of the median; `300%` is three times as long.
        factor: Percent<101, 100_000> = "300%",
        /// Answer times below this are never too long.
        minimum: Duration = "50ms",
        /// Requests in an interval below which a server is not judged.
        requests: Number<1, 1_000_000_000> = "100",
    }
}
