use super::*;
use crate::backend::Backend;

#[test]
fn two_hand_written_sides_understand_each_other() {
    let backend = Backend::script(|connection, _| {
        let Some(mut server) = Http2::accept(connection, &[(setting::INITIAL_WINDOW_SIZE, 1000)]) else {
            return;
        };
        while let Some(stream) = server.next_request() {
            let request = server.whole_request(stream);
            let length = request.body.len().to_string();
            server.send(&Frame::headers(stream, &[(":status", "103"), ("link", "<a>")], false));
            server.send(&Frame::headers(stream, &[(":status", "200"), ("x-length", &length)], false));
            server.send(&Frame::data(stream, "hello", false));
            server.send(&Frame::headers(stream, &[("x-sum", "1")], true));
        }
    });
    let mut client = Http2::connect(backend.address());
    let long = "x".repeat(200_000);
    let stream = client.open("POST", "/", &[("x-long", &"y".repeat(300))], false);
    client.upload(stream, long.as_bytes(), true);
    let answer = client.answer(stream);
    assert_eq!((answer.status(), answer.text().as_str()), (200, "hello"));
    assert_eq!((answer.header("x-length"), answer.trailer("x-sum")), (Some("200000"), Some("1")));
    assert_eq!(answer.interim.len(), 1);
}
