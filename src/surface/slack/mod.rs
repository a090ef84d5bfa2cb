//! The Slack interface: the command `/runbook`, buttons and forms, and one message per incident that is updated in place.
//!
//! Requests arrive by [socket](connect::socket_mode) or [HTTP](connect::http). They are acknowledged at once and
//! handled afterwards, so that Slack does not wait for a slow log. [`incident_messages`] posts and edits the incident
//! messages, which [`render`] creates.
//!
//! **Invariant:** every request is submitted with its unique name, so a repeated delivery changes nothing. The log records
//! where messages were posted.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::de::IgnoredAny;
use slack_morphism::prelude::{SlackApiViewsOpenRequest, SlackBlock};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::domain::core::id::IncidentId;
use crate::engine::Engine;
use crate::notify::slack::Web;
use crate::sync::lock;

use self::connect::payload::{Act, Inbound};
use self::connect::reply::Replies;
use self::handlers::{HandlerReply, Handlers, reply_text};
use self::incident_messages::{IncidentMessages, Unrecorded};
use self::render::modal::Carried;

pub mod connect;
mod handlers;
mod incident_messages;
pub mod parse;
pub mod render;

pub use self::connect::app::SlackInterface;
pub use self::connect::http::router;

/// How long a person waits for the reply before an interim reply. Replies normally come within a second.
const LATE_AFTER: Duration = Duration::from_millis(700);

/// The most requests that are handled at the same time. Further requests are refused, so that the person tries again.
const CONCURRENT_REQUESTS: usize = 64;

/// How many request ids are remembered in order to drop repeats early: more than arrive within the minutes in which a request
/// can be sent again. The log also rejects a repeated change.
const REMEMBERED_IDS: usize = 4_096;

/// The ids of the latest requests.
type HandledRequests = Arc<Mutex<VecDeque<String>>>;

/// The callbacks of the interface.
pub struct SlackConfig {
    /// 32 random bits, for incident ids.
    pub random_bits: fn() -> u32,
    /// Called for every incident that is about to be opened, before its first event is durable.
    pub before_open: Box<dyn Fn(&IncidentId) + Send + Sync>,
}

impl std::fmt::Debug for SlackConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SlackConfig")
    }
}

/// The Slack app of an estate.
#[derive(Debug)]
pub(crate) struct App {
    handlers: Handlers,
    web: Arc<Web>,
    /// The Web API with the app-level token, for Socket Mode.
    socket: Option<Web>,
    /// The name of the signing secret for requests over HTTP.
    signing: Option<String>,
    /// Whether the Web API is not Slack's, as in tests. Only then may a socket be unencrypted.
    stand_in: bool,
    replies: Replies,
    handled: HandledRequests,
    unrecorded: Unrecorded,
    permits: Arc<Semaphore>,
    changed: Arc<Notify>,
}

impl App {
    /// Opens the app that the estate declares, if any.
    ///
    /// # Errors
    /// The reason why it cannot be used, such as a missing secret.
    fn open(
        engine: Engine,
        config: Arc<SlackConfig>,
        handled: HandledRequests,
        unrecorded: Unrecorded,
    ) -> Result<Option<Arc<Self>>, String> {
        let catalog = Arc::clone(&engine.parts().catalog);
        let Ok(estate) = &catalog.estate().content else { return Ok(None) };
        let Some(app) = &estate.slack else { return Ok(None) };
        let (_, channel) = estate.incident_channel().ok_or("the channel of `slack` is not in the estate")?;
        let secret = |name: &str| engine.parts().secrets.get(name).cloned();
        let token = channel.token.as_ref().ok_or("the channel of `slack` has no `token`")?;
        let api = channel.api.as_deref();
        let web = |token| Web::new(&token, api).map_err(|error| error.reason);
        let bot = Arc::new(web(secret(&token.secret)?)?);
        let socket = app.app_token.as_ref().map(|token| web(secret(&token.secret)?)).transpose()?;
        let signing = app.signing_secret.as_ref().map(|signing| signing.secret.clone());
        signing.as_deref().map(secret).transpose()?;
        Ok(Some(Arc::new(Self {
            web: bot,
            socket,
            signing,
            stand_in: api.is_some(),
            replies: Replies::new(api)?,
            handled,
            unrecorded,
            permits: Arc::new(Semaphore::new(CONCURRENT_REQUESTS)),
            changed: Arc::default(),
            handlers: Handlers { engine, config },
        })))
    }

