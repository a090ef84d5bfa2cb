//! Opens the route to a channel: resolves its secrets and makes its client. Sends no message.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::Arc;

use secrecy::ExposeSecret as _;

use super::DeliveryService;
use super::spawn::Programs;
use crate::domain::config::estate;
use crate::domain::config::estate::Email;
use crate::domain::core::secret_ref::SecretRef;
use crate::notify::command::ProgramChannel;
use crate::notify::email::EmailChannel;
use crate::notify::slack::{SlackApi, SlackWebhook};
use crate::notify::webhook::WebhookChannel;
use crate::notify::{MessageChannel, Undelivered};

/// The most bytes that are read of a certificate file: twice the size of a system's list of authorities.
const CERTIFICATES_LIMIT: u64 = 1024 * 1024;

impl DeliveryService {
    /// Opens the channel. The error is the reason why the channel cannot be used.
    pub(super) fn open(&self, channel: &estate::Channel) -> Result<Arc<dyn MessageChannel>, String> {
        let reason = |error: Undelivered| error.reason;
        if let Some(name) = &channel.slack {
            let token = channel.token.as_ref().ok_or("it has no `token`; name a secret there in estate.yaml")?;
            let token = self.secrets.get(&token.secret)?;
            return Ok(Arc::new(SlackApi::new(name, token, channel.api.as_deref()).map_err(reason)?));
        }
        if let Some(hook) = &channel.slack_webhook {
            return Ok(Arc::new(SlackWebhook::new(self.secrets.get(&hook.secret)?).map_err(reason)?));
        }
        if let Some(email) = &channel.email {
            return self.mail(email);
        }
        if let Some(hook) = &channel.webhook {
            return Ok(Arc::new(
                WebhookChannel::new(&hook.url, self.secrets.get(&hook.secret.secret)?).map_err(reason)?,
            ));
        }
        if let Some(program) = &channel.command {
            return self.program(program);
        }
        Err("it has no route in estate.yaml, such as `slack` or `email`".to_owned())
    }

    fn mail(&self, email: &Email) -> Result<Arc<dyn MessageChannel>, String> {
        let password = email.password.as_ref().map(|password| self.secrets.get(&password.secret)).transpose()?;
        let trust = email.trust.as_ref().map(|file| self.certificates(file)).transpose()?;
        let mail = EmailChannel::new(email, password, trust.as_deref()).map_err(|error| error.reason)?;
        Ok(Arc::new(mail))
    }

    fn certificates(&self, file: &str) -> Result<Vec<u8>, String> {
        let mut pem = Vec::new();
        std::fs::File::open(self.directory.join(file))
            .and_then(|opened| opened.take(CERTIFICATES_LIMIT).read_to_end(&mut pem))
            .map_err(|error| format!("`{file}` cannot be read: {error}"))?;
        Ok(pem)
    }

    fn program(&self, program: &estate::Program) -> Result<Arc<dyn MessageChannel>, String> {
        let value = |variable: &estate::Variable| match variable {
            estate::Variable::Plain(text) => Ok(text.clone()),
            estate::Variable::Secret(SecretRef { secret }) => {
                self.secrets.get(secret).map(|value| value.expose_secret().to_owned())
            }
        };
        let env = program.env.iter().map(|(name, variable)| Ok((name.clone(), value(variable)?)));
        let env = env.collect::<Result<BTreeMap<_, _>, String>>()?;
        let programs = Programs {
            secrets: Arc::clone(&self.secrets),
            redactor: Arc::clone(&self.redactor),
            clock: Arc::clone(&self.clock),
            base_environment: Arc::clone(&self.base_environment),
            directory: self.directory.clone(),
        };
        Ok(Arc::new(ProgramChannel::new(program.argv.clone(), env, Arc::new(programs))))
    }
}
