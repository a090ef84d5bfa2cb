//! The merge of a new draft into a file that a person has edited.
//!
//! With the previously generated text, it is a three-way merge. Lines that only the log has changed are updated; lines that only
//! a person has changed stay. Where both have changed the same lines, the person's lines stay, and the new facts follow under a
//! marker. Without the previous text, for example because the template has changed, every line of the file stays, and the
//! additional lines of each section of the new draft follow that section under a marker.
//!
//! **Invariant:** a person's line is never lost, changed, or moved before another of the person's lines.

use similar::{MergeResolution, TextMerge};

/// The marker above facts that conflict with a person's lines.
const NEWER: &str = "<!-- runbook: the log says now what follows; take over what is right and delete this line -->";

/// The marker above facts that a section of the file lacks.
const MORE: &str = "<!-- runbook: the log has this as well; take over what is right and delete this line -->";

/// The marker before facts in the front matter, where an HTML comment is not valid.
const NEWER_YAML: &str = "# runbook: the log says now: ";

/// The merged draft.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    pub text: String,
    /// The number of places at which the person's lines and the log conflict.
    pub conflicts: usize,
}

/// Merges `new`, the generated draft, into `on_disk`, the file. `previous` is the draft that was generated when the file was last
/// written.
pub fn merge(previous: Option<&str>, on_disk: &str, new: &str) -> Merged {
    if on_disk == new || on_disk.trim().is_empty() {
        return Merged { text: new.to_owned(), conflicts: 0 };
    }
    if let Some(unix) = unix_lines(on_disk) {
        // Windows line ends of the whole file are no edit, and are preserved.
        let merged = merge(previous, &unix, new);
        return Merged { text: merged.text.replace('\n', "\r\n"), ..merged };
    }
    match previous {
        Some(previous) if previous == on_disk => Merged { text: new.to_owned(), conflicts: 0 },
        Some(previous) => three_way(previous, on_disk, new),
        None => by_section(on_disk, new),
    }
}

/// The text with Unix line ends, if every line has a Windows line end.
fn unix_lines(text: &str) -> Option<String> {
    let unix = text.replace("\r\n", "\n");
    (unix.len() < text.len() && !unix.contains('\r') && unix.replace('\n', "\r\n") == text).then_some(unix)
}

fn three_way(previous: &str, on_disk: &str, new: &str) -> Merged {
    let merge = TextMerge::from_lines(previous, on_disk, new);
    let mut writer = MergeWriter::default();
    let mut conflicts = 0;
    for region in merge.regions() {
        let base: Vec<&str> = region.base_range().filter_map(|at| merge.base_line(at)).collect();
        let ours: Vec<&str> = region.ours_range().filter_map(|at| merge.ours_line(at)).collect();
        let theirs: Vec<&str> = region.theirs_range().filter_map(|at| merge.theirs_line(at)).collect();
        match region.resolution() {
            MergeResolution::Theirs => writer.lines(&theirs),
            MergeResolution::Conflict => conflicts += merge_conflict(&mut writer, &base, &ours, &theirs),
            _ => writer.lines(&ours),
        }
    }
    Merged { text: writer.finish(), conflicts }
}

/// Merges lines that both sides have changed. Returns the number of conflicts.
fn merge_conflict(writer: &mut MergeWriter, base: &[&str], ours: &[&str], theirs: &[&str]) -> usize {
    if base.len() == ours.len() && base.len() == theirs.len() {
        return line_by_line(writer, base, ours, theirs);
    }
    // Lines that the log has only added before or after the person's lines are no conflict.
    if let Some(added) = theirs.strip_suffix(base) {
        writer.lines(added);
        writer.lines(ours);
        return 0;
    }
    writer.lines(ours);
    if let Some(added) = theirs.strip_prefix(base) {
        writer.lines(added);
        return 0;
    }
    let new: Vec<&str> =
        theirs.iter().copied().filter(|line| !ours.contains(line) && !line.trim().is_empty()).collect();
    // If the log has only removed lines that the person edited, there is no conflict.
    if !new.is_empty() {
        writer.marked(NEWER, &new);
    }
    usize::from(!new.is_empty())
}

/// Merges the same number of lines on each side. Adjacent lines that different sides have changed are no conflict.
fn line_by_line(writer: &mut MergeWriter, base: &[&str], ours: &[&str], theirs: &[&str]) -> usize {
    let mut conflicts = 0;
    for ((base, ours), theirs) in base.iter().zip(ours).zip(theirs) {
        let line = if ours == base { theirs } else { ours };
        writer.lines(&[line]);
        if line != theirs && base != theirs {
            conflicts += 1;
            writer.marked(NEWER, &[theirs]);
        }
    }
    conflicts
}

