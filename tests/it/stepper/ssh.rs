//! The stepper over a real SSH connection: the terminal is here, the program on the remote host.

use portable_pty::CommandBuilder;

use super::{Project, RUNBOOK, Terminal, answer};
use crate::real::sshd::Sshd;

/// The program on the remote host, in this project.
fn remote_terminal(sshd: &Sshd, project: &Project, columns: u16, words: &str) -> Terminal {
    let (path, program) = (project.path().display(), env!("CARGO_BIN_EXE_runbook"));
    let line =
        format!("cd {path} && exec env -i PATH=/usr/bin:/bin HOME={path} LANG=C.UTF-8 TERM=$TERM {program} {words}");
    let words = sshd.client(&line);
    let mut command = CommandBuilder::new(&words[0]);
    command.args(&words[1..]);
    project.on_terminal(columns, command, &[])
}

#[test]
fn a_person_completes_a_run_over_ssh() {
    let (sshd, project) = (Sshd::start(), Project::with(RUNBOOK));
    let mut terminal = remote_terminal(&sshd, &project, 80, "start small");
    terminal.see("notify due in 14:");
    terminal.see("▸ 2 code · suggested");
    answer(&mut terminal, "\r", "→ code");
    terminal.see("y do it");
    assert!(!project.path().join("restarted").exists(), "nothing is changed before the approval");
    answer(&mut terminal, "y", "Reload the search index failed: what now?");
    answer(&mut terminal, "s", "why skip?");
    terminal.press("not tonight\r");
    terminal.see("By hand: Tell stakeholders");
    answer(&mut terminal, "\r", "Small shop is down: small succeeded");
    assert_eq!(terminal.exit_code(), 0, "{}", terminal.screen());
    assert!(!terminal.screen().contains("q detach"), "the live region is removed:\n{}", terminal.screen());
}

#[test]
fn a_broken_connection_loses_nothing_and_another_continues() {
    let (sshd, project) = (Sshd::start(), Project::with(RUNBOOK));
    let mut terminal = remote_terminal(&sshd, &project, 80, "start small");
    terminal.see("▸ 2 code");
    answer(&mut terminal, "1", "y do it");
    // The connection ends without a signal, as when a laptop is closed.
    drop(terminal);
    let mut other = remote_terminal(&sshd, &project, 60, "watch last");
    other.see("y do it");
    answer(&mut other, "y", "Reload the search index failed: what now?");
    assert!(project.path().join("restarted").exists());
    other.press("\u{3}");
    assert_eq!(other.exit_code(), 130, "{}", other.screen());
    assert_eq!(project.piped(&["verify"]).0, 0);
}
