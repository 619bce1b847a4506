//! Per-worker counters and the access record.
