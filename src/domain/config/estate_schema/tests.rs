//! The table agrees with the structs, the checker and the schema.

use serde::de::value::Error;
use serde::de::{DeserializeOwned, Deserializer, Error as _, Visitor};
use serde_json::Value;

use super::*;
use crate::domain::alert::field;
use crate::domain::config::alert_policy::{AlertPolicy, Budget, Permission};
use crate::domain::config::estate::{
    Channel, Datastore, Email, Environment, Estate, Person, PostmortemPolicy, Program, Role, SecretSource, Service,
    SshHost, Webhook,
};
use crate::domain::config::estate_check::check;
use crate::domain::config::incident_page::PageConfig;
use crate::domain::config::sender::{Auth, Mapping, Sender, StatusMapping, Workflow};
use crate::domain::config::slack_app::SlackApp;
use crate::domain::config::yaml::reader;
use crate::domain::core::diagnostic::{Problem, Source};
use crate::domain::core::secret_ref::SecretRef;
use crate::domain::journal::trace_tree::TraceFields;
use crate::domain::runbook::json_schema;

/// An estate with every field of the table.
const WHOLE: &str = include_str!("whole.yaml");

/// A deserializer that collects the names of a type's fields or variants, and then fails.
struct NameCollector<'a>(&'a mut Vec<&'static str>);

impl<'de> Deserializer<'de> for NameCollector<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("neither a struct nor an enum"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        self.0.extend(fields);
        Err(Error::custom("the fields are known"))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        self.0.extend(variants);
        Err(Error::custom("the variants are known"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct newtype_struct
        seq tuple tuple_struct map identifier ignored_any
    }
}

/// The fields of a struct or the variants of an enum, in alphabetical order.
pub(in crate::domain) fn names_of<T: DeserializeOwned>() -> Vec<&'static str> {
    let mut names = Vec::new();
    assert!(T::deserialize(NameCollector(&mut names)).is_err() && !names.is_empty());
    names.sort_unstable();
    names
}

/// The names without one that the file does not have, or has under another name.
pub(in crate::domain) fn without(mut names: Vec<&'static str>, name: &str) -> Vec<&'static str> {
    assert!(names.contains(&name), "{name}");
    names.retain(|known| *known != name);
    names
}

/// The keys of each section as its struct has them, by the heading of the section.
fn keys_of_structs() -> Vec<(&'static str, Vec<&'static str>)> {
    let ssh = [without(names_of::<SshHost>(), "to"), vec!["ssh"]].concat();
    let mapping = without(names_of::<Mapping>(), "fields").into_iter().chain(field::mapped()).collect();
    vec![
        ("The estate, `estate.yaml`", names_of::<Estate>()),
        ("An environment", names_of::<Environment>()),
        ("A host that is reached by SSH", ssh),
        ("A service", names_of::<Service>()),
        ("A datastore", names_of::<Datastore>()),
        ("A channel", names_of::<Channel>()),
        ("A channel, `email`", names_of::<Email>()),
        ("A channel, `webhook`", names_of::<Webhook>()),
        ("A channel, `command`", names_of::<Program>()),
        ("A person", names_of::<Person>()),
        ("A role", names_of::<Role>()),
        ("A secret", names_of::<SecretSource>()),
        // The branches come from `environments`.
        ("A sender", without(names_of::<Sender>(), "branches")),
        // In the file, a sender without `auth` is authenticated by the signature of SNS.
        ("The authentication of a sender", without(names_of::<Auth>(), "sns")),
        ("A mapping", mapping),
        ("The status of an alert, `status`", names_of::<StatusMapping>()),
        ("A workflow of GitHub", names_of::<Workflow>()),
        ("Post-mortems", names_of::<PostmortemPolicy>()),
        // A report has no template.
        ("Reports of maintenance", without(names_of::<PostmortemPolicy>(), "template")),
        ("Alerts", names_of::<AlertPolicy>()),
        ("A budget of automatic changes", names_of::<Budget>()),
        ("A change that may happen automatically", names_of::<Permission>()),
        ("The Slack app", names_of::<SlackApp>()),
        ("The page of an incident", names_of::<PageConfig>()),
        ("Traces in logs", names_of::<TraceFields>()),
    ]
}

#[test]
fn the_table_and_the_structs_have_the_same_fields() {
    let sections = ESTATE.sections();
    let titled = sections.iter().filter(|section| !section.title.is_empty());
    let table: Vec<(&str, Vec<&str>)> = titled
        .map(|section| {
            let mut keys = section.keys();
            keys.sort_unstable();
            (section.title, keys)
        })
        .collect();
    let mut structs = keys_of_structs();
    structs.iter_mut().for_each(|(_, names)| names.sort_unstable());
    structs.sort_by_key(|(title, _)| table.iter().position(|(known, _)| known == title));
    assert_eq!(table, structs);
    assert_eq!(SECRET_REF.keys(), names_of::<SecretRef>());
}

fn checked(value: &Value) -> Result<Estate, Vec<Problem>> {
    check(&Source::new("estate.yaml", value.to_string()))
}

fn whole() -> Value {
    reader::read(&Source::new("estate.yaml", WHOLE)).expect("it is YAML").to_json()
}

#[test]
fn checker_and_schema_accept_an_estate_with_every_field() {
    let estate = check(&Source::new("estate.yaml", WHOLE)).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let schema = jsonschema::draft202012::new(&json_schema::estate()).expect("the schema compiles");
    let errors: Vec<String> =
        schema.iter_errors(&whole()).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    let written = serde_json::to_string(&estate).expect("it can be written");
    assert_eq!(serde_json::from_str::<Estate>(&written).expect("it can be read"), estate);
}

/// The fields of the table that a value uses, and the places of its [`EstateShape::OneOf`] values.
#[derive(Default)]
struct UsedFields {
    fields: Vec<*const EstateField>,
    choices: Vec<(String, &'static [&'static str])>,
}

