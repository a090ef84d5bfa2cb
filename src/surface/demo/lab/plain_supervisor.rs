//! Runs the services without systemd: plain child processes, each restarted when it ends, like `Restart=always`.
//!
//! **Invariant:** no child outlives its [`Processes`].

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::background_process::{BackgroundProcess, Start};
use crate::clock::{SharedClock, sleep};

/// How often the services are checked.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// How long to wait for the services to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);

/// A service to keep running.
#[derive(Debug, Clone)]
pub struct Service {
    pub name: String,
    pub argv: Vec<OsString>,
}

/// The services and the task that restarts them.
#[derive(Debug)]
pub struct Processes {
    supervision: JoinHandle<()>,
}

impl Processes {
    /// Starts every service. The file `<directory>/<name>` holds the process id of a service.
    ///
    /// # Errors
    /// When a service does not start.
    pub fn start(services: Vec<Service>, directory: &Path, clock: SharedClock) -> io::Result<Self> {
        std::fs::create_dir_all(directory)?;
        let directory = directory.to_owned();
        let mut running = BTreeMap::new();
        for service in services {
            let child = start(&service, &directory)?;
            running.insert(service.name.clone(), (service, child));
        }
        let supervision = tokio::spawn(async move {
            loop {
                sleep(&*clock, CHECK_INTERVAL).await;
                for (service, child) in running.values_mut() {
                    if child.status().is_some()
                        && let Ok(next) = start(service, &directory)
                    {
                        *child = next;
                    }
                }
            }
        });
        Ok(Self { supervision })
    }

    /// Stops every service.
    pub async fn stop(mut self) {
        self.supervision.abort();
        // Dropping the task drops the children, which stops them.
        let _ = tokio::time::timeout(STOP_TIMEOUT, &mut self.supervision).await;
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        self.supervision.abort();
    }
}

fn start(service: &Service, directory: &Path) -> io::Result<BackgroundProcess> {
    let name = format!("{}.service", service.name);
    let child = BackgroundProcess::start(Start::notifying(service.argv.clone(), directory, &name))?;
    std::fs::write(directory.join(&service.name), child.pid().to_string())?;
    Ok(child)
}
