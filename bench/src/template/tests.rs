use super::fill;

#[test]
fn marked_lines_follow_the_log_and_keep_their_indentation() {
    let template = "a {\n  #log-on: log @PATH@;\n  #log-off: log off;\n}\n";
    let names = [("PATH".to_owned(), "/tmp/x".to_owned())];
    assert_eq!(fill(template, true, &names).expect("all filled"), "a {\n  log /tmp/x;\n}\n");
    assert_eq!(fill(template, false, &names).expect("all filled"), "a {\n  log off;\n}\n");
}

#[test]
fn a_name_without_a_value_is_an_error() {
    assert!(fill("listen @HTTP@;", false, &[]).is_err());
    assert!(fill("# comments may speak of @NAMES@\n\"@type\": x", false, &[]).is_ok());
}
