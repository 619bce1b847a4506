use super::*;

#[test]
fn a_head_is_read_in_order_and_case() {
    let head = b"GET /x HTTP/1.1\r\nHost: a\r\nX-Two:  b \r\nx-two:c\r\n\r\n";
    let message = Message::parse_head(head).unwrap();
    assert_eq!(message.names(), ["Host", "X-Two", "x-two"]);
    assert_eq!(message.header_values("X-TWO"), ["b", "c"]);
    assert_eq!((message.method(), message.target()), ("GET", "/x"));
}

#[test]
fn what_parsers_read_differently_is_an_error() {
    for head in [
        "GET / HTTP/1.1\r\nA : b\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\n c\r\n\r\n",
        "GET / HTTP/1.1\r\n: b\r\n\r\n",
    ] {
        assert!(Message::parse_head(head.as_bytes()).is_err(), "{head:?}");
    }
    let both = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert!(Message::parse_head(both).unwrap().response_framing("GET").is_err());
}

#[test]
fn an_answer_to_head_and_a_204_have_no_content() {
    let head = Message::parse_head(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n").unwrap();
    assert_eq!(head.response_framing("HEAD"), Ok(Framing::None));
    assert_eq!(head.response_framing("GET"), Ok(Framing::Length(9)));
    let empty = Message::parse_head(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    assert_eq!(empty.response_framing("GET"), Ok(Framing::None));
}
