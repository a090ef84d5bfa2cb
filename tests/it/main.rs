//! One binary for every test that needs more than one room; a module a feature.
//!
//! Deliberately absent: mocks of anything that can be started for real. See [`real`].

mod act;
mod cut;
mod engine;
mod hostile;
mod language;
mod real;
mod store;
mod systemd;
mod world;
