//! No text makes the loader panic, hang or overflow the stack, and every diagnostic points into the text.

use narrows_config::{Loaded, load_text};
use proptest::prelude::*;
use std::path::Path;
use std::time::{Duration, Instant};

/// Loads a text and uses everything that comes out of it.
fn load(text: &str) -> Loaded {
    let loaded = load_text("test.yaml", text, Path::new(env!("CARGO_MANIFEST_DIR")));
    for diagnostic in &loaded.diagnostics.list {
        assert!(diagnostic.span.start <= diagnostic.span.end && diagnostic.span.end <= text.len());
        assert!(text.is_char_boundary(diagnostic.span.start) && text.is_char_boundary(diagnostic.span.end));
        assert!(diagnostic.line >= 1 && diagnostic.column >= 1);
    }
    let _ = loaded.diagnostics.render(true);
    let _ = loaded.diagnostics.to_json();
    assert_eq!(loaded.plan.is_none(), loaded.diagnostics.has_errors());
    loaded
}

fn corpus() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut texts = vec![
        std::fs::read_to_string(folder.join("../../examples/full.yaml")).expect("an example"),
        std::fs::read_to_string(folder.join("../../examples/minimal.yaml")).expect("an example"),
    ];
    for entry in std::fs::read_dir(folder.join("tests/golden")).expect("the golden files") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            texts.push(std::fs::read_to_string(path).expect("a golden file"));
        }
    }
    texts.sort();
    texts
}

/// A small generator of numbers, so that a failure repeats.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }
}

const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ":",
    ": ",
    "- ",
    "\n",
    "\n  ",
    "\t",
    "&a ",
    "*a",
    "<<: *a",
    "|",
    ">",
    "'",
    "\"",
    "\\",
    "#",
    "${",
    "}",
    "$",
    "!!str ",
    "? ",
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "\u{feff}",
    "é",
    "\u{85}",
    "\u{2028}",
    "\0",
    "\r",
    "\r\n",
    "off",
    "0",
    "-1",
    "99999999999999999999",
    "request.host",
    " && ",
    "!",
    "(",
    ")",
    ".all(x, x)",
    "captures[1]",
    "(?P<a>",
    "{1000}",
    "/../",
    "%00",
    "@",
    "`",
];

#[test]
fn mutated_configurations_never_panic() {
    let corpus = corpus();
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let rounds = std::env::var("MUTATIONS").ok().and_then(|count| count.parse().ok()).unwrap_or(2000);
    for _ in 0..rounds {
        let mut text = corpus[random.below(corpus.len())].clone();
        for _ in 0..=random.below(4) {
            let at = text.floor_char_boundary(random.below(text.len() + 1));
            let end = text.ceil_char_boundary((at + random.below(12)).min(text.len()));
            match random.below(4) {
                0 => text.insert_str(at, PIECES[random.below(PIECES.len())]),
                1 => text.replace_range(at..end, ""),
                2 => text.replace_range(at..end, PIECES[random.below(PIECES.len())]),
                _ => {
                    let from = text.floor_char_boundary(random.below(text.len() + 1));
                    let to = text.ceil_char_boundary((from + random.below(80)).min(text.len()));
                    let piece = text[from..to].to_owned();
                    text.insert_str(at, &piece);
                }
            }
        }
        load(&text);
    }
}

