//! The interfaces through which people and programs use the engine.

pub mod cli;
pub mod demo;
pub mod exit;
pub mod intake;
pub mod slack;
pub mod terminal;
pub mod web;
