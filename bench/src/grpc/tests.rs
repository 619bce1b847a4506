use http::HeaderMap;

use super::{check, prefixed};

fn fields(list: &[(&'static str, &'static str)]) -> HeaderMap {
    list.iter()
        .map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")))
        .collect()
}

#[test]
fn a_message_begins_with_its_length() {
    assert_eq!(&*prefixed(b"abc"), b"\0\0\0\0\x03abc");
}

#[test]
fn only_trailers_with_status_0_are_right() {
    let grpc = fields(&[("content-type", "application/grpc+proto")]);
    let status = |status| fields(&[("grpc-status", status)]);
    assert_eq!(check(&grpc, Some(&status("0"))), Ok(()));
    assert!(check(&grpc, Some(&status("14"))).is_err());
    assert!(check(&grpc, Some(&HeaderMap::new())).is_err());
    assert!(check(&grpc, None).is_err());
    assert!(check(&HeaderMap::new(), Some(&status("0"))).is_err());
}
