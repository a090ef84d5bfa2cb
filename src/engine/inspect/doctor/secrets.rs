//! Checks secrets, and the senders that authenticate with them. A finding shows neither the value nor the length of a secret.

use super::{Doctor, by, few};
use crate::domain::config::estate::SecretSource;
use crate::domain::config::sender::Auth;
use crate::domain::host::requirement::{CheckResult, Topic, Users};

/// The directories in which systemd finds the credentials of services, plain and encrypted.
const CREDENTIALS: [&str; 2] = ["/etc/credstore", "/etc/credstore.encrypted"];

impl Doctor {
    pub(super) fn senders(&self) -> Vec<CheckResult> {
        let senders = self.context.estate.senders.iter();
        senders.map(|(name, sender)| self.sender(name, &sender.auth)).collect()
    }

    fn sender(&self, name: &str, auth: &Auth) -> CheckResult {
        let missing: Vec<&str> =
            auth.secrets().iter().map(String::as_str).filter(|secret| self.missing(secret).is_some()).collect();
        match (auth, missing.first()) {
            (Auth::None, _) => CheckResult::doubtful(
                Topic::Senders,
                name,
                "not authenticated: every program that can connect to the port can send alerts",
            ),
            (Auth::Sns, _) => CheckResult::fine(Topic::Senders, name, "authenticated by the signature of AWS"),
            (_, Some(first)) => {
                let found = format!("cannot be authenticated without {}", few(missing.iter().copied()));
                CheckResult::wrong(Topic::Senders, name, found, self.provide(first))
            }
            (_, None) => CheckResult::fine(Topic::Senders, name, "its secrets can be read"),
        }
    }

    pub(super) fn secrets(&self) -> Vec<CheckResult> {
        let named = self.needs.secrets.keys().filter(|name| !self.context.estate.secrets.contains_key(*name));
        let undeclared = named.map(|name| {
            let users = &self.needs.secrets[name];
            let found = format!("it is not in the estate's `secrets`; {}", by(users));
            CheckResult::wrong(Topic::Secrets, name, found, self.edit(&Users::default()))
        });
        let declared = self.context.estate.secrets.keys().map(|name| self.secret(name));
        declared.chain(undeclared).collect()
    }

    fn secret(&self, name: &str) -> CheckResult {
        let Some(reason) = self.missing(name) else {
            return CheckResult::fine(Topic::Secrets, name, "can be read");
        };
        if let Some(finding) = self.credential_of_service(name) {
            return finding;
        }
        match self.needs.secrets.get(name) {
            Some(users) => {
                CheckResult::wrong(Topic::Secrets, name, format!("{reason}; {}", by(users)), self.provide(name))
            }
            None => {
                let found = format!("{reason}; nothing needs it, but its value cannot be redacted");
                CheckResult::doubtful(Topic::Secrets, name, found).remedy(self.provide(name))
            }
        }
    }

    /// Why a secret has no value. `None` if it has one, or if members of its family exist.
    fn missing(&self, name: &str) -> Option<String> {
        let family = format!("{name}.");
        if self.context.secrets.iter().any(|(secret, _)| secret.starts_with(&family)) {
            return None;
        }
        let secrets = &self.context.secrets;
        secrets.problem(name).map_or_else(|| secrets.get(name).err(), |reason| Some(reason.to_owned()))
    }

    /// The finding about a credential that systemd will find. Only the service can read its value.
    fn credential_of_service(&self, name: &str) -> Option<CheckResult> {
        let credential = self.context.estate.secrets.get(name)?.credential.as_ref()?;
        let paths = CREDENTIALS.iter().map(|folder| format!("{folder}/{credential}"));
        let path = paths.into_iter().find(|path| std::path::Path::new(path).exists())?;
        Some(CheckResult::fine(Topic::Secrets, name, format!("systemd passes `{path}` to the service")))
    }

    /// The command that sets a secret's value.
    fn provide(&self, name: &str) -> String {
        let account = &self.account.name;
        match self.context.estate.secrets.get(name) {
            Some(SecretSource { env: Some(variable), .. }) => format!("export {variable}=…"),
            Some(SecretSource { credential: Some(credential), .. }) => {
                format!("install -m 600 /dev/stdin {}/{credential}", CREDENTIALS[0])
            }
            Some(SecretSource { file: Some(file), key, .. }) => {
                let path = self.context.directory.join(file);
                let shown = path.display();
                match (path.exists(), key) {
                    (false, _) => format!("install -m 600 -o {account} /dev/stdin {shown}"),
                    (true, Some(key)) if std::fs::File::open(&path).is_ok() => format!("echo '{key}=…' >> {shown}"),
                    (true, _) => format!("setfacl -m u:{account}:r {shown}"),
                }
            }
            _ => self.edit(&Users::default()),
        }
    }
}
