use super::{Content, Node, Style, Text, parse};
use crate::diagnostic::Reporter;

fn read(text: &str) -> (Node, Reporter) {
    let mut reporter = Reporter::default();
    let file = reporter.sources.add("test.yaml", text.to_owned());
    let node = parse(file, &mut reporter).expect("a value");
    (node, reporter)
}

fn scalars<'n>(node: &'n Node, found: &mut Vec<&'n Text>) {
    match &node.content {
        Content::Scalar(text) => found.push(text),
        Content::List(items) => items.iter().for_each(|item| scalars(item, found)),
        Content::Table(entries) => entries.iter().for_each(|(key, value)| {
            scalars(key, found);
            scalars(value, found);
        }),
    }
}

/// Finds `word` in the scalars of `text` and gives back what the file has at its place.
fn located(text: &str, word: &str) -> String {
    let (node, reporter) = read(text);
    let mut found = Vec::new();
    scalars(&node, &mut found);
    let scalar = found.into_iter().find(|scalar| scalar.text.contains(word)).expect("the word");
    let start = scalar.text.find(word).expect("the word");
    let place = scalar.at(start..start + word.len(), &reporter);
    reporter.sources.slice(place).to_owned()
}

#[test]
fn scalars_stand_where_their_text_is() {
    let texts = [
        "a: b\nc: [d, 'e', \"f\", {g: h i}] # é\nj:   k\n",
        "\u{feff}a: größe\nb: 'ü'  # x\nc: [d, ä b ,e]\n",
        "a:\r\n  - b\r\n  - 'c'\r\n# é\r\nd: e\r\n",
        "\"a\": é\n? b\n: c\nd: |\n  é\n  text\ne: f\ng: >-\n  folded\n  text\nh: i\n",
    ];
    for text in texts {
        let (node, reporter) = read(text);
        let mut found = Vec::new();
        scalars(&node, &mut found);
        for scalar in found {
            let written = reporter.sources.slice(scalar.place);
            match scalar.style {
                Style::Plain => assert_eq!(written, scalar.text),
                Style::SingleQuoted => assert_eq!(written, format!("'{}'", scalar.text)),
                Style::DoubleQuoted => assert_eq!(written, format!("\"{}\"", scalar.text)),
                Style::Literal | Style::Folded => {
                    let first = scalar.text.split([' ', '\n']).next().expect("a word");
                    assert!(written.contains(first), "{written:?} of {scalar:?}");
                }
            }
        }
    }
}

#[test]
fn words_inside_scalars_are_found_in_every_style() {
    for text in [
        "a: é word b\n",
        "a: 'it''s é word'\n",
        "a: \"\\t\\u00e9\\x41\\U0001F600 \\\"é\\\" word\"\n",
        "é: |\n  é first\n  second é word\n  third\n",
        "é:\n  - |2\n      é word\n     b\n",
    ] {
        assert_eq!(located(text, "word"), "word", "{text:?}");
    }
}

#[test]
fn words_in_folded_scalars_are_at_least_in_the_scalar() {
    assert!("some folded word".starts_with(&located("a: >\n  some folded\n  word\n", "word")));
    assert!(located("a: 'two\n  lines word'\n", "word").starts_with("'two"));
}

#[test]
fn merged_entries_do_not_replace_own_ones() {
    let (node, _) = read("a: &a { x: 1, y: 2 }\nb: { <<: [*a, { y: 3, z: 4 }], x: 5 }\n");
    let Content::Table(entries) = &node.content else { panic!("a table") };
    let Content::Table(merged) = &entries[1].1.content else { panic!("a table") };
    let text = |node: &Node| node.as_text().map(|text| text.text.clone()).unwrap_or_default();
    let merged: Vec<_> = merged.iter().map(|(key, value)| text(key) + &text(value)).collect();
    assert_eq!(merged, ["x5", "y2", "z4"]);
}
