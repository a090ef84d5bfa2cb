//! One binary for every test that needs more than one room; a module a feature.
//!
//! Deliberately absent: mocks of anything that can be started for real. See [`real`].

mod act;
mod cut;
mod engine;
mod health;
mod hostile;
mod http;
mod language;
mod postmortem;
mod real;
mod shop;
mod stepper;
mod store;
mod systemd;
mod world;
