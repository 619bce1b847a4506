//! Endpoints, balancers and connection pools.
