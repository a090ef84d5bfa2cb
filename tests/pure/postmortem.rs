//! Post-mortems from whole logs: golden drafts, and files that people have edited.

use std::fs;
use std::path::{Path, PathBuf};

use chrono::{TimeDelta, TimeZone, Utc};
use runbook::domain::incident::event::{Actor, Event, IncidentEvent, Recorded, RunEvent};
use runbook::domain::incident::{Incident, fold};
use runbook::domain::report::postmortem::{Postmortem, Template, file_name, render};
use runbook::engine::report_files;
use runbook::engine::report_files::WrittenReport;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/postmortem").join(name)
}

fn log(name: &str) -> Vec<Recorded> {
    let text = fs::read_to_string(fixture(name)).expect("the fixture is there");
    text.lines().map(|line| serde_json::from_str(line).expect("a golden log can be read")).collect()
}

fn folded(log: &[Recorded]) -> Incident {
    fold(log).expect("a golden log folds").expect("it is not empty")
}

/// The log with one more event, a minute after the last.
fn with_event(mut log: Vec<Recorded>, by: Actor, event: Event) -> Vec<Recorded> {
    let last = log.last().expect("the log is not empty");
    let (seq, at) = (last.seq + 1, last.at + TimeDelta::minutes(1));
    log.push(Recorded { seq, at, by, event });
    log
}

fn with_note(log: Vec<Recorded>, text: &str) -> Vec<Recorded> {
    with_event(log, Actor::person("ada", "cli"), Event::Incident(IncidentEvent::NoteAdded { text: text.to_owned() }))
}

fn with_draft_written(log: Vec<Recorded>, WrittenReport { path, digest }: WrittenReport) -> Vec<Recorded> {
    with_event(log, Actor::Engine, Event::Incident(IncidentEvent::PostmortemWritten { path, digest }))
}

fn draft(log: &[Recorded]) -> String {
    render(&Postmortem::of(&folded(log), log), &Template::shipped()).expect("our template renders")
}

/// Compares with a golden file; if it differs, the text is written into the target directory.
fn golden(name: &str, text: &str) {
    let expected = fs::read_to_string(fixture(name)).unwrap_or_default();
    if expected != text {
        let beside = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::write(&beside, text).expect("the target directory is writable");
        panic!(
            "the draft differs from {}; compare {} and copy it there if it is better",
            fixture(name).display(),
            beside.display()
        );
    }
}

#[test]
fn a_golden_log_gives_the_golden_draft() {
    golden("p1.md", &draft(&log("p1.jsonl")));
}

#[test]
fn every_prefix_of_a_log_gives_a_draft() {
    let log = log("p1.jsonl");
    for length in 1..=log.len() {
        let draft = draft(&log[..length]);
        assert!(draft.starts_with("---\n") && draft.ends_with('\n'), "{length}");
    }
}

#[test]
fn a_draft_does_not_depend_on_earlier_drafts() {
    let log = log("p1.jsonl");
    let before = draft(&log);
    let written = WrittenReport { path: "x".to_owned(), digest: "00".to_owned() };
    assert_eq!(draft(&with_draft_written(log, written)), before);
}

/// A project directory into which drafts are written.
struct ReportDirectory(tempfile::TempDir);

impl ReportDirectory {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, log: &[Recorded]) -> WrittenReport {
        report_files::write(self.0.path(), &folded(log), log).expect("the draft is written")
    }

    fn file(&self, log: &[Recorded]) -> PathBuf {
        self.0.path().join("postmortems").join(file_name(&folded(log)))
    }

    fn edit(&self, log: &[Recorded], from: &str, to: &str) {
        let text = self.text(log);
        assert!(text.contains(from), "{from} is not in\n{text}");
        fs::write(self.file(log), text.replacen(from, to, 1)).unwrap();
    }

    fn text(&self, log: &[Recorded]) -> String {
        fs::read_to_string(self.file(log)).unwrap()
    }
}

