//! Renders a post-mortem draft from Markdown to HTML.
//!
//! **Invariant:** the output has only elements that Markdown syntax produces. HTML in the draft becomes text, only addresses
//! with `http` or `https` become links, and images are not loaded.

use pulldown_cmark::{CowStr, Event, LinkType, Options, Parser, Tag, TagEnd, html};

/// The most bytes of a draft that are rendered.
const LIMIT: usize = 256 * 1024;

/// The draft without its front matter, as HTML.
pub(super) fn html(markdown: &str) -> String {
    let text = cut(markdown);
    let options = Options::ENABLE_TABLES | Options::ENABLE_TASKLISTS | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS;
    let mut in_front_matter = false;
    let events = Parser::new_ext(text, options).filter_map(|event| match event {
        Event::Start(Tag::MetadataBlock(_)) => {
            in_front_matter = true;
            None
        }
        Event::End(TagEnd::MetadataBlock(_)) => {
            in_front_matter = false;
            None
        }
        _ if in_front_matter => None,
        event => Some(sanitised(event)),
    });
    let mut out = String::new();
    html::push_html(&mut out, events);
    out
}

/// The beginning of a text, at most [`LIMIT`] bytes.
fn cut(markdown: &str) -> &str {
    let mut end = markdown.len().min(LIMIT);
    while !markdown.is_char_boundary(end) {
        end -= 1;
    }
    &markdown[..end]
}

fn sanitised(event: Event<'_>) -> Event<'_> {
    match event {
        Event::Html(text) | Event::InlineHtml(text) => Event::Text(text),
        // Headings get a lower level, because the title of the page is the first heading.
        Event::Start(Tag::Heading { level, .. }) => {
            Event::Start(Tag::Heading { level: lower(level), id: None, classes: Vec::new(), attrs: Vec::new() })
        }
        Event::End(TagEnd::Heading(level)) => Event::End(TagEnd::Heading(lower(level))),
        Event::Start(Tag::Link { dest_url, .. }) => {
            let dest_url = if is_web(&dest_url) { dest_url } else { CowStr::Borrowed("#") };
            Event::Start(Tag::Link { link_type: LinkType::Inline, dest_url, title: "".into(), id: "".into() })
        }
        Event::Start(Tag::Image { .. }) => Event::Start(Tag::Emphasis),
        Event::End(TagEnd::Image) => Event::End(TagEnd::Emphasis),
        other => other,
    }
}

fn is_web(address: &str) -> bool {
    address.starts_with("https://") || address.starts_with("http://")
}

fn lower(level: pulldown_cmark::HeadingLevel) -> pulldown_cmark::HeadingLevel {
    use pulldown_cmark::HeadingLevel::{H3, H4, H5, H6};
    match level {
        pulldown_cmark::HeadingLevel::H1 | pulldown_cmark::HeadingLevel::H2 => H3,
        H3 => H4,
        H4 => H5,
        H5 | H6 => H6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_becomes_text_and_only_web_addresses_become_links() {
        let shown = html(
            "---\nid: x\n---\n# Title\n\n<script>alert(1)</script>\n\na <img src=x onerror=alert(1)> b\n\n\
             [go](javascript:alert(1)) [there](https://shop.example/) ![picture](https://evil.example/x.png)\n",
        );
        assert!(!shown.contains("<script") && !shown.contains("<img") && !shown.contains("javascript:"), "{shown}");
        assert!(shown.contains("&lt;script&gt;") && shown.contains("<h3>Title</h3>"), "{shown}");
        assert!(shown.contains("href=\"https://shop.example/\"") && !shown.contains("evil"), "{shown}");
        assert!(!shown.contains("id: x"), "{shown}");
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        let long = "ä".repeat(LIMIT);
        assert!(cut(&long).len() <= LIMIT);
    }
}
