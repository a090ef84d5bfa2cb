//! Hostile values in every place of a script, read back from the real `sh` and `bash`.
#![expect(clippy::disallowed_methods, reason = "only the real shells show whether quoting is right")]

use std::io::Write as _;
use std::process::{Command, Stdio};

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Values that break careless quoting.
const HOSTILE: &[&str] = &[
    "",
    " ",
    "plain",
    "two words",
    "$(touch pwned)",
    "`touch pwned`",
    "'; touch pwned; '",
    "\"; touch pwned; \"",
    "'$(touch pwned)'",
    "\\",
    "\\\\",
    "a\\",
    "\\$(touch pwned)",
    "$HOME",
    "${HOME}",
    "$",
    "$$",
    "!",
    "!!",
    "*",
    "?",
    "[a]",
    "~",
    "~root",
    "#",
    "# x",
    "a#b",
    "&",
    "|",
    ";",
    "<",
    ">",
    "(",
    ")",
    "{a,b}",
    "\n",
    "a\nb",
    "a\n",
    "\nEND\n",
    "END",
    "\tEND",
    "a\nEND\ntouch pwned\n",
    "\t",
    "\ta",
    "a\n\tb",
    "\r",
    "a\r\nb",
    "-n",
    "-e",
    "--help",
    "-",
    "--",
    "'",
    "''",
    "\"",
    "\"\"",
    "'\"'",
    "\"'\"'\"",
    "\u{1b}[2J",
    "é",
    "日本",
    "\u{202e}",
    "%s",
    "%d%n",
    "\\n",
    "\\0",
    "0",
    "-1",
    "08",
    "1+1",
    "a[$(touch pwned)]",
    "x=y",
    "{{ 7 * 7 }}",
    "{% raw %}",
    "${x:-$(touch pwned)}",
    "$'\\x41'",
    "\u{7f}",
    "a\u{a0}b",
    "EOF",
    "\\\nEND",
    "$((1+1))",
];

/// Scripts by the place of their value. Each prints the value in brackets, so that its end is visible.
const PLACES: &[(&str, &str)] = &[
    ("bare", "printf '[%s]' {{ v }}"),
    ("glued", "printf '[%s]' a{{ v }}b"),
    ("single", "printf '[%s]' 'a{{ v }}b'"),
    ("double", "printf '[%s]' \"a{{ v }}b\""),
    ("substitution", "x=$(printf '[%s]' {{ v }}x); printf %s \"$x\""),
    ("substitution in double", "printf %s \"$(printf '[%s]' \"{{ v }}x\")\""),
    ("nested", "printf %s \"$(printf %s \"$(printf '[%s]' 'a{{ v }}b')\")\""),
    ("assignment", "x={{ v }}; printf '[%s]' \"$x\""),
    ("quoted here-document", "printf '['; cat <<'END'\n{{ v }}.\nEND\nprintf ']'"),
    ("here-document", "printf '['; cat <<END\n{{ v }}.\nEND\nprintf ']'"),
    ("tabbed here-document", "printf '['; cat <<-END\n\t.{{ v }}.\n\tEND\nprintf ']'"),
    ("here-document in a substitution", "printf '[%s]' \"$(cat <<END\n{{ v }}.\nEND\n)\""),
    ("after a comment", "# don't {{ v }}\nprintf '[%s]' {{ v }}"),
    ("for", "for i in {{ v }}; do printf '[%s]' \"$i\"; done"),
    ("case", "case {{ v }} in {{ v }}) printf '[%s]' {{ v }};; *) printf wrong;; esac"),
    ("after a parameter", "y=1; printf '[%s]' \"${y}{{ v }}\""),
];

/// The output for a value in a place.
fn expected(place: &str, value: &str) -> String {
    match place {
        "glued" | "single" | "double" | "nested" => format!("[a{value}b]"),
        "substitution" | "substitution in double" => format!("[{value}x]"),
        "quoted here-document" | "here-document" => format!("[{value}.\n]"),
        "tabbed here-document" => format!("[.{value}.\n]"),
        "here-document in a substitution" => format!("[{value}.]"),
        "after a parameter" => format!("[1{value}]"),
        _ => format!("[{value}]"),
    }
}

