//! The page that the third line of the live message leads to.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::house::{ADA, BOB, House};

/// The addresses that blocks lead to.
fn links(blocks: &Value) -> Vec<String> {
    match blocks {
        Value::Array(items) => items.iter().flat_map(links).collect(),
        Value::Object(fields) if fields.get("type").is_some_and(|kind| kind == "link") => {
            vec![fields["url"].as_str().unwrap().to_owned()]
        }
        Value::Object(fields) => fields.values().flat_map(links).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn the_third_line_leads_to_a_page_that_has_all_of_it() {
    let house = House::http();
    house.told(BOB, "start p1 service=search");
    house.told(ADA, "role take communications");
    house.told(ADA, "note called +260971234556 back");
    let live = house.message("Live platform down");
    let id = house.incident();
    let path = house.page(&id);
    let links = links(&live.blocks);
    assert!(links.len() == 1 && links[0].ends_with(&path), "{links:?} {path}");
    house.click(BOB, &house.message("[infrastructure]"), "code");
    house.click(ADA, &house.message("[Run touch"), "Run touch");
    house.until("the change was made", || house.is_mended());
    let (status, _, waiting) = house.fetch(&path);
    assert_eq!(status, 200);
    for words in ["Live platform down", "communications", "ada", "Timeline", "http-equiv=\"refresh\""] {
        assert!(waiting.contains(words), "no `{words}` in {waiting}");
    }
    assert!(waiting.contains("+26097*****56") && !waiting.contains("1234556"), "customers' numbers are masked");
    house.told(ADA, "resolve it was the search");
    house.until("the draft is there", || house.fetch(&path).2.contains("Post-mortem, a draft"));
    let (_, _, over) = house.fetch(&path);
    assert!(over.contains("complete the post-mortem") && over.contains("resolved"), "{over}");
    house.check();
}

#[test]
fn nothing_is_said_without_the_key_of_this_incident() {
    let house = House::http();
    house.told(BOB, "start p1");
    house.message("Live platform down");
    let first = house.incident();
    house.told(BOB, "start p1");
    let second = house.until_second(&first);
    let (mine, theirs) = (house.page(&first), house.page(&second));
    assert_eq!((house.fetch(&mine).0, house.fetch(&theirs).0), (200, 200));
    let key = |path: &str| path.split_once("key=").unwrap().1.to_owned();
    let wrong = [
        format!("/incidents/{first}"),
        format!("/incidents/{first}?key="),
        format!("/incidents/{first}?key={}", key(&theirs)),
        format!("/incidents/{first}?key={}", &key(&mine)[..42]),
        format!("/incidents/{first}?key={}A", key(&mine)),
        "/incidents/lusab-fidok?key=AAAA".to_owned(),
        "/incidents/%3Cscript%3E?key=x".to_owned(),
    ];
    let answers: Vec<_> = wrong.iter().map(|path| house.fetch(path)).collect();
    for (path, (status, _, body)) in wrong.iter().zip(&answers) {
        assert_eq!((*status, body), (404, &answers[0].2), "{path}");
        assert!(!body.contains(&first) && !body.contains("Live"), "{path}");
    }
}

#[test]
fn foreign_words_are_text_and_the_browser_is_told_to_load_nothing() {
    let house = House::http();
    house.alert("<script>alert(1)</script>", "\"><img src=x onerror=alert(2)> {{ 1234 * 5678 }} </style><script>");
    house.until("it is there", || house.cli(&["incidents", "--open"]).contains("script"));
    let id = house.incident();
    house.told(ADA, &format!("note {id} <b onclick=alert(3)>bold</b> javascript:alert(4)"));
    let (status, head, body) = house.fetch(&house.page(&id));
    assert_eq!(status, 200);
    for wrong in ["<script", "<img", "<b onclick", "7006652", "href=\"javascript"] {
        assert!(!body.to_lowercase().contains(wrong), "`{wrong}` in {body}");
    }
    assert_eq!(body.matches("</style>").count(), 1);
    assert!(body.contains("&lt;script&gt;alert(1)"), "{body}");
    let style = body.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
    let style = BASE64_STANDARD.encode(Sha256::digest(style.as_bytes())).to_lowercase();
    let policy = format!("content-security-policy: default-src 'none'; style-src 'sha256-{style}';");
    for header in
        [&policy, "referrer-policy: no-referrer", "cache-control: no-store", "x-content-type-options: nosniff"]
    {
        assert!(head.contains(header), "no `{header}` in {head}");
    }
}
