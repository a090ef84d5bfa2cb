//! The part of the reference about the estate, made of its table.

use super::{link, row, section, table};
use crate::domain::config::estate_schema::{ESTATE, EntryKey, EstateField, EstateShape, Section};

/// Every section of the estate, each before those within it.
pub(super) fn estate(out: &mut String) {
    for of in ESTATE.sections().into_iter().filter(|section| !section.title.is_empty()) {
        section(out, of.title, Some(of.about).filter(|about| !about.is_empty()));
        if !of.about.is_empty() {
            out.push('\n');
        }
        table(out);
        for field in of.fields {
            row(out, field, &kind(of, field));
        }
    }
}

fn kind(of: &Section, field: &EstateField) -> String {
    let shape = shape(&field.shape);
    match of.alternatives {
        Some(alternatives) if alternatives.keys().contains(&field.name) => format!("{shape}, one of these"),
        _ if field.required => format!("{shape}, required"),
        _ => shape,
    }
}

fn shape(of: &EstateShape) -> String {
    match of {
        EstateShape::Text => "text".to_owned(),
        EstateShape::Name => "name".to_owned(),
        EstateShape::Word => "text, whole number or boolean".to_owned(),
        EstateShape::Integer { min, max } => format!("whole number, {min} to {max}"),
        EstateShape::Boolean => "`true` or `false`".to_owned(),
        EstateShape::True => "`true`".to_owned(),
        EstateShape::Duration => "duration".to_owned(),
        EstateShape::Any => "any value".to_owned(),
        EstateShape::OneOf(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" "),
        EstateShape::Pattern(pattern) => pattern.name.to_owned(),
        EstateShape::NameIn(part) => part.one().to_owned(),
        EstateShape::Recipient => "e-mail address or person".to_owned(),
        EstateShape::SecretKey => "secret, or `{ secret }`".to_owned(),
        EstateShape::ExpressionOver(_) => "expression".to_owned(),
        EstateShape::ListOf(item) => format!("list of: {}", shape(item)),
        EstateShape::OneOrMany(item) => format!("{}, or a list of them", shape(item)),
        EstateShape::Items(items) if items.one => format!("{}, or a list of them", shape(&items.item)),
        EstateShape::Items(items) => format!("list of: {}", shape(&items.item)),
        EstateShape::Entries(entries) => format!("mapping of {} to: {}", keys(entries.key), shape(&entries.value)),
        EstateShape::Section(section) if section.title.is_empty() => format!("`{}`", braces(section)),
        EstateShape::Section(section) => link(section.what, section.title),
        EstateShape::MappingOr { mapping, other } => format!("{}, or {}", shape(other), shape(mapping)),
    }
}

fn keys(of: EntryKey) -> String {
    match of {
        EntryKey::Free => "free names".to_owned(),
        EntryKey::Name => "names".to_owned(),
        EntryKey::Pattern(pattern) => format!("{}s", pattern.name),
    }
}

/// A small section in one line: `{ user, password: { secret } }`.
fn braces(section: &Section) -> String {
    let keys: Vec<String> = section
        .fields
        .iter()
        .map(|field| match field.shape {
            EstateShape::Section(inner) if inner.title.is_empty() => format!("{}: {}", field.name, braces(inner)),
            _ => field.name.to_owned(),
        })
        .collect();
    format!("{{ {} }}", keys.join(", "))
}
