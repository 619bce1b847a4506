use super::*;

#[test]
fn the_variable_goes_before_everything_else() {
    let session = Some(PathBuf::from("/run/user/7"));
    assert_eq!(Usual::of(Some("off"), true, session.clone()), Usual::Off);
    let at = Usual::At(Bind::Unix("/x/y".into()));
    assert_eq!(Usual::of(Some("unix:/x/y"), true, session.clone()), at);
    assert_eq!(Usual::of(Some("nonsense"), true, session), Usual::Unreadable("nonsense".into()));
}

#[test]
fn root_and_users_have_usual_places() {
    let session = Some(PathBuf::from("/run/user/7"));
    assert_eq!(Usual::of(None, true, session.clone()), Usual::At(Bind::Unix(OF_ROOT.into())));
    let user = Usual::At(Bind::Unix("/run/user/7/narrows/admin.sock".into()));
    assert_eq!(Usual::of(None, false, session), user);
    assert_eq!(Usual::of(None, false, None), Usual::Nowhere);
    assert_eq!(Usual::of(None, false, Some("relative".into())), Usual::Nowhere);
}

#[test]
fn targets_are_read_as_they_are_shown() {
    for text in ["unix:/run/a.sock", "http://127.0.0.1:9901", "https://proxy.example:443", "http://[::1]:1"] {
        assert_eq!(Target::parse(text).map(|target| target.to_string()), Ok(text.to_owned()));
    }
    assert_eq!(Target::parse("/run/a").map(|target| target.to_string()), Ok("unix:/run/a".into()));
    assert_eq!(
        Target::parse("localhost:80").map(|target| target.to_string()),
        Ok("http://localhost:80".into())
    );
}

#[test]
fn what_is_no_target_is_refused() {
    for text in
        ["", "unix:", "http://", "http://a", "ftp://a:1", "a:0", "a:99999", ":1", "http://a b:1", "a/b:1"]
    {
        assert!(Target::parse(text).is_err(), "{text}");
    }
}
