//! Load, backends and rivals for the benchmark.
fn main() {}
