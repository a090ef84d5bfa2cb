//! Runs the services without systemd: plain child processes, each restarted when it ends, like `Restart=always`.
//!
//! **Invariant:** no child outlives its [`Processes`].

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::background_process::{BackgroundProcess, Start};
use crate::clock::{SharedClock, sleep};

/// How often the services are checked: a restart should appear immediate.
const LOOK: Duration = Duration::from_millis(100);

/// How long a service may take to stop in order.
const FAREWELL: Duration = Duration::from_secs(1);

/// A service to keep running.
#[derive(Debug, Clone)]
pub struct Service {
    pub name: String,
    pub argv: Vec<OsString>,
}

/// The services and the task that restarts them.
#[derive(Debug)]
pub struct Processes {
    watch: JoinHandle<()>,
}

impl Processes {
    /// Starts every service. The file `directory/<name>` holds its process id.
    ///
    /// # Errors
    /// When one does not start.
    pub fn start(services: Vec<Service>, directory: &Path, clock: SharedClock) -> io::Result<Self> {
        std::fs::create_dir_all(directory)?;
        let keeper = Arc::new(directory.to_owned());
        let mut running = BTreeMap::new();
        for service in services {
            let child = start(&service, &keeper)?;
            running.insert(service.name.clone(), (service, child));
        }
        let watch = tokio::spawn(async move {
            loop {
                sleep(&*clock, LOOK).await;
                for (service, child) in running.values_mut() {
                    if child.status().is_some()
                        && let Ok(next) = start(service, &keeper)
                    {
                        *child = next;
                    }
                }
            }
        });
        Ok(Self { watch })
    }

    /// Stops every service.
    pub async fn stop(mut self) {
        self.watch.abort();
        // Dropping the task drops the children, which stops them.
        let _ = tokio::time::timeout(FAREWELL, &mut self.watch).await;
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

fn start(service: &Service, directory: &Path) -> io::Result<BackgroundProcess> {
    let name = format!("{}.service", service.name);
    let child = BackgroundProcess::start(Start::notifying(service.argv.clone(), directory, &name))?;
    std::fs::write(directory.join(&service.name), child.pid().to_string())?;
    Ok(child)
}
