//! Documentation: public items have a doc comment.
//!
//! rustc's `missing_docs` would also require one for each field; fields need none.
//! Not here: the documentation of files (`//!`), see `rules::file_heads`.

use crate::source::{Source, Token};

/// Keywords of items that must be documented.
const ITEMS: [&str; 8] = ["fn", "struct", "enum", "trait", "type", "const", "static", "mod"];

/// Keywords between `pub` and the item.
const QUALIFIERS: [&str; 3] = ["async", "unsafe", "extern"];

/// Public items without a doc comment. Modules in files of their own are documented there.
pub fn documented(files: &[Source]) -> Vec<String> {
    let mut violations = Vec::new();
    for file in files {
        let lines: Vec<&str> = file.text.lines().collect();
        for at in items(&file.tokens) {
            let (item, name) = (&file.tokens[at], file.tokens.get(at + 1).map_or("", |token| token.text.as_str()));
            let in_own_file = item.text == "mod" && file.tokens.get(at + 2).is_some_and(|token| token.text == ";");
            if !item.test && !in_own_file && !has_doc_comment(&lines, item.line) {
                violations.push(format!("{}:{}: `{name}` is public and has no doc comment", file.file, item.line));
            }
        }
    }
    violations
}

/// The positions of public items and of the functions of public traits.
fn items(tokens: &[Token]) -> Vec<usize> {
    let mut found = Vec::new();
    let mut public_trait = None;
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                public_trait = public_trait.filter(|inside| depth > *inside);
            }
            text if ITEMS.contains(&text) => {
                let is_public = follows_pub(tokens, at);
                if is_public || (text == "fn" && public_trait.is_some_and(|inside| depth == inside + 1)) {
                    found.push(at);
                }
                if is_public && text == "trait" {
                    public_trait = Some(depth);
                }
            }
            _ => {}
        }
    }
    found
}

/// Whether an item follows `pub`, possibly with `const`, `async` or `unsafe` between them.
fn follows_pub(tokens: &[Token], at: usize) -> bool {
    let before = tokens[..at].iter().rev();
    let mut before = before.skip_while(|token| {
        QUALIFIERS.contains(&token.text.as_str()) || (tokens[at].text == "fn" && token.text == "const")
    });
    // `pub const fn` is one item: its `fn`.
    let is_qualifier = tokens[at].text == "const"
        && tokens.get(at + 1).is_some_and(|next| ["fn", "async", "unsafe"].contains(&next.text.as_str()));
    !is_qualifier && before.next().is_some_and(|token| token.text == "pub")
}

/// Whether a doc comment ends directly above an item and its attributes.
fn has_doc_comment(lines: &[&str], line: usize) -> bool {
    let above = lines[..line - 1].iter().rev().map(|line| line.trim());
    let mut in_attribute = false;
    for line in above {
        if line.starts_with("///") || line.ends_with("*/") {
            return true;
        }
        if line.starts_with("#[") {
            in_attribute = false;
        } else if line.ends_with(")]") || line == "]" {
            in_attribute = true;
        } else if !in_attribute && !line.starts_with("//") {
            return false;
        }
    }
    false
}
