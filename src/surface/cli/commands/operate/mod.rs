//! Commands that set up and run the service.

pub(crate) mod completions;
pub(crate) mod demo;
pub(crate) mod demo_service;
pub(crate) mod doctor;
pub(crate) mod man;
pub(crate) mod serve;
pub(crate) mod slack;
pub(crate) mod unit;
