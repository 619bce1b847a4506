use super::*;
use crate::facts::known::Known;

fn host(text: &str) -> HostPattern {
    match text.strip_prefix("*.") {
        Some(domain) => HostPattern::Below(domain.into()),
        None => HostPattern::Exact(text.into()),
    }
}

fn path(text: &str) -> PathPattern {
    match (text.strip_suffix("/*"), text.strip_prefix('~')) {
        (Some(prefix), _) => PathPattern::Prefix(prefix.into()),
        (_, Some(regex)) => PathPattern::Regex(Pattern::new(regex).unwrap()),
        _ => PathPattern::Exact(text.into()),
    }
}

/// Hosts, paths and headers of a rule, as short as a test can say them.
type Line<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);

/// Rules whose rank is their position.
fn table(rules: &[Line<'_>]) -> RouteTable {
    let rule = |(rank, (hosts, paths, headers)): (usize, &Line<'_>)| Rule {
        origin: Origin::default(),
        rank: rank as u32,
        hosts: hosts.split_whitespace().map(host).collect(),
        paths: paths.split_whitespace().map(path).collect(),
        conditions: headers
            .iter()
            .map(|(name, value)| Condition {
                expression: Expression::Header((*name).into()).equals(value),
                written: format!("{name}: {value}").into(),
                origin: Origin::default(),
            })
            .collect(),
    };
    RouteTable::new(rules.iter().enumerate().map(rule).collect()).unwrap()
}

fn select(table: &RouteTable, host: &str, path: &str, facts: &[(&str, &str)]) -> Option<usize> {
    table.select(Subject { host, path }, &Known::new(facts), &mut ())
}

#[test]
fn a_prefix_matches_at_segment_borders_only() {
    let table = table(&[("", "/v1/*", &[])]);
    for path in ["/v1", "/v1/", "/v1/x", "/v1/x/y"] {
        assert_eq!(select(&table, "h", path, &[]), Some(0), "{path}");
    }
    for path in ["/v10", "/", "/v", "/x/v1"] {
        assert_eq!(select(&table, "h", path, &[]), None, "{path}");
    }
}

#[test]
fn the_root_prefix_matches_every_path() {
    let table = table(&[("", "/*", &[])]);
    for path in ["/", "/a", "/a/b/"] {
        assert_eq!(select(&table, "h", path, &[]), Some(0), "{path}");
    }
}

#[test]
fn a_wildcard_matches_below_its_domain_at_any_depth_but_not_the_domain() {
    let table = table(&[("*.example.com", "", &[])]);
    assert_eq!(select(&table, "a.example.com", "/", &[]), Some(0));
    assert_eq!(select(&table, "a.b.example.com", "/", &[]), Some(0));
    assert_eq!(select(&table, "example.com", "/", &[]), None);
    assert_eq!(select(&table, "badexample.com", "/", &[]), None);
}

#[test]
fn the_lowest_rank_wins_whatever_the_index_holds_it() {
    let forms = [("h", "/a/b"), ("h", "/a/*"), ("h", "~^/a"), ("*.h", "/a/b"), ("", ""), ("", "/a/*")];
    for first in forms {
        for second in forms {
            let table = table(&[(first.0, first.1, &[]), (second.0, second.1, &[])]);
            let expected = |form: (&str, &str)| form.0 != "*.h";
            let winner = if expected(first) {
                Some(0)
            } else if expected(second) {
                Some(1)
            } else {
                None
            };
            assert_eq!(select(&table, "h", "/a/b", &[]), winner, "{first:?} {second:?}");
        }
    }
}

#[test]
fn a_condition_that_fails_leaves_the_request_to_the_next_rank() {
    let table = table(&[("h", "/a", &[("x", "1")]), ("h", "/a", &[("x", "2")]), ("", "", &[])]);
    assert_eq!(select(&table, "h", "/a", &[("header x", "1")]), Some(0));
    assert_eq!(select(&table, "h", "/a", &[("header x", "2")]), Some(1));
    assert_eq!(select(&table, "h", "/a", &[]), Some(2));
}

#[test]
fn the_recorder_hears_each_candidate_and_each_condition() {
    #[derive(Default)]
    struct Heard(Vec<usize>, Vec<(usize, Option<bool>)>);
    impl Recorder for Heard {
        fn candidate(&mut self, rule: usize) {
            self.0.push(rule);
        }
        fn condition(&mut self, rule: usize, _: usize, held: Option<bool>) {
            self.1.push((rule, held));
        }
    }
    let table = table(&[("h", "/a", &[("x", "1")]), ("h", "/b", &[]), ("", "", &[])]);
    let mut heard = Heard::default();
    table.select(Subject { host: "h", path: "/a" }, &Known::default(), &mut heard);
    assert_eq!(heard.0, [0, 2]);
    assert_eq!(heard.1, [(0, Some(false))]);
}

#[test]
fn ten_thousand_hosts_with_prefixes_are_found() {
    let rules: Vec<Rule> = (0..10_000u32)
        .map(|number| Rule {
            origin: Origin::default(),
            rank: number,
            hosts: vec![HostPattern::Exact(format!("h{}.example.com", number / 10).into())],
            paths: vec![PathPattern::Prefix(format!("/p{}", number % 10).into())],
            conditions: Vec::new(),
        })
        .collect();
    let table = RouteTable::new(rules).unwrap();
    assert_eq!(select(&table, "h777.example.com", "/p3/x", &[]), Some(7773));
    assert_eq!(select(&table, "h777.example.com", "/p33", &[]), None);
}
