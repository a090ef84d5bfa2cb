//! The table against the structs, the checker and the schema.

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
use crate::domain::runbook::schema;

/// An estate with every field of the table.
const WHOLE: &str = include_str!("whole.yaml");

/// A deserializer that only learns which fields or variants a type asks for.
struct Asked<'a>(&'a mut Vec<&'static str>);

impl<'de> Deserializer<'de> for Asked<'_> {
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

/// The fields of a struct or the variants of an enum, in the order of the alphabet.
fn asked<T: DeserializeOwned>() -> Vec<&'static str> {
    let mut names = Vec::new();
    assert!(T::deserialize(Asked(&mut names)).is_err() && !names.is_empty());
    names.sort_unstable();
    names
}

/// The same without one that is written otherwise in the file, or nowhere in it.
fn without(mut names: Vec<&'static str>, name: &str) -> Vec<&'static str> {
    assert!(names.contains(&name), "{name}");
    names.retain(|known| *known != name);
    names
}

/// What a struct has, by the heading of its section.
fn structs() -> Vec<(&'static str, Vec<&'static str>)> {
    let ssh = [without(asked::<SshHost>(), "to"), vec!["ssh"]].concat();
    let mapping = without(asked::<Mapping>(), "fields").into_iter().chain(field::mapped()).collect();
    vec![
        ("The estate, `estate.yaml`", asked::<Estate>()),
        ("An environment", asked::<Environment>()),
        ("A host that is reached by SSH", ssh),
        ("A service", asked::<Service>()),
        ("A datastore", asked::<Datastore>()),
        ("A channel has exactly one way out", asked::<Channel>()),
        ("A channel, `email`", asked::<Email>()),
        ("A channel, `webhook`", asked::<Webhook>()),
        ("A channel, `command`", asked::<Program>()),
        ("A person", asked::<Person>()),
        ("A role", asked::<Role>()),
        ("A secret is found in exactly one place", asked::<SecretSource>()),
        // Where a branch is deployed stands at the environments.
        ("A sender", without(asked::<Sender>(), "branches")),
        // The signature of SNS is what counts where no proof is written.
        ("How a sender proves who it is", without(asked::<Auth>(), "sns")),
        ("A mapping", mapping),
        ("The status of an alert, `status`", asked::<StatusMapping>()),
        ("A workflow of GitHub", asked::<Workflow>()),
        ("Post-mortems", asked::<PostmortemPolicy>()),
        // A report has the built-in form.
        ("Reports of maintenance", without(asked::<PostmortemPolicy>(), "template")),
        ("Alerts", asked::<AlertPolicy>()),
        ("A budget of automatic changes", asked::<Budget>()),
        ("A change that may happen by itself", asked::<Permission>()),
        ("The Slack app", asked::<SlackApp>()),
        ("The page of an incident", asked::<PageConfig>()),
        ("Traces in logs", asked::<TraceFields>()),
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
    let mut structs = structs();
    structs.iter_mut().for_each(|(_, names)| names.sort_unstable());
    structs.sort_by_key(|(title, _)| table.iter().position(|(known, _)| known == title));
    assert_eq!(table, structs);
    assert_eq!(SECRET_REF.keys(), asked::<SecretRef>());
}

fn checked(value: &Value) -> Result<Estate, Vec<Problem>> {
    check(&Source::new("estate.yaml", value.to_string()))
}

fn whole() -> Value {
    reader::read(&Source::new("estate.yaml", WHOLE)).expect("it is YAML").to_json()
}

#[test]
fn an_estate_with_every_field_is_right_for_the_checker_and_for_the_schema() {
    let estate = check(&Source::new("estate.yaml", WHOLE)).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let schema = jsonschema::draft202012::new(&schema::estate()).expect("the schema compiles");
    let errors: Vec<String> =
        schema.iter_errors(&whole()).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    let kept = serde_json::to_string(&estate).expect("it can be written");
    assert_eq!(serde_json::from_str::<Estate>(&kept).expect("it can be read"), estate);
}

/// What is found along the table in a value: the fields, and the places of words.
#[derive(Default)]
struct Seen {
    fields: Vec<*const EstateField>,
    words: Vec<(String, &'static [&'static str])>,
}

impl Seen {
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
            EstateShape::OneOf(words) => self.words.push((at.to_owned(), words)),
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
fn the_estate_with_every_field_has_every_field() {
    let mut seen = Seen::default();
    seen.section(&whole(), "", &ESTATE);
    for section in ESTATE.sections() {
        for field in section.fields {
            let is_there = seen.fields.iter().any(|known| std::ptr::eq(*known, field));
            assert!(is_there, "{} has `{}`, which stands nowhere in whole.yaml", section.what, field.name);
        }
    }
}

#[test]
fn every_word_of_the_table_is_a_word_of_its_enum() {
    let mut seen = Seen::default();
    seen.section(&whole(), "", &ESTATE);
    // The forms of senders come from their enum, and a sender of another form has other fields.
    seen.words.retain(|(at, _)| !at.ends_with("/form"));
    assert!(seen.words.len() > 4);
    for (at, words) in seen.words {
        for word in words {
            let mut estate = whole();
            *estate.pointer_mut(&at).expect("it is there") = (*word).into();
            if let Err(problems) = checked(&estate) {
                panic!("{at}: {word}: {problems:#?}");
            }
        }
    }
}
