//! Checks services outside the host: the remotes of work trees, and Slack. It contacts only those that the estate names.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde_json::json;

use super::{Doctor, by};
use crate::actions::kinds::git::error_code;
use crate::actions::kinds::git::remote_check::{Unreached, reach};
use crate::actions::transport::process::NO_PROGRAM;
use crate::domain::config::estate::Channel;
use crate::domain::config::host::Host;
use crate::domain::core::text::one_line;
use crate::domain::host::requirement::{CheckResult, Topic, Users};

/// The default address of Slack's API.
const SLACK: &str = "https://slack.com/api";

/// The page where tokens and scopes are managed.
const APPS: &str = "https://api.slack.com/apps";

/// The scope that sending a message needs.
const WRITE: &str = "chat:write";

/// The most characters of a reason in a finding.
const REASON_LIMIT: usize = 300;

impl Doctor {
    pub(super) async fn git(&self) -> Vec<CheckResult> {
        join_all(self.needs.repositories.iter().map(|(tree, users)| self.remote(tree, users))).await
    }

    async fn remote(&self, tree: &str, users: &Users) -> CheckResult {
        let is_local = self.context.environment.host == Host::Local;
        if is_local && !self.context.there(tree).is_dir() {
            let found = format!("there is no such directory; {}", by(users));
            return CheckResult::wrong(Topic::Git, tree, found, self.edit(users));
        }
        let reached = match reach(tree, &self.context()).await {
            Ok(reached) => reached,
            Err(failed) => {
                return CheckResult::wrong(
                    Topic::Git,
                    tree,
                    one_line(&failed.reason.text, REASON_LIMIT),
                    self.as_account(&remedy(tree, &failed)),
                );
            }
        };
        let environment = &self.context.environment;
        let branch = environment.branch.as_ref().filter(|_| environment.repository.as_deref() == Some(tree));
        match branch.filter(|branch| !reached.branches.contains(*branch)) {
            Some(branch) => {
                let found = format!("`{}` answers but has no branch `{branch}`", reached.address);
                CheckResult::wrong(Topic::Git, tree, found, self.edit(&Users::default()))
            }
            None => CheckResult::fine(Topic::Git, tree, format!("`{}` answers", reached.address)),
        }
    }

    pub(super) async fn slack(&self) -> Vec<CheckResult> {
        // Channels may share a token; each token is checked once.
        let mut tokens: BTreeMap<(&str, &str), (&Channel, Vec<&str>)> = BTreeMap::new();
        for (name, channel) in &self.context.estate.channels {
            let named = channel.token.as_ref().filter(|_| channel.slack.is_some());
            if let Some(token) = named.filter(|token| self.context.secrets.get(&token.secret).is_ok()) {
                let api = channel.api.as_deref().unwrap_or(SLACK).trim_end_matches('/');
                tokens.entry((api, &token.secret)).or_insert((channel, Vec::new())).1.push(name);
            }
        }
        join_all(tokens.into_iter().map(|((api, token), (_, channels))| self.token(api, token, channels))).await
    }

    async fn token(&self, api: &str, token: &str, channels: Vec<&str>) -> CheckResult {
        let subject = format!("token {token}");
        let spec = json!({ "post": format!("{api}/auth.test"), "token": { "secret": token }, "timeout": "10s" });
        let outcome = self.perform("http", spec).await;
        let body = &outcome.output["body"];
        if body["ok"] != json!(true) {
            let error = body["error"].as_str().map(|code| format!("Slack returned `{}`", one_line(code, 80)));
            let found = error.unwrap_or_else(|| one_line(&outcome.summary, REASON_LIMIT));
            return CheckResult::wrong(Topic::Slack, subject, found, format!("xdg-open {APPS}"));
        }
        let scopes = outcome.output["headers"]["x-oauth-scopes"].as_str().unwrap_or_default();
        let scopes: Vec<&str> = scopes.split(',').map(str::trim).filter(|scope| !scope.is_empty()).collect();
        let is_app = self.context.estate.slack.as_ref().is_some_and(|app| channels.contains(&app.channel.as_str()));
        let needed: Vec<&str> = if is_app { self.scopes.iter().map(String::as_str).collect() } else { vec![WRITE] };
        let missing: Vec<&str> = needed.into_iter().filter(|scope| !scopes.contains(scope)).collect();
        if scopes.is_empty() {
            return CheckResult::doubtful(
                Topic::Slack,
                subject,
                "the token is valid; Slack does not report its scopes",
            );
        }
        if missing.is_empty() {
            return CheckResult::fine(Topic::Slack, subject, format!("valid, with {}", scopes.join(", ")));
        }
        let found = format!("the token is valid but lacks {}", missing.join(", "));
        CheckResult::wrong(
            Topic::Slack,
            subject,
            found,
            format!("{} slack manifest   # then reinstall the app", self.commands.runbook),
        )
    }
}

/// The command that fixes a git error.
fn remedy(tree: &str, failed: &Unreached) -> String {
    match failed.reason.code.as_str() {
        error_code::UNSAFE_OWNER => format!("git config --global --add safe.directory {tree}"),
        error_code::HOST_KEY => {
            let host = failed.host.as_deref().unwrap_or("HOST");
            format!("ssh-keyscan -t ed25519 {host}   # compare it, then add it to ~/.ssh/known_hosts")
        }
        error_code::ACCESS => {
            "ssh-keygen -t ed25519   # then add the public key to the repository as a deploy key that may write"
                .to_owned()
        }
        error_code::CREDENTIALS => {
            format!("git -C {tree} remote set-url origin git@HOST:PATH.git   # with a key nobody has to type")
        }
        error_code::NO_REMOTE => format!("git -C {tree} remote add origin ADDRESS"),
        error_code::NO_REPOSITORY => format!("git clone ADDRESS {tree}"),
        NO_PROGRAM => "apt-get install git openssh-client".to_owned(),
        _ => format!("git -C {tree} remote set-url origin ADDRESS"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Unreached, error_code, remedy};
    use crate::domain::core::reason::Reason;

    #[test]
    fn the_remedy_depends_on_the_error_of_git() {
        let first = |code: &'static str| {
            let failed = Unreached { host: Some("git.example".to_owned()), reason: Reason::new(code, "any text") };
            remedy("/srv/shop", &failed).split("   ").next().unwrap_or_default().to_owned()
        };
        assert_eq!(first(error_code::HOST_KEY), "ssh-keyscan -t ed25519 git.example");
        assert_eq!(first(error_code::ACCESS), "ssh-keygen -t ed25519");
        assert_eq!(first(error_code::UNSAFE_OWNER), "git config --global --add safe.directory /srv/shop");
        assert_eq!(first(error_code::NO_REMOTE), "git -C /srv/shop remote add origin ADDRESS");
    }
}
