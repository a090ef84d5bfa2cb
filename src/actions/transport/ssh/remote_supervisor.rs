//! The shell script that starts and supervises a program on a remote host.
//!
//! The command of every session is the constant [`FIRST`], which every login shell understands: sh, bash, csh, fish. It
//! starts `/bin/sh`, which reads the script from standard input: program, arguments, environment and secrets. So no
//! secret is in an argument list.
//!
//! The program runs in a new session. The script ends it, daemons included, when standard input ends or the time limit
//! has passed. The script needs only a POSIX shell, but finds daemons only with `setsid` and `prlimit`.
//!
//! **Invariant:** [`FIRST`] contains no data, and a script that did not arrive completely is not run.

use crate::domain::core::text::shell_quoted;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// The line on both streams when the supervisor is ready. Output before it comes from login scripts.
pub(crate) const BEGIN: &str = "runbook:begin";

/// The command of every session. Inside its quotes it must contain no quote, backslash, exclamation mark or line feed,
/// which fish, csh and sh treat differently.
pub(crate) const FIRST: &str =
    "exec /bin/sh -c 'echo runbook:begin; echo runbook:begin >&2; IFS= read -r first && eval \"$first\"'";

/// Time between SIGTERM and SIGKILL, as on this machine.
const GRACE: Duration = crate::actions::transport::process::GRACE;

/// Watches the program, ends it with its descendants, and reports its exit. [`script`] puts lines before it, which set
/// `$_tag`, `$_mark`, `$grace` and `$limit` and define the function `job`, which becomes the program.
///
/// `ask` sends SIGTERM once to each process. It determines the processes outside the program's group before the first
/// signal: a process that starts later does clean-up, and has time until the end of the grace period.
///
/// A shell lets background commands ignore SIGINT. That does not matter, since there is no keyboard.
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
group() {
  kill -s "$1" -- "-$job" 2>/dev/null || kill -s "$1" "$job" 2>/dev/null
}
each() {
  for file in $found; do pid=${file#/proc/}; kill -s "$1" "${pid%%/*}" 2>/dev/null; done
}
ask() {
  found=
  if marked; then
    set --
    for file in $found; do set -- "$@" "${file%limits}stat"; done
    found=$(grep -Ls ") [A-Za-z] [0-9]* $job [^)]*\$" "$@" 2>/dev/null)
  fi
  group TERM
  each TERM
}
end() {
  group KILL
  if marked; then each KILL; fi
}
leave() {
  trap '' TERM PIPE
  echo "$_tag $*" >&2
  kill -s TERM 0
  exit 0
}
halt() {
  trap '' TERM
  ask
  ( trap - TERM; sleep "$grace"; end; end ) </dev/null >/dev/null 2>&1 3<&- &
  wait "$job" 2>/dev/null
  round=0
  while [ "$round" -lt 40 ] && living; do
    sleep 0.1 2>/dev/null || sleep 1
    round=$((round + 1))
  done
  end
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

/// Searches a program as `execvp` does, so that a missing program differs from one that exits with 127.
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

/// The parameters of the script of one job.
pub(crate) struct SupervisorScript<'a> {
    pub(crate) argv: &'a [String],
    pub(crate) environment: &'a BTreeMap<String, String>,
    /// A relative path starts in the account's home directory.
    pub(crate) directory: &'a Path,
    pub(crate) input: Option<&'a str>,
    /// Time until the supervisor ends the program by itself, even without a connection to us.
    pub(crate) limit: Option<Duration>,
    /// The mark that every process of the job carries.
    pub(crate) mark: u64,
}

/// The complete standard input of a session that runs a job.
pub(crate) fn script(job: &SupervisorScript<'_>, tag: &str) -> String {
    let mut body = format!("_tag={}\n_mark={}\ngrace={}\n", shell_quoted(tag), job.mark, GRACE.as_secs());
    let limit = job.limit.map_or_else(String::new, |limit| limit.as_secs().max(1).to_string());
    body.push_str(&format!("limit={}\n", shell_quoted(&limit)));
    body.push_str(LOCATE);
    body.push_str("job() {\n");
    let directory = job.directory.to_string_lossy();
    if !directory.is_empty() {
        let prefix = if directory.starts_with('/') { "" } else { "./" };
        let directory = shell_quoted(&format!("{prefix}{directory}"));
        body.push_str(&format!(
            "CDPATH= cd -- {directory} 2>/dev/null || {{ echo \"$_tag directory\" >&2; exit 1; }}\n"
        ));
    }
    for (name, value) in job.environment {
        body.push_str(&format!("export {name}={}\n", shell_quoted(value)));
    }
    body.push_str(&format!("become {}\n}}\n", quoted(job.argv)));
    let start = match job.input {
        None => "job 3<&- &".to_owned(),
        Some(input) => format!("printf %s {} 3<&- | job 3<&- &", shell_quoted(input)),
    };
    body.push_str(&SUPERVISOR.replace("START", &start));
    framed(&body, tag)
}

/// The standard input of a session that becomes one program. It is not supervised, so the program must end when its
/// standard input ends.
pub(crate) fn exec_script(argv: &[String], tag: &str) -> String {
    framed(&format!("exec {}\n", quoted(argv)), tag)
}

fn quoted(argv: &[String]) -> String {
    argv.iter().map(|argument| shell_quoted(argument)).collect::<Vec<_>>().join(" ")
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
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty() && name.chars().all(is_allowed) && !name.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_command_has_no_character_that_login_shells_treat_differently() {
        let inner =
            FIRST.strip_prefix("exec /bin/sh -c '").and_then(|rest| rest.strip_suffix('\'')).expect("one quoted word");
        assert!(!inner.contains(['\'', '\\', '!', '\n', '`']), "{inner}");
        assert!(inner.contains(BEGIN));
    }
}
