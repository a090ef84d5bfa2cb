//! What is true: pure functions over plain data.
//!
//! **Invariant:** nothing here is asynchronous, reads a clock, the environment or a file, makes a random
//! id, or logs. Time and chance come in as parameters; a test reads the imports.

pub mod actor;
pub mod alert;
pub mod alerts;
pub mod board;
pub mod channel;
pub mod checkup;
pub mod command;
pub mod course;
pub mod deadline;
pub mod decide;
pub mod discovery;
pub mod due;
pub mod effect;
pub mod estate;
pub mod estate_check;
pub mod event;
pub mod expression;
pub mod form;
pub mod gate;
pub mod grant;
pub mod handover;
pub mod host;
pub mod id;
pub mod incident;
pub mod journal;
pub mod message;
pub mod moment;
pub mod next;
pub mod notice;
pub mod outcome;
pub mod page;
pub mod plan;
pub mod policy;
pub mod postmortem;
pub mod problem;
pub mod recorded;
pub mod redact;
pub mod role;
pub mod run;
pub mod runbook;
pub mod schedule;
pub mod scope;
pub mod sender;
pub mod shell;
pub mod slack;
pub mod stats;
pub mod step;
pub mod survey;
pub mod text;
pub mod time;
pub mod timeline;
pub mod trigger;
pub mod zone;
