//! Converts events between domain types and stored bytes.
//!
//! **Invariant:** every stored event can be read back as the same value. So a fold in memory equals a fold after a
//! restart.
//!
//! Reading costs more than writing. So a release build reads back only events that may not survive; a debug build reads back
//! and compares every event. If a release build did so too, 64 connections would post 9 % fewer alerts per second.
//!
//! Not here: numbers and hashes (see [`super::chained_stream`]) and the limits of one append (the engine's write path).

use std::cell::Cell;
use std::io;

use serde::{Deserialize, Serialize};
use serde_json::ser::{CompactFormatter, Formatter};

use super::{StoreError, Write};
use crate::domain::core::time::Timestamp;
use crate::domain::incident::event::{Actor, Event};

/// An event to append. The store assigns its number.
#[derive(Debug, Clone)]
pub struct NewEvent {
    pub(super) at: Timestamp,
    pub(super) by: Actor,
    pub(super) event: Event,
    /// The event as JSON, if [`NewEvent::json`] was called.
    json: Option<Json>,
    /// The stored form, if [`NewEvent::encode`] was called.
    encoded: Option<Encoded>,
}

#[derive(Debug, Clone)]
struct Encoded {
    at: String,
    body: String,
}

#[derive(Debug, Clone)]
struct Json {
    text: String,
    /// The value may not survive a round trip through JSON: too deep, or a year outside 0–9999. A text that starts like
    /// such a year counts too.
    doubtful: bool,
}

impl NewEvent {
    /// An event with its instant and actor.
    pub fn new(at: Timestamp, by: Actor, event: Event) -> Self {
        Self { at, by, event, json: None, encoded: None }
    }

    /// When the event is recorded.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// The actor of the event.
    pub fn by(&self) -> &Actor {
        &self.by
    }

    /// The event, without instant and actor.
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// Discards instant and actor.
    pub fn into_event(self) -> Event {
        self.event
    }

    /// The event as JSON, serialized once. `None` if it cannot be serialized; the append then fails.
    pub fn json(&mut self) -> Option<&str> {
        if self.json.is_none() {
            self.json = json(&self.event).ok();
        }
        self.json.as_ref().map(|json| json.text.as_str())
    }

    /// Encodes the event and returns the length of its body in bytes. Later calls reuse the result.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] if the event cannot be serialized or could not be read back.
    pub fn encode(&mut self) -> Result<usize, StoreError> {
        let encoded = self.take_encoded()?;
        Ok(self.encoded.insert(encoded).body.len())
    }

    fn take_encoded(&mut self) -> Result<Encoded, StoreError> {
        match self.encoded.take() {
            Some(encoded) => Ok(encoded),
            None => Encoded::of(self),
        }
    }
}

impl PartialEq for NewEvent {
    fn eq(&self, other: &Self) -> bool {
        (&self.at, &self.by, &self.event) == (&other.at, &other.by, &other.event)
    }
}

/// An event with its stored bytes.
#[derive(Debug, Clone)]
pub(super) struct EncodedEvent {
    /// The instant as written.
    pub at: String,
    /// Actor and event as written.
    pub body: String,
    pub draft: NewEvent,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BodyIn {
    by: Actor,
    event: Event,
}

/// An instant as stored: the shortest form that loses nothing.
pub(super) fn written(at: Timestamp) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}

/// Takes the events out of a write and encodes them.
pub(super) fn prepare(write: &mut Write) -> Result<Vec<EncodedEvent>, StoreError> {
    std::mem::take(&mut write.drafts).into_iter().map(EncodedEvent::of).collect()
}

impl EncodedEvent {
    fn of(mut draft: NewEvent) -> Result<Self, StoreError> {
        let Encoded { at, body } = draft.take_encoded()?;
        Ok(Self { at, body, draft })
    }
}

impl Encoded {
    fn of(draft: &mut NewEvent) -> Result<Self, StoreError> {
        let (body, doubtful) = body(draft)
            .map_err(|error| StoreError::TooLarge(format!("an event cannot be written as JSON: {error}")))?;
        let at = written(draft.at);
        // JSON nested too deeply, or an instant too far away, can be written but not read back.
        if cfg!(debug_assertions) || has_sign(&at) || doubtful {
            let read = parse(at.as_bytes(), body.as_bytes())
                .map_err(|why| StoreError::TooLarge(format!("an event could not be read again: {why}")))?;
            debug_assert_eq!(&read, draft, "an event is read back as it was written");
        }
        Ok(Self { at, body })
    }
}

