//! Narrows: a layer-4 and layer-7 reverse proxy and load balancer.
fn main() {}
