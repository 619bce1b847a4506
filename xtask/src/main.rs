//! The project's own commands: test, bench, docs.
fn main() {}
