//! Checks the files, directories and programs that the project names.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::{Doctor, by};
use crate::domain::config::host::Host;
use crate::domain::host::requirement::{CheckResult, Topic, Users};

/// Debian packages of programs, where the names differ.
const PACKAGES: &[(&str, &str)] = &[
    ("aws", "awscli"),
    ("bash", "bash"),
    ("dig", "dnsutils"),
    ("docker", "docker.io"),
    ("node", "nodejs"),
    ("npx", "npm"),
    ("pg_dump", "postgresql-client"),
    ("pg_restore", "postgresql-client"),
    ("psql", "postgresql-client"),
    ("python", "python-is-python3"),
    ("redis-cli", "redis-tools"),
    ("sh", "dash"),
    ("ssh", "openssh-client"),
    ("stat", "coreutils"),
];

impl Doctor {
    pub(super) async fn places(&self) -> Vec<CheckResult> {
        match &self.context.environment.host {
            Host::Local => self.local_places().await,
            Host::Ssh(host) => {
                let (mut local, remote) = tokio::join!(self.local_places(), self.remote_places(host));
                local.extend(remote);
                local
            }
        }
    }

    /// Runs on a separate thread, since a file system that does not answer blocks its caller.
    async fn local_places(&self) -> Vec<CheckResult> {
        let checkup = self.clone();
        tokio::task::spawn_blocking(move || checkup.local_findings()).await.unwrap_or_default()
    }

    fn local_findings(&self) -> Vec<CheckResult> {
        let needs = &self.needs;
        let paths = self.local(&needs.paths).map(|(path, users)| self.path(path, users));
        let arguments = self.local(&needs.arguments).filter(|(path, _)| needs.is_argument_alone(path));
        let arguments = arguments.map(|(path, users)| as_doubtful(self.path(path, users)));
        let programs = self.local(&needs.programs).map(|(program, users)| self.program(program, users));
        paths.chain(arguments).chain(programs).collect()
    }

    /// The names that refer to this machine.
    fn local<'n>(&self, names: &'n BTreeMap<String, Users>) -> impl Iterator<Item = (&'n String, &'n Users)> {
        let is_local = self.context.environment.host == Host::Local;
        names.iter().filter(move |(name, _)| is_local || self.needs.here.contains_key(*name))
    }

    fn path(&self, path: &str, users: &Users) -> CheckResult {
        let place = self.context.directory.join(path);
        match std::fs::metadata(&place) {
            Ok(metadata) if metadata.is_dir() => CheckResult::fine(Topic::Paths, path, "a directory"),
            Ok(_) => CheckResult::fine(Topic::Paths, path, "a file"),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                let remedy = format!("setfacl -m u:{}:rX {}", self.account.name, place.display());
                CheckResult::wrong(Topic::Paths, path, format!("permission denied; {}", by(users)), remedy)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                CheckResult::wrong(Topic::Paths, path, format!("not there; {}", by(users)), self.edit(users))
            }
            Err(error) => CheckResult::wrong(Topic::Paths, path, format!("{error}; {}", by(users)), self.edit(users)),
        }
    }

    fn program(&self, program: &str, users: &Users) -> CheckResult {
        if program.contains('/') {
            let place = self.context.directory.join(program);
            return match (is_program(&place), place.exists()) {
                (true, _) => CheckResult::fine(Topic::Programs, program, "can be run"),
                (false, true) => {
                    let remedy = format!("chmod +x {}", place.display());
                    CheckResult::wrong(Topic::Programs, program, format!("cannot be run; {}", by(users)), remedy)
                }
                (false, false) => {
                    CheckResult::wrong(Topic::Programs, program, format!("not there; {}", by(users)), self.edit(users))
                }
            };
        }
        match self.in_path(program) {
            Some(place) => CheckResult::fine(Topic::Programs, program, place.display().to_string()),
            None => {
                let package = package(program);
                let found = format!("not in PATH; {}", by(users));
                CheckResult::wrong(Topic::Programs, program, found, format!("apt-get install {package}"))
            }
        }
    }

    fn in_path(&self, program: &str) -> Option<PathBuf> {
        let path = self.context.base_environment.get("PATH")?;
        let places = path.split(':').filter(|part| !part.is_empty()).map(|part| Path::new(part).join(program));
        places.into_iter().find(|place| is_program(place))
    }
}

/// The finding about a path that is only an argument: a missing file is doubtful, not wrong, since the program may create it.
pub(super) fn as_doubtful(finding: CheckResult) -> CheckResult {
    if finding.mend.is_none() { finding } else { CheckResult::doubtful(Topic::Paths, finding.subject, finding.found) }
}

/// The Debian package of a program.
pub(super) fn package(program: &str) -> &str {
    PACKAGES.iter().find(|(name, _)| *name == program).map_or(program, |(_, package)| package)
}

fn is_program(place: &Path) -> bool {
    place.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}