    /// Starts the tasks of the app, which run until `stop` is cancelled: the incident messages, and the socket if there
    /// is an app token.
    fn begin(self: &Arc<Self>, stop: &CancellationToken) -> Vec<JoinHandle<()>> {
        let (web, changed) = (Arc::clone(&self.web), Arc::clone(&self.changed));
        let messages = IncidentMessages::new(self.handlers.engine.clone(), web, changed, Arc::clone(&self.unrecorded));
        let stopped = stop.clone();
        let mut tasks = vec![tokio::spawn(async move {
            tokio::select! {
                () = messages.run() => {}
                () = stopped.cancelled() => {}
            }
        })];
        if self.socket.is_some() {
            let (app, stopped) = (Arc::clone(self), stop.clone());
            tasks.push(tokio::spawn(async move {
                tokio::select! {
                    () = connect::socket_mode::listen(&app) => {}
                    () = stopped.cancelled() => {}
                }
            }));
        }
        tasks
    }

    /// Whether a request was delivered before. Remembers it.
    fn is_repeated(&self, name: &str) -> bool {
        let mut handled = lock(&self.handled);
        if handled.iter().any(|one| one == name) {
            return true;
        }
        if handled.len() == REMEMBERED_IDS {
            handled.pop_front();
        }
        handled.push_back(name.to_owned());
        false
    }

    /// Handles a request that is already acknowledged.
    fn dispatch(self: &Arc<Self>, inbound: Inbound) {
        let app = Arc::clone(self);
        let permit = Arc::clone(&self.permits).try_acquire_owned();
        tokio::spawn(async move {
            let address = inbound.address();
            match permit {
                Ok(_permit) => app.handle(inbound, address.as_deref()).await,
                Err(_) => {
                    app.replies
                        .reply_privately(
                            address.as_deref(),
                            &reply_text("Too many requests at once. Try again in a moment."),
                        )
                        .await
                }
            }
        });
    }

    async fn handle(&self, inbound: Inbound, address: Option<&str>) {
        let answer = self.handlers.answer(&inbound);
        tokio::pin!(answer);
        let answer = match tokio::time::timeout(LATE_AFTER, &mut answer).await {
            Ok(answer) => answer,
            Err(_) => {
                let late = reply_text("This takes longer than usual. The result follows here.");
                self.replies.reply_privately(address, &late).await;
                answer.await
            }
        };
        match answer {
            HandlerReply::Message(card) => self.replies.reply_privately(address, &card).await,
            HandlerReply::Form { title, fields, purpose } => {
                let response_url = address.map(str::to_owned);
                let carried = Carried { purpose, response_url, is_ephemeral: inbound.is_ephemeral };
                if let Err(why) = self.show_form(&inbound, &title, fields, &carried).await {
                    self.replies
                        .reply_privately(
                            address,
                            &reply_text(&format!("The form cannot be shown: {why}. Type it again.")),
                        )
                        .await;
                }
            }
            HandlerReply::Done(Some(card)) => self.replies.replace(address, &card).await,
            HandlerReply::Done(None) => {}
        }
        self.changed.notify_one();
    }

    async fn show_form(
        &self,
        inbound: &Inbound,
        title: &str,
        fields: Vec<SlackBlock>,
        carried: &Carried,
    ) -> Result<(), String> {
        let trigger = inbound.trigger.as_deref().ok_or("Slack's request has no `trigger_id`")?;
        let view = render::modal::view(title, fields, carried).ok_or("its data is too long")?;
        let asked = SlackApiViewsOpenRequest::new(trigger.to_owned().into(), view);
        self.web.call("views.open", &asked, "the form").await.map(|_: IgnoredAny| ()).map_err(|error| error.reason)
    }
}

impl Inbound {
    /// The reply address. A form has the address of the request that opened it.
    fn address(&self) -> Option<String> {
        match &self.act {
            Act::Submitted { carried, .. } => serde_json::from_str::<Carried>(carried).ok()?.response_url,
            _ => self.response_url.clone(),
        }
    }

    /// Whether the action was done on an ephemeral message. A form has this from the request that opened it.
    fn is_from_ephemeral(&self) -> bool {
        match &self.act {
            Act::Submitted { carried, .. } => {
                serde_json::from_str::<Carried>(carried).is_ok_and(|carried| carried.is_ephemeral)
            }
            _ => self.is_ephemeral,
        }
    }
}
