use super::*;

fn load(name: &str, text: &[u8]) -> Result<Token, String> {
    let path = std::env::temp_dir().join(format!("narrows-{}-{name}", std::process::id()));
    std::fs::write(&path, text).unwrap();
    let loaded = Token::load(&File { path: path.clone(), origin: Origin::default() });
    let _ = std::fs::remove_file(&path);
    loaded.map_err(|bad| bad.to_string())
}

#[test]
fn only_the_whole_token_is_the_token() {
    let token = load("whole", b"  0123456789abcdef\n").unwrap();
    assert!(token.is(b"0123456789abcdef"));
    for other in [&b""[..], b"0123456789abcde", b"0123456789abcdefg", b"0123456789ABCDEF"] {
        assert!(!token.is(other));
    }
}

#[test]
fn a_token_that_could_be_guessed_or_not_be_sent_is_refused() {
    assert!(load("short", b"0123456789abcde\n").unwrap_err().contains("15 bytes"));
    assert!(load("blank", b"0123456789 abcdef").unwrap_err().contains("blanks"));
    assert!(load("long", &[b'a'; MOST + 1]).unwrap_err().contains("more than"));
}

#[test]
fn a_token_is_not_shown() {
    let token = load("shown", b"0123456789abcdef").unwrap();
    assert_eq!(format!("{token:?}"), "Token(..)");
}
