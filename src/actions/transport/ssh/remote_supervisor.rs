//! What the far side runs: a first word that is the same for every job, and a script that comes on standard input.
//!
//! ssh joins the words of a command with blanks and gives them to the account's login shell, whichever that is. So the
//! command line of every session is one constant, [`FIRST`], which sh, bash, csh and fish understand alike; everything
//! else, the program, its arguments, its environment, secrets among them, is read by `/bin/sh` from standard input. None of it is
//! ever in an argument list but the program's own arguments in the program's own.
//!
//! The script starts the program in a session of its own and watches: when standard input ends (the connection is lost, or who
//! asked has had enough), or the time is over, it ends the program and everything that it started. What left the session is found
//! as on this machine, by a mark in the soft limit of `RLIMIT_RTTIME`, where the host has `prlimit`; see
//! [`process`](crate::actions::transport::process). Each script has a word of its own, made by chance, by which its reports are told from what
//! the program prints.
//!
//! Deliberately absent: anything that has to be installed on the host besides a POSIX shell, and `setsid` of util-linux or BusyBox.
//!
//! **Invariant:** [`FIRST`] holds no data; a script that did not arrive whole is not run.

use crate::domain::core::text::shell_quoted;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// Printed on both streams when the supervisor is ready. Output before it comes from login scripts.
pub(crate) const BEGIN: &str = "runbook:begin";

/// The command of every session. It must hold no quote, backslash, exclamation mark or line feed inside its quotes:
/// fish, csh and sh treat those differently.
pub(crate) const FIRST: &str =
    "exec /bin/sh -c 'echo runbook:begin; echo runbook:begin >&2; IFS= read -r first && eval \"$first\"'";

/// Time between SIGTERM and SIGKILL, as on this machine.
const GRACE: Duration = crate::actions::transport::process::GRACE;

