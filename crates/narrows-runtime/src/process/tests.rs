use super::description::{read, write};
use super::{Identity, IdentityError, Passing, Transport, low_ports_begin, read_as};
use narrows_plan::Bind;

fn passing(listener: &str, transport: Transport, written: Bind, sockets: Vec<i32>) -> Passing<i32> {
    Passing { listener: listener.into(), transport, written, managed: listener.is_empty(), sockets }
}

#[test]
fn what_is_written_of_sockets_is_read_as_it_was() {
    let passed = vec![
        passing("web", Transport::Stream, Bind::Socket("127.0.0.1:0".parse().unwrap()), vec![7, 8, 9]),
        passing("", Transport::LoneDatagrams, Bind::Socket("[::]:53".parse().unwrap()), vec![10]),
        passing("straße 1%", Transport::Stream, Bind::Unix("/run/a b\n%,:/s".into()), vec![11]),
        passing("dns", Transport::Datagrams, Bind::Socket("0.0.0.0:53".parse().unwrap()), vec![12]),
    ];
    let text = write(&passed);
    assert_eq!(text.lines().count(), passed.len(), "a line each: {text}");
    assert_eq!(read(&text), Some(passed));
}

#[test]
fn nonsense_about_sockets_is_refused_whole() {
    let good = "stream own web 127.0.0.1:80 7,8\n";
    assert!(read(good).is_some());
    for bad in [
        "stream own web 127.0.0.1:80\n",
        "stream own web 127.0.0.1:80 \n",
        "stream own web 127.0.0.1:80 7,\n",
        "stream own web 127.0.0.1:80 7 8\n",
        "stream own web localhost:80 7\n",
        "stream own w%2 127.0.0.1:80 7\n",
        "stream own w%zz 127.0.0.1:80 7\n",
        "stream mine web 127.0.0.1:80 7\n",
        "pigeons own web 127.0.0.1:80 7\n",
        "\n",
    ] {
        assert_eq!(read(&format!("{good}{bad}")), None, "{bad}");
    }
}

#[test]
fn root_is_found_by_name_and_by_number() {
    let by_name = Identity::find(Some("root"), None).unwrap();
    assert_eq!((by_name.user, by_name.group), (0, 0));
    assert!(by_name.groups.contains(&0));
    assert_eq!(Identity::find(Some("0"), Some("0")).unwrap().user, 0);
}

#[test]
fn a_number_needs_no_entry_and_a_name_does() {
    let stranger = Identity::find(Some("3999999"), None).unwrap();
    assert_eq!((stranger.user, stranger.group, stranger.groups.len()), (3_999_999, 3_999_999, 0));
    let nobody = Identity::find(Some("no such user"), None);
    assert!(matches!(nobody, Err(IdentityError::NoUser(_))), "{nobody:?}");
    let nobody = Identity::find(None, Some("no such group"));
    assert!(matches!(nobody, Err(IdentityError::NoGroup(_))), "{nobody:?}");
}

#[test]
fn a_look_as_oneself_sees_what_oneself_sees() {
    let present = Identity::present();
    // Who is not root may not set groups, not even to what they are.
    if present.user == 0 {
        assert_eq!(read_as(&present, || Identity::present().user).unwrap(), present.user);
        let other = Identity { user: 65_534, group: 65_534, groups: Vec::new() };
        assert!(read_as(&other, || std::fs::read("/etc/shadow").is_err()).unwrap());
        assert_eq!(Identity::present(), present, "the rest of the process stays who it is");
    }
}

#[test]
fn the_first_port_for_everybody_is_known() {
    assert!(low_ports_begin() <= 1024);
}
