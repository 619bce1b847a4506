//! Lines for the operator.

pub(crate) use narrows_observe::say;
