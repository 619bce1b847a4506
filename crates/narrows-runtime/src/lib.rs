//! Workers, listeners, streams, coarse deadlines and buffers.
