use super::*;

fn log() -> Vec<Recorded> {
    let text = include_str!("../../../tests/fixtures/postmortem/p1.jsonl");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The texts of the notable entries, with their signs.
fn told(log: &[Recorded]) -> Vec<String> {
    Timeline::of(log).notable().map(|entry| format!("{} {} {}", entry.sign.glyph(), entry.who, entry.text)).collect()
}

#[test]
fn templates_in_names_are_filled_in() {
    let log = log();
    let incident = incident::fold(&log).unwrap().unwrap();
    let run = incident.run(RunId(1)).unwrap();
    let step = run.runbook.step("restart").unwrap();
    assert_eq!(crate::domain::scope::text(&incident, run, &StepKey::main("restart"), &step.name).unwrap(), "x");
}