#[test]
fn the_file_is_named_by_date_id_and_title() {
    let (reports, log) = (ReportDirectory::new(), log("p1.jsonl"));
    assert_eq!(reports.write(&log).path, "postmortems/2026-11-22-lusab-fidok-live-platform-down.md");
    assert_eq!(reports.text(&log), draft(&log));
    let only = fs::read_dir(reports.0.path().join("postmortems")).unwrap().count();
    assert_eq!(only, 1, "no temporary file is left");
}

#[test]
fn a_file_that_would_not_change_is_not_touched() {
    let (reports, log) = (ReportDirectory::new(), log("p1.jsonl"));
    let first = reports.write(&log);
    let old = Utc.with_ymd_and_hms(2020, 1, 1, 0, 0, 0).unwrap();
    fs::File::options().append(true).open(reports.file(&log)).unwrap().set_modified(old.into()).unwrap();
    assert_eq!(reports.write(&log), first);
    let log = with_draft_written(log, first);
    reports.write(&log);
    assert_eq!(fs::metadata(reports.file(&log)).unwrap().modified().unwrap(), std::time::SystemTime::from(old));
}

#[test]
fn the_text_of_a_person_stays_when_the_log_grows() {
    let (reports, log) = (ReportDirectory::new(), log("p1.jsonl"));
    let written = reports.write(&log);
    let log = with_draft_written(log, written);
    reports.edit(
        &log,
        "TODO: In three sentences: what happened, why, and what ended it?",
        "The gateway fell over.\nTwice.",
    );
    reports.edit(&log, "TODO: What helped, and should be kept?\n", "The board showed it at once.\n");
    let log = with_note(log, "called the provider");
    let written = reports.write(&log);
    let text = reports.text(&log);
    assert!(text.contains("\nThe gateway fell over.\nTwice.\n"), "{text}");
    assert!(text.contains("The board showed it at once."), "{text}");
    assert!(text.contains("| ada | note: called the provider |"), "{text}");
    assert!(!text.contains("<!-- runbook"), "there is no conflict\n{text}");
    // Again, with the edited file as the last written one.
    let log = with_note(with_draft_written(log, written), "they called back");
    reports.write(&log);
    let text = reports.text(&log);
    assert!(text.contains("Twice.") && text.contains("they called back") && !text.contains("<!-- runbook"), "{text}");
}

#[test]
fn a_conflict_between_a_person_and_the_log_shows_both() {
    let (reports, log) = (ReportDirectory::new(), log("p1.jsonl"));
    let open = log[..log.len() - 2].to_vec();
    let written = reports.write(&open);
    reports.edit(&open, "| Resolved | not recorded |", "| Resolved | about four |");
    reports.edit(&open, "resolved: null\n", "resolved: \"04:00\"\n");
    let mut later = with_draft_written(open, written);
    for event in &log[log.len() - 2..] {
        later = with_event(later, event.by.clone(), event.event.clone());
    }
    reports.write(&later);
    let text = reports.text(&later);
    assert!(text.contains("| Resolved | about four |"), "{text}");
    assert!(text.contains("resolved: \"04:00\"\n# runbook: the log says now: resolved: \"2026-"), "{text}");
    let after = text.split("<!-- runbook: the log says now").nth(1).expect("a marker");
    assert!(after.contains("| Resolved | 03:"), "{text}");
    let table: Vec<&str> =
        text.lines().skip_while(|line| !line.contains("| UTC |")).take_while(|line| !line.is_empty()).collect();
    assert!(table.iter().all(|line| line.starts_with('|')), "the table is intact\n{}", table.join("\n"));
}

