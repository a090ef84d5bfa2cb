//! The stepper over a real SSH connection: a terminal on this side, the program on the other.

use portable_pty::CommandBuilder;

use super::{RUNBOOK, Shop, Terminal, answer};
use crate::real::sshd::Sshd;

/// The program over there, in this shop.
fn over(sshd: &Sshd, shop: &Shop, columns: u16, words: &str) -> Terminal {
    let (path, program) = (shop.path().display(), env!("CARGO_BIN_EXE_runbook"));
    let line =
        format!("cd {path} && exec env -i PATH=/usr/bin:/bin HOME={path} LANG=C.UTF-8 TERM=$TERM {program} {words}");
    let words = sshd.client(&line);
    let mut command = CommandBuilder::new(&words[0]);
    command.args(&words[1..]);
    shop.on_terminal(columns, command, &[])
}

#[test]
fn a_person_goes_through_a_whole_run_over_ssh() {
    let (sshd, shop) = (Sshd::start(), Shop::with(RUNBOOK));
    let mut terminal = over(&sshd, &shop, 80, "start small");
    terminal.see("notify due in 14:");
    terminal.see("▸ 2 code · suggested");
    answer(&mut terminal, "\r", "→ code");
    terminal.see("y do it");
    assert!(!shop.path().join("restarted").exists(), "nothing is changed before it is agreed to");
    answer(&mut terminal, "y", "Reload the search index failed: what now?");
    answer(&mut terminal, "s", "why skip?");
    terminal.press("not tonight\r");
    terminal.see("By hand: Tell stakeholders");
    answer(&mut terminal, "\r", "Small shop is down: small succeeded");
    assert_eq!(terminal.exit_code(), 0, "{}", terminal.screen());
    assert!(!terminal.screen().contains("q detach"), "the live region is gone:\n{}", terminal.screen());
}

#[test]
fn a_connection_that_breaks_loses_nothing_and_another_goes_on() {
    let (sshd, shop) = (Sshd::start(), Shop::with(RUNBOOK));
    let mut terminal = over(&sshd, &shop, 80, "start small");
    terminal.see("▸ 2 code");
    answer(&mut terminal, "1", "y do it");
    // Whoever closes the laptop says nothing to the other side.
    drop(terminal);
    let mut other = over(&sshd, &shop, 60, "watch last");
    other.see("y do it");
    answer(&mut other, "y", "Reload the search index failed: what now?");
    assert!(shop.path().join("restarted").exists());
    other.press("\u{3}");
    assert_eq!(other.exit_code(), 130, "{}", other.screen());
    assert_eq!(shop.piped(&["verify"]).0, 0);
}
