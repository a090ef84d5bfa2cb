//! Transcripts of the command line: standard output, standard error and exit code of each command.
//!
//! Every test has its own home, project and state directories, and no other environment.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::LazyLock;

use insta::assert_snapshot;
use regex::Regex;
use runbook::actions::transport::process::output_detached;

/// A project with its own home and state directories.
struct Project {
    home: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

const ESTATE: &str = "
estate: pakashop
default_environment: production
environments:
  production: { branch: production, domain: pakashop.store }
  staging: { branch: main }
services:
  gateway: { unit: pakashop-gateway.service, port: 8000 }
  search: { unit: pakashop-search.service, port: 3005 }
people:
  ada: { name: Ada Lovelace, account: ACCOUNT }
  grace: { name: Grace Hopper, account: nobody-else }
roles:
  incident_commander: { people: [ada] }
  database_owner: { people: [grace] }
secrets:
  token: { env: SHOP_TOKEN }
";

const ASKS: &str = "
runbook: asks
title: Something is slow
severity: p2
summary: People wait.
deadlines:
  notify: { within: 15m, from: opened, warn_at: 10m, fallback_at: 13m }
params:
  service: { type: service, default: gateway, help: The suspect }
steps:
  - id: look
    phase: identify
    name: Look at {{ params.service }}
    command: { argv: [echo, '{{ params.service }}', '{{ environment.branch }}'] }
    effect: read
  - id: cause
    phase: assess
    name: Infrastructure or code?
    ask: { choices: [infrastructure, bad code] }
  - id: fix
    phase: mitigate
    when: steps.cause.answer == 'bad code'
    name: Write the file
    why: The file is what was missing.
    command: { argv: [touch, mended] }
    effect: repeatable
    verify: { command: { argv: [test, -e, mended] }, effect: read, within: 5s }
    undo: { command: { argv: [rm, -f, mended] } }
  - id: tell
    phase: notify
    name: Tell people
    manual: Call the office and say “{{ steps.cause.answer }}”
    meets: notify
";

const FAILS: &str = "
runbook: fails
title: It does not work
severity: p3
steps:
  - id: try
    name: Try it
    command: { argv: [test, -e, mended] }
    effect: read
";

impl Project {
    fn new() -> Self {
        let home = tempfile::tempdir().expect("a directory can be made");
        let project = Self { home, variables: Vec::new() };
        std::fs::create_dir_all(project.directory().join("runbooks")).expect("a directory can be made");
        project.runbook("estate", &ESTATE.replace("ACCOUNT", &account()))
    }

    /// The project with another file in `runbooks/`.
    fn runbook(self, id: &str, yaml: &str) -> Self {
        std::fs::write(self.directory().join(format!("runbooks/{id}.yaml")), yaml.trim_start())
            .expect("a file is written");
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    fn directory(&self) -> PathBuf {
        self.home.path().join("shop")
    }

    fn state(&self) -> PathBuf {
        self.home.path().join("state/runbook")
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runbook"));
        command
            .args(words)
            .current_dir(self.directory())
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", self.home.path())
            .env("XDG_STATE_HOME", self.home.path().join("state"))
            .env("LANG", "C.UTF-8")
            .envs(self.variables.iter().cloned())
            .stdin(Stdio::null());
        command
    }

    /// The transcript of a command, without what differs between runs.
    fn run(&self, words: &[&str]) -> String {
        self.transcript(&self.output(words))
    }

    fn output(&self, words: &[&str]) -> Output {
        output_detached(&mut self.command(words)).expect("the program starts")
    }

    /// The exit code of a command.
    fn code(&self, words: &[&str]) -> i32 {
        self.output(words).status.code().expect("it ends by itself")
    }

    fn spawn(&self, words: &[&str]) -> Child {
        let mut command = self.command(words);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
    }

    fn transcript(&self, output: &Output) -> String {
        let code = output.status.code().map_or_else(|| output.status.to_string(), |code| code.to_string());
        let mut transcript = format!("exit {code}\n");
        for (name, bytes) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
            let text = std::str::from_utf8(bytes).expect("the output is UTF-8");
            if !text.is_empty() {
                transcript.push_str(&format!("--- {name}\n{text}"));
            }
        }
        self.normalized(&transcript)
    }

    /// The text with placeholders for everything that differs between runs.
    fn normalized(&self, text: &str) -> String {
        static PATTERNS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
            let pattern = |pattern: &str, to| (Regex::new(pattern).expect("the pattern is right"), to);
            vec![
                pattern(
                    r"\b[bdfghjklmnprstvz][aiou][bdfghjklmnprstvz][aiou][bdfghjklmnprstvz]-[bdfghjklmnprstvz][aiou][bdfghjklmnprstvz][aiou][bdfghjklmnprstvz]\b",
                    "INCIDENT",
                ),
                pattern(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( UTC|Z)", "TIME"),
                pattern(r"\d{4}-\d\d-\d\d", "DATE"),
                pattern(r"\b\d\d:\d\d:\d\d\b", "HH:MM:SS"),
                pattern(r"\b\d\d:\d\d\b", "MM:SS"),
                pattern(r"\d+m \d+s( to spare)", "LENGTH$1"),
                pattern(r"( |·)\d+(\.\d+)?(ms|s)\b( ago)?", "${1}LENGTH"),
                pattern(r"--digest [0-9a-f]{12}", "--digest DIGEST"),
                pattern(r"whole  [0-9a-f]{12}", "whole  DIGEST"),
                pattern(r"process \d+", "process PID"),
            ]
        });
        let home = self.home.path().to_str().expect("the directory's name is text");
        let mut text = text.replace(home, "HOME");
        for (pattern, to) in PATTERNS.iter() {
            text = pattern.replace_all(&text, *to).into_owned();
        }
        text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
    }
}

/// The account that the tests run as.
fn account() -> String {
    let output = Command::new("id").arg("-un").output().expect("`id` is there: package coreutils");
    String::from_utf8(output.stdout).expect("an account's name is text").trim().to_owned()
}

/// A project with a run of `asks` that waits for the answer to `cause`.
fn asked() -> Project {
    let project = Project::new().runbook("asks", ASKS);
    assert_eq!(project.code(&["start", "asks"]), 6);
    project
}

/// The same after the answer: the run waits for the approval of `fix`.
fn answered() -> Project {
    let project = asked();
    assert_eq!(project.code(&["answer", "last", "cause", "bad code"]), 6);
    project
}

/// Every file below a directory with its content.
fn contents(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).expect("the directory is there") {
        let path = entry.expect("the directory can be read").path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            found.push((path.clone(), std::fs::read(&path).expect("the file can be read")));
        }
    }
    found
}

