//! Deserialization of an event: its `type` selects the family that reads the other fields.
//!
//! An event is flat: `{"type":"run_started","run":1,…}`. Serialization writes `type` first, so the family reads the following
//! fields without a copy. Fields before a `type` that comes later are buffered.
//!
//! **Invariant:** the table has exactly the types of the families. A test compares them.

use std::fmt;
use std::mem;
use std::vec;

use serde::de::value::{BorrowedStrDeserializer, MapAccessDeserializer};
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, Visitor};
use serde_json::Value;

use super::{AlertEvent, DeadlineEvent, Event, IncidentEvent, MessageEvent, RoleEvent, RunEvent, StepEvent};

/// Defines the table of types and their families.
macro_rules! types {
    ($($name:literal => $family:ident,)*) => {
        /// Every `type` of an event. The error about an unknown type lists them in this order.
        pub const TYPES: &[&str] = &[$($name),*];

        impl Type {
            fn named(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self { name: $name, family: Family::$family }),)*
                    _ => None,
                }
            }
        }
    };
}

types! {
    "incident_opened" => Incident,
    "alert_fired" => Alert,
    "alert_repeated" => Alert,
    "alert_resolved" => Alert,
    "run_proposed" => Incident,
    "acknowledged" => Incident,
    "note_added" => Incident,
    "severity_changed" => Incident,
    "resolved" => Incident,
    "deadline_set" => Deadline,
    "deadline_warned" => Deadline,
    "deadline_met" => Deadline,
    "deadline_missed" => Deadline,
    "deadline_lifted" => Deadline,
    "role_taken" => Role,
    "role_released" => Role,
    "approval_refused" => Role,
    "postmortem_written" => Incident,
    "report_written" => Incident,
    "occurrence_skipped" => Incident,
    "postmortem_completed" => Incident,
    "notice_owed" => Message,
    "notified" => Message,
    "notify_failed" => Message,
    "posted" => Message,
    "run_started" => Run,
    "run_stopping" => Run,
    "run_ended" => Run,
    "step_skipped" => Step,
    "step_expanded" => Step,
    "asked" => Step,
    "answered" => Step,
    "approved" => Step,
    "denied" => Step,
    "step_started" => Step,
    "step_ended" => Step,
    "reconciled" => Step,
    "retry_scheduled" => Step,
    "step_concluded" => Step,
    "undo_requested" => Step,
}

/// A family of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Incident,
    Alert,
    Deadline,
    Role,
    Message,
    Run,
    Step,
}

/// The value of `type`.
#[derive(Debug, Clone, Copy)]
struct Type {
    name: &'static str,
    family: Family,
}

impl Family {
    fn read<'de, D: Deserializer<'de>>(self, fields: D) -> Result<Event, D::Error> {
        Ok(match self {
            Self::Incident => Event::Incident(IncidentEvent::deserialize(fields)?),
            Self::Alert => Event::Alert(AlertEvent::deserialize(fields)?),
            Self::Deadline => Event::Deadline(DeadlineEvent::deserialize(fields)?),
            Self::Role => Event::Role(RoleEvent::deserialize(fields)?),
            Self::Message => Event::Message(MessageEvent::deserialize(fields)?),
            Self::Run => Event::Run(RunEvent::deserialize(fields)?),
            Self::Step => Event::Step(StepEvent::deserialize(fields)?),
        })
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EventVisitor)
    }
}

struct EventVisitor;

impl<'de> Visitor<'de> for EventVisitor {
    type Value = Event;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event: an object with a `type`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut rest: A) -> Result<Event, A::Error> {
        let mut before = Vec::new();
        while let Some(field) = rest.next_key()? {
            match field {
                Field::Type => {
                    let found: Type = rest.next_value()?;
                    let fields = Fields { before: before.into_iter(), next: Next::Type(found.name), rest };
                    return found.family.read(MapAccessDeserializer::new(fields));
                }
                Field::Other(name) => before.push((name, rest.next_value()?)),
            }
        }
        Err(A::Error::missing_field("type"))
    }
}

/// The name of a field.
#[derive(serde::Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Field {
    Type,
    Other(String),
}

impl<'de> Deserialize<'de> for Type {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TypeVisitor)
    }
}

struct TypeVisitor;

impl Visitor<'_> for TypeVisitor {
    type Value = Type;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("variant identifier")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Type, E> {
        Type::named(name).ok_or_else(|| E::unknown_variant(name, TYPES))
    }
}

/// The fields of an event in the order in which its family reads them: `type`, the buffered fields, the following fields.
struct Fields<A> {
    before: vec::IntoIter<(String, Value)>,
    next: Next,
    rest: A,
}

/// The position in [`Fields`].
enum Next {
    /// The key `type`.
    Type(&'static str),
    /// The value of `type`.
    TypeValue(&'static str),
    /// The value of a buffered field.
    Value(Value),
    /// A buffered or following field.
    Field,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Fields<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        if let Next::Type(name) = self.next {
            self.next = Next::TypeValue(name);
            return seed.deserialize(BorrowedStrDeserializer::new("type")).map(Some);
        }
        match self.before.next() {
            Some((name, value)) => {
                self.next = Next::Value(value);
                seed.deserialize(name.into_deserializer()).map(Some)
            }
            None => self.rest.next_key_seed(seed),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        match mem::replace(&mut self.next, Next::Field) {
            Next::TypeValue(name) => seed.deserialize(BorrowedStrDeserializer::new(name)),
            Next::Value(value) => seed.deserialize(value).map_err(A::Error::custom),
            Next::Type(_) | Next::Field => self.rest.next_value_seed(seed),
        }
    }

    fn size_hint(&self) -> Option<usize> {
        self.rest.size_hint()
    }
}

#[cfg(test)]
mod tests;
