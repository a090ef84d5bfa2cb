//! The language and the shipped files agree: forms and structs of kinds, their examples, runbooks, the schema and the manual.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use runbook::actions;
use runbook::actions::{Context, Kind, Progress, Secrets};
use runbook::clock::SystemClock;
use runbook::domain::config::estate::{Environment, Estate};
use runbook::domain::config::estate_check;
use runbook::domain::config::kind_schema::{Field, Shape};
use runbook::domain::config::yaml::reader;
use runbook::domain::core::diagnostic;
use runbook::domain::core::diagnostic::{Source, Style};
use runbook::domain::core::id::{RunId, StepKey};
use runbook::domain::redact::Redactor;
use runbook::domain::runbook::check::{self, CheckContext};
use runbook::domain::runbook::{json_schema, reference};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

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

/// A key that no kind has.
const UNKNOWN: &str = "no_such_key";

/// The context of an action in an estate without entries.
fn empty_context() -> Context {
    Context {
        place: (RunId(1), StepKey::main("step")),
        environment_name: "production".to_owned(),
        environment: Arc::new(Environment::default()),
        estate: Arc::new(Estate::default()),
        clock: Arc::new(SystemClock),
        secrets: Arc::new(Secrets::default()),
        redactor: Arc::new(Redactor::default()),
        base_environment: Arc::new(BTreeMap::new()),
        directory: PathBuf::from("/"),
        progress: Progress::none(),
        cancel: CancellationToken::new(),
        deadline: None,
    }
}

/// The keys that a kind's struct has: serde's error about an unknown key lists them in backticks.
async fn keys_of_struct(kind: &dyn Kind, spec: Value) -> BTreeSet<String> {
    let outcome = kind.perform(&spec, &empty_context()).await;
    let error = format!("unknown field `{UNKNOWN}`, expected ");
    let (_, expected) =
        outcome.summary.split_once(error.as_str()).unwrap_or_else(|| panic!("{}: {outcome:?}", kind.form().name));
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn keys_of_form<'a>(fields: impl IntoIterator<Item = &'a Field>) -> BTreeSet<String> {
    fields.into_iter().map(|field| field.name.to_owned()).collect()
}

/// `set` has no struct, and `notify` reads its struct only when it describes the change.
#[tokio::test]
async fn the_form_and_the_struct_of_a_kind_have_the_same_keys() {
    for &kind in actions::KINDS {
        let form = kind.form();
        // These kinds remove the keys below before they read their struct.
        let removed = match form.name {
            "set" | "notify" => continue,
            "command" => json!({ "argv": [] }),
            "shell" => json!({ "script": "", "shell": "sh" }),
            _ => json!({}),
        };
        let mut keys: BTreeSet<String> =
            removed.as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect();
        let mut spec = removed;
        spec[UNKNOWN] = Value::Null;
        keys.extend(keys_of_struct(kind, spec).await);
        let fields = || form.verbs.iter().map(|verb| &verb.field).chain(form.fields);
        assert_eq!(keys, keys_of_form(fields()), "{}", form.name);
        for field in fields() {
            let Shape::Record(inner) = field.shape else { continue };
            let spec = json!({ field.name: { UNKNOWN: null } });
            assert_eq!(keys_of_struct(kind, spec).await, keys_of_form(inner), "{}: {}", form.name, field.name);
        }
    }
}

#[test]
fn notify_reads_the_keys_of_its_form_and_no_other() {
    let notify = actions::kind("notify").expect("the kind is in the list");
    let mut spec = json!({ "to": ["ops"], "message": "Search is down", "meets": "notify" });
    let keys: BTreeSet<String> = spec.as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect();
    assert_eq!(keys, keys_of_form(notify.form().fields));
    assert_eq!(notify.describe(&spec).place, "ops");
    spec[UNKNOWN] = Value::Null;
    assert_eq!(notify.describe(&spec).place, "");
}

#[test]
fn the_manual_of_the_language_is_up_to_date() {
    let current = std::fs::read_to_string(root().join("docs/language.md")).unwrap_or_default();
    let generated = reference::language_reference(&actions::forms());
    let written = Path::new(env!("CARGO_TARGET_TMPDIR")).join("language.md");
    std::fs::write(&written, &generated).expect("the page can be written");
    assert!(current == generated, "docs/language.md is out of date: `cp {} docs/language.md`", written.display());
}
