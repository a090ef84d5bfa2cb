//! The values that all other modules use: ids, time, severity, actors, text, reasons, and problems with their places.

pub mod actor;
pub mod diagnostic;
pub mod effect;
pub mod glob_name;
pub mod id;
pub mod reason;
pub mod secret_ref;
pub mod severity;
pub mod suggest;
pub mod text;
pub mod time;
pub mod time_input;
pub mod timezone;