/// Levels of nesting that can always be read back: the parser allows 128, and an event needs a few.
const SAFE_DEPTH: usize = 100;

/// Actor and event as JSON, and whether the JSON may not survive a round trip.
fn body(draft: &mut NewEvent) -> serde_json::Result<(String, bool)> {
    let event = draft.json.take().map_or_else(|| json(&draft.event), Ok)?;
    let by = json(&draft.by)?;
    let body = ["{\"by\":", &by.text, ",\"event\":", &event.text, "}"].concat();
    Ok((body, by.doubtful || event.doubtful))
}

fn json(value: &impl Serialize) -> serde_json::Result<Json> {
    let check = RoundTripCheck::default();
    let mut serializer = serde_json::Serializer::with_formatter(Vec::with_capacity(INITIAL_CAPACITY), &check);
    value.serialize(&mut serializer)?;
    let text = String::from_utf8(serializer.into_inner()).map_err(serde::ser::Error::custom)?;
    Ok(Json { text, doubtful: check.doubtful.get() })
}

/// Initial capacity in bytes; enough for most events.
const INITIAL_CAPACITY: usize = 1_024;

/// Whether a text starts like a year with a sign.
fn has_sign(text: &str) -> bool {
    text.starts_with(['+', '-'])
}

/// Detects values that may not survive a round trip while they are serialized.
#[derive(Default)]
struct RoundTripCheck {
    depth: Cell<usize>,
    /// Whether the next fragment is the first one of a string.
    starts_string: Cell<bool>,
    doubtful: Cell<bool>,
}

impl RoundTripCheck {
    fn enter(&self) {
        self.depth.set(self.depth.get() + 1);
        if self.depth.get() > SAFE_DEPTH {
            self.doubtful.set(true);
        }
    }

    fn leave(&self) {
        self.depth.set(self.depth.get().saturating_sub(1));
    }
}

impl Formatter for &RoundTripCheck {
    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.enter();
        CompactFormatter.begin_array(writer)
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.leave();
        CompactFormatter.end_array(writer)
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.enter();
        CompactFormatter.begin_object(writer)
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.leave();
        CompactFormatter.end_object(writer)
    }

    fn begin_string<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.starts_string.set(true);
        CompactFormatter.begin_string(writer)
    }

    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        if self.starts_string.replace(false) && has_sign(fragment) {
            self.doubtful.set(true);
        }
        CompactFormatter.write_string_fragment(writer, fragment)
    }
}

/// Decodes the stored bytes of an event.
pub(super) fn parse(at: &[u8], body: &[u8]) -> Result<NewEvent, String> {
    let BodyIn { by, event } = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    Ok(NewEvent::new(parse_instant(at)?, by, event))
}

