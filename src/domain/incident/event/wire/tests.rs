//! The families compared with the table of types, and the errors about events that cannot be read.

use std::collections::BTreeSet;
use std::fmt::Display;

use serde::de::DeserializeOwned;
use serde::de::value::MapDeserializer;

use super::*;

/// An error that contains the types which a family accepts.
#[derive(Debug)]
struct Expected(&'static [&'static str]);

impl Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl std::error::Error for Expected {}

impl de::Error for Expected {
    fn custom<T: Display>(_: T) -> Self {
        Self(&[])
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self(expected)
    }
}

/// The types that the derived code of a family accepts.
fn types_of<T: DeserializeOwned>() -> &'static [&'static str] {
    let unknown: MapDeserializer<'_, _, Expected> = MapDeserializer::new([("type", "unknown")].into_iter());
    match T::deserialize(unknown) {
        Err(Expected(names)) => names,
        Ok(_) => panic!("a type that does not exist was read"),
    }
}

#[test]
fn the_table_gives_each_type_to_the_one_family_that_reads_it() {
    let families = [
        (Family::Incident, types_of::<IncidentEvent>()),
        (Family::Alert, types_of::<AlertEvent>()),
        (Family::Deadline, types_of::<DeadlineEvent>()),
        (Family::Role, types_of::<RoleEvent>()),
        (Family::Message, types_of::<MessageEvent>()),
        (Family::Run, types_of::<RunEvent>()),
        (Family::Step, types_of::<StepEvent>()),
    ];
    let mut seen = BTreeSet::new();
    for (family, names) in families {
        assert!(!names.is_empty(), "{family:?}");
        for name in names {
            assert!(seen.insert(*name), "two families have `{name}`");
            assert_eq!(Type::named(name).map(|found| found.family), Some(family), "{name}");
        }
    }
    assert_eq!(seen, BTreeSet::from_iter(TYPES.iter().copied()));
    assert_eq!(seen.len(), TYPES.len(), "a type is in the table twice");
}

fn refusal(text: &str) -> String {
    serde_json::from_str::<Event>(text).expect_err(text).to_string()
}

#[test]
fn the_error_about_an_unknown_type_lists_the_known_types() {
    let known: Vec<String> = TYPES.iter().map(|name| format!("`{name}`")).collect();
    let expected = format!("unknown variant `unheard_of`, expected one of {}", known.join(", "));
    assert!(
        expected
            .contains("one of `incident_opened`, `alert_fired`, `alert_repeated`, `alert_resolved`, `run_proposed`")
    );
    assert_eq!(refusal(r#"{"type":"unheard_of","run":1}"#), format!("{expected} at line 1 column 20"));
    assert_eq!(refusal(r#"{"run":1,"type":"unheard_of"}"#), format!("{expected} at line 1 column 28"));
}

#[test]
fn an_event_without_one_type_is_refused() {
    for (text, why) in [
        (r#"{"text":"x"}"#, "missing field `type`"),
        (r#"{"type":"acknowledged","type":"acknowledged"}"#, "duplicate field `type`"),
        (r#"{"type":"note_added"}"#, "missing field `text`"),
        (r#"{"type":null}"#, "invalid type: null, expected variant identifier"),
        (r#""acknowledged""#, "invalid type: string \"acknowledged\", expected an event: an object with a `type`"),
    ] {
        assert!(refusal(text).starts_with(why), "{text}: {}", refusal(text));
    }
}

#[test]
fn a_type_may_come_after_the_other_fields() {
    let events = [
        r#"{"type":"answered","run":1,"step":"cause","answer":{"b":[1,-2,2.5,18446744073709551615],"a":null}}"#,
        r#"{"answer":{"b":[1,-2,2.5,18446744073709551615],"a":null},"run":1,"type":"answered","step":"cause"}"#,
        r#"{"answer":{"b":[1,-2,2.5,18446744073709551615],"a":null},"step":"cause","run":1,"type":"answered"}"#,
    ];
    let read = events.map(|text| serde_json::from_str::<Event>(text).expect(text));
    for event in &read {
        assert_eq!(serde_json::to_string(event).expect("JSON"), events[0]);
    }
}
