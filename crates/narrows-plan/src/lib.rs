//! The meaning of a configuration: data, defaults, validation, origins, the route index.
