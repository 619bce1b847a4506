use super::*;

#[test]
fn numbers_and_addresses_read_as_formatting_writes_them() {
    for number in [0, 7, 10, 65_535, u64::MAX] {
        let mut out = Vec::new();
        write_number(number, &mut out);
        assert_eq!(out, number.to_string().as_bytes());
    }
    for text in ["127.0.0.1", "255.10.0.200", "::1", "2001:db8::7"] {
        let mut out = Vec::new();
        write_address(text.parse().unwrap(), &mut out);
        assert_eq!(out, text.as_bytes());
    }
}
