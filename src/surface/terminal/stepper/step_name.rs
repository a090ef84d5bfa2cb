//! The display name of a step, with its templates rendered.

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
    let mut name =
        template_scope::text(incident, run, key, &step.name).unwrap_or_else(|_| without_templates(&step.name));
    if let Some(index) = key.index.filter(|_| !step.name.contains("item")) {
        name.push_str(&format!(" ({} of {})", index + 1, item_count(run, key).max(index as usize + 1)));
    }
    match key.part {
        StepPart::Main => name,
        StepPart::Verify => format!("check: {name}"),
        StepPart::Undo => format!("undo: {name}"),
    }
}

/// The name without its template expressions, for a name that cannot be rendered, for example because `item` is missing.
fn without_templates(name: &str) -> String {
    let mut pieces = name.split("{{");
    let first = pieces.next().unwrap_or_default().to_owned();
    let rest = pieces.map(|piece| piece.split_once("}}").map_or("", |(_, after)| after));
    let text: String = std::iter::once(first.as_str()).chain(rest).collect();
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ")
}

/// The number of items of a `for_each` step.
fn item_count(run: &Run, key: &StepKey) -> usize {
    run.state(&StepKey::main(key.id.clone())).and_then(|state| state.items.as_ref()).map_or(0, Vec::len)
}

/// The phase of a step, otherwise that of the group around it.
pub fn phase<'a>(run: &'a Run, key: &StepKey) -> Option<&'a str> {
    fn find<'a>(steps: &'a [Step], id: &str, around: Option<&'a str>) -> Option<Option<&'a str>> {
        steps.iter().find_map(|step| {
            let phase = step.phase.as_deref().or(around);
            match &step.body {
                _ if step.id == id => Some(phase),
                StepBody::Parallel(members) => find(members, id, phase),
                _ => None,
            }
        })
    }
    find(&run.runbook.steps, &key.id, None).or_else(|| find(&run.runbook.finally, &key.id, Some("finally"))).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_that_cannot_be_rendered_is_left_out() {
        assert_eq!(without_templates("Restart {{ item }}"), "Restart");
        assert_eq!(without_templates("Restart {{ item }} on {{ item.host }} again"), "Restart on again");
        assert_eq!(without_templates("An {{ open end"), "An");
    }
}
