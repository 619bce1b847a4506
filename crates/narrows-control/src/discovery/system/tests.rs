use super::*;
use proptest::prelude::*;

#[test]
fn servers_search_and_dots_are_read_as_the_c_library_does() {
    let text = "# comment\nnameserver 10.0.0.1\nnameserver fe80::1%eth0\nnameserver ::1\ndomain old.test\n\
                search a.test b.test ; comment\noptions edns0 ndots:5 timeout:1\nnameserver 10.0.0.2\nnameserver 10.0.0.3\n";
    let names = SystemNames::parse(text, "");
    let servers: Vec<String> = names.servers.iter().map(ToString::to_string).collect();
    assert_eq!(servers, ["10.0.0.1:53", "[::1]:53", "10.0.0.2:53"]);
    assert_eq!(names.search, ["a.test", "b.test"]);
    assert_eq!(names.dots, 5);
}

#[test]
fn without_a_configuration_this_machine_is_asked() {
    let names = SystemNames::parse("", "");
    assert_eq!(names.servers, ["127.0.0.1:53".parse().expect("an address")]);
    assert_eq!(names.dots, 1);
}

#[test]
fn hosts_have_all_their_names_and_addresses() {
    let names =
        SystemNames::parse("", "10.0.0.1 App app.test. # one\n::1 app\nnonsense app\n10.0.0.2 app\n\n#\n");
    let of = |name: &str| {
        names.hosts.get(name).map(|list| list.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    assert_eq!(of("app").expect("it is there"), ["10.0.0.1", "::1", "10.0.0.2"]);
    assert_eq!(of("app.test").expect("it is there"), ["10.0.0.1"]);
    assert_eq!(of("one"), None);
}

proptest! {
    #[test]
    fn no_text_panics(resolver: String, hosts: String) {
        let names = SystemNames::parse(&resolver, &hosts);
        prop_assert!(!names.servers.is_empty() && names.servers.len() <= SERVERS);
    }
}