fn run(shell: &str, script: &str, directory: &std::path::Path) -> String {
    let mut child = Command::new(shell)
        .current_dir(directory)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("`{shell}` (Debian package dash or bash) cannot be started: {error}"));
    child.stdin.take().expect("stdin is piped").write_all(script.as_bytes()).expect("the shell reads its script");
    let output = child.wait_with_output().expect("the shell ends");
    assert!(output.stderr.is_empty(), "{shell} printed {}\n{script}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("the output is UTF-8")
}

fn scope(value: &serde_json::Value) -> Value {
    Value::from(minijinja::value::Serde(json!({ "v": value })))
}

/// Renders every value into every place, runs all scripts in one process of each shell, and compares the output. Returns how
/// many were not refused.
fn assert_read_as_data(values: &[&str]) -> usize {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let (mut script, mut outputs) = (String::new(), Vec::new());
    for (place, template) in PLACES {
        for value in values {
            let Ok(rendered) = render(template, &scope(&json!(value))) else { continue };
            script.push_str(&rendered);
            script.push_str("\nprintf '\\036'\n");
            outputs.push((expected(place, value), *place, rendered));
        }
    }
    for shell in ["sh", "bash"] {
        let output = run(shell, &script, directory.path());
        let parts: Vec<&str> = output.split('\u{1e}').collect();
        for (index, (output, place, rendered)) in outputs.iter().enumerate() {
            assert_eq!(parts.get(index), Some(&output.as_str()), "{shell}, {place}: {rendered}");
        }
        assert!(!directory.path().join("pwned").exists(), "{shell} ran a value");
    }
    outputs.len()
}

