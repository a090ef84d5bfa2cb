//! One binary for every test that needs more than one room; a module a feature.
//!
//! Deliberately absent: mocks of anything that can be started for real. See [`real`].

#![expect(clippy::disallowed_methods, reason = "tests start real programs and wait in real time")]

mod act;
mod alert_runbooks;
mod alerts;
mod catch_up;
mod cli;
mod crash;
mod cut;
mod disk;
mod doctor;
mod engine;
mod golden;
mod health;
mod hostile;
mod http;
mod init;
mod intake;
mod language;
mod logs;
mod machine;
mod maintenance_runbooks;
mod metrics;
mod notify;
mod package;
mod people;
mod postgres;
mod postmortem;
mod prometheus_alert;
mod real;
mod redis;
mod remote;
mod schedule;
mod senders;
mod shop;
mod slack;
mod stats;
mod status;
mod stepper;
mod store;
mod systemd;
mod tls;
mod unit;
mod world;
