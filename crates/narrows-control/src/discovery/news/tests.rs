use super::*;

fn say(news: &mut News, at: Instant, places: &[&str], trouble: Option<&str>) -> Option<String> {
    news.line(at, "app.test", places, trouble)
}

#[test]
fn the_first_success_is_not_worth_a_line_but_the_first_failure_is() {
    let now = Instant::now();
    assert_eq!(say(&mut News::default(), now, &["10.0.0.1"], None), None);
    let line = say(&mut News::default(), now, &[], Some("SERVFAIL"));
    assert_eq!(line.as_deref(), Some("cannot look up app.test: SERVFAIL; until then it has no endpoint"));
}

#[test]
fn a_failure_is_said_once_and_its_end_as_well() {
    let (mut news, begin) = (News::default(), Instant::now());
    say(&mut news, begin, &["10.0.0.1"], None);
    let line = say(&mut news, begin, &["10.0.0.1"], Some("SERVFAIL"));
    let expected = "cannot look up app.test: SERVFAIL; its last endpoints stay: 10.0.0.1";
    assert_eq!(line.as_deref(), Some(expected));
    assert_eq!(say(&mut news, begin + 2 * PAUSE, &["10.0.0.1"], Some("SERVFAIL")), None);
    let line = say(&mut news, begin + 3 * PAUSE, &["10.0.0.1"], None);
    assert_eq!(line.as_deref(), Some("app.test can be looked up again"));
}

#[test]
fn a_change_says_who_came_and_who_left() {
    let (mut news, begin) = (News::default(), Instant::now());
    say(&mut news, begin, &["10.0.0.1", "10.0.0.2"], None);
    let line = say(&mut news, begin, &["10.0.0.2", "10.0.0.3"], None);
    let expected = "app.test has changed: 10.0.0.3 came, 10.0.0.1 left (2 endpoints now)";
    assert_eq!(line.as_deref(), Some(expected));
}

#[test]
fn changes_within_a_pause_are_said_together_after_it_and_only_if_they_still_hold() {
    let (mut news, begin) = (News::default(), Instant::now());
    say(&mut news, begin, &["10.0.0.1"], None);
    assert!(say(&mut news, begin, &["10.0.0.2"], None).is_some());
    assert_eq!(say(&mut news, begin, &["10.0.0.3"], None), None);
    assert_eq!(say(&mut news, begin, &["10.0.0.3"], Some("SERVFAIL")), None);
    let line = say(&mut news, begin + PAUSE, &["10.0.0.3"], None);
    let expected = "app.test has changed: 10.0.0.3 came, 10.0.0.2 left (1 endpoint now)";
    assert_eq!(line.as_deref(), Some(expected));
}

#[test]
fn long_lists_are_cut() {
    let mut news = News::default();
    say(&mut news, Instant::now(), &[], Some("SERVFAIL"));
    let many: Vec<String> = (0..30).map(|last| format!("10.0.0.{last}")).collect();
    let line = news.line(Instant::now() + PAUSE, "app.test", &many, None).expect("there is a line");
    assert!(line.contains("and 25 more came (30 endpoints now)"), "{line}");
}
