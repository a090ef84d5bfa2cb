//! A draft made again without losing what a person has written into it.
//!
//! With the text that was generated before, this is a three-way merge: what only the log has changed is brought up to
//! date, what only a person has changed stays. Where both have changed the same lines, the person's stay, and the
//! newer facts follow under a marker. Without the text that was generated before (the template has changed since, say)
//! every line of the file stays, and what the new draft has more follows under a marker at the end of its section.
//!
//! **Invariant:** a line that a person has written is never lost, changed or moved before another one of theirs.

use similar::{MergeResolution, TextMerge};

/// What stands above facts that do not agree with what a person wrote.
const NEWER: &str = "<!-- runbook: the log says now what follows; take over what is right and delete this line -->";

/// What stands above facts that an older draft could not be merged with.
const MORE: &str = "<!-- runbook: the log has this as well; take over what is right and delete this line -->";

/// What stands before facts in the front matter, where HTML is no comment.
const NEWER_YAML: &str = "# runbook: the log says now: ";

/// A draft with what a person has written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
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
            MergeResolution::Conflict => conflicts += settle(&mut paper, &base, &ours, &theirs),
            _ => paper.lines(&ours),
        }
    }
    Merged { text: paper.finish(), conflicts }
}

/// Both sides have changed these lines; in how many places they disagree.
fn settle(paper: &mut Paper, base: &[&str], ours: &[&str], theirs: &[&str]) -> usize {
    if base.len() == ours.len() && base.len() == theirs.len() {
        return line_by_line(paper, base, ours, theirs);
    }
    // Lines that the log has only added before or after the ones that a person changed contradict nobody.
    if let Some(added) = theirs.strip_suffix(base) {
        paper.lines(added);
        paper.lines(ours);
        return 0;
    }
    paper.lines(ours);
    if let Some(added) = theirs.strip_prefix(base) {
        paper.lines(added);
        return 0;
    }
    let news: Vec<&str> =
        theirs.iter().copied().filter(|line| !ours.contains(line) && !line.trim().is_empty()).collect();
    // What the log no longer says, and a person has edited, is simply the person's.
    if !news.is_empty() {
        paper.marked(NEWER, &news);
    }
    usize::from(!news.is_empty())
}

/// As many lines on each side: neighbours that were changed by different sides are no conflict.
fn line_by_line(paper: &mut Paper, base: &[&str], ours: &[&str], theirs: &[&str]) -> usize {
    let mut conflicts = 0;
    for ((base, ours), theirs) in base.iter().zip(ours).zip(theirs) {
        let line = if ours == base { theirs } else { ours };
        paper.lines(&[line]);
        if line != theirs && base != theirs {
            conflicts += 1;
            paper.marked(NEWER, &[theirs]);
        }
    }
    conflicts
}

