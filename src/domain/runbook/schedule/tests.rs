//! Due occurrences: in zones with clock changes, for searches in pieces, and after missed ones.

use proptest::prelude::*;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn table(expression: &str, zone: &str) -> Timetable {
    Timetable::read(expression, zone).unwrap()
}

fn stamps(found: &[Timestamp]) -> Vec<String> {
    found.iter().map(|at| stamp(*at)).collect()
}

#[test]
fn an_occurrence_is_read_in_its_zone() {
    let monday = table("0 9 * * mon", "Africa/Lusaka");
    assert_eq!(
        stamps(&monday.between(at("2026-11-16T07:00:00Z"), at("2026-12-01T00:00:00Z"))),
        ["2026-11-23T07:00:00Z", "2026-11-30T07:00:00Z"],
        "the first instant is excluded"
    );
    assert_eq!(monday.next(at("2026-11-23T07:00:00Z")), Some(at("2026-11-30T07:00:00Z")));
    assert_eq!(monday.last(at("2026-11-23T07:00:00Z")), Some(at("2026-11-23T07:00:00Z")));
}

#[test]
fn a_skipped_local_time_becomes_the_first_instant_after_the_gap() {
    // 2026-03-29 in Berlin: 02:00 is 03:00.
    let half_past = table("30 2 * * *", "Europe/Berlin");
    let found = half_past.between(at("2026-03-28T00:00:00Z"), at("2026-03-31T00:00:00Z"));
    assert_eq!(stamps(&found), ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]);
}

#[test]
fn a_repeated_local_time_becomes_the_first_of_the_two_instants() {
    // 2026-10-25 in Berlin: 03:00 is 02:00 again.
    let half_past = table("30 2 * * *", "Europe/Berlin");
    let found = half_past.between(at("2026-10-24T12:00:00Z"), at("2026-10-26T12:00:00Z"));
    assert_eq!(stamps(&found), ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
    let hourly = table("30 * * * *", "Europe/Berlin");
    assert_eq!(
        hourly.between(at("2026-10-24T23:00:00Z"), at("2026-10-25T03:00:00Z")).len(),
        4,
        "an hourly schedule runs in the repeated hour too"
    );
}

#[test]
fn a_search_goes_past_a_day_that_a_zone_skips() {
    // Apia had no 30 December 2011.
    let noon = table("0 12 * * *", "Pacific/Apia");
    let found = noon.between(at("2011-12-29T00:00:00Z"), at("2012-01-01T00:00:00Z"));
    assert!(found.windows(2).all(|pair| pair[0] < pair[1]) && found.len() >= 2, "{found:?}");
    assert_eq!(noon.next(at("2011-12-29T23:00:00Z")), Some(at("2011-12-30T22:00:00Z")));
}

#[test]
fn the_newest_missed_occurrence_is_due_once() {
    let daily = table("0 9 * * *", "UTC");
    let (since, now) = (at("2026-11-20T09:00:00Z"), at("2026-11-23T15:00:00Z"));
    let due = daily.due(CatchUp::Once, since, now).unwrap();
    assert_eq!(stamp(due.due), "2026-11-23T09:00:00Z");
    assert_eq!(stamps(&due.missed), ["2026-11-21T09:00:00Z", "2026-11-22T09:00:00Z"]);
    assert_eq!(daily.due(CatchUp::Once, due.due, now), None, "and then nothing is due");
    assert_eq!(daily.due(CatchUp::None, since, now), None, "with `none`, a missed one is not due");
    assert_eq!(daily.due(CatchUp::None, since, at("2026-11-23T09:00:30Z")).unwrap(), due, "one that is on time is due");
    assert_eq!(daily.due(CatchUp::Once, now, since), None, "after the clock was set back, nothing is due");
}

#[test]
fn an_invalid_schedule_is_refused_with_the_reason() {
    let why = |expression, zone| Timetable::read(expression, zone).unwrap_err();
    assert_eq!(why("0 9 * * mon", "Africa/Lusak"), ScheduleError::Zone);
    assert_eq!(why("0 9 * * mno", "UTC"), ScheduleError::Expression);
    assert_eq!(why("0 0 9 * * mon", "UTC"), ScheduleError::Expression);
    assert_eq!(why("0 25 * * *", "UTC"), ScheduleError::Expression);
    assert_eq!(why("0 0 30 2 *", "UTC"), ScheduleError::Never);
    assert!(Timetable::read("0 0 29 2 *", "UTC").is_ok());
    assert!(Timetable::read("0 9 * * mon#1", "UTC").is_ok());
}

#[test]
fn the_name_of_an_occurrence_holds_its_instant() {
    let due = at("2026-11-23T07:00:00Z");
    let name = name("weekly-audit", "staging", due);
    assert_eq!(name, "schedule/weekly-audit/staging/2026-11-23T07:00:00Z");
    assert_eq!(due_of(&name), Some(due));
    assert_eq!(due_of("alert/0011"), None);
}

/// Expressions of every form, also for the hours of clock changes.
fn expression() -> impl Strategy<Value = String> {
    let minute = prop_oneof![
        Just("0".to_owned()),
        Just("30".to_owned()),
        Just("*/20".to_owned()),
        (0_u8..60).prop_map(|m| m.to_string())
    ];
    let hour = prop_oneof![
        Just("*".to_owned()),
        Just("*/3".to_owned()),
        (0_u8..24).prop_map(|h| h.to_string()),
        (1_u8..4).prop_map(|h| h.to_string())
    ];
    let day = prop_oneof![
        Just("* * *".to_owned()),
        Just("* * mon".to_owned()),
        Just("1 * *".to_owned()),
        Just("L */3 *".to_owned()),
        (1_u8..8).prop_map(|d| format!("* * {}", d % 7))
    ];
    (minute, hour, day).prop_map(|(minute, hour, day)| format!("{minute} {hour} {day}"))
}

fn zone() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "UTC",
        "Africa/Lusaka",
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "Asia/Kathmandu",
        "America/Sao_Paulo",
        "Africa/Casablanca",
    ])
}