#[test]
fn every_hostile_value_reaches_the_shell_as_data_in_every_place() {
    let accepted = assert_read_as_data(HOSTILE);
    // Few are refused: those that hold a here-document's end word, or a leading tab under `<<-`.
    assert!(accepted + 20 > HOSTILE.len() * PLACES.len(), "{accepted} of {}", HOSTILE.len() * PLACES.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn random_values_reach_the_shell_as_data_in_every_place(
        values in proptest::collection::vec("[$`'\"\\\\ \t\na-cEND(){}!*?<>|&;#~=-]{0,12}", 30)
    ) {
        assert_read_as_data(&values.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

#[test]
fn a_list_gives_one_word_for_each_item() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let script = render("printf '[%s]' {{ v }}", &scope(&json!(["a b", "$(x)", "", 3, true]))).expect("renders");
    assert_eq!(run("sh", &script, directory.path()), "[a b][$(x)][][3][true]");
    assert_eq!(render("echo {{ v }} end", &scope(&json!([]))).expect("renders"), "echo  end");
}

fn refusal(script: &str, value: &serde_json::Value) -> String {
    let error = render(script, &scope(value)).expect_err(script);
    format!("{}:{} {}", error.line, error.column, error.message)
}

#[test]
fn an_unsafe_interpolation_is_refused_with_its_place() {
    let list = json!(["a"]);
    let text = json!("x");
    for (script, value, expected) in [
        ("echo `date {{ v }}`", &text, "1:15 a value cannot stand inside back-ticks"),
        ("echo ${x:-{{ v }}}", &text, "1:14 a value cannot stand inside `${ … }`"),
        ("echo $'{{ v }}'", &text, "1:11 a value cannot stand inside `$'…'`"),
        ("echo \\{{ v }}", &text, "1:10 a value cannot stand after a backslash"),
        ("echo \"\\{{ v }}\"", &text, "1:11 a value cannot stand after a backslash"),
        ("echo ${{ v }}", &text, "1:10 a value cannot stand after `$`"),
        ("echo \"$HOME{{ v }}\"", &text, "1:15 a value here would lengthen the variable's name"),
        ("echo \"{{ v }}\"", &list, "1:10 a list cannot stand inside double quotes"),
        ("echo a{{ v }}", &list, "1:10 a list cannot be a part of a word"),
        ("\necho {{ v }}", &json!({"a": 1}), "2:9 a mapping has no form in a script"),
        ("echo {{ v }}", &json!(null), "1:9 `none` has no form in a script"),
        ("echo {{ v }}", &json!("a\0b"), "1:9 the value holds a NUL byte, which no program can be given"),
        ("echo {{ v }}", &json!("a\u{fdd0}b"), "1:9 the value is text that was captured by a block or holds U+FDD0"),
        (
            "{% set x %}{{ v }}{% endset %}echo {{ x }}",
            &text,
            "1:39 the value is text that was captured by a block or holds U+FDD0",
        ),
        ("cat <<END\n{{ v }}\nEND", &json!("END"), "2:4 a value holds the end word of its here-document"),
        ("cat <<{{ v }}\nEND", &text, "1:10 a value cannot be the end word of a here-document"),
        ("echo $((1 + {{ v }}))", &text, "1:16 only whole numbers can stand in arithmetic"),
        (
            "eval echo {{ v }}",
            &text,
            "1:14 a value cannot stand here: this command reads its words a second time, as code",
        ),
        (
            "eval \"$(a; b)\" {{ v }}",
            &text,
            "1:19 a value cannot stand here: this command reads its words a second time, as code",
        ),
        ("[[ a && {{ v }} -eq 1 ]]", &text, "1:12 a value cannot stand here: `[[` evaluates numbers as code; use `[`"),
        ("echo ${x:-\"{{ v }}\"}", &text, "1:15 a value cannot stand here: it is inside `${ … }`"),
        (
            "echo $(( $(echo {{ v }}) ))",
            &text,
            "1:20 a value cannot stand here: arithmetic reads what it is given as code",
        ),
        (
            "((1)); echo {{ v }}",
            &text,
            "1:16 a value cannot stand here: `((` is arithmetic to one shell and a command to another",
        ),
        ("echo {{ v | safe }}", &text, "1:13 filter safe is unknown"),
        ("echo {{ nope }}", &text, "1:9 `nope` is not defined"),
    ] {
        assert_eq!(refusal(script, value), expected, "{script}");
    }
}

#[test]
fn a_value_after_a_command_that_evaluates_its_arguments_is_accepted() {
    for script in [
        "read x; echo {{ v }}",
        "while read -r line; do\necho {{ v }}\ndone",
        "[[ a ]] && echo {{ v }}",
        "[ {{ v }} -eq 1 ]",
    ] {
        assert!(render(script, &scope(&json!("x"))).is_ok(), "{script}");
    }
}

#[test]
fn arithmetic_takes_whole_numbers_only() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    for (value, result) in [(json!(5), "8"), (json!(-5), "-2"), (json!("7"), "10")] {
        let script = render("echo $((3+{{ v }}))", &scope(&value)).expect("renders");
        assert_eq!(run("bash", &script, directory.path()).trim(), result);
        assert_eq!(run("sh", &script, directory.path()).trim(), result);
    }
    assert!(render("echo $((3-{{ v }}))", &scope(&json!("x[$(touch pwned)]"))).is_err());
    assert!(render("echo $((3-{{ v }}))", &scope(&json!("010"))).is_err());
}

#[test]
fn the_checker_reports_what_rendering_refuses() {
    let messages = |script: &str| -> Vec<String> {
        lint(script).into_iter().map(|e| format!("{}:{} {}", e.line, e.column, e.message)).collect()
    };
    assert_eq!(messages("echo {{ v }} \"{{ v }}\"\n"), Vec::<String>::new());
    assert_eq!(
        messages("a `{{ v }}`\nb ${x{{ v }}}"),
        ["1:4 a value cannot stand inside back-ticks", "2:6 a value cannot stand inside `${ … }`"]
    );
    assert_eq!(messages("{% if x %}`{{ v }}`{% endif %}"), Vec::<String>::new());
}

proptest! {
    #[test]
    fn no_script_makes_the_lexer_panic(script in "[$`'\"\\\\ \t\na-cE(){}#<>|&;=~\u{fdd0}\u{fdd1}0-9-]{0,40}") {
        let _ = lint(&script);
        let _ = lexer::read(&script, &[Datum::Unknown]);
    }

    #[test]
    fn no_template_makes_the_renderer_panic(script in "([$`'\" \n(){}#<E;-]|\\{\\{ v \\}\\}|\\{\\{|\\}\\}|\\{%|%\\}){0,20}", value in ".*") {
        let _ = render(&script, &scope(&json!(value)));
    }
}
