//! What a step is called on the screen: its name with the templates filled in.

use crate::domain::core::id::{RunId, StepKey, StepPart};
use crate::domain::incident::Incident;
use crate::domain::incident::run::Run;
use crate::domain::incident::template_scope;
use crate::domain::runbook::{Step, StepBody};

/// The name of a step, or its key if the run or the step is unknown.
pub fn name(incident: &Incident, run: RunId, key: &StepKey) -> String {
    let Some((run, step)) = incident.run(run).and_then(|run| Some((run, run.runbook.step(&key.id)?))) else {
        return key.to_string();
    };
    let mut name = template_scope::text(incident, run, key, &step.name).unwrap_or_else(|_| unstyled(&step.name));
    if let Some(index) = key.index.filter(|_| !step.name.contains("item")) {
        name.push_str(&format!(" ({} of {})", index + 1, items(run, key).max(index as usize + 1)));
    }
    match key.part {
        StepPart::Main => name,
        StepPart::Verify => format!("check: {name}"),
        StepPart::Undo => format!("undo: {name}"),
    }
}

/// The name without its template expressions, when they cannot be rendered, for example because `item` is missing.
fn unstyled(name: &str) -> String {
    let mut pieces = name.split("{{");
    let first = pieces.next().unwrap_or_default().to_owned();
    let rest = pieces.map(|piece| piece.split_once("}}").map_or("", |(_, after)| after));
    let text: String = std::iter::once(first.as_str()).chain(rest).collect();
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ")
}

fn items(run: &Run, key: &StepKey) -> usize {
    run.state(&StepKey::main(key.id.clone())).and_then(|state| state.items.as_ref()).map_or(0, Vec::len)
}

/// The phase of a step: its own, otherwise that of the group around it.
pub fn phase<'a>(run: &'a Run, key: &StepKey) -> Option<&'a str> {
    fn within<'a>(steps: &'a [Step], id: &str, around: Option<&'a str>) -> Option<Option<&'a str>> {
        steps.iter().find_map(|step| {
            let phase = step.phase.as_deref().or(around);
            match &step.body {
                _ if step.id == id => Some(phase),
                StepBody::Parallel(members) => within(members, id, phase),
                _ => None,
            }
        })
    }
    within(&run.runbook.steps, &key.id, None)
        .or_else(|| within(&run.runbook.finally, &key.id, Some("finally")))
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_filled_in_is_left_out() {
        assert_eq!(unstyled("Restart {{ item }}"), "Restart");
        assert_eq!(unstyled("Restart {{ item }} on {{ item.host }} again"), "Restart on again");
        assert_eq!(unstyled("An {{ open end"), "An");
    }
}