/// Watches the program, ends it with its descendants, and reports; see the head of this file. The lines before it set
/// `$_tag`, `$_mark`, `$grace` and `$limit`, and define `job`, a function that becomes the program.
///
/// A background job of a shell ignores SIGINT. That is harmless here, since there is no keyboard.
const SUPERVISOR: &str = r#"
marked() {
  [ -n "$_mark" ] || return 1
  found=$(grep -ls "^Max realtime timeout  *$_mark " /proc/[0-9]*/limits 2>/dev/null)
  [ -n "$found" ]
}
living() {
  [ -n "$_mark" ] || { kill -s 0 -- "-$job" 2>/dev/null; return; }
  marked || return 1
  for file in $found; do grep -qs '^State:[[:space:]]*[A-WYa-z]' "${file%limits}status" && return 0; done
  return 1
}
send() {
  kill -s "$1" -- "-$job" 2>/dev/null || kill -s "$1" "$job" 2>/dev/null
  if marked; then
    for file in $found; do pid=${file#/proc/}; kill -s "$1" "${pid%/limits}" 2>/dev/null; done
  fi
}
leave() {
  trap '' TERM PIPE
  echo "$_tag $*" >&2
  kill -s TERM 0
  exit 0
}
halt() {
  trap '' TERM
  send TERM
  ( trap - TERM; sleep "$grace"; send KILL; send KILL ) </dev/null >/dev/null 2>&1 3<&- &
  wait "$job" 2>/dev/null
  round=0
  while [ "$round" -lt 40 ] && living; do
    sleep 0.1 2>/dev/null || sleep 1
    round=$((round + 1))
  done
  send KILL
  leave halted
}
_setsid=$(command -v setsid) _prlimit=$(command -v prlimit)
[ -n "$_setsid" ] && [ -n "$_prlimit" ] && "$_prlimit" --rttime="$_mark:" true </dev/null >/dev/null 2>&1 || _mark=
over=
trap 'over=1' TERM HUP
exec 3<&0 </dev/null
START
job=$!
( trap '' HUP; while IFS= read -r word; do :; done; while kill -s TERM $$; do sleep 1; done ) <&3 >/dev/null 2>&1 &
[ -z "$limit" ] || ( trap '' HUP; sleep "$limit"; while kill -s TERM $$; do sleep 1; done ) </dev/null >/dev/null 2>&1 3<&- &
while :; do
  wait "$job" 2>/dev/null
  code=$?
  [ -z "$over" ] || halt
  kill -s 0 "$job" 2>/dev/null || break
done
left=0
kill -s 0 -- "-$job" 2>/dev/null && left=1
leave "code $code $left"
"#;

/// Finds a program as `execvp` does, so that a missing program differs from one that exits with 127.
const LOCATE: &str = r#"
located() (
  case $1 in
    */*) [ -x "$1" ] && [ ! -d "$1" ] && exit 0 ;;
    *) IFS=:; set -f; for directory in $PATH; do [ -f "${directory:-.}/$1" ] && [ -x "${directory:-.}/$1" ] && exit 0; done ;;
  esac
  exit 1
)
become() {
  located "$1" || { echo "$_tag missing $(printf %s "$PATH" | tr '\n' ' ')" >&2; exit 127; }
  [ -z "$_mark" ] || exec "$_setsid" "$_prlimit" --rttime="$_mark:" -- "$@"
  [ -z "$_setsid" ] || exec "$_setsid" -- "$@"
  exec "$@"
}
"#;

/// The parts of the script of one job.
pub(crate) struct SupervisorScript<'a> {
    pub(crate) argv: &'a [String],
    pub(crate) environment: &'a BTreeMap<String, String>,
    /// Relative to the account's home directory.
    pub(crate) directory: &'a Path,
    pub(crate) input: Option<&'a str>,
    /// Time until the supervisor ends the program by itself, even without a connection to us.
    pub(crate) limit: Option<Duration>,
    /// The mark that every process of the job carries.
    pub(crate) mark: u64,
}

/// The complete standard input of a session that runs `work`.
pub(crate) fn of(work: &SupervisorScript<'_>, tag: &str) -> String {
    let mut body = format!("_tag={}\n_mark={}\ngrace={}\n", shell_quoted(tag), work.mark, GRACE.as_secs());
    let limit = work.limit.map_or_else(String::new, |limit| limit.as_secs().max(1).to_string());
    body.push_str(&format!("limit={}\n", shell_quoted(&limit)));
    body.push_str(LOCATE);
    body.push_str("job() {\n");
    let directory = work.directory.to_string_lossy();
    if !directory.is_empty() {
        let front = if directory.starts_with('/') { "" } else { "./" };
        let directory = shell_quoted(&format!("{front}{directory}"));
        body.push_str(&format!(
            "CDPATH= cd -- {directory} 2>/dev/null || {{ echo \"$_tag directory\" >&2; exit 1; }}\n"
        ));
    }
    for (name, value) in work.environment {
        body.push_str(&format!("export {name}={}\n", shell_quoted(value)));
    }
    let words: Vec<String> = work.argv.iter().map(|word| shell_quoted(word)).collect();
    body.push_str(&format!("become {}\n}}\n", words.join(" ")));
    let start = match work.input {
        None => "job 3<&- &".to_owned(),
        Some(input) => format!("printf %s {} 3<&- | job 3<&- &", shell_quoted(input)),
    };
    body.push_str(&SUPERVISOR.replace("START", &start));
    framed(&body, tag)
}

/// The standard input of a session that becomes one program with exclusive use of the streams. It needs no supervision,
/// since that program ends when its streams end.
pub(crate) fn becoming(argv: &[String], tag: &str) -> String {
    let words: Vec<String> = argv.iter().map(|word| shell_quoted(word)).collect();
    framed(&format!("exec {}\n", words.join(" ")), tag)
}

/// Frames a script so that [`FIRST`] can run it. Its first line reads the others up to the end tag, and runs them only
/// if the end tag arrived.
fn framed(body: &str, tag: &str) -> String {
    let end = format!("end:{tag}");
    format!(
        "n=$(printf '\\nx'); n=${{n%x}}; s=; \
         while IFS= read -r l && [ \"$l\" != {end} ]; do s=$s$l$n; done; [ \"$l\" = {end} ] && eval \"$s\"\n{body}{end}\n"
    )
}

/// Whether a shell accepts a variable of this name.
pub(crate) fn is_variable(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty() && name.chars().all(fits) && !name.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_command_is_one_that_every_login_shell_understands_alike() {
        let inner =
            FIRST.strip_prefix("exec /bin/sh -c '").and_then(|rest| rest.strip_suffix('\'')).expect("one quoted word");
        assert!(!inner.contains(['\'', '\\', '!', '\n', '`']), "{inner}");
        assert!(inner.contains(BEGIN));
    }
}