impl UsedFields {
    fn value(&mut self, value: &Value, at: &str, shape: &EstateShape) {
        match shape {
            EstateShape::Section(section) => self.section(value, at, section),
            EstateShape::SecretKey if value.is_object() => self.section(value, at, &SECRET_REF),
            EstateShape::ListOf(item) | EstateShape::OneOrMany(item) => self.items(value, at, item),
            EstateShape::Items(items) => self.items(value, at, &items.item),
            EstateShape::Entries(entries) => {
                for (key, value) in value.as_object().into_iter().flatten() {
                    self.value(value, &format!("{at}/{key}"), &entries.value);
                }
            }
            EstateShape::MappingOr { mapping, other } => {
                self.value(value, at, if value.is_object() { mapping } else { other });
            }
            EstateShape::OneOf(choices) => self.choices.push((at.to_owned(), choices)),
            _ => {}
        }
    }

    fn section(&mut self, value: &Value, at: &str, section: &Section) {
        for field in section.fields {
            if let Some(value) = value.get(field.name) {
                self.fields.push(field);
                self.value(value, &format!("{at}/{}", field.name), &field.shape);
            }
        }
    }

    fn items(&mut self, value: &Value, at: &str, item: &EstateShape) {
        match value.as_array() {
            Some(items) => {
                for (index, value) in items.iter().enumerate() {
                    self.value(value, &format!("{at}/{index}"), item);
                }
            }
            None => self.value(value, at, item),
        }
    }
}

#[test]
fn whole_yaml_has_every_field_of_the_table() {
    let mut used = UsedFields::default();
    used.section(&whole(), "", &ESTATE);
    for section in ESTATE.sections() {
        for field in section.fields {
            let is_used = used.fields.iter().any(|known| std::ptr::eq(*known, field));
            assert!(is_used, "{} has `{}`, which is missing in whole.yaml", section.what, field.name);
        }
    }
}

#[test]
fn every_choice_of_the_table_is_a_variant_of_its_enum() {
    let mut used = UsedFields::default();
    used.section(&whole(), "", &ESTATE);
    // The forms of senders come from their enum, and a sender of another form has other fields.
    used.choices.retain(|(at, _)| !at.ends_with("/form"));
    assert!(used.choices.len() > 4);
    for (at, choices) in used.choices {
        for choice in choices {
            let mut estate = whole();
            *estate.pointer_mut(&at).expect("the value is in the estate") = (*choice).into();
            if let Err(problems) = checked(&estate) {
                panic!("{at}: {choice}: {problems:#?}");
            }
        }
    }
}
