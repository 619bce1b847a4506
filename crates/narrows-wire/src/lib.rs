//! Sans-I/O parsers for bytes from strangers: HTTP/1.1 heads and bodies, request targets, the TLS client hello.