#[test]
fn hostile_shapes_end_quickly_with_an_error() {
    let laughs = (1..12).fold("a: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, level| {
        let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
        text + &format!("k{level}: &a{level} [{aliases}]\n")
    });
    let chain = (1..200).fold("a: &a0 []\n".to_owned(), |text, level| {
        text + &format!("k{level}: &a{level} [*a{}]\n", level - 1)
    });
    let when = |expression: String| {
        format!(
            "listeners: {{ web: {{ bind: ':80', routes: [{{ when: '{expression}', respond: {{}} }}] }} }}\n"
        )
    };
    let shapes = [
        ("flow lists", "[".repeat(1 << 20)),
        ("flow tables", "{".repeat(1 << 20)),
        ("flow pairs", "{a: ".repeat(1 << 18)),
        ("block lists", "- ".repeat(1 << 18)),
        ("complex keys", "? ".repeat(1 << 16)),
        ("indented tables", (0..3000).map(|level| " ".repeat(level) + "a:\n").collect()),
        ("billion laughs", laughs),
        ("a chain of aliases", chain),
        ("an alias of itself", "a: &a [*a]\n".into()),
        ("many keys", (0..100_000).map(|key| format!("k{key}: 1\n")).collect()),
        ("equal keys", "a: 1\n".repeat(100_000)),
        ("brackets", when("(".repeat(8000))),
        ("mixed brackets", when("([{".repeat(2000))),
        ("negations", when("!".repeat(8000) + "true")),
        ("minus signs", when("-".repeat(8000) + "1 == 1")),
        ("members", when("a".to_owned() + &".b".repeat(4000))),
        ("indices", when("a".to_owned() + &"[1]".repeat(2000))),
        ("conditions", when("true ? true : ".repeat(500) + "true")),
        ("sums", when("1 + ".repeat(2000) + "1 == 1")),
        ("calls", when("size(".repeat(1000) + "1")),
        ("chained calls", when("a".to_owned() + &".lowerAscii()".repeat(600))),
        ("a long text", when("\"".to_owned() + &"x".repeat(9000) + "\" == \"\"")),
        ("a large regex", when("request.path.matches(\"(a{1000}){1000}\")".into())),
        ("a deep regex", when(format!("request.path.matches(\"{}\")", "(".repeat(3000)))),
        ("a long line", "x".repeat(1 << 22)),
        ("a large file", "#".repeat((16 << 20) + 1)),
    ];
    for (name, text) in shapes {
        let start = Instant::now();
        let loaded = load_text("test.yaml", &text, Path::new("."));
        assert!(loaded.diagnostics.has_errors(), "{name} is an error");
        let _ = loaded.diagnostics.to_json();
        assert!(start.elapsed() < Duration::from_secs(60), "{name} took {:?}", start.elapsed());
    }
}

#[test]
fn wide_expressions_that_fit_the_limits_compile() {
    let hosts: Vec<String> =
        (0..180).map(|number| format!("request.host == \"h{number}.example.com\"")).collect();
    let text = format!(
        "listeners:\n  web:\n    bind: ':80'\n    routes: [{{ when: '{}', respond: {{}} }}]\n",
        hosts.join(" || ")
    );
    let loaded = load(&text);
    assert!(loaded.plan.is_some(), "{}", loaded.diagnostics.render(false));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_answered(text in any::<String>()) {
        load(&text);
    }

    #[test]
    fn any_expression_and_template_is_answered(inside in "[ -~é]{0,60}") {
        let quoted = inside.replace('\'', "''");
        load(&format!("listeners: {{ web: {{ bind: ':80', routes: [{{ when: '{quoted}', respond: {{ body: '${{ {quoted} }}{quoted}' }} }}] }} }}\n"));
    }

    #[test]
    fn any_scalar_in_any_place_is_answered(value in "[ -~é\\n\\t]{0,30}") {
        let quoted = serde_json::to_string(&value).expect("a text");
        load(&format!(
            "settings: {{ drain: {quoted}, access_log: {quoted} }}\nlisteners: {{ web: {{ bind: {quoted}, server: {quoted}, limits: {{ head: {quoted} }}, \
             trusted_proxies: {{ sources: {quoted} }}, routes: [{{ host: {quoted}, path: {quoted}, method: {quoted}, headers: {{ {quoted}: {quoted} }}, \
             source: {quoted}, redirect: {{ to: {quoted} }} }}, {{ path: {{ glob: {quoted} }}, respond: {{}} }}, {{ path: {{ regex: {quoted} }}, respond: {{}} }}] }} }}\n\
             upstreams: {{ {quoted}: {{ endpoints: {quoted} }} }}\n"
        ));
    }
}
