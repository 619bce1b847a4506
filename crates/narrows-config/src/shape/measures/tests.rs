use super::{StatusRange, hundredths};

#[test]
fn a_portion_has_at_most_two_decimals() {
    let cases = [("12", 1200), ("12.5", 1250), ("12.05", 1205), ("0.25", 25), ("100", 10_000), ("0", 0)];
    for (text, expected) in cases {
        assert_eq!(hundredths(text), Some(expected), "{text}");
    }
    for text in ["", ".", "1.", ".5", "1.234", "-1", "+1", "1e3", "99999999999"] {
        assert_eq!(hundredths(text), None, "{text}");
    }
}

#[test]
fn statuses_are_numbers_ranges_and_classes() {
    let range = |first, last| Some(StatusRange { first, last });
    assert_eq!(StatusRange::read("503"), range(503, 503));
    assert_eq!(StatusRange::read("502-504"), range(502, 504));
    assert_eq!(StatusRange::read("502 - 504"), range(502, 504));
    assert_eq!(StatusRange::read("5xx"), range(500, 599));
    assert_eq!(StatusRange::read("5XX"), range(500, 599));
    for text in ["", "99", "600", "504-502", "xx", "6xx", "5xX", "+50", "0200", "200-", "-200", "1-2-3"] {
        assert_eq!(StatusRange::read(text), None, "{text}");
    }
}
