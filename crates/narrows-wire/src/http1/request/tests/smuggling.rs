//! The request smuggling corpus: heads whose end or body two parsers have been seen to read differently.

use super::{parse, with_fields};
use crate::http1::{BodyFraming, HeadError};

#[test]
fn a_request_with_two_readings_of_its_length_is_rejected() {
    use HeadError::*;
    for (fields, expected) in [
        // CL.TE and TE.CL
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", LengthAndTransferEncoding),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", LengthAndTransferEncoding),
        ("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", LengthAndTransferEncoding),
        // CL.CL
        ("Content-Length: 5\r\nContent-Length: 6\r\n", RepeatedContentLength),
        ("Content-Length: 5\r\nContent-Length: 5\r\n", RepeatedContentLength),
        ("Content-Length: 5, 5\r\n", InvalidContentLength),
        ("Content-Length: 5,6\r\n", InvalidContentLength),
        ("Content-Length: +5\r\n", InvalidContentLength),
        ("Content-Length: -0\r\n", InvalidContentLength),
        ("Content-Length: 5 5\r\n", InvalidContentLength),
        ("Content-Length: 0x5\r\n", InvalidContentLength),
        ("Content-Length: 5.0\r\n", InvalidContentLength),
        ("Content-Length: 5_0\r\n", InvalidContentLength),
        ("Content-Length: \"5\"\r\n", InvalidContentLength),
        ("Content-Length: \u{665}\r\n", InvalidContentLength),
        ("Content-Length:\r\n", InvalidContentLength),
        ("Content-Length: 18446744073709551616\r\n", InvalidContentLength),
        // TE.TE: a coding that one of two parsers does not see
        ("Transfer-Encoding: xchunked\r\n", UnsupportedTransferCoding),
        ("Transfer-Encoding: gzip, chunked\r\n", UnsupportedTransferCoding),
        ("Transfer-Encoding: identity\r\n", UnsupportedTransferCoding),
        ("Transfer-Encoding: chunked, identity\r\n", ChunkedNotLast),
        ("Transfer-Encoding: chunked, gzip\r\n", ChunkedNotLast),
        ("Transfer-Encoding: chunked, chunked\r\n", ChunkedNotLast),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", ChunkedNotLast),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", ChunkedNotLast),
        ("Transfer-Encoding: chunked;q=1\r\n", ChunkedNotLast),
        ("Transfer-Encoding: gzip;q=1, chunked\r\n", UnsupportedTransferCoding),
        ("Transfer-Encoding:\r\n", InvalidTransferEncoding),
        ("Transfer-Encoding: ,chunked\r\n", InvalidTransferEncoding),
        ("Transfer-Encoding: chunked,\r\n", InvalidTransferEncoding),
        ("Transfer-Encoding: \"chunked\"\r\n", InvalidTransferEncoding),
        ("Transfer-Encoding: chunked x\r\n", InvalidTransferEncoding),
        ("Transfer-Encoding: chun\u{212a}ed\r\n", InvalidTransferEncoding),
        ("Transfer-Encoding: \u{b}chunked\r\n", InvalidFieldValue),
        ("Transfer-Encoding: chunked\0\r\n", InvalidFieldValue),
        ("Transfer-Encoding : chunked\r\n", WhitespaceBeforeColon),
        ("Transfer-Encoding\r\n : chunked\r\n", InvalidFieldName),
        ("Transfer-Encoding:\r\n chunked\r\n", InvalidTransferEncoding),
        ("X: y\r\n chunked\r\n", ObsoleteFolding),
        ("X: y\nTransfer-Encoding: chunked\r\n", BareLineFeed),
        ("X: y\rTransfer-Encoding: chunked\r\n", BareCarriageReturn),
        ("X: y\r\n\rTransfer-Encoding: chunked\r\n", BareCarriageReturn),
        ("\0Transfer-Encoding: chunked\r\n", InvalidFieldName),
        ("Transfer\u{a0}Encoding: chunked\r\n", InvalidFieldName),
    ] {
        assert_eq!(parse(&with_fields(fields)).unwrap_err(), expected, "{fields:?}");
    }
}

#[test]
fn a_transfer_encoding_in_http10_is_rejected() {
    let text = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(parse(text).unwrap_err(), HeadError::TransferEncodingInHttp10);
}

#[test]
fn connect_with_a_body_is_rejected() {
    for (fields, expected) in [
        ("Content-Length: 5\r\n", Some(HeadError::ConnectWithBody)),
        ("Transfer-Encoding: chunked\r\n", Some(HeadError::ConnectWithBody)),
        ("Content-Length: 0\r\n", None),
        ("", None),
    ] {
        let text = format!("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n{fields}\r\n");
        assert_eq!(parse(&text).err(), expected, "{fields:?}");
    }
}

#[test]
fn a_length_that_is_clear_is_taken() {
    for (fields, expected) in [
        ("", BodyFraming::None),
        ("Content-Length: 0\r\n", BodyFraming::Length(0)),
        ("content-length:\t5 \r\n", BodyFraming::Length(5)),
        ("Content-Length: 18446744073709551615\r\n", BodyFraming::Length(u64::MAX)),
        ("Transfer-Encoding: chunked\r\n", BodyFraming::Chunked),
        ("tRANSFER-eNCODING: \tCHUNKED\t\r\n", BodyFraming::Chunked),
        // These names only resemble the ones that frame a message.
        ("Transfer_Encoding: chunked\r\nContent_Length: 5\r\n", BodyFraming::None),
        ("X-Transfer-Encoding: chunked\r\n", BodyFraming::None),
    ] {
        assert_eq!(parse(&with_fields(fields)).unwrap().framing, expected, "{fields:?}");
    }
}
