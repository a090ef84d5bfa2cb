//! Countdowns to deadlines, in a long and a short form.

use chrono::TimeDelta;

use super::styled_text::Tone;
use crate::domain::core::time::Timestamp;
use crate::domain::incident::deadline::{Deadline, DeadlineStatus};

/// The last stretch, in which the countdown is as urgent as a miss.
const LAST_STRETCH: TimeDelta = TimeDelta::minutes(2);

/// The countdown of one deadline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Countdown {
    /// The long form: `notify due in 12:41`.
    pub long: String,
    /// The short form: `notify 12:41`.
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
            // Rounded up, so that `0:01` is shown until the last second has passed.
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
    if left <= LAST_STRETCH {
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

/// A length of time as a clock shows it: `4:05`, `1:02:03`, `2d 3h`; at least `0:00`.
pub fn clock(length: TimeDelta) -> String {
    let seconds = length.num_seconds().max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600, seconds / 60 % 60);
    match hours {
        0 => format!("{minutes}:{:02}", seconds % 60),
        1..48 => format!("{hours}:{minutes:02}:{:02}", seconds % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}

/// A duration: `0.3s`, `42s`, `4:05`.
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
    fn it_grows_more_urgent_and_then_counts_up() {
        let running = deadline(DeadlineStatus::Running);
        let told = |now| (of(&running, at(now)).long, of(&running, at(now)).tone);
        assert_eq!(told(139), ("notify due in 12:41".to_owned(), Tone::Strong));
        assert_eq!(told(600), ("notify due in 5:00".to_owned(), Tone::Warn));
        assert_eq!(told(780), ("notify due in 2:00".to_owned(), Tone::Bad));
        assert_eq!(told(970), ("notify LATE by 1:10".to_owned(), Tone::Bad));
    }

    #[test]
    fn once_met_it_says_how_much_was_to_spare() {
        let met = deadline(DeadlineStatus::Met { at: at(238), step: None });
        assert_eq!(of(&met, at(5_000)).long, "notify done, 11:02 to spare");
        let late = deadline(DeadlineStatus::MetLate { at: at(970), step: None });
        assert_eq!(of(&late, at(5_000)).long, "notify done, LATE by 1:10");
    }

    #[test]
    fn lengths_read_like_clocks() {
        let read = |seconds| clock(TimeDelta::seconds(seconds));
        assert_eq!([read(-4), read(65), read(3_723), read(190_800)], ["0:00", "1:05", "1:02:03", "2d 5h"]);
        assert_eq!(took(TimeDelta::milliseconds(340)), "0.3s");
        assert_eq!(took(TimeDelta::milliseconds(12)), "12ms");
    }
}
