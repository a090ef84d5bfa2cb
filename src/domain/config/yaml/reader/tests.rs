//! The places of values in every style of YAML, and texts that are refused quickly.

use std::time::{Duration, Instant};

use super::*;

fn node(text: &str) -> Node {
    read(&Source::new("x.yaml", text)).unwrap_or_else(|problem| panic!("{problem:?}"))
}

/// The place and message of a text's problem. Reading it must not take long.
#[expect(clippy::disallowed_methods, reason = "how long the reader takes is what is tested")]
fn refused(text: &str) -> String {
    let source = Source::new("x.yaml", text);
    let started = Instant::now();
    let problem = read(&source).expect_err("the text is refused");
    let allowed = if cfg!(debug_assertions) { Duration::from_secs(5) } else { Duration::from_millis(500) };
    assert!(started.elapsed() < allowed, "took {:?}", started.elapsed());
    format!("{}:{} {}", problem.span.line, problem.span.column, problem.message)
}

#[test]
fn every_value_has_its_place() {
    let text = "a: 1\nb:\n  - x\n  - \"y\\n\"\n  - {c: true, d: ~}\n";
    let node = node(text);
    let entries = node.as_map().expect("a mapping");
    assert_eq!(
        (entries[0].key_span.line, entries[0].key_span.column, &text[entries[0].key_span.range.clone()]),
        (1, 1, "a")
    );
    let Content::List(items) = &entries[1].value.content else { panic!("a list") };
    assert_eq!((items[0].span.line, items[0].span.column, &text[items[0].span.range.clone()]), (3, 5, "x"));
    assert_eq!(items[1].content, Content::Text("y\n".to_owned()));
    assert_eq!(&text[items[1].span.range.clone()], "\"y\\n\"");
    let inner = items[2].as_map().expect("a mapping");
    assert_eq!(inner[0].value.content, Content::Boolean(true));
    assert_eq!((inner[1].key_span.line, inner[1].key_span.column, &inner[1].value.content), (5, 15, &Content::Null));
}

#[test]
fn duplicate_keys_are_in_the_node() {
    assert_eq!(node("a: 1\na: 2\na: 3\n").as_map().map(<[Entry]>::len), Some(3));
}

#[test]
fn a_place_within_a_text_is_found_in_every_style() {
    for text in [
        "k: a bc TARGET d\n",
        "k: 'it''s TARGET'\n",
        "k: \"q\\\" \\u00e9 \\t TARGET\"\n",
        "k: |\n    one é\n    two TARGET x\n",
        "k: >-\n  folded\n  text\n\n  TARGET here\n",
        "k: plain over\n  two TARGET lines\n",
        "k: \"double over\n\n  lines TARGET\"\n",
        "k: |2-\n    indented\n  TARGET\n",
    ] {
        let source = Source::new("x", text);
        let node = read(&source).expect("reads");
        let value = node.get("k").expect("k");
        let inner = value.as_text().and_then(|text| text.find("TARGET")).expect("TARGET");
        let span = value.span_within(&source, inner..inner + 6);
        assert_eq!(&text[span.range.clone()], "TARGET", "{text}");
    }
}

#[test]
fn text_that_is_not_yaml_is_refused_with_a_place() {
    for (text, expected) in [
        ("a: [1, 2", "1:4"),
        ("a: b: c", "1:5"),
        ("a:\n\tb: 1\n", "2:2"),
        ("a: !!python/object x\n", "1:20"),
        ("a: 1\n---\nb: 2\n", "2:1"),
        ("a: *nowhere\n", "1:4"),
        ("a: 'x\n", "1:4"),
    ] {
        let problem = refused(text);
        assert!(problem.starts_with(expected), "{text:?}: {problem}");
    }
}

#[test]
fn bombs_are_refused_quickly_with_a_line() {
    let laughs = (1..20).fold("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned(), |text, level| {
        let item = format!("*a{}", level - 1);
        text + &format!("a{level}: &a{level} [{}]\n", vec![item; 10].join(","))
    });
    let deep_map = (0..500).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect::<String>();
    for (name, text) in [
        ("laughs", laughs),
        ("deep lists", "[".repeat(10_000)),
        ("deep maps", "{a: ".repeat(10_000)),
        ("deep dashes", format!("{}x", "- ".repeat(10_000))),
        ("deep blocks", deep_map),
        ("nodes", "- x\n".repeat(200_000)),
        ("anchors", (0..1_000).map(|n| format!("a{n}: &a{n} x\n")).collect()),
        ("aliases", format!("a: &a x\nb: [{}]\n", vec!["*a"; 1_000].join(","))),
        ("size", "# a comment\n".repeat((50 << 20) / 12)),
    ] {
        let problem = refused(&text);
        assert!(!problem.starts_with('0') && !problem.contains("not YAML"), "{name}: {problem}");
    }
}

#[test]
fn a_file_of_the_greatest_depth_fits_on_the_stack_of_a_thread() {
    let depth = MAX_DEPTH - 2;
    node(&format!("{}x", "- ".repeat(depth)));
    node(&format!("{}x{}", "{a: ".repeat(depth), "}".repeat(depth)));
}

#[test]
fn bytes_that_are_not_utf8_are_refused_with_their_place() {
    let refused = text("x.yaml", b"a: 1\nb: \xff\n").expect_err("no UTF-8");
    assert_eq!((refused.1.span.line, refused.1.span.column), (2, 4));
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "(\\PC|[\n\t :{}\\[\\]&*!|>'\"#,%@-]){0,60}") {
        let source = Source::new("x.yaml", text);
        if let Ok(node) = read(&source) {
            walk(&node, &source);
        }
    }
}

fn walk(node: &Node, source: &Source) {
    match &node.content {
        Content::Text(text) => {
            for at in 0..=text.len() {
                let _ = node.span_within(source, at..text.len());
            }
        }
        Content::List(items) => items.iter().for_each(|item| walk(item, source)),
        Content::Map(entries) => entries.iter().for_each(|entry| walk(&entry.value, source)),
        _ => {}
    }
}
