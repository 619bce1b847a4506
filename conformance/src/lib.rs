//! End-to-end tests: the real binary between real peers.
