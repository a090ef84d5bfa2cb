//! Countdowns to deadlines, in a long and a short form.

use chrono::TimeDelta;

use super::styled_text::Tone;
use crate::domain::core::time::Timestamp;
use crate::domain::incident::deadline::{Deadline, DeadlineStatus};

/// How long before the deadline the countdown is shown as urgently as a missed deadline.
const URGENT_BEFORE: TimeDelta = TimeDelta::minutes(2);

/// The countdown of one deadline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Countdown {
    /// Such as `notify due in 12:41`.
    pub long: String,
    /// Such as `notify 12:41`.
    pub short: String,
    pub tone: Tone,
    /// Whether the deadline is neither met nor lifted.
    pub open: bool,
}

/// The countdown of a deadline at `now`.
pub fn of(deadline: &Deadline, now: Timestamp) -> Countdown {
    let name = &deadline.name;
    let (long, short, tone) = match &deadline.status {
        DeadlineStatus::Running | DeadlineStatus::Missed if now >= deadline.due => {
            let late = clock(now - deadline.due);
            (format!("{name} LATE by {late}"), format!("{name} LATE {late}"), Tone::Bad)
        }
        DeadlineStatus::Running | DeadlineStatus::Missed => {
            let left = deadline.due - now;
            // Rounded up, so that `0:00` is never shown before the deadline.
            let shown = clock(left + TimeDelta::milliseconds(999));
            (format!("{name} due in {shown}"), format!("{name} {shown}"), urgency(deadline, left, now))
        }
        DeadlineStatus::Lifted => (format!("{name} not needed"), format!("{name} -"), Tone::Good),
        DeadlineStatus::Met { at, .. } => {
            let spare = clock(deadline.due - *at);
            (format!("{name} done, {spare} to spare"), format!("{name} ok +{spare}"), Tone::Good)
        }
        DeadlineStatus::MetLate { at, .. } => {
            let late = clock(*at - deadline.due);
            (format!("{name} done, LATE by {late}"), format!("{name} LATE {late}"), Tone::Warn)
        }
    };
    Countdown { long, short, tone, open: deadline.is_open() }
}

fn urgency(deadline: &Deadline, left: TimeDelta, now: Timestamp) -> Tone {
    if left <= URGENT_BEFORE {
        Tone::Bad
    } else if deadline.warned || deadline.warn_at.is_some_and(|at| now >= at) {
        Tone::Warn
    } else {
        Tone::Strong
    }
}

/// The countdowns of all deadlines: open ones by due time, then the others.
pub fn all(deadlines: &[Deadline], now: Timestamp) -> Vec<Countdown> {
    let mut sorted: Vec<&Deadline> = deadlines.iter().collect();
    sorted.sort_by_key(|deadline| (!deadline.is_open(), deadline.due));
    sorted.into_iter().map(|deadline| of(deadline, now)).collect()
}

/// A duration in clock form: `4:05`, `1:02:03`, `2d 3h`. A negative one is `0:00`.
pub fn clock(length: TimeDelta) -> String {
    let seconds = length.num_seconds().max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600, seconds / 60 % 60);
    match hours {
        0 => format!("{minutes}:{:02}", seconds % 60),
        1..48 => format!("{hours}:{minutes:02}:{:02}", seconds % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}

/// The duration of a finished step: `12ms`, `0.3s`, `42s`, `4:05`.
pub fn took(length: TimeDelta) -> String {
    let millis = length.num_milliseconds().max(0);
    match millis {
        0..100 => format!("{millis}ms"),
        100..10_000 => format!("{}.{}s", millis / 1_000, millis / 100 % 10),
        10_000..60_000 => format!("{}s", millis / 1_000),
        _ => clock(length),
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::domain::runbook::DeadlineFrom;

    fn at(seconds: i64) -> Timestamp {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    fn deadline(status: DeadlineStatus) -> Deadline {
        Deadline {
            name: "notify".to_owned(),
            from: DeadlineFrom::Opened,
            due: at(900),
            warn_at: Some(at(600)),
            warned: false,
            status,
            set_at: at(0),
            fallback_at: None,
            rule: None,
            warning_notified: false,
            miss_notified: false,
            fallback_notified: false,
        }
    }

    #[test]
    fn a_countdown_becomes_urgent_and_then_counts_the_delay() {
        let running = deadline(DeadlineStatus::Running);
        let countdown = |now| (of(&running, at(now)).long, of(&running, at(now)).tone);
        assert_eq!(countdown(139), ("notify due in 12:41".to_owned(), Tone::Strong));
        assert_eq!(countdown(600), ("notify due in 5:00".to_owned(), Tone::Warn));
        assert_eq!(countdown(780), ("notify due in 2:00".to_owned(), Tone::Bad));
        assert_eq!(countdown(970), ("notify LATE by 1:10".to_owned(), Tone::Bad));
    }

    #[test]
    fn a_met_deadline_shows_the_time_to_spare() {
        let met = deadline(DeadlineStatus::Met { at: at(238), step: None });
        assert_eq!(of(&met, at(5_000)).long, "notify done, 11:02 to spare");
        let late = deadline(DeadlineStatus::MetLate { at: at(970), step: None });
        assert_eq!(of(&late, at(5_000)).long, "notify done, LATE by 1:10");
    }

    #[test]
    fn durations_have_clock_form() {
        let text = |seconds| clock(TimeDelta::seconds(seconds));
        assert_eq!([text(-4), text(65), text(3_723), text(190_800)], ["0:00", "1:05", "1:02:03", "2d 5h"]);
        assert_eq!(took(TimeDelta::milliseconds(340)), "0.3s");
        assert_eq!(took(TimeDelta::milliseconds(12)), "12ms");
    }
}
