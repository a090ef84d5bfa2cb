//! The project's configuration: the estate, its checker, the parser of YAML, and the forms of keys.

pub mod alert_placement;
pub mod alert_policy;
pub mod channel;
pub mod estate;
pub mod estate_check;
pub mod estate_schema;
pub mod host;
pub mod incident_page;
pub mod kind_schema;
pub mod sender;
pub mod slack_app;
pub mod yaml;
