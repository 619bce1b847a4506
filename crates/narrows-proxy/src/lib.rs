//! The hallway: the life of a connection, of a request, of a TCP flow.