/// Section by section: all of the file stays, and what the new draft has more follows under a marker.
fn by_section(on_disk: &str, new: &str) -> Merged {
    let fresh = sections(new);
    let mut paper = Paper::default();
    let mut conflicts = 0;
    let mut known = vec![""];
    for section in sections(on_disk) {
        paper.lines(&section.lines);
        // What stands before the first section is told by the sections too.
        let repeated = known.contains(&section.heading);
        known.push(section.heading);
        if repeated {
            continue;
        }
        let counterparts = fresh.iter().filter(|other| other.heading == section.heading);
        let more: Vec<&str> = counterparts.flat_map(|other| more(other, &section)).collect();
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
    /// Whether a marked block has just ended, and must not run into what follows.
    after_block: bool,
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
        if std::mem::take(&mut self.after_block) && !line.trim().is_empty() {
            self.text.push('\n');
        }
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
            self.after_block |= !self.text.ends_with("\n\n");
            self.line(&format!("{marker}\n"));
            self.line("\n");
            for line in lines {
                self.line(&line);
            }
            self.after_block = true;
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BASE: &str = "---\nid: a\nresolved: null\ndue: null\n---\n\n# T\n\n## Summary\n\nTODO: What?\n\n## Timeline\n\n\
        | Time | What |\n|---|---|\n| 1 | a |\n| 2 | b |\n\n## End\n";

    #[test]
    fn neighbours_changed_by_different_sides_are_no_conflict() {
        let mine = BASE.replace("resolved: null", "resolved: 4");
        let new = BASE.replace("due: null", "due: 9");
        let merged = merge(Some(BASE), &mine, &new);
        assert!(merged.text.starts_with("---\nid: a\nresolved: 4\ndue: 9\n---\n"), "{}", merged.text);
        assert_eq!(merged.conflicts, 0);
    }

    #[test]
    fn rows_are_added_to_a_table_whose_last_row_was_edited() {
        let mine = BASE.replace("| 2 | b |", "| 2 | b, as it turned out |");
        let new = BASE.replace("| 2 | b |\n", "| 2 | b |\n| 3 | c |\n");
        let merged = merge(Some(BASE), &mine, &new);
        assert!(merged.text.contains("| 2 | b, as it turned out |\n| 3 | c |\n"), "{}", merged.text);
        assert_eq!(merged.conflicts, 0);
    }

    #[test]
    fn a_disagreement_in_a_table_is_told_below_it() {
        let mine = BASE.replace("| 1 | a |", "| 1 | mine |");
        let new = BASE.replace("| 1 | a |", "| 1 | theirs |");
        let merged = merge(Some(BASE), &mine, &new);
        let expected = format!("| 1 | mine |\n| 2 | b |\n\n{NEWER}\n\n| 1 | theirs |\n\n## End\n");
        assert!(merged.text.ends_with(&expected), "{}", merged.text);
        assert_eq!(merge(Some(&new), &merged.text, &new).text, merged.text, "said once");
    }

    #[test]
    fn line_ends_of_an_editor_are_no_edit_and_stay() {
        let mine = BASE.replace('\n', "\r\n").replace("TODO: What?", "This.");
        let new = BASE.replace("| 2 | b |\n", "| 2 | b |\n| 3 | c |\n");
        let merged = merge(Some(BASE), &mine, &new);
        assert_eq!(merged.text, new.replace("TODO: What?", "This.").replace('\n', "\r\n"));
    }

    #[test]
    fn without_the_older_text_every_line_stays_and_facts_follow() {
        let mine = "## Summary\n\nMine.\n\n## Timeline\n\n| Time | What |\n|---|---|\n| 1 | a |\n\n## Mine too\n";
        let merged = merge(None, mine, BASE);
        let expected = format!("| 1 | a |\n\n{MORE}\n\n| 2 | b |\n\n## Mine too\n");
        assert!(merged.text.contains(&expected), "{}", merged.text);
        assert!(merged.text.contains("## Mine too\n") && merged.text.contains("## End\n"), "{}", merged.text);
    }

    fn is_subsequence(lines: &[&str], of: &str) -> bool {
        let mut rest = of.lines();
        lines.iter().all(|line| rest.any(|other| other == *line))
    }

    /// A text whose lines are partly alike, as those of drafts are.
    fn lines() -> impl Strategy<Value = Vec<String>> {
        let line = prop_oneof![
            "[|#`-]{0,3}[a-c ]{0,3}",
            Just("---".to_owned()),
            Just("```".to_owned()),
            Just("## A".to_owned())
        ];
        prop::collection::vec(line, 0..20)
    }

    /// What becomes of lines when somebody replaces, removes and adds some, each new one with `mark`.
    fn edited(lines: &[String], edits: &[(usize, u8)], mark: &str) -> Vec<String> {
        let mut edited = lines.to_vec();
        for (number, (at, how)) in edits.iter().enumerate() {
            let at = at % (edited.len() + 1);
            let line = format!("{}{mark}{number}", if how % 2 == 0 { "| " } else { "" });
            match how % 4 {
                0 | 1 if at < edited.len() => edited[at] = line,
                2 if at < edited.len() => drop(edited.remove(at)),
                _ => edited.insert(at, line),
            }
        }
        edited
    }

    fn joined(lines: &[String]) -> String {
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    proptest! {
        #[test]
        fn what_a_person_wrote_is_never_lost_and_every_new_fact_arrives(
            base in lines(),
            mine in prop::collection::vec((0..30_usize, 0..8_u8), 1..8),
            theirs in prop::collection::vec((0..30_usize, 0..8_u8), 0..8),
        ) {
            let (mine, theirs) = (edited(&base, &mine, "me"), edited(&base, &theirs, "log"));
            let (base, on_disk, new) = (joined(&base), joined(&mine), joined(&theirs));
            prop_assume!(!on_disk.trim().is_empty());
            for previous in [Some(base.as_str()), None] {
                let merged = merge(previous, &on_disk, &new);
                let written: Vec<&str> = mine.iter().map(String::as_str).filter(|line| line.contains("me")).collect();
                prop_assert!(is_subsequence(&written, &merged.text), "{previous:?}\n{}", merged.text);
                for fact in theirs.iter().filter(|line| previous.is_some() && line.contains("log")) {
                    prop_assert!(merged.text.contains(fact.as_str()), "{fact}\n{}", merged.text);
                }
                let again = merge(Some(&new), &merged.text, &new);
                prop_assert_eq!(&again.text, &merged.text);
            }
        }

        #[test]
        fn any_file_is_kept_whatever_it_holds(on_disk in "\\PC{0,40}(\r?\n\\PC{0,20}){0,6}", new in "[a-z\n#|]{0,60}") {
            prop_assume!(!on_disk.trim().is_empty());
            let merged = merge(None, &on_disk, &new);
            let lines: Vec<&str> = on_disk.lines().collect();
            prop_assert!(is_subsequence(&lines, &merged.text), "{}", merged.text);
        }
    }
}
