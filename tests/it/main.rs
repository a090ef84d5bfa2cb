//! Tests that start real programs: services, databases, service managers. One module per feature.
//!
//! Not here: mocks of anything that can be started, see [`real`]; tests that start none of it, see `tests/pure`.

#![expect(clippy::disallowed_methods, reason = "tests start real programs and wait in real time")]
#![expect(clippy::unwrap_used, reason = "a test fails where its helpers do")]

mod alert_runbooks;
mod alerts;
mod catch_up;
mod crash;
mod cut;
mod disk;
mod doctor;
mod git;
mod health;
mod hostile;
mod http;
mod init;
mod intake;
mod kind_harness;
mod logs;
mod maintenance_runbooks;
mod metrics;
mod notify;
mod package;
mod people;
mod postgres;
mod project;
mod prometheus_alert;
mod real;
mod redis;
mod remote;
mod schedule;
mod senders;
mod shipped_project;
mod slack;
mod stats;
mod status;
mod stepper;
mod store;
mod systemd;
mod tls;
mod unit;

#[expect(dead_code, reason = "the other suite uses it")]
#[path = "../support/engine_fixture.rs"]
mod engine_fixture;
