//! The fields of an alert, as one table: which of them expressions see, and which of them a mapping gives.
//!
//! **Invariant:** the table and [`Alert`](super::Alert) have the same fields. A test compares them.

/// One field of an alert.
#[derive(Debug)]
pub struct AlertField {
    /// Its name, in the log and in expressions.
    pub name: &'static str,
    /// Whether the expressions of a trigger and of the alert policy see it.
    pub in_scope: bool,
    /// Whether one expression of a mapping gives it. A mapping gives `status`, `labels`, `annotations` and `recurs` too, but
    /// not as one expression.
    pub in_mapping: bool,
}

/// Every field, in the order of [`Alert`](super::Alert).
pub static FIELDS: &[AlertField] = &[
    AlertField { name: "sender", in_scope: true, in_mapping: false },
    AlertField { name: "firing", in_scope: false, in_mapping: true },
    AlertField { name: "recurs", in_scope: false, in_mapping: false },
    AlertField { name: "status", in_scope: true, in_mapping: false },
    AlertField { name: "name", in_scope: true, in_mapping: true },
    AlertField { name: "summary", in_scope: true, in_mapping: true },
    AlertField { name: "severity", in_scope: true, in_mapping: true },
    AlertField { name: "starts_at", in_scope: true, in_mapping: true },
    AlertField { name: "ends_at", in_scope: true, in_mapping: true },
    AlertField { name: "value", in_scope: true, in_mapping: true },
    AlertField { name: "labels", in_scope: true, in_mapping: false },
    AlertField { name: "annotations", in_scope: true, in_mapping: false },
    AlertField { name: "link", in_scope: true, in_mapping: true },
    AlertField { name: "runbook", in_scope: true, in_mapping: true },
    AlertField { name: "environment", in_scope: true, in_mapping: true },
    AlertField { name: "service", in_scope: true, in_mapping: true },
    AlertField { name: "warnings", in_scope: false, in_mapping: false },
];

/// The names of the fields that one expression of a mapping gives.
pub fn mapped() -> impl Iterator<Item = &'static str> {
    FIELDS.iter().filter(|field| field.in_mapping).map(|field| field.name)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::domain::alert::{Alert, AlertStatus};
    use crate::domain::core::severity::Severity;

    #[test]
    fn the_table_has_the_fields_of_an_alert() {
        let text = || "x".to_owned();
        // Every field is set, because a field that is not set is not written.
        let alert = Alert {
            sender: text(),
            firing: text(),
            recurs: true,
            status: AlertStatus::Firing,
            name: text(),
            summary: Some(text()),
            severity: Some(Severity::P1),
            starts_at: Some(chrono::DateTime::UNIX_EPOCH),
            ends_at: Some(chrono::DateTime::UNIX_EPOCH),
            value: Some(1.0),
            labels: [(text(), text())].into(),
            annotations: [(text(), text())].into(),
            link: Some(text()),
            runbook: Some(text()),
            environment: Some(text()),
            service: Some(text()),
            warnings: vec![text()],
        };
        let Ok(Value::Object(written)) = serde_json::to_value(&alert) else { panic!("an alert is an object") };
        let mut written: Vec<&str> = written.keys().map(String::as_str).collect();
        let mut table: Vec<&str> = FIELDS.iter().map(|field| field.name).collect();
        written.sort_unstable();
        table.sort_unstable();
        assert_eq!(table, written);
    }
}
