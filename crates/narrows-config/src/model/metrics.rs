//! The metrics as they are written.

use crate::shape::{Flag, Number, OPTIONAL, OneOrMany, table};
use crate::tree::Text;

table! {
    /// What is counted of the traffic, and where it is told; see metrics.md.
    Metrics {
        /// Addresses that tell the metrics at `/metrics` and nothing else, such as `127.0.0.1:9145`. Whoever reaches them may read.
        bind: OneOrMany<Text> = OPTIONAL,
        /// Whether routes are told apart; all are `_other` else.
        routes: Flag = "true",
        /// Whether endpoints are told apart; they are left out else.
        endpoints: Flag = "true",
        /// How many routes, and how many endpoints, are told apart at most. Further routes are `_other`, further endpoints are left out.
        series: Number<1, 1_000_000> = "10000",
    }
}
