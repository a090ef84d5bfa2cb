//! The language and the shipped files agree: examples of kinds, runbooks, the schema and the manual.

use std::path::{Path, PathBuf};

use runbook::actions;
use runbook::domain::config::estate::Estate;
use runbook::domain::config::estate_check;
use runbook::domain::config::yaml::reader;
use runbook::domain::core::diagnostic;
use runbook::domain::core::diagnostic::{Source, Style};
use runbook::domain::runbook::check::{self, CheckContext};
use runbook::domain::runbook::{json_schema, reference};

fn read(path: &Path) -> Source {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Source::new(path.display().to_string(), text)
}

fn estate(directory: &Path) -> Estate {
    let source = read(&directory.join("estate.yaml"));
    estate_check::check(&source)
        .unwrap_or_else(|problems| panic!("{}", diagnostic::render(&source, &problems, Style::Plain)))
}

/// The files of the runbooks in a directory.
fn runbooks(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .map(|entry| entry.expect("a file can be listed").path())
        .filter(|path| {
            path.extension().is_some_and(|end| end == "yaml") && path.file_stem().is_some_and(|stem| stem != "estate")
        })
        .collect();
    files.sort();
    files
}

/// Fails if the checker or the schema finds a problem in the runbooks and the estate of a directory.
fn check_project(directory: &Path) {
    let estate = estate(directory);
    let files = runbooks(directory);
    let ids: Vec<String> = files.iter().filter_map(|file| Some(file.file_stem()?.to_str()?.to_owned())).collect();
    let forms = actions::forms();
    let context = CheckContext { estate: Some(&estate), forms: &forms, runbooks: &ids, peers: &[] };
    let mut rendered = String::new();
    for path in &files {
        let source = read(path);
        if let Err(problems) = check::check(&source, &context) {
            rendered.push_str(&diagnostic::render(&source, &problems, Style::Plain));
        }
    }
    assert!(rendered.is_empty(), "\n{rendered}");
    let validator = jsonschema::draft202012::new(&json_schema::runbook(&forms)).expect("the schema compiles");
    for path in &files {
        let instance = reader::read(&read(path)).expect("it is YAML").to_json();
        let errors: Vec<String> =
            validator.iter_errors(&instance).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", path.display());
    }
    let instance = reader::read(&read(&directory.join("estate.yaml"))).expect("it is YAML").to_json();
    jsonschema::draft202012::new(&json_schema::estate())
        .expect("the schema compiles")
        .validate(&instance)
        .unwrap_or_else(|error| panic!("{error}"));
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_shipped_runbooks_have_no_problem() {
    check_project(&root().join("runbooks"));
}

/// The demo's estate is generated when it starts, so its runbook is checked without an estate.
#[test]
fn the_runbook_of_the_demo_has_no_problem() {
    let source = read(&root().join("src/surface/demo/files/p1.yaml"));
    let forms = actions::forms();
    let context = CheckContext { estate: None, forms: &forms, runbooks: &["p1".to_owned()], peers: &[] };
    if let Err(problems) = check::check(&source, &context) {
        panic!("\n{}", diagnostic::render(&source, &problems, Style::Plain));
    }
}

#[test]
fn every_kind_accepts_its_own_example() {
    let forms = actions::forms();
    let estate = estate(&root().join("runbooks"));
    let mut rendered = String::new();
    for form in &forms {
        let example = form.example.replace('\n', "\n    ");
        let text = format!(
            "runbook: x\ntitle: x\nseverity: p4\nparams:\n  service: {{ type: service }}\nsteps:\n  - id: example\n    effect: repeatable\n    verify: {{ set: {{ a: 1 }} }}\n    {example}\n"
        );
        let source = Source::new("x.yaml", text);
        let context = CheckContext { estate: Some(&estate), forms: &forms, runbooks: &[], peers: &[] };
        let problems = check::check(&source, &context).err().unwrap_or_default();
        // An example has no runbook or estate, so unknown names and the effect class are not problems.
        let problems: Vec<_> = problems
            .into_iter()
            .filter(|problem| {
                !["there is no", "is not in the estate", "matches no unit", "the effect of"]
                    .iter()
                    .any(|known| problem.message.contains(known))
            })
            .collect();
        if !problems.is_empty() {
            rendered.push_str(&diagnostic::render(&source, &problems, Style::Plain));
        }
    }
    assert!(rendered.is_empty(), "\n{rendered}");
}

#[test]
fn the_manual_of_the_language_is_up_to_date() {
    let current = std::fs::read_to_string(root().join("docs/language.md")).unwrap_or_default();
    let generated = reference::language_reference(&actions::forms());
    let written = Path::new(env!("CARGO_TARGET_TMPDIR")).join("language.md");
    std::fs::write(&written, &generated).expect("the page can be written");
    assert!(current == generated, "docs/language.md is out of date: `cp {} docs/language.md`", written.display());
}
