//! The change between two checks of a subject, in a short text.

use super::{HealthGrade, StatusRow};

/// The change of grade, the automatic or manual restart, or the new reason of a problem; none if nothing of these changed.
pub fn changes(before: &StatusRow, after: &StatusRow) -> Option<String> {
    let reason = after.reason.as_deref().map_or_else(String::new, |reason| format!(": {reason}"));
    if before.grade != after.grade {
        return Some(match (before.grade, after.grade) {
            // The grade is unknown before the first check, so this is no change.
            (HealthGrade::Unknown, HealthGrade::Up) => return None,
            (_, HealthGrade::Up) => format!("up again, was {}{reason}", before.grade.code()),
            (_, grade) => format!("{}{reason}", grade.code()),
        });
    }
    restarted(before, after).or_else(|| {
        let has_new_reason = before.reason != after.reason && after.grade != HealthGrade::Up;
        has_new_reason.then(|| format!("{}{reason}", after.grade.code()))
    })
}

/// A text if the unit was restarted between the checks.
fn restarted(before: &StatusRow, after: &StatusRow) -> Option<String> {
    let (before, after) = (before.seen()?, after.seen()?);
    let (was, is) = (before.restarts.unwrap_or(0), after.restarts.unwrap_or(0));
    match is {
        1 if is > was => Some("restarted by systemd".to_owned()),
        _ if is > was => Some(format!("restarted by systemd, {is} times now")),
        _ if before.is_up && after.is_up && before.since? < after.since? => Some("restarted".to_owned()),
        _ => None,
    }
}