/// Parses what [`written`] wrote.
pub(super) fn parse_instant(text: &[u8]) -> Result<Timestamp, String> {
    let text = str::from_utf8(text).map_err(|_| "the time is not text".to_owned())?;
    text.parse().map_err(|_| format!("`{}` is not a time", text.escape_debug()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use chrono::TimeZone;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::alert::{Alert, AlertStatus};
    use crate::domain::incident::event::{AlertEvent, IncidentEvent, StepEvent};

    fn prepare(drafts: &[NewEvent]) -> Result<Vec<EncodedEvent>, StoreError> {
        super::prepare(&mut Write::of(&"lusab-fidok".parse().unwrap(), 0, drafts.to_vec()))
    }

    fn note(text: String) -> NewEvent {
        let at = chrono::Utc.timestamp_opt(1_780_000_000, 123_000_000).unwrap();
        NewEvent::new(at, Actor::Engine, Event::Incident(IncidentEvent::NoteAdded { text }))
    }

    #[test]
    fn an_event_is_read_back_unchanged() {
        let draft = note("a \u{0} \u{1b}[31m \u{202e} \u{fffd} \"quoted\" \\ 😀\n".into());
        let prepared = prepare(std::slice::from_ref(&draft)).unwrap().remove(0);
        assert_eq!(prepared.at, "2026-05-28T20:26:40.123Z");
        assert_eq!(prepared.draft, draft);
        assert_eq!(parse(prepared.at.as_bytes(), prepared.body.as_bytes()).unwrap(), draft);
    }

    fn text_maps() -> impl Strategy<Value = BTreeMap<String, String>> {
        proptest::collection::btree_map(any::<String>(), any::<String>(), 0..4)
    }

    fn instant() -> impl Strategy<Value = Option<Timestamp>> {
        let instant = (-99_999_999_999_i64..999_999_999_999, 0..2_000_000_000_u32);
        proptest::option::of(
            instant.prop_map(|(second, nano)| chrono::DateTime::from_timestamp(second, nano).unwrap_or_default()),
        )
    }

    proptest! {
        #[test]
        fn every_alert_is_read_back_unchanged(
            texts in proptest::collection::vec(any::<String>(), 6),
            optional in proptest::collection::vec(proptest::option::of(any::<String>()), 5),
            (labels, annotations, starts_at, ends_at) in (text_maps(), text_maps(), instant(), instant()),
            (value, recurs, warnings) in (proptest::option::of(-1e300..1e300_f64), any::<bool>(), proptest::collection::vec(any::<String>(), 0..3)),
        ) {
            let optional = |at: usize| optional[at].clone();
            let alert = Alert {
                sender: texts[0].clone(), firing: texts[1].clone(), recurs, name: texts[2].clone(), warnings,
                summary: optional(0), link: optional(1), runbook: optional(2), environment: optional(3), service: optional(4),
                starts_at, ends_at, value, labels, annotations, severity: None, status: AlertStatus::Firing,
            };
            let event = Event::Alert(AlertEvent::Fired { key: alert.key(), alert: Arc::new(alert) });
            let draft = NewEvent { event, by: Actor::Sender { name: texts[3].clone() }, ..note(String::new()) };
            let prepared = EncodedEvent::of(draft.clone());
            prop_assert_eq!(prepared.unwrap().draft, draft);
        }
    }

    #[test]
    fn an_event_is_encoded_once_and_its_length_is_that_of_its_stored_body() {
        let mut draft = note("the gateway is slow".into());
        let length = draft.encode().unwrap();
        let bytes = draft.encoded.as_ref().map(|encoded| encoded.body.as_ptr());
        assert_eq!(draft.encode().unwrap(), length);
        assert_eq!(draft.encoded.as_ref().map(|encoded| encoded.body.as_ptr()), bytes);
        let prepared = EncodedEvent::of(draft).unwrap();
        assert_eq!((prepared.body.len(), Some(prepared.body.as_ptr())), (length, bytes));
    }

    #[test]
    fn an_event_that_cannot_be_read_back_is_refused() {
        let mut answer = serde_json::Value::Null;
        for _ in 0..200 {
            answer = serde_json::Value::Array(vec![answer]);
        }
        let event = Event::Step(StepEvent::Answered {
            run: crate::domain::core::id::RunId(1),
            step: crate::domain::core::id::StepKey::main("cause"),
            answer,
        });
        let error = prepare(&[NewEvent { event, ..note(String::new()) }]).unwrap_err();
        assert!(matches!(&error, StoreError::TooLarge(why) if why.contains("could not be read again")), "{error}");
    }

    #[test]
    fn deep_nesting_and_years_with_a_sign_are_doubtful() {
        let doubtful = |answer: serde_json::Value| {
            let (run, step) = (crate::domain::core::id::RunId(1), crate::domain::core::id::StepKey::main("cause"));
            json(&Event::Step(StepEvent::Answered { run, step, answer })).unwrap().doubtful
        };
        let nested = |depth: usize| serde_json::from_str(&("[".repeat(depth) + &"]".repeat(depth))).unwrap();
        assert!(doubtful(nested(SAFE_DEPTH)) && !doubtful(nested(SAFE_DEPTH / 2)));
        assert!(
            doubtful("+12026-01-01T00:00:00Z".into()) && doubtful(serde_json::json!({ "at": "-0001-01-01T00:00:00Z" }))
        );
        assert!(!doubtful(
            serde_json::json!({ "at": "2026-01-01T00:00:00Z", "below": -1, "wide": vec![0; 2 * SAFE_DEPTH] })
        ));
    }

    #[test]
    fn damaged_bytes_are_an_error() {
        for (at, body) in [
            ("2026-11-22T03:04:05Z", "{"),
            ("2026-11-22T03:04:05Z", r#"{"by":"engine","event":{"type":"unheard_of"}}"#),
            ("2026-11-22T03:04:05Z", r#"{"by":"engine","event":{"type":"acknowledged"},"more":1}"#),
            ("yesterday", r#"{"by":"engine","event":{"type":"acknowledged"}}"#),
        ] {
            assert!(parse(at.as_bytes(), body.as_bytes()).is_err(), "{at} {body}");
        }
    }
}
