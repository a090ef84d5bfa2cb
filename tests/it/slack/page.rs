//! The web page of an incident, to which the incident message links.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::server::{ADA, BOB, SlackServer};
use crate::real::http::Response;

/// The links of blocks.
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
fn the_link_leads_to_a_page_of_the_whole_incident() {
    let server = SlackServer::http();
    server.reply_to(BOB, "start p1 service=search");
    server.reply_to(ADA, "role take communications");
    server.reply_to(ADA, "note called +260971234556 back");
    let live = server.message("Live platform down");
    let id = server.incident();
    let path = server.page(&id);
    let links = links(&live.blocks);
    assert!(links.len() == 1 && links[0].ends_with(&path), "{links:?} {path}");
    server.click(BOB, &server.message("[infrastructure]"), "code");
    server.click(ADA, &server.message("[Run touch"), "Run touch");
    server.until("the change was made", || server.is_repaired());
    let page = server.get(&path);
    assert_eq!(page.status, 200);
    let open = page.body;
    for words in ["Live platform down", "communications", "ada", "Timeline", "http-equiv=\"refresh\""] {
        assert!(open.contains(words), "no `{words}` in {open}");
    }
    assert!(open.contains("+26097*****56") && !open.contains("1234556"), "phone numbers are masked");
    server.reply_to(ADA, "resolve it was the search");
    server.until("the draft is there", || server.get(&path).body.contains("Post-mortem, a draft"));
    let resolved = server.get(&path).body;
    assert!(resolved.contains("complete the post-mortem") && resolved.contains("resolved"), "{resolved}");
    server.validate_messages();
}

#[test]
fn the_page_is_not_found_without_the_key_of_the_incident() {
    let server = SlackServer::http();
    server.reply_to(BOB, "start p1");
    server.message("Live platform down");
    let first = server.incident();
    server.reply_to(BOB, "start p1");
    let second = server.until_second(&first);
    let (mine, theirs) = (server.page(&first), server.page(&second));
    assert_eq!((server.get(&mine).status, server.get(&theirs).status), (200, 200));
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
    let pages: Vec<_> = wrong.iter().map(|path| server.get(path)).collect();
    for (path, page) in wrong.iter().zip(&pages) {
        assert_eq!((page.status, &page.body), (404, &pages[0].body), "{path}");
        assert!(!page.body.contains(&first) && !page.body.contains("Live"), "{path}");
    }
}

#[test]
fn text_from_outside_is_escaped_and_the_policy_forbids_loading() {
    let server = SlackServer::http();
    server.alert("<script>alert(1)</script>", "\"><img src=x onerror=alert(2)> {{ 1234 * 5678 }} </style><script>");
    server.until("it is there", || server.cli(&["incidents", "--open"]).contains("script"));
    let id = server.incident();
    server.reply_to(ADA, &format!("note {id} <b onclick=alert(3)>bold</b> javascript:alert(4)"));
    let Response { status, head, body } = server.get(&server.page(&id));
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
