//! A draft made again without losing what a person has written into it.
//!
//! With the text that was generated before, this is a three-way merge: what only the log has changed is brought up to
//! date, what only a person has changed stays. Where both have changed the same lines, the person's stay, and the
//! newer facts follow under a marker. Without the text that was generated before (the template has changed since, say)
//! every line of the file stays, and what the new draft has more follows under a marker at the end of its section.
//!
//! **Invariant:** a line that a person has written is never lost, changed or moved before another one of theirs.

use similar::{MergeRegion, MergeResolution, TextMerge};

/// What stands above facts that do not agree with what a person wrote.
const NEWER: &str = "<!-- runbook: the log says now what follows; take over what is right and delete this line -->";

/// What stands above facts that an older draft could not be merged with.
const MORE: &str = "<!-- runbook: the log has this as well; take over what is right and delete this line -->";

/// What stands before facts in the front matter, where HTML is no comment.
const NEWER_YAML: &str = "# runbook: the log says now: ";

/// A draft with what a person has written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The text.
    pub text: String,
    /// In how many places a person and the log do not agree.
    pub conflicts: usize,
}

/// Brings a file up to date. `previous` is the text that was generated when it was last written, `on_disk` what it
/// has become since, `new` what is generated now.
pub fn merge(previous: Option<&str>, on_disk: &str, new: &str) -> Merged {
    if on_disk == new || on_disk.trim().is_empty() {
        return Merged { text: new.to_owned(), conflicts: 0 };
    }
    if let Some(unix) = unix_lines(on_disk) {
        // An editor that has changed the ends of all lines has not edited anything, and keeps its ends.
        let merged = merge(previous, &unix, new);
        return Merged { text: merged.text.replace('\n', "\r\n"), ..merged };
    }
    match previous {
        Some(previous) if previous == on_disk => Merged { text: new.to_owned(), conflicts: 0 },
        Some(previous) => three_way(previous, on_disk, new),
        None => by_section(on_disk, new),
    }
}

/// The text with line feeds alone, when every line ends as on Windows.
fn unix_lines(text: &str) -> Option<String> {
    let unix = text.replace("\r\n", "\n");
    (unix.len() < text.len() && !unix.contains('\r') && unix.replace('\n', "\r\n") == text).then_some(unix)
}

fn three_way(previous: &str, on_disk: &str, new: &str) -> Merged {
    let merge = TextMerge::from_lines(previous, on_disk, new);
    let mut paper = Paper::default();
    let mut conflicts = 0;
    for region in merge.regions() {
        let base: Vec<&str> = region.base_range().filter_map(|at| merge.base_line(at)).collect();
        let ours: Vec<&str> = region.ours_range().filter_map(|at| merge.ours_line(at)).collect();
        let theirs: Vec<&str> = region.theirs_range().filter_map(|at| merge.theirs_line(at)).collect();
        match region.resolution() {
            MergeResolution::Theirs => paper.lines(&theirs),
            MergeResolution::Conflict => conflicts += usize::from(settle(&mut paper, region, &base, &ours, &theirs)),
            _ => paper.lines(&ours),
        }
    }
    Merged { text: paper.finish(), conflicts }
}

/// Both sides have changed these lines; whether they disagree.
fn settle(paper: &mut Paper, region: &MergeRegion, base: &[&str], ours: &[&str], theirs: &[&str]) -> bool {
    // Lines that the log has only added before or after the ones that a person changed contradict nobody.
    if let Some(added) = theirs.strip_suffix(base) {
        paper.lines(added);
        paper.lines(ours);
        return false;
    }
    paper.lines(ours);
    if let Some(added) = theirs.strip_prefix(base) {
        paper.lines(added);
        return false;
    }
    // What the log no longer says, and a person has edited, is simply the person's.
    let news: Vec<&str> = theirs.iter().copied().filter(|line| !ours.contains(line)).collect();
    if news.iter().all(|line| line.trim().is_empty()) {
        return !region.theirs_range().is_empty();
    }
    paper.marked(NEWER, &news);
    true
}

