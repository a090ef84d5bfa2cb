//! Hot reload: configuration is swapped atomically; work in progress keeps the version it started with.
//!
//! **Invariant:** a batch of alerts, a request and an iteration of a worker end with the version they started with. A run always
//! keeps its copy of the runbook and the estate.
//!
//! Not here: reading the files, and deciding whether they are valid.

use std::sync::{Arc, PoisonError, RwLock};

use super::delivery::DeliveryService;
use super::{Engine, Parts};
use crate::actions::Secrets;
use crate::domain::redact::Redactor;
use crate::engine::catalog::Catalog;

/// The parts of an engine that come from the project's files.
#[derive(Debug)]
pub struct ProjectFiles {
    /// The runbooks and the estate.
    pub catalog: Catalog,
    /// The values of the secrets: those of the new estate, and those that runs in progress may need.
    pub secrets: Secrets,
    /// Removes every secret that this process has ever read.
    pub redactor: Redactor,
}

/// The most recently loaded files, which clones of an engine share.
#[derive(Debug)]
pub(super) struct LoadedFiles(RwLock<(Arc<Parts>, Arc<DeliveryService>)>);

impl LoadedFiles {
    pub(super) fn new(parts: &Arc<Parts>, delivery: &Arc<DeliveryService>) -> Self {
        Self(RwLock::new((Arc::clone(parts), Arc::clone(delivery))))
    }
}

impl Engine {
    /// Replaces the project's files. Each clone of this engine uses them from its next [`refresh`](Self::refresh).
    pub fn reload(&self, files: ProjectFiles) {
        let parts = Arc::new(Parts {
            catalog: Arc::new(files.catalog),
            secrets: Arc::new(files.secrets),
            redactor: Arc::new(files.redactor),
            ..(*self.parts).clone()
        });
        let delivery = Arc::new(self.delivery.reloaded(Arc::clone(&parts.secrets), Arc::clone(&parts.redactor)));
        *self.newest.0.write().unwrap_or_else(PoisonError::into_inner) = (parts, delivery);
    }

    /// Switches to the most recently loaded files.
    pub fn refresh(&mut self) {
        let newest = Arc::clone(&self.newest);
        let newest = newest.0.read().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&self.parts, &newest.0) {
            (self.parts, self.delivery) = (Arc::clone(&newest.0), Arc::clone(&newest.1));
        }
    }

    /// A clone of this engine with the most recently loaded files.
    pub fn refreshed(&self) -> Self {
        let mut refreshed = self.clone();
        refreshed.refresh();
        refreshed
    }
}
