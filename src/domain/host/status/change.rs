//! What has changed between two looks at a subject, in a few words.
//!
//! Deliberately absent: when. Whoever looks knows that.

use super::{HealthGrade, StatusRow};

/// What is new about a subject; nothing when a reader would not call it news.
pub fn changes(before: &StatusRow, after: &StatusRow) -> Option<String> {
    let reason = after.reason.as_deref().map_or_else(String::new, |reason| format!(": {reason}"));
    if before.grade != after.grade {
        return Some(match (before.grade, after.grade) {
            // Before the first answer nothing is known, and that is no news.
            (HealthGrade::Unknown, HealthGrade::Up) => return None,
            (_, HealthGrade::Up) => format!("up again, was {}{reason}", before.grade.code()),
            (_, grade) => format!("{}{reason}", grade.code()),
        });
    }
    restarted(before, after).or_else(|| {
        let is_news = before.reason != after.reason && after.grade != HealthGrade::Up;
        is_news.then(|| format!("{}{reason}", after.grade.code()))
    })
}

/// That it was started again in between.
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