/// Merges section by section: the file stays, and the additional lines of each new section follow under a marker.
fn by_section(on_disk: &str, new: &str) -> Merged {
    let new_sections = sections(new);
    let mut writer = MergeWriter::default();
    let mut conflicts = 0;
    let mut known = vec![""];
    for section in sections(on_disk) {
        writer.lines(&section.lines);
        // The text before the first heading, and a heading that occurs again, get no additions.
        let repeated = known.contains(&section.heading);
        known.push(section.heading);
        if repeated {
            continue;
        }
        let counterparts = new_sections.iter().filter(|other| other.heading == section.heading);
        let added: Vec<&str> = counterparts.flat_map(|other| additional_facts(other, &section)).collect();
        if !added.is_empty() {
            conflicts += 1;
            writer.marked(MORE, &added);
        }
    }
    for section in new_sections.iter().filter(|section| !known.contains(&section.heading)) {
        writer.break_line();
        writer.lines(&section.lines);
    }
    Merged { text: writer.finish(), conflicts }
}

/// The facts of a new section that the old section lacks.
fn additional_facts<'a>(new: &Section<'a>, old: &Section<'_>) -> Vec<&'a str> {
    let has = |line: &str| old.lines.iter().any(|other| other.trim_end() == line.trim_end());
    let is_fact = |line: &str| !line.trim().is_empty() && !line.contains("TODO") && !line.starts_with("|--");
    new.lines.iter().copied().filter(|line| is_fact(line) && !has(line)).collect()
}

#[derive(Debug)]
struct Section<'a> {
    heading: &'a str,
    lines: Vec<&'a str>,
}

/// The sections of a text: it is cut before each `## ` heading outside fenced blocks.
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

/// The merged text. It places markers where they do not break tables and front matter.
#[derive(Debug, Default)]
struct MergeWriter {
    text: String,
    /// Whether the end of the text is in the front matter, between a first line `---` and the next.
    in_front_matter: bool,
    /// Whether a marked block has just ended, so that an empty line must follow.
    after_block: bool,
    /// Blocks that are written after the end of the present table.
    waiting: Vec<(&'static str, Vec<String>)>,
}

impl MergeWriter {
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
        self.in_front_matter = if self.text.is_empty() { is_rule } else { self.in_front_matter && !is_rule };
        self.text.push_str(line);
    }

    /// Writes facts under a marker: in the front matter as comments, in a table after its end, otherwise here.
    fn marked(&mut self, marker: &'static str, lines: &[&str]) {
        if self.in_front_matter {
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

    /// Writes the waiting blocks.
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

    /// Ends the last line if it has no line end.
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
    fn adjacent_lines_changed_by_different_sides_are_no_conflict() {
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
    fn a_conflict_in_a_table_is_shown_below_the_table() {
        let mine = BASE.replace("| 1 | a |", "| 1 | mine |");
        let new = BASE.replace("| 1 | a |", "| 1 | theirs |");
        let merged = merge(Some(BASE), &mine, &new);
        let expected = format!("| 1 | mine |\n| 2 | b |\n\n{NEWER}\n\n| 1 | theirs |\n\n## End\n");
        assert!(merged.text.ends_with(&expected), "{}", merged.text);
        assert_eq!(merge(Some(&new), &merged.text, &new).text, merged.text, "the conflict is shown once");
    }

    #[test]
    fn windows_line_ends_are_no_edit_and_are_preserved() {
        let mine = BASE.replace('\n', "\r\n").replace("TODO: What?", "This.");
        let new = BASE.replace("| 2 | b |\n", "| 2 | b |\n| 3 | c |\n");
        let merged = merge(Some(BASE), &mine, &new);
        assert_eq!(merged.text, new.replace("TODO: What?", "This.").replace('\n', "\r\n"));
    }

    #[test]
    fn without_the_previous_text_every_line_stays_and_facts_follow() {
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

    /// Lines of which several are equal, as in drafts.
    fn lines() -> impl Strategy<Value = Vec<String>> {
        let line = prop_oneof![
            "[|#`-]{0,3}[a-c ]{0,3}",
            Just("---".to_owned()),
            Just("```".to_owned()),
            Just("## A".to_owned())
        ];
        prop::collection::vec(line, 0..20)
    }

    /// The lines after some are replaced, removed and added; each new line contains `mark`.
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
        fn no_line_of_a_person_is_lost_and_every_new_fact_is_added(
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
        fn every_line_of_any_file_is_preserved(on_disk in "\\PC{0,40}(\r?\n\\PC{0,20}){0,6}", new in "[a-z\n#|]{0,60}") {
            prop_assume!(!on_disk.trim().is_empty());
            let merged = merge(None, &on_disk, &new);
            let lines: Vec<&str> = on_disk.lines().collect();
            prop_assert!(is_subsequence(&lines, &merged.text), "{}", merged.text);
        }
    }
}
