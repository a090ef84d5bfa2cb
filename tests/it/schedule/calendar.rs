//! The calendar, read by Python's `icalendar`.

use std::io::Write as _;
use std::process::{Command, Stdio};

use runbook::domain::runbook::schedule::{CalendarEntry, calendar};
use serde_json::{Value, json};

use super::at;
use crate::real::installed;

/// Prints the name of a calendar, and the texts and times of its events, as JSON.
const READ: &str = "
import json, sys
from icalendar import Calendar
calendar = Calendar.from_ical(sys.stdin.buffer.read())
assert not calendar.is_broken if hasattr(calendar, 'is_broken') else True
events = [{
    'uid': str(e['UID']), 'summary': str(e['SUMMARY']), 'location': str(e['LOCATION']), 'description': str(e['DESCRIPTION']),
    'start': e['DTSTART'].dt.isoformat(), 'stamp': e['DTSTAMP'].dt.isoformat(), 'seconds': e['DURATION'].dt.total_seconds(),
    'wrong': [str(x) for x in getattr(e, 'errors', [])],
} for e in calendar.walk('VEVENT')]
print(json.dumps({'name': str(calendar['NAME']), 'version': str(calendar['VERSION']), 'events': events}))
";

/// A calendar as `icalendar` reads it.
pub fn read(text: &str) -> Value {
    let python = installed("/usr/bin/python3", "python3-icalendar");
    let mut command = Command::new(python);
    command.args(["-c", READ]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("Python starts");
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "the calendar cannot be read; is the Debian package `python3-icalendar` installed? {text}"
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_calendar_is_read_correctly_by_icalendar() {
    let hostile = "Clean; wash, and \\ \"scrub\": BEGIN:VEVENT\r\nEND:VCALENDAR\nSUMMARY:x — größere Wäsche 🧺 everywhere, for longer than one line of a calendar may be";
    let entry = CalendarEntry {
        name: "schedule/weekly-audit/staging/2026-11-23T07:00:00Z".into(),
        due: at("2026-11-23T07:00:00Z"),
        title: hostile.into(),
        environment: "staging".into(),
        details: "first\nsecond".into(),
    };
    let read = read(&calendar(
        "Pakashop",
        &[entry.clone(), CalendarEntry { name: "b".into(), ..entry }],
        at("2026-11-20T12:00:00Z"),
    ));
    assert_eq!((read["name"].as_str(), read["version"].as_str()), (Some("Pakashop: maintenance"), Some("2.0")));
    let event = &read["events"][0];
    assert_eq!(event["uid"], "schedule/weekly-audit/staging/2026-11-23T07:00:00Z@runbook");
    assert_eq!(event["summary"], hostile.replace("\r\n", "\n"));
    assert_eq!(event["description"], "first\nsecond");
    assert_eq!(
        (&event["start"], &event["stamp"]),
        (&json!("2026-11-23T07:00:00+00:00"), &json!("2026-11-20T12:00:00+00:00"))
    );
    assert_eq!((&event["seconds"], &event["wrong"]), (&json!(1800.0), &json!([])));
    assert_eq!(read["events"].as_array().unwrap().len(), 2);
}