/// Section by section: all of the file stays, and what the new draft has more follows under a marker.
fn by_section(on_disk: &str, new: &str) -> Merged {
    let fresh = sections(new);
    let mut paper = Paper::default();
    let mut conflicts = 0;
    let mut known = Vec::new();
    for section in sections(on_disk) {
        paper.lines(&section.lines);
        known.push(section.heading);
        let Some(counterpart) = fresh.iter().find(|other| other.heading == section.heading) else { continue };
        let more = more(counterpart, &section);
        if !more.is_empty() {
            conflicts += 1;
            paper.marked(MORE, &more);
        }
    }
    for section in fresh.iter().filter(|section| !known.contains(&section.heading)) {
        paper.break_line();
        paper.lines(&section.lines);
    }
    Merged { text: paper.finish(), conflicts }
}

/// The lines of a new section that are worth telling: facts that the old one does not have.
fn more<'a>(new: &Section<'a>, old: &Section<'_>) -> Vec<&'a str> {
    let has = |line: &str| old.lines.iter().any(|other| other.trim_end() == line.trim_end());
    let is_fact = |line: &str| !line.trim().is_empty() && !line.contains("TODO") && !line.starts_with("|--");
    new.lines.iter().copied().filter(|line| is_fact(line) && !has(line)).collect()
}

#[derive(Debug)]
struct Section<'a> {
    heading: &'a str,
    lines: Vec<&'a str>,
}

/// A text cut before each `## ` heading that is not inside a fenced block.
fn sections(text: &str) -> Vec<Section<'_>> {
    let mut sections = vec![Section { heading: "", lines: Vec::new() }];
    let mut fence: Option<usize> = None;
    for line in text.split_inclusive('\n') {
        let marks = line.len() - line.trim_start_matches('`').len();
        match fence {
            Some(open) if marks >= open && line[marks..].trim().is_empty() => fence = None,
            None if marks >= 3 => fence = Some(marks),
            None if line.starts_with("## ") => {
                sections.push(Section { heading: line.trim_end(), lines: Vec::new() });
            }
            Some(_) | None => {}
        }
        if let Some(section) = sections.last_mut() {
            section.lines.push(line);
        }
    }
    sections
}

/// A text that is being put together, with markers where they do not break what they stand in.
#[derive(Debug, Default)]
struct Paper {
    text: String,
    /// Whether the front matter is open: it is between the first line and the next `---`.
    front: bool,
    /// Blocks that wait for the end of the table that they belong to.
    waiting: Vec<(&'static str, Vec<String>)>,
}

impl Paper {
    fn lines(&mut self, lines: &[&str]) {
        for line in lines {
            if !self.waiting.is_empty() && !line.starts_with('|') {
                self.release();
            }
            self.line(line);
        }
    }

    fn line(&mut self, line: &str) {
        self.break_line();
        let is_rule = line.trim_end() == "---";
        self.front = if self.text.is_empty() { is_rule } else { self.front && !is_rule };
        self.text.push_str(line);
    }

    /// Puts facts under a marker: in the front matter as comments, after a table, or right here.
    fn marked(&mut self, marker: &'static str, lines: &[&str]) {
        if self.front {
            for line in lines {
                self.line(&format!("{NEWER_YAML}{}\n", line.trim_end()));
            }
            return;
        }
        self.waiting.push((marker, lines.iter().map(|line| (*line).to_owned()).collect()));
        let in_table = self.text.lines().next_back().is_some_and(|line| line.starts_with('|'));
        if !in_table {
            self.release();
        }
    }

    fn release(&mut self) {
        for (marker, lines) in std::mem::take(&mut self.waiting) {
            self.line("\n");
            self.line(&format!("{marker}\n"));
            self.line("\n");
            for line in lines {
                self.line(&line);
            }
            self.break_line();
        }
    }

    /// Ends a last line that has no end.
    fn break_line(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.push('\n');
        }
    }

    fn finish(mut self) -> String {
        self.release();
        self.text
    }
}