#[test]
fn list_shows_runbooks_and_their_problems() {
    let project = Project::new().runbook("asks", ASKS).runbook("broken", "runbook: broken\n");
    assert_snapshot!(project.run(&["list"]), @r#"
    exit 0
    --- stdout
    RUNBOOK  SEVERITY  TITLE              ENVIRONMENTS  STEPS
    asks     P2        Something is slow  all           4
    broken             3 problems         all           0
    --- stderr
    next: runbook lint
    "#);
    assert_snapshot!(project.run(&["list", "-o", "jsonl"]), @r#"
    exit 0
    --- stdout
    {"id":"asks","title":"Something is slow","severity":"p2","environments":[],"alerts":[],"on":[],"schedules":[],"params":[{"name":"service","type":"service","default":"gateway","help":"The suspect"}],"steps":4,"problems":0}
    {"id":"broken","title":null,"severity":null,"environments":[],"alerts":[],"on":[],"schedules":[],"params":[],"steps":0,"problems":3}
    --- stderr
    next: runbook lint
    "#);
}

#[test]
fn the_next_command_has_the_required_options() {
    let needs = ASKS.replace("default: gateway, ", "").replace("runbook: asks", "runbook: needs");
    let project = Project::new().runbook("needs", &needs);
    let estate = project.directory().join("runbooks/estate.yaml");
    let chosen = std::fs::read_to_string(&estate).unwrap();
    std::fs::write(&estate, chosen.replace("default_environment: production\n", "")).unwrap();
    let next = "runbook start needs --env production --param 'service=…'";
    assert!(project.run(&["list"]).contains(&format!("   or {next}")));
    let shown = project.run(&["show", "needs"]);
    assert!(shown.contains(&format!("next: {next} --plan\n   or {next}")), "{shown}");
}

#[test]
fn an_open_incident_is_listed_beneath_any_number_of_resolved_ones() {
    let project = Project::new().runbook("fails", FAILS);
    assert_eq!(project.code(&["start", "fails", "--title", "The old one"]), 6);
    for _ in 0..2 {
        assert_eq!(project.code(&["start", "fails"]), 6);
        assert_eq!(project.code(&["resolve", "last"]), 6);
    }
    assert!(!project.run(&["incidents", "--limit", "1"]).contains("The old one"));
    assert!(project.run(&["incidents", "--limit", "1", "--open"]).contains("The old one"));
}

#[test]
fn list_names_the_searched_places_when_there_is_no_project() {
    let project = Project::new();
    let output = project.command(&["list"]).current_dir("/").output().unwrap();
    assert_snapshot!(project.transcript(&output), @r#"
    exit 2
    --- stderr
    error: there is no `runbooks/` here, above, or in `/etc/runbook`
    hint: Go to the project's directory, or name it: `--dir DIR` or `RUNBOOK_DIR`.
    "#);
}

#[test]
fn show_outlines_a_runbook() {
    let project = Project::new().runbook("asks", ASKS);
    assert_snapshot!(project.run(&["show", "asks"]), @r#"
    exit 0
    --- stdout
    asks · P2 · Something is slow · every environment
    People wait.
    param service (service, gateway unless given): The suspect
    deadline notify: within 15m of opening, warned at 10m

    identify
    [read] look · Look at {{ params.service }}
        does: run `echo '{{ params.service }}' '{{ environment.branch }}'`

    assess
    [ask] cause · Infrastructure or code?
        choices: infrastructure | bad code

    mitigate
    [repeatable] fix · Write the file
        does: run `touch mended`
        when: steps.cause.answer == 'bad code'
        why: The file is what was missing.
        verified: run `test -e mended`
        verified within: LENGTH
        undo: run `rm -f mended`

    notify
    [manual] tell · Tell people
        by hand: Call the office and say “{{ steps.cause.answer }}”
        meets: notify
    --- stderr
    next: runbook start asks --plan
       or runbook start asks
    "#);
    assert_snapshot!(project.run(&["show", "ask"]), @r#"
    exit 2
    --- stderr
    error: there is no runbook `ask`
    hint: Did you mean `asks`?
    hint: `runbook list` shows every one.
    "#);
}

#[test]
fn lint_reports_every_problem_and_ends_with_7() {
    let project = Project::new().runbook("asks", ASKS);
    assert_snapshot!(project.run(&["lint"]), @r#"
    exit 0
    --- stderr
    2 files: no problems
    next: runbook list
    "#);
    let project =
        project.runbook("broken", &FAILS.replace("fails", "broken").replace("command:", "comand:").replace("p3", "p9"));
    assert_snapshot!(project.run(&["lint"]), @r#"
    exit 7
    --- stdout
    error: `p9` is not one of `p1`, `p2`, `p3`, `p4` and `maintenance`
     --> runbooks/broken.yaml:3:11
      |
    3 | severity: p9
      |           ^^

    error: unknown kind `comand`
     --> runbooks/broken.yaml:7:5
      |
    7 |     comand: { argv: [test, -e, mended] }
      |     ^^^^^^ perhaps `command`
      |
    help: Did you mean `command`?

    runbooks/broken.yaml: 2 problems
    --- stderr
    3 files: 2 problems
    next: runbook lint
    "#);
    assert_snapshot!(project.run(&["lint", "runbooks/broken.yaml", "-o", "jsonl"]), @r#"
    exit 7
    --- stdout
    {"file":"runbooks/broken.yaml","line":3,"column":11,"message":"`p9` is not one of `p1`, `p2`, `p3`, `p4` and `maintenance`","help":null}
    {"file":"runbooks/broken.yaml","line":7,"column":5,"message":"unknown kind `comand`","help":"Did you mean `command`?"}
    --- stderr
    1 file: 2 problems
    next: runbook lint
    "#);
    assert_eq!(project.code(&["lint", "runbooks/asks.yaml"]), 0);
    assert_snapshot!(project.run(&["lint", "runbooks/gone.yaml"]), @r#"
    exit 2
    --- stderr
    error: there is no file `runbooks/gone.yaml`
    "#);
}

#[test]
fn parameters_passed_to_another_runbook_are_checked() {
    let first = "runbook: first\ntitle: First\nseverity: p4\nsteps:\n  \
        - { id: a, start: second }\n  \
        - { id: b, start: { runbook: second, params: { count: many, wodr: x } } }\n  \
        - { id: c, start: { runbook: second, params: { count: '{{ 1 + 1 }}', word: y } } }\n";
    let second = "runbook: second\ntitle: Second\nseverity: p4\nparams:\n  count: { type: integer }\n  \
        word: { type: text, default: x }\nsteps:\n  - { id: d, start: third }\n";
    let third = "runbook: third\ntitle: Third\nseverity: p4\nsteps:\n  - { id: e, wait: 1s }\n";
    let project = Project::new().runbook("first", first).runbook("second", second).runbook("third", third);
    let transcript = project.run(&["lint", "-o", "jsonl"]);
    let transcript: Vec<&str> = transcript.lines().filter(|line| line.starts_with('{')).collect();
    let at = |line: u32, column: u32, message: &str, help: &str| {
        format!(
            "{{\"file\":\"runbooks/first.yaml\",\"line\":{line},\"column\":{column},\"message\":\"{message}\",\"help\":\"{help}\"}}"
        )
    };
    let needs = at(5, 21, "`second` needs the param `count`", "Add `params: { count: … }` here.");
    let has_none = at(6, 63, "`second` has no param `wodr`", "Did you mean `word`?");
    assert_eq!(
        (transcript.len(), transcript[0], transcript[2]),
        (3, needs.as_str(), has_none.as_str()),
        "{transcript:#?}"
    );
    assert!(
        transcript[1].contains("\"line\":6,\"column\":57,") && transcript[1].contains("whole number"),
        "{}",
        transcript[1]
    );
}

#[test]
fn runbooks_that_start_one_another_in_a_circle_are_a_problem() {
    let starts = |id: &str, other: &str| {
        format!("runbook: {id}\ntitle: Round\nseverity: p4\nsteps:\n  - {{ id: a, start: {other} }}\n")
    };
    let project = Project::new()
        .runbook("one", &starts("one", "two"))
        .runbook("two", &starts("two", "three"))
        .runbook("three", &starts("three", "one"))
        .runbook("aside", &starts("aside", "one"));
    let transcript = project.run(&["lint", "-o", "jsonl"]);
    assert!(transcript.contains("`two` leads back to this runbook"), "{transcript}");
    assert!(
        transcript.contains("one → two → three → one") && transcript.contains("three → one → two → three"),
        "{transcript}"
    );
    assert_eq!(
        transcript.matches("leads back").count(),
        3,
        "a runbook that only starts one of them is not in the circle: {transcript}"
    );
}

#[test]
fn a_special_file_a_link_out_and_a_misnamed_file_are_problems() {
    let project = Project::new();
    let runbooks = project.directory().join("runbooks");
    std::os::unix::fs::symlink("/etc/passwd", runbooks.join("out.yaml")).unwrap();
    std::fs::create_dir(runbooks.join("folder.yaml")).unwrap();
    std::fs::write(runbooks.join("Misnamed.yaml"), "").unwrap();
    std::fs::write(runbooks.join("short.yml"), "").unwrap();
    std::fs::write(runbooks.join("bytes.yaml"), b"runbook: \xff\xfe").unwrap();
    let socket = std::os::unix::net::UnixListener::bind(runbooks.join("socket.yaml")).unwrap();
    assert_snapshot!(project.run(&["lint"]), @r#"
    exit 7
    --- stdout
    error: `Misnamed` cannot be a runbook's id
     --> runbooks/Misnamed.yaml:1:1
      |
    1 |
      | ^
      |
    help: Name the file with lower-case letters, digits, `-` and `_`, a letter first.

    runbooks/Misnamed.yaml: 1 problem
    error: the file is not UTF-8 text
     --> runbooks/bytes.yaml:1:10
      |
    1 | runbook: ��
      |          ^
      |
    help: Save it as UTF-8.

    runbooks/bytes.yaml: 1 problem
    error: it is not a regular file
     --> runbooks/folder.yaml:1:1
      |
    1 |
      | ^

    runbooks/folder.yaml: 1 problem
    error: the file is a link that leads out of the project directory
     --> runbooks/out.yaml:1:1
      |
    1 |
      | ^

    runbooks/out.yaml: 1 problem
    error: a runbook's file ends in `.yaml`
     --> runbooks/short.yml:1:1
      |
    1 |
      | ^
      |
    help: Rename it to `short.yaml`.

    runbooks/short.yml: 1 problem
    error: it is not a regular file
     --> runbooks/socket.yaml:1:1
      |
    1 |
      | ^

    runbooks/socket.yaml: 1 problem
    --- stderr
    7 files: 6 problems
    next: runbook lint
    "#);
    drop(socket);
}

#[test]
fn kinds_shows_each_kind_with_what_it_takes() {
    let project = Project::new();
    assert_snapshot!(project.run(&["kinds", "set"]), @r#"
    exit 0
    --- stdout
    set: Gives names to values for later steps.

    fields
      values: mapping to any value  [required]
          The values by name.

    what later steps may refer to
      steps.<id>.<name>
          Each value, under its name.

    example
      set:
        values:
          suspect: "{{ params.service }}"
    --- stderr
    next: runbook kinds
    "#);
    assert_snapshot!(project.run(&["kinds", "sytemd"]), @r#"
    exit 2
    --- stderr
    error: there is no kind `sytemd`
    hint: Did you mean `systemd`?
    hint: `runbook kinds` shows every one.
    "#);
    let all = String::from_utf8(project.output(&["kinds", "-o", "json"]).stdout).unwrap();
    let all: serde_json::Value = serde_json::from_str(&all).unwrap();
    assert!(all.as_array().unwrap().iter().any(|kind| kind["kind"] == "systemd"));
}

#[test]
fn schema_prints_a_schema_of_each_file() {
    let project = Project::new();
    for of in ["runbook", "estate"] {
        let output = project.output(&["schema", of]);
        let schema: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(schema["$schema"].as_str().unwrap().contains("json-schema.org"), "{of}");
    }
}

#[test]
fn completions_and_the_manual_are_made_from_the_commands() {
    let project = Project::new();
    for shell in ["bash", "zsh", "fish"] {
        let output = project.output(&["completions", shell]);
        assert!(String::from_utf8(output.stdout).unwrap().contains("incidents"), "{shell}");
    }
    assert_snapshot!(project.run(&["man", "--into", "pages"]), @r#"
    exit 0
    --- stderr
    the manual pages are in `pages`
    next: man -l pages/runbook.1
    "#);
    let page = std::fs::read_to_string(project.directory().join("pages/runbook-start.1")).unwrap();
    assert!(page.contains(r"\-\-detected\-at"), "{page}");
    assert!(project.run(&["man"]).contains("130  interrupted"));
}

#[test]
fn the_plan_is_exact_and_touches_nothing() {
    let project = Project::new().runbook("asks", ASKS);
    assert_snapshot!(project.run(&["start", "asks", "--plan", "--param", "service=search"]), @r#"
    exit 0
    --- stdout
    asks · P2 · Something is slow · production
    People wait.
    param service = search: The suspect
    deadline notify: within 15m of opening, warned at 10m

    identify
    [read] look · Look at search
        does: run `echo search production`
        exactly: command {"argv":["echo","search","production"]}

    assess
    [ask] cause · Infrastructure or code?
        choices: infrastructure | bad code

    mitigate
    [repeatable] fix · Write the file
        does: run `touch mended`
        exactly: command {"argv":["touch","mended"]}
        when: steps.cause.answer == 'bad code' (known during the run)
        why: The file is what was missing.
        agreed by: anybody
        verified: run `test -e mended`
        verified within: LENGTH
        undo: run `rm -f mended`

    notify
    [manual] tell · Tell people
        by hand: Call the office and say “{{ steps.cause.answer }}” (known during the run)
        meets: notify
    --- stderr
    nothing was started
    next: runbook start asks --env production --param service=search
    "#);
    assert!(!project.state().exists(), "a plan creates no state");
}

#[test]
fn the_plan_includes_other_runbooks_and_missing_secrets() {
    let parent = "
runbook: parent
title: Both
severity: p1
steps:
  - id: call
    name: Call home
    http: { get: 'http://127.0.0.1:1/', headers: { authorization: { secret: token } } }
  - id: each
    name: Look at {{ item }}
    for_each: \"['gateway', 'search']\"
    command: { argv: [echo, --, '{{ item }}'] }
    effect: read
  - id: go
    name: Go on
    start: { runbook: asks, params: { service: search } }
";
    let project = Project::new().runbook("asks", ASKS).runbook("parent", parent);
    assert_snapshot!(project.run(&["start", "parent", "--plan", "--auto"]), @r#"
    exit 7
    --- stdout
    parent · P1 · Both · production
    [read] call · Call home
        does: GET http://127.0.0.1:1/
        exactly: http {"get":"http://127.0.0.1:1/","headers":{"authorization":{"secret":"token"}}}
    [read] each · Look at {{ item }}
        does: run `echo -- '{{ item }}'` (known during the run)
        exactly: command {"argv":["echo","--","{{ item }}"]}
        for each: ['gateway', 'search'] — 2 of: gateway, search
    [start] go · Go on
        starts: asks
      [read] look · Look at search
          does: run `echo search production`
          exactly: command {"argv":["echo","search","production"]}
      [ask] cause · Infrastructure or code?
          choices: infrastructure | bad code
      [repeatable] fix · Write the file
          does: run `touch mended`
          exactly: command {"argv":["touch","mended"]}
          when: steps.cause.answer == 'bad code' (known during the run)
          why: The file is what was missing.
          verified: run `test -e mended`
          verified within: LENGTH
          undo: run `rm -f mended`
      [manual] tell · Tell people
          by hand: Call the office and say “{{ steps.cause.answer }}” (known during the run)
          meets: notify
    --- stderr
    warning: secret `token`: `SHOP_TOKEN` is not set
    nothing was started
    next: runbook start parent --env production
    "#);
    let plan = project.output(&["start", "parent", "--plan", "-o", "json"]);
    let plan: serde_json::Value = serde_json::from_slice(&plan.stdout).unwrap();
    assert_eq!(plan["steps"][3]["action"]["spec"]["argv"], serde_json::json!(["echo", "search", "production"]));
    let project = project.variable("SHOP_TOKEN", "xoxb-1234567");
    assert_eq!(project.code(&["start", "parent", "--plan"]), 0);
}

#[test]
fn start_runs_until_the_run_waits_for_a_person() {
    let project = Project::new().runbook("asks", ASKS);
    assert_snapshot!(project.run(&["start", "asks"]), @r#"
    exit 6
    --- stdout
    waiting: cause · Infrastructure or code?
      runbook answer INCIDENT cause infrastructure
      runbook answer INCIDENT cause 'bad code'
    --- stderr
    ● P2 Something is slow
      INCIDENT · production · opened by ada TIME
      People wait.

    identify
    HH:MM:SS ✓ Look at gateway · `echo` succeeded: gateway production  LENGTH
    next: runbook watch INCIDENT
    "#);
    assert_snapshot!(project.run(&["incidents"]), @r#"
    exit 0
    --- stdout
    INCIDENT     SEVERITY  OPENED  ENVIRONMENT  TITLE              STANDS
    INCIDENT  P2        LENGTH  production   Something is slow  waits: cause, Infrastructure or code?
    --- stderr
    next: runbook watch INCIDENT
    "#);
}

#[test]
fn start_suggests_the_nearest_name() {
    let project = Project::new().runbook("asks", ASKS);
    let transcript = |words: &[&str]| project.run(&[&["start"], words].concat());
    assert_snapshot!(transcript(&["asls"]), @r#"
    exit 2
    --- stderr
    error: there is no runbook `asls`
    hint: Did you mean `asks`?
    hint: `runbook list` shows every one.
    "#);
    assert_snapshot!(transcript(&["asks", "--env", "prodction"]), @r#"
    exit 2
    --- stderr
    error: there is no environment `prodction`
    hint: Did you mean `--env production`?
    "#);
    assert_snapshot!(transcript(&["asks", "--param", "servce=search"]), @r#"
    exit 2
    --- stderr
    error: `asks` has no parameter `servce`
    hint: Did you mean `--param service`?
    "#);
    assert_snapshot!(transcript(&["asks", "--param", "service=serch"]), @r#"
    exit 2
    --- stderr
    error: parameter `service` is a service, not `serch`
    hint: Did you mean `--param service=search`?
    "#);
    assert_snapshot!(transcript(&["asks", "--param", "service"]), @r#"
    exit 2
    --- stderr
    error: invalid value 'service' for '--param <NAME=VALUE>': a parameter is given as `name=value`

    For more information, try '--help'.
    "#);
    assert_snapshot!(transcript(&["asks", "--detected-at", "yesterday"]), @r#"
    exit 2
    --- stderr
    error: `yesterday` is not a time
    hint: Type an instant such as `TIME`, or how long ago such as `10m`.
    "#);
    assert_snapshot!(project.run(&["strat"]), @r#"
    exit 2
    --- stderr
    error: unrecognized subcommand 'strat'

      tip: some similar subcommands exist: 'postmortem', 'status', 'stats', 'start'

    Usage: runbook [OPTIONS] <COMMAND>

    For more information, try '--help'.
    "#);
    assert_eq!(project.code(&["incidents", "--open"]), 0);
    assert!(project.run(&["incidents"]).contains("there are no incidents"), "no incident was opened");
}

#[test]
fn an_answer_continues_the_run() {
    let project = asked();
    assert_snapshot!(project.run(&["answer", "last", "cause", "bad cod"]), @r#"
    exit 2
    --- stderr
    error: `bad cod` is no answer to `cause`
    hint: Answer one of: infrastructure, bad code.
    "#);
    assert_snapshot!(project.run(&["answer", "last", "caus", "bad code"]), @r#"
    exit 2
    --- stderr
    error: there is no step `caus`
    hint: Did you mean `cause`?
    "#);
    assert_snapshot!(project.run(&["answer", "last", "cause", "bad code"]), @r#"
    exit 6
    --- stdout
    waiting: fix · agreement to: run `touch mended`
        where: production, this host
        why: The file is what was missing.
        undo: run `rm -f mended`
      runbook approve INCIDENT fix --digest DIGEST
      runbook deny INCIDENT fix 'why not'
    --- stderr
    INCIDENT: `cause` is answered

    assess
    HH:MM:SS ✓ Infrastructure or code? → bad code · ada  LENGTH
    next: runbook watch INCIDENT
    "#);
}

#[test]
fn of_two_runs_waiting_at_one_step_the_named_one_continues() {
    let project = asked();
    assert_eq!(project.code(&["start", "asks", "--incident", "last"]), 6);
    assert_snapshot!(project.run(&["answer", "last", "cause", "bad code"]), @r#"
    exit 2
    --- stderr
    error: more than one question waits for an answer: `1:cause` (runbook `asks`), `2:cause` (runbook `asks`)
    hint: Name one: `runbook answer INCIDENT 1:cause <answer>`.
    "#);
    assert_snapshot!(project.run(&["answer", "last", "3:cause", "bad code"]), @r#"
    exit 2
    --- stderr
    error: there is no run 3
    hint: Runs: 1 (`asks`), 2 (`asks`).
    "#);
    assert_snapshot!(project.run(&["answer", "last", "x:cause", "bad code"]), @r#"
    exit 2
    --- stderr
    error: invalid value 'x:cause' for '<STEP>': `x:cause` is not a step such as `rollback`, `restart[2]`, or `2:rollback` for the one of run 2

    For more information, try '--help'.
    "#);
    assert_snapshot!(project.run(&["answer", "last", "2:cause", "bad code"]), @r#"
    exit 6
    --- stdout
    waiting: 1:cause · Infrastructure or code?
      runbook answer INCIDENT 1:cause infrastructure
      runbook answer INCIDENT 1:cause 'bad code'
    waiting: 2:fix · agreement to: run `touch mended`
        where: production, this host
        why: The file is what was missing.
        undo: run `rm -f mended`
      runbook approve INCIDENT 2:fix --digest DIGEST
      runbook deny INCIDENT 2:fix 'why not'
    --- stderr
    INCIDENT: `2:cause` is answered

    assess
    HH:MM:SS ✓ Infrastructure or code? → bad code · ada  LENGTH
    next: runbook watch INCIDENT
    "#);
}

#[test]
fn of_two_changes_waiting_at_one_step_the_named_one_is_decided() {
    let project = asked();
    assert_eq!(project.code(&["start", "asks", "--incident", "last"]), 6);
    assert_eq!(project.code(&["answer", "last", "2:cause", "bad code"]), 6);
    assert_snapshot!(project.run(&["approve", "last", "1:fix"]), @r#"
    exit 2
    --- stderr
    error: `1:fix` does not wait for agreement
    hint: See what waits: `runbook watch INCIDENT`.
    "#);
    assert_eq!(project.code(&["answer", "last", "cause", "bad code"]), 6, "only the question of run 1 waits");
    assert_snapshot!(project.run(&["approve", "last"]), @r#"
    exit 2
    --- stderr
    error: more than one change waits for agreement: `1:fix` (runbook `asks`), `2:fix` (runbook `asks`)
    hint: Name one: `runbook approve INCIDENT 1:fix`.
    "#);
    assert_snapshot!(project.run(&["deny", "last", "1:fix"]), @r#"
    exit 2
    --- stderr
    error: the reason is missing
    hint: Type `runbook deny INCIDENT 1:fix 'why not'`.
    "#);
    assert_eq!(project.code(&["deny", "last", "1:fix", "the other does it"]), 6);
    assert!(!project.directory().join("mended").exists());
    assert_eq!(project.code(&["approve", "last", "fix"]), 6);
    assert!(project.directory().join("mended").exists());
    assert_snapshot!(project.run(&["undo", "last", "1:fix"]), @r#"
    exit 2
    --- stderr
    error: `1:fix` has changed nothing
    "#);
    assert_eq!(project.code(&["undo", "last", "fix"]), 6, "only one run has made the change");
    assert!(!project.directory().join("mended").exists());
}

#[test]
fn an_approval_is_for_the_digest_that_was_shown() {
    let project = answered();
    assert_snapshot!(project.run(&["approve", "last", "fix", "--digest", "0123456789ab"]), @r#"
    exit 2
    --- stderr
    error: the change of `fix` differs from the one that you saw
    hint: Look again: `runbook watch INCIDENT`.
    "#);
    assert!(!project.directory().join("mended").exists());
    assert_snapshot!(project.run(&["approve", "last"]), @r#"
    exit 6
    --- stdout
    waiting: tell · to be done by hand: Call the office and say “bad code”
      runbook answer INCIDENT tell done
    --- stderr
    INCIDENT: approved

    mitigate
    HH:MM:SS › ada agreed to: run `touch mended`
    HH:MM:SS ✓ Write the file · `touch` succeeded  LENGTH
    HH:MM:SS ✓ check: Write the file · `test` succeeded  LENGTH
    next: runbook watch INCIDENT
    "#);
    assert!(project.directory().join("mended").exists());
}

#[test]
fn a_denial_needs_a_reason_and_skips_the_step() {
    let project = answered();
    assert_snapshot!(project.run(&["deny", "last", "fix"]), @r#"
    exit 2
    --- stderr
    error: the reason is missing
    hint: Type `runbook deny INCIDENT fix 'why not'`.
    "#);
    assert_snapshot!(project.run(&["deny", "last", "fix", "it is not that"]), @r#"
    exit 6
    --- stdout
    waiting: tell · to be done by hand: Call the office and say “bad code”
      runbook answer INCIDENT tell done
    --- stderr
    INCIDENT: denied

    mitigate
    HH:MM:SS – Write the file · denied by ada: it is not that
    next: runbook watch INCIDENT
    "#);
    assert!(!project.directory().join("mended").exists());
}

#[test]
fn a_change_that_others_have_to_approve_is_refused() {
    let yaml =
        ASKS.replace("    effect: repeatable\n", "    effect: repeatable\n    approve: { by: [database_owner] }\n");
    let project = Project::new().runbook("asks", &yaml);
    assert_eq!(project.code(&["start", "asks"]), 6);
    assert_eq!(project.code(&["answer", "last", "cause", "bad code"]), 6);
    assert_snapshot!(project.run(&["approve", "last"]), @r#"
    exit 4
    --- stderr
    error: `ada` is not database_owner
    hint: Ask one of: grace.
    "#);
}

#[test]
#[expect(clippy::too_many_lines, reason = "one incident, command by command")]
fn an_incident_from_beginning_to_end() {
    let project = answered();
    assert_eq!(project.code(&["approve", "last"]), 6);
    assert_snapshot!(project.run(&["ack", "last"]), @r#"
    exit 0
    --- stderr
    INCIDENT: acknowledged
    next: runbook timeline INCIDENT
    "#);
    assert_snapshot!(project.run(&["note", "last", "the", "office", "knows"]), @r#"
    exit 0
    --- stderr
    INCIDENT: note added
    next: runbook timeline INCIDENT
    "#);
    assert_snapshot!(project.run(&["answer", "last", "tell", "done"]), @r#"
    exit 0
    --- stderr
    INCIDENT: `tell` is answered

    notify
    HH:MM:SS ✓ Tell people · ada  LENGTH
    HH:MM:SS ✓ notify done, MM:SS to spare
    HH:MM:SS ✓ post-mortem draft: postmortems/DATE-INCIDENT-something-is-slow.md

    ✓ Something is slow: asks succeeded · LENGTH · 4 done
      changed  Write the file · `touch` succeeded
      deadline notify done, MM:SS to spare
      still    the incident is not resolved
      draft    postmortems/DATE-INCIDENT-something-is-slow.md
    next: runbook resolve INCIDENT 'what it was'
       or runbook timeline INCIDENT
    "#);
    assert_snapshot!(project.run(&["undo", "last", "fix"]), @r#"
    exit 0
    --- stderr
    INCIDENT: `fix` is being undone

    mitigate
    HH:MM:SS › ada requested undo: Write the file
    HH:MM:SS ✓ undo: Write the file · `rm` succeeded  LENGTH
    HH:MM:SS ✓ post-mortem draft: postmortems/DATE-INCIDENT-something-is-slow.md

    ✓ Something is slow: asks succeeded · LENGTH · 4 done
      changed  Write the file · `touch` succeeded
      changed  undo: Write the file · `rm` succeeded
      deadline notify done, MM:SS to spare
      still    the incident is not resolved
      draft    postmortems/DATE-INCIDENT-something-is-slow.md
    next: runbook resolve INCIDENT 'what it was'
       or runbook timeline INCIDENT
    "#);
    assert!(!project.directory().join("mended").exists());
    assert_snapshot!(project.run(&["resolve", "last", "It was the code"]), @r#"
    exit 0
    --- stderr
    INCIDENT: resolved
    HH:MM:SS ✓ resolved by ada: It was the code
    HH:MM:SS ✓ post-mortem draft: postmortems/DATE-INCIDENT-something-is-slow.md

    ✓ Something is slow: asks succeeded · LENGTH · 4 done
      changed  Write the file · `touch` succeeded
      changed  undo: Write the file · `rm` succeeded
      deadline notify done, MM:SS to spare
      draft    postmortems/DATE-INCIDENT-something-is-slow.md
    next: runbook postmortem INCIDENT
    "#);
    assert_snapshot!(project.run(&["timeline", "--short"]), @r#"
    exit 0
    --- stdout
       1  TIME  ada: opened P2 in production: Something is slow
       3  TIME  ada: run 1: asks (Something is slow) began with service=gateway
       5  TIME  runbook: Look at gateway: `echo` succeeded: gateway production
       8  TIME  ada: Infrastructure or code? → bad code
      10  TIME  ada: approved: run `touch mended`
      12  TIME  runbook: Write the file: `touch` succeeded
      14  TIME  runbook: check of Write the file: `test` succeeded
      18  TIME  ada: acknowledged
      19  TIME  ada: note: the office knows
      20  TIME  ada: did by hand: Tell people
      21  TIME  runbook: deadline notify met, LENGTH to spare
      22  TIME  runbook: run 1 (asks) ended: every step done
      24  TIME  ada: wants to take back: taking back Write the file
      26  TIME  runbook: taking back Write the file: `rm` succeeded
      29  TIME  ada: resolved: It was the code
    --- stderr
    next: runbook postmortem INCIDENT --print
    "#);
    assert_snapshot!(project.run(&["postmortem"]), @r#"
    exit 0
    --- stdout
    postmortems/DATE-INCIDENT-something-is-slow.md
    --- stderr
    next: runbook postmortem INCIDENT --done
    "#);
    assert!(project.run(&["postmortem", "--print"]).contains("It was the code"));
    assert_snapshot!(project.run(&["postmortem", "--done"]), @r#"
    exit 0
    --- stderr
    warning: 13 questions in it are still `TODO`
    INCIDENT: the post-mortem is complete
    next: runbook incidents
    "#);
    assert!(project.run(&["postmortem", "--print"]).contains("status: \"complete\""), "the file has the status too");
    assert_snapshot!(project.run(&["verify"]), @r#"
    exit 0
    --- stdout
    INCIDENT  31 events  whole  DIGEST
    --- stderr
    1 incident whole
    next: runbook incidents
    "#);
    assert!(project.run(&["incidents", "--open"]).contains("no incident is open"));
    assert_snapshot!(project.run(&["incidents", "-o", "jsonl"]), @r#"
    exit 0
    --- stdout
    {"id":"INCIDENT","severity":"p2","title":"Something is slow","environment":"production","status":"resolved","opened_at":"TIME","changed_at":"TIME","runs":["asks: succeeded"],"waiting":[]}
    --- stderr
    next: runbook watch INCIDENT
    "#);
}

#[test]
fn a_failed_run_ends_with_5_and_its_step_can_be_retried_or_skipped() {
    let project = Project::new().runbook("fails", &format!("{FAILS}    on_failure: stop\n"));
    assert_snapshot!(project.run(&["start", "fails"]), @r#"
    exit 5
    --- stderr
    ● P3 It does not work
      INCIDENT · production · opened by ada TIME
    HH:MM:SS ✗ Try it · `test` ended with code 1  LENGTH
    HH:MM:SS ✗ Try it failed
    HH:MM:SS ✗ the run stops here
    HH:MM:SS ✓ post-mortem draft: postmortems/DATE-INCIDENT-it-does-not-work.md

    ✗ It does not work: fails failed · LENGTH · 0 done, 1 failed
      failed   Try it · `test` ended with code 1
      still    the incident is not resolved
      draft    postmortems/DATE-INCIDENT-it-does-not-work.md
    next: runbook resolve INCIDENT 'what it was'
       or runbook timeline INCIDENT
    "#);
    let project = Project::new().runbook("fails", FAILS);
    assert_snapshot!(project.run(&["start", "fails"]), @r#"
    exit 6
    --- stdout
    waiting: try · failed: `test` ended with code 1
      runbook retry INCIDENT try
      runbook skip INCIDENT try 'why not'
      runbook cancel INCIDENT 'why'
    --- stderr
    ● P3 It does not work
      INCIDENT · production · opened by ada TIME
    HH:MM:SS ✗ Try it · `test` ended with code 1  LENGTH
    next: runbook watch INCIDENT
    "#);
    assert_eq!(project.code(&["retry", "last", "try"]), 6);
    std::fs::write(project.directory().join("mended"), "").unwrap();
    assert_snapshot!(project.run(&["retry", "last", "try"]), @r#"
    exit 0
    --- stderr
    INCIDENT: `try` is retried
    HH:MM:SS ↻ Try it · again · ada
    HH:MM:SS ✓ Try it · `test` succeeded  LENGTH
    HH:MM:SS ✓ post-mortem draft: postmortems/DATE-INCIDENT-it-does-not-work.md

    ✓ It does not work: fails succeeded · LENGTH · 1 done
      still    the incident is not resolved
      draft    postmortems/DATE-INCIDENT-it-does-not-work.md
    next: runbook resolve INCIDENT 'what it was'
       or runbook timeline INCIDENT
    "#);
    let project = Project::new().runbook("fails", FAILS);
    assert_eq!(project.code(&["start", "fails"]), 6);
    assert_snapshot!(project.run(&["skip", "last", "try", "it does not matter"]), @r#"
    exit 0
    --- stderr
    INCIDENT: `try` is skipped
    HH:MM:SS – Try it · skipped by ada: it does not matter
    HH:MM:SS ✓ post-mortem draft: postmortems/DATE-INCIDENT-it-does-not-work.md

    ✓ It does not work: fails succeeded · LENGTH · 0 done, 1 not needed or skipped
      still    the incident is not resolved
      draft    postmortems/DATE-INCIDENT-it-does-not-work.md
    next: runbook resolve INCIDENT 'what it was'
       or runbook timeline INCIDENT
    "#);
}

#[test]
fn a_run_that_is_cancelled_or_late_ends_with_3() {
    let project = asked();
    assert_snapshot!(project.run(&["cancel", "last", "a false alarm"]), @r#"
    exit 0
    --- stderr
    INCIDENT: cancelled
    HH:MM:SS ! stopped by ada: a false alarm

    assess
    HH:MM:SS – Infrastructure or code? cancelled · the run was stopped
    HH:MM:SS ✓ post-mortem draft: postmortems/DATE-INCIDENT-something-is-slow.md

    – Something is slow: asks was stopped · LENGTH · 1 done, 1 cancelled
      deadline notify due in MM:SS
      still    the incident is not resolved
      draft    postmortems/DATE-INCIDENT-something-is-slow.md
    next: runbook resolve INCIDENT 'what it was'
       or runbook timeline INCIDENT
    "#);
    assert_eq!(project.code(&["watch", "last"]), 3);
    assert_snapshot!(project.run(&["cancel", "last", "again"]), @r#"
    exit 2
    --- stderr
    error: nothing is running
    hint: Resolve it: `runbook resolve INCIDENT`.
    "#);
    assert_eq!(project.code(&["resolve", "last", "a false alarm"]), 0);
    assert_snapshot!(project.run(&["cancel", "last", "again"]), @r#"
    exit 2
    --- stderr
    error: nothing is running: the incident is resolved
    hint: See its state: `runbook timeline INCIDENT`.
    "#);
    let late = FAILS.replace("[test, -e, mended]", "[sleep, '60']");
    let project = Project::new().runbook("fails", &format!("{late}    timeout: 100ms\n    on_failure: stop\n"));
    assert_eq!(project.code(&["start", "fails"]), 3);
}

#[test]
fn hints_repeat_the_options_that_they_need() {
    let nowhere = "unix:path=/nonexistent/bus";
    let project = Project::new()
        .variable("XDG_RUNTIME_DIR", "/nonexistent")
        .variable("DBUS_SESSION_BUS_ADDRESS", nowhere)
        .variable("DBUS_SYSTEM_BUS_ADDRESS", nowhere);
    for (words, hint) in [
        (&["status", "--env", "staging", "nosuch"][..], "hint: `runbook status --env staging` shows all"),
        (&["status", "nosuch"], "hint: `runbook status` shows all"),
        (&["unit", "service", "--user", "oncall"], "or runbook unit polkit --user oncall\n"),
        (&["unit", "service"], "or runbook unit polkit\n"),
        (&["init", "--systemd", "user"], "hint: Name another manager: `--systemd system`"),
        (&["init", "--systemd", nowhere], "hint: Name another manager: `--systemd user`"),
    ] {
        let transcript = project.run(words);
        assert!(transcript.contains(hint), "{words:?}: {transcript}");
    }
}

#[test]
fn without_an_incident_commands_suggest_start() {
    let project = Project::new().runbook("asks", ASKS);
    for words in [&["watch"][..], &["timeline"], &["postmortem"], &["answer", "x", "y", "z"], &["resolve", "last"]] {
        let transcript = project.run(words);
        assert!(
            transcript.starts_with("exit 2\n") && transcript.contains("hint: `runbook start <runbook>` opens one."),
            "{transcript}"
        );
    }
    assert_eq!(project.code(&["verify"]), 0);
    assert!(!project.state().exists(), "reading creates no state");
    assert_eq!(project.code(&["start", "asks"]), 6);
    assert_snapshot!(project.run(&["timeline", "nosuch"]), @r#"
    exit 2
    --- stderr
    error: there is no incident `nosuch`
    hint: `runbook incidents` lists them.
    "#);
}

#[test]
fn json_output_has_no_messages_in_it() {
    let project = Project::new().runbook("asks", ASKS);
    let output = project.output(&["start", "asks", "-o", "json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["exit"], &report["waiting"][0]["step"]), (&6.into(), &"cause".into()), "{report}");
    let output = project.output(&["answer", "last", "cause", "infrastructure", "-o", "jsonl"]);
    let lines: Vec<serde_json::Value> =
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (report, events) = lines.split_last().unwrap();
    assert_eq!(report["waiting"][0]["step"], "tell");
    assert!(events.iter().any(|event| event["event"]["type"] == "answered"), "{lines:?}");
    assert!(events.iter().all(|event| event["seq"].as_u64().unwrap() > 7), "only new events: {lines:?}");
}

#[test]
fn an_incident_can_be_continued_from_any_directory() {
    let project = answered();
    let output = project.command(&["approve", "last"]).current_dir("/").output().unwrap();
    assert_eq!(output.status.code(), Some(6), "{}", project.transcript(&output));
    assert!(project.directory().join("mended").exists());
}

#[test]
fn the_next_command_repeats_the_global_options() {
    let project = Project::new().runbook("asks", ASKS);
    let transcript = project.run(&["--state", "elsewhere", "-C", ".", "start", "asks"]);
    assert!(
        transcript.contains("runbook --state elsewhere --dir . answer INCIDENT cause infrastructure"),
        "{transcript}"
    );
}

#[test]
fn a_background_worker_continues_and_watch_follows_it() {
    let project = Project::new().runbook("asks", ASKS);
    assert_snapshot!(project.run(&["start", "asks", "--detach"]), @r#"
    exit 0
    --- stderr
    INCIDENT: Something is slow, production
    INCIDENT continues in the background: process PID, `HOME/state/runbook/INCIDENT.log`
    next: runbook watch INCIDENT
       or runbook cancel INCIDENT 'why'
    "#);
    assert_eq!(project.code(&["watch", "last"]), 6, "the run reaches the question");
    let transcript = project.run(&["answer", "last", "cause", "infrastructure"]);
    assert!(transcript.starts_with("exit 6"), "{transcript}");
    assert_eq!(project.code(&["answer", "last", "tell", "done", "--detach"]), 0);
    assert_eq!(project.code(&["watch", "last"]), 0);
}

#[test]
fn an_interrupted_run_is_intact_and_continues() {
    let waits = FAILS.replace("command: { argv: [test, -e, mended] }\n    effect: read", "wait: 10m");
    let project = Project::new().runbook("fails", &waits);
    let child = project.spawn(&["start", "fails"]);
    let asked = || project.run(&["incidents", "-o", "jsonl"]).contains("\"fails: running\"");
    assert!((0..1_000).any(|_| asked()), "the run has started");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_snapshot!(project.transcript(&output), @r#"
    exit 130
    --- stderr
    ● P3 It does not work
      INCIDENT · production · opened by ada TIME
    › detached from INCIDENT; nothing is lost
    INCIDENT continues in the background: process PID, `HOME/state/runbook/INCIDENT.log`
    next: runbook watch INCIDENT
       or runbook cancel INCIDENT 'why'
    "#);
    assert_eq!(project.code(&["verify"]), 0);
    assert_eq!(project.code(&["cancel", "last", "enough"]), 0);
}

#[test]
fn a_damaged_log_is_an_error() {
    let project = asked();
    std::fs::write(
        project.state().join("runbook.db"),
        "this is no log at all, and longer than a header of one hundred bytes".repeat(3),
    )
    .unwrap();
    for words in [&["incidents"][..], &["verify"], &["start", "asks"]] {
        let transcript = project.run(words);
        assert!(transcript.starts_with("exit 1\n") && transcript.contains("error:"), "{transcript}");
    }
}

/// Writes SQLite's write-ahead log into the database file.
fn checkpoint(file: &Path) {
    let connection = rusqlite::Connection::open(file).unwrap();
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
}

#[test]
fn one_damaged_incident_is_listed_beside_the_others_with_exit_code_1() {
    let project = Project::new().runbook("asks", ASKS).runbook("fails", FAILS);
    assert_eq!(project.code(&["start", "asks"]), 6);
    assert_eq!(project.code(&["start", "fails"]), 6);
    assert_eq!(project.code(&["incidents"]), 0);
    let file = project.state().join("runbook.db");
    checkpoint(&file);
    let mut bytes = std::fs::read(&file).unwrap();
    let (title, other) = (b"It does not work", b"It does work now");
    let places: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(title)).collect();
    assert!(!places.is_empty(), "the log holds the title");
    places.into_iter().for_each(|at| bytes[at..at + title.len()].copy_from_slice(other));
    std::fs::write(&file, bytes).unwrap();
    let transcript = project.run(&["incidents"]);
    assert!(transcript.starts_with("exit 1\n"), "{transcript}");
    assert!(transcript.contains("Something is slow") && transcript.contains("waits: cause"), "{transcript}");
    assert!(transcript.contains("damaged") && transcript.contains("next: runbook verify"), "{transcript}");
    let rows = project.run(&["incidents", "-o", "jsonl"]);
    assert!(rows.starts_with("exit 1\n") && rows.contains(r#""status":"damaged""#), "{rows}");
    assert!(project.run(&["verify"]).contains("1 of 2 incidents broken"));
}

#[test]
fn the_hint_for_a_damaged_log_repeats_the_state_directory() {
    let project = asked();
    std::fs::write(project.state().join("runbook.db"), "no log at all".repeat(20)).unwrap();
    let state = project.state().display().to_string();
    let transcript = project.run(&["--state", &state, "timeline"]);
    assert!(transcript.contains("hint: `runbook --state ") && transcript.contains(" verify` lists"), "{transcript}");
}

#[test]
fn lint_checks_the_template_of_post_mortems() {
    let project = Project::new().runbook("asks", ASKS);
    let estate = std::fs::read_to_string(project.directory().join("runbooks/estate.yaml")).unwrap();
    let project = project.runbook("estate", &format!("{estate}postmortem: {{ template: ours.md.jinja }}\n"));
    let template = project.directory().join("ours.md.jinja");
    let transcript = project.run(&["lint", "-o", "jsonl"]);
    assert!(
        transcript.starts_with("exit 7") && transcript.contains("the template `ours.md.jinja` cannot be read"),
        "{transcript}"
    );
    std::fs::write(&template, "# {{ titel }}\n{% for line in timeline %}\n{{ line.txt }}\n{% endfor %}\n").unwrap();
    assert_snapshot!(project.run(&["lint"]), @r#"
    exit 7
    --- stdout
    error: `titel` is not defined
     --> ours.md.jinja:1:6
      |
    1 | # {{ titel }}
      |      ^^^^^ perhaps `title`
      |
    help: Did you mean `title`?

    error: `line.txt` is not defined
     --> ours.md.jinja:3:4
      |
    3 | {{ line.txt }}
      |    ^^^^^^^^

    ours.md.jinja: 2 problems
    --- stderr
    3 files: 2 problems
    next: runbook lint
    "#);
    std::fs::write(&template, "# {{ title }}\n{% for line in timeline %}\n{{ line.text }}\n{% endfor %}\n").unwrap();
    assert_snapshot!(project.run(&["lint"]), @r#"
    exit 0
    --- stderr
    3 files: no problems
    next: runbook list
    "#);
}

#[test]
fn list_with_a_broken_estate_ends_with_7() {
    let project = Project::new().runbook("asks", ASKS);
    assert_eq!(project.code(&["list"]), 0);
    std::fs::write(project.directory().join("runbooks/estate.yaml"), "estate: [").unwrap();
    assert_eq!(project.code(&["list"]), 7);
}

#[test]
fn text_from_outside_is_data_everywhere() {
    let hostile = "\u{1b}[2J\u{9b}31m\u{7}\u{202e}`$(touch pwned)`{{ 71*79 }}";
    let yaml =
        ASKS.replace("type: service, default: gateway", "type: text, default: x").replace("[echo,", "[echo, --,");
    let project = Project::new().runbook("asks", &yaml);
    let param = format!("service={hostile}");
    assert_eq!(project.code(&["start", "asks", "--title", hostile, "--param", &param]), 6);
    for words in [
        &["start", "asks", "--plan", "--param", &param][..],
        &["start", "asks", "--title", hostile, "--param", &param],
        &["note", "last", hostile],
        &["incidents"],
        &["incidents", "-o", "json"],
        &["timeline"],
        &["timeline", "-o", "jsonl"],
        &["answer", "last", hostile, hostile],
        &["answer", "last", "cause", hostile],
        &["show", hostile],
        &["timeline", hostile],
        &["start", "asks", "--env", hostile],
        &["start", "asks", "--param", hostile],
        &["kinds", hostile],
        &["lint", hostile],
        &["postmortem", "--print"],
    ] {
        let output = project.output(words);
        for bytes in [&output.stdout, &output.stderr] {
            let text = std::str::from_utf8(bytes).unwrap();
            let wrong = text.chars().find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
            assert_eq!(wrong, None, "{words:?}: {text:?}");
            assert!(!text.contains("5609"), "nothing is evaluated: {text}");
        }
    }
    assert!(!project.directory().join("pwned").exists());
}

#[test]
fn a_secret_is_in_no_file_and_on_no_stream() {
    let secret = "xoxb-93b7-very-secret";
    let leaks = FAILS.replace(
        "[test, -e, mended]",
        "[sh, -c, 'echo $TOKEN; echo $TOKEN | base64; exit 3'], env: { TOKEN: { secret: token } }",
    ) + "    on_failure: continue\n";
    let project = Project::new().runbook("fails", &leaks).variable("SHOP_TOKEN", secret);
    let started = project.run(&["start", "fails"]);
    assert!(started.starts_with("exit 0"), "{started}");
    assert_eq!(project.code(&["note", "last", "the", "token", "is", secret]), 0);
    let transcript = [
        started,
        project.run(&["timeline", "-o", "json"]),
        project.run(&["resolve", "last"]),
        project.run(&["postmortem", "--print"]),
    ];
    assert!(transcript.iter().all(|transcript| !transcript.contains(secret)), "{transcript:?}");
    for (path, bytes) in contents(project.home.path()) {
        let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "{}", path.display());
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let project = Project::new();
    let mut child = project.spawn(&["kinds", "-o", "json"]);
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn without_home_or_state_the_options_are_named() {
    let project = Project::new().runbook("asks", ASKS);
    let output = project.command(&["start", "asks"]).env_remove("HOME").env_remove("XDG_STATE_HOME").output().unwrap();
    assert_snapshot!(project.transcript(&output), @r#"
    exit 2
    --- stderr
    error: there is no directory for the log: neither `XDG_STATE_HOME` nor `HOME` is set
    hint: Name a directory: `--state DIR` or `RUNBOOK_STATE`.
    "#);
}

#[test]
fn a_project_of_another_user_in_a_shared_directory_is_not_used() {
    use std::os::unix::fs::PermissionsExt;
    if !rustix::process::getuid().is_root() {
        // Only root can make a directory of another user; unit tests cover the rule without root.
        return;
    }
    let project = Project::new().runbook("asks", ASKS);
    std::os::unix::fs::chown(project.directory().join("runbooks"), Some(65534), None).unwrap();
    assert_eq!(project.code(&["list"]), 0, "a directory that only its owner may write is used");
    std::fs::set_permissions(project.directory(), PermissionsExt::from_mode(0o1777)).unwrap();
    assert_snapshot!(project.run(&["list"]), @r#"
    exit 4
    --- stderr
    error: `HOME/shop/runbooks` belongs to another user, in a directory where everybody may write
    hint: If you trust it, name it: `--dir .`.
    "#);
    assert_eq!(project.code(&["list", "-C", "."]), 0, "a named directory is trusted");
}

#[test]
fn help_and_version_are_data() {
    let project = Project::new();
    let output = project.output(&["--version"]);
    assert!(output.stderr.is_empty() && output.status.success());
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("runbook "));
    for words in [&["start", "--help"], &["help", "start"]] {
        let output = project.output(words);
        assert!(output.stderr.is_empty() && output.status.success());
        assert!(String::from_utf8(output.stdout).unwrap().contains("runbook start p1 --env production --plan"));
    }
    let help = String::from_utf8(project.output(&["--help"]).stdout).unwrap();
    assert!(help.contains("  6  the run waits for a person"), "the exit codes: {help}");
}

#[test]
fn the_hand_over_lists_roles_and_waiting_steps() {
    let project = asked();
    let transcript = project.run(&["role", "last", "incident_commander"]);
    assert!(transcript.contains("you have the role incident_commander"), "{transcript}");
    let transcript = project.run(&["role", "last", "incident_comander", "--release"]);
    assert!(transcript.contains("exit 2") && transcript.contains("Did you mean `incident_commander`?"), "{transcript}");
    project.run(&["note", "last", "the *disk* is <full>"]);
    let transcript = project.run(&["handoff"]);
    for part in [
        "# Hand-over: Something is slow (INCIDENT)",
        "## What waits\n\n* cause: Infrastructure or code? (infrastructure, bad code)",
        "* incident\\_commander: ada, since ",
        "* notify: due ",
        "the \\*disk\\* is \\<full\\>",
        "next: runbook answer INCIDENT cause infrastructure",
    ] {
        assert!(transcript.contains(part), "`{part}` in {transcript}");
    }
    let json = project.run(&["handoff", "-o", "json"]);
    assert!(json.contains("\"role\": \"incident_commander\"") && json.contains("\"person\": \"ada\""), "{json}");
}

#[test]
fn an_update_needs_a_channel_for_stakeholders() {
    let project = asked();
    let transcript = project.run(&["update", "last", "we", "are", "on", "it"]);
    assert!(
        transcript.contains("exit 2") && transcript.contains("no channel for stakeholders is configured"),
        "{transcript}"
    );
}
