use super::*;

fn contains(network: &str, address: &str) -> bool {
    network.parse::<Network>().unwrap().contains(address.parse().unwrap())
}

#[test]
fn a_block_contains_its_addresses_and_no_other() {
    assert!(contains("10.0.0.0/8", "10.255.0.1"));
    assert!(!contains("10.0.0.0/8", "11.0.0.0"));
    assert!(contains("0.0.0.0/0", "203.0.113.9"));
    assert!(contains("2001:db8::/32", "2001:db8:1::1"));
    assert!(!contains("2001:db8::/32", "2001:db9::1"));
    assert!(contains("::/0", "::1"));
}

#[test]
fn a_mapped_address_is_compared_as_ipv4() {
    assert!(contains("127.0.0.0/8", "::ffff:127.0.0.1"));
    assert!(!contains("::/0", "127.0.0.1"));
}

#[test]
fn a_malformed_block_says_what_is_wrong() {
    for text in ["", "10.0.0/8", "10.0.0.0/33", "10.0.0.0/x", "::/129", "10.0.0.0/-1", "10.0.0.0/"] {
        assert!(text.parse::<Network>().is_err(), "{text}");
    }
}
