//! The shop without systemd: plain children, each started again when it ends, as `Restart=always` would.
//!
//! **Invariant:** no child outlives its [`Processes`].

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, test_kill_process};
use tokio::task::JoinHandle;

use super::child_group::{Background, Start};
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
                    if !is_alive(child)
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

fn start(service: &Service, directory: &PathBuf) -> io::Result<Background> {
    let child = Background::start(Start {
        argv: service.argv.clone(),
        environment: BTreeMap::new(),
        directory,
        name: &format!("{}.service", service.name),
    })?;
    std::fs::write(directory.join(&service.name), child.pid().to_string())?;
    Ok(child)
}

fn is_alive(child: &Background) -> bool {
    Pid::from_raw(child.pid()).is_some_and(|pid| test_kill_process(pid).is_ok())
}