#[test]
fn a_crash_between_file_and_event_is_not_taken_for_an_edit() {
    let (reports, log) = (ReportDirectory::new(), log("p1.jsonl"));
    let open = log[..log.len() - 4].to_vec();
    let written = reports.write(&open);
    let open = with_draft_written(open, written);
    let next = with_note(open, "one");
    reports.write(&next);
    let more = with_note(next, "two");
    reports.write(&more);
    assert_eq!(reports.text(&more), draft(&more));
}

#[test]
fn a_file_of_another_template_keeps_every_line() {
    let (reports, log) = (ReportDirectory::new(), log("p1.jsonl"));
    fs::create_dir_all(reports.file(&log).parent().unwrap()).unwrap();
    let mine = "# Mine\n\n## Summary\n\nWritten by hand.\n\n## Timeline\n\nShort.\n";
    fs::write(reports.file(&log), mine).unwrap();
    reports.write(&log);
    let text = reports.text(&log);
    let mut rest = text.as_str();
    for line in mine.lines() {
        rest = &rest[rest.find(line).unwrap_or_else(|| panic!("`{line}` is lost\n{text}")) + line.len()..];
    }
    assert!(text.contains("## Root cause"), "{text}");
}

#[test]
fn a_symbolic_link_is_not_followed() {
    let (reports, log) = (ReportDirectory::new(), log("p1.jsonl"));
    let outside = reports.0.path().join("outside.txt");
    fs::write(&outside, "precious").unwrap();
    fs::create_dir_all(reports.file(&log).parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(&outside, reports.file(&log)).unwrap();
    let error = report_files::write(reports.0.path(), &folded(&log), &log).unwrap_err();
    assert!(error.message.contains("symbolic link"), "{error}");
    assert_eq!(fs::read_to_string(outside).unwrap(), "precious");
}

#[test]
fn a_directory_that_leads_out_is_refused() {
    let (reports, log) = (ReportDirectory::new(), log("p1.jsonl"));
    let elsewhere = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), reports.0.path().join("postmortems")).unwrap();
    let error = report_files::write(reports.0.path(), &folded(&log), &log).unwrap_err();
    assert!(error.message.contains("leads out"), "{error}");
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
}

/// The log with another post-mortem policy in its estate.
fn with_policy(log: Vec<Recorded>, policy: serde_json::Value) -> Vec<Recorded> {
    log.into_iter()
        .map(|mut with_draft_written| {
            if let Event::Run(RunEvent::Started { estate, .. }) = &mut with_draft_written.event {
                estate.postmortem = serde_json::from_value(policy.clone()).unwrap();
            }
            with_draft_written
        })
        .collect()
}

#[test]
fn a_project_may_have_its_own_template_and_errors_name_its_line() {
    let reports = ReportDirectory::new();
    let log = with_policy(log("p1.jsonl"), serde_json::json!({"template": "mine.jinja", "directory": "papers/ours"}));
    fs::write(
        reports.0.path().join("mine.jinja"),
        "# {{ title }}\n{% for line in timeline %}\n* {{ line.text }}\n{% endfor %}\n",
    )
    .unwrap();
    let written = reports.write(&log);
    assert!(written.path.starts_with("papers/ours/2026-11-22-"), "{}", written.path);
    let text = fs::read_to_string(reports.0.path().join(written.path)).unwrap();
    assert!(text.starts_with("# Live platform down\n* opened P1 in production: Live platform down"), "{text}");

    fs::write(reports.0.path().join("mine.jinja"), "# {{ title }}\n\n{{ titel }}\n").unwrap();
    let error = report_files::write(reports.0.path(), &folded(&log), &log).unwrap_err();
    assert!(error.message.starts_with("mine.jinja:3: "), "{error}");
}

#[test]
fn a_policy_directory_stays_inside_the_project() {
    let reports = ReportDirectory::new();
    let log = with_policy(log("p1.jsonl"), serde_json::json!({"directory": "../elsewhere"}));
    let error = report_files::write(reports.0.path(), &folded(&log), &log).unwrap_err();
    assert!(error.message.contains("leads out"), "{error}");
}
