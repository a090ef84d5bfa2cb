//! Secrets, and the senders that prove themselves with them. No value is shown, or counted.

use super::{Checkup, by, few};
use crate::domain::config::estate::SecretSource;
use crate::domain::config::sender::Auth;
use crate::domain::host::requirement::{CheckResult, Topic, Users};

/// Where systemd looks for the credentials of services, plain and encrypted.
const CREDENTIALS: [&str; 2] = ["/etc/credstore", "/etc/credstore.encrypted"];

impl Checkup {
    pub(super) fn senders(&self) -> Vec<CheckResult> {
        let senders = self.context.estate.senders.iter();
        senders.map(|(name, sender)| self.sender(name, &sender.auth)).collect()
    }

    fn sender(&self, name: &str, auth: &Auth) -> CheckResult {
        let missing: Vec<&str> =
            auth.secrets().iter().map(String::as_str).filter(|secret| self.missing(secret).is_some()).collect();
        match (auth, missing.first()) {
            (Auth::None, _) => CheckResult::doubtful(Topic::Senders, name, "whoever reaches the port is believed"),
            (Auth::Sns, _) => CheckResult::fine(Topic::Senders, name, "proves itself by a signature of AWS"),
            (_, Some(first)) => {
                let found = format!("cannot prove itself without {}", few(missing.iter().copied()));
                CheckResult::wrong(Topic::Senders, name, found, self.provide(first))
            }
            (_, None) => CheckResult::fine(Topic::Senders, name, "what it proves itself with is here"),
        }
    }

    pub(super) fn secrets(&self) -> Vec<CheckResult> {
        let named = self.needs.secrets.keys().filter(|name| !self.context.estate.secrets.contains_key(*name));
        let unknown = named.map(|name| {
            let users = &self.needs.secrets[name];
            let found = format!("the estate does not say where it is; {}", by(users));
            CheckResult::wrong(Topic::Secrets, name, found, self.edit(&Users::default()))
        });
        let known = self.context.estate.secrets.keys().map(|name| self.secret(name));
        known.chain(unknown).collect()
    }

    fn secret(&self, name: &str) -> CheckResult {
        let Some(reason) = self.missing(name) else {
            return CheckResult::fine(Topic::Secrets, name, "can be read");
        };
        if let Some(finding) = self.of_service(name) {
            return finding;
        }
        match self.needs.secrets.get(name) {
            Some(users) => {
                CheckResult::wrong(Topic::Secrets, name, format!("{reason}; {}", by(users)), self.provide(name))
            }
            None => {
                let found = format!("{reason}; nothing needs it, but it cannot be kept out of what is written");
                CheckResult::doubtful(Topic::Secrets, name, found).remedy(self.provide(name))
            }
        }
    }

    /// Why a secret has no value. `None` if it has one, or if members of its family exist.
    fn missing(&self, name: &str) -> Option<String> {
        let family = format!("{name}.");
        if self.context.secrets.iter().any(|(known, _)| known.starts_with(&family)) {
            return None;
        }
        let secrets = &self.context.secrets;
        secrets.problem(name).map_or_else(|| secrets.get(name).err(), |reason| Some(reason.to_owned()))
    }

    /// Only the service can read a credential, so this checks only whether systemd will find it.
    fn of_service(&self, name: &str) -> Option<CheckResult> {
        let credential = self.context.estate.secrets.get(name)?.credential.as_ref()?;
        let there = CREDENTIALS.iter().map(|folder| format!("{folder}/{credential}"));
        let there = there.into_iter().find(|path| std::path::Path::new(path).exists())?;
        Some(CheckResult::fine(Topic::Secrets, name, format!("systemd gives `{there}` to the service")))
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