/// An instant near a clock change in Berlin, New York or Lord Howe, or any within ten years.
fn instant() -> impl Strategy<Value = Timestamp> {
    let near = (
        prop::sample::select(vec![
            "2026-03-29T01:00:00Z",
            "2026-10-25T01:00:00Z",
            "2026-03-08T07:00:00Z",
            "2026-11-01T06:00:00Z",
            "2026-04-04T15:00:00Z",
            "2026-10-03T15:30:00Z",
        ]),
        -200_000_i64..200_000,
    )
        .prop_map(|(jump, off)| at(jump) + TimeDelta::seconds(off));
    let any =
        (1_767_225_600_i64..2_082_758_400).prop_map(|second| chrono::DateTime::from_timestamp(second, 0).unwrap());
    prop_oneof![near, any]
}

proptest! {
    #[test]
    fn forward_and_backward_searches_find_the_same_occurrences(expression in expression(), zone in zone(), from in instant()) {
        let table = table(&expression, zone);
        let mut forward = Vec::new();
        let mut next = table.next(from);
        while let Some(due) = next.filter(|_| forward.len() < 20) {
            prop_assert!(forward.last().is_none_or(|last| *last < due));
            forward.push(due);
            next = table.next(due);
        }
        let until = *forward.last().unwrap();
        prop_assert_eq!(table.between(from, until), forward);
    }

    #[test]
    fn a_search_in_pieces_finds_the_same_occurrences(
        expression in expression(), zone in zone(), from in instant(), cuts in prop::collection::vec(1_i64..90_000, 1..8),
    ) {
        let table = table(&expression, zone);
        let (mut pieces, mut begin) = (Vec::new(), from);
        for cut in cuts {
            let end = begin + TimeDelta::seconds(cut);
            pieces.extend(table.between(begin, end));
            begin = end;
        }
        let whole = table.between(from, begin);
        prop_assert_eq!(&pieces[pieces.len().saturating_sub(LIMIT)..], &whole[..]);
    }

    #[test]
    fn an_occurrence_is_due_once_whenever_and_how_often_the_clock_is_read(
        expression in expression(), zone in zone(), from in instant(), steps in prop::collection::vec(-50_000_i64..150_000, 1..20),
    ) {
        // The clock is set forward and back. The newest name in the store is the last occurrence that was handled.
        let table = table(&expression, zone);
        let (mut seen, mut now, mut latest) = (std::collections::BTreeSet::new(), from, from);
        for step in steps {
            now += TimeDelta::seconds(step);
            latest = latest.max(now);
            let since = seen.last().copied().unwrap_or(from).max(from);
            if let Some(found) = table.due(CatchUp::Once, since, now) {
                prop_assert!(found.due <= now && found.due > since);
                prop_assert!(found.missed.iter().all(|missed| *missed > since && *missed < found.due));
                prop_assert!(seen.insert(found.due), "{} is due twice", stamp(found.due));
            }
        }
        prop_assert_eq!(table.due(CatchUp::Once, seen.last().copied().unwrap_or(from), latest).map(|found| found.due), table.last(latest).filter(|last| seen.last().is_none_or(|seen| last > seen) && *last > from));
    }

    #[test]
    fn no_text_adds_a_line_to_a_calendar(title in "(\\PC|[\r\n;,:\\\\]){0,120}") {
        let due = at("2026-11-23T07:00:00Z");
        let entry = CalendarEntry { name: "x".into(), due, title: title.clone(), environment: "e".into(), details: title };
        let text = calendar("Project", &[entry], due);
        let lines: Vec<&str> = text.split("\r\n").collect();
        prop_assert!(lines.iter().all(|line| line.len() <= 75 && !line.contains(['\r', '\n'])));
        let begins = |line: &&&str| !line.starts_with(' ');
        prop_assert_eq!(lines.iter().filter(begins).count(), 8 + 11 + 2);
    }
}
