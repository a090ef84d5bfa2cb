//! The Slack interface: the command `/runbook`, buttons and forms, and one message per incident that is updated in
//! place.
//!
//! Requests arrive by [socket](connect::socket_mode) or [HTTP](connect::http). They are acknowledged at once and
//! handled afterwards, so a slow log does not block Slack. [`incident_messages`] updates the incident messages, which
//! [`render`] draws.
//!
//! **Invariant:** a request changes an incident once, however often it is delivered and even across restarts. Changes
//! go through [`Engine::submit_once`], and the log records where messages were posted.

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

/// How long a person waits before a reply says that it takes longer; replies normally come within a second.
const PATIENCE: Duration = Duration::from_millis(700);

/// Maximum concurrent requests. Further ones are refused with a request to try again.
const AT_ONCE: usize = 64;

/// How many request ids are remembered, to drop repeats early: more than arrive within the minutes in which Slack, or
/// an attacker, can send one again. The log also rejects a repeated change.
const REMEMBERED: usize = 4_096;

/// The ids of the latest requests.
type HandledRequests = Arc<Mutex<VecDeque<String>>>;

/// What the interface needs besides the engine.
pub struct SlackConfig {
    /// 32 random bits, for incident ids.
    pub chance: fn() -> u32,
    /// Called with every incident to be opened, before its first event is durable.
    pub opening: Box<dyn Fn(&IncidentId) + Send + Sync>,
}

impl std::fmt::Debug for SlackConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Terms")
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
    /// Whether the Web API is a stand-in; only then may a socket be unencrypted.
    stand_in: bool,
    replies: Replies,
    seen: HandledRequests,
    unrecorded: Unrecorded,
    places: Arc<Semaphore>,
    news: Arc<Notify>,
}

impl App {
    /// Opens the app that the estate declares; none when it declares none.
    ///
    /// # Errors
    /// Why it cannot be used, such as a missing secret.
    fn open(
        engine: Engine,
        config: Arc<SlackConfig>,
        seen: HandledRequests,
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
            seen,
            unrecorded,
            places: Arc::new(Semaphore::new(AT_ONCE)),
            news: Arc::default(),
            handlers: Handlers { engine, config },
        })))
    }

    /// Starts the tasks of the app, which run until `stop` is cancelled: the incident messages, and the socket if there
    /// is an app token.
    fn begin(self: &Arc<Self>, stop: &CancellationToken) -> Vec<JoinHandle<()>> {
        let (web, news) = (Arc::clone(&self.web), Arc::clone(&self.news));
        let messages = IncidentMessages::new(self.handlers.engine.clone(), web, news, Arc::clone(&self.unrecorded));
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

    /// Whether a request was delivered before. It is remembered from now on.
    fn is_repeated(&self, name: &str) -> bool {
        let mut seen = lock(&self.seen);
        if seen.iter().any(|one| one == name) {
            return true;
        }
        if seen.len() == REMEMBERED {
            seen.pop_front();
        }
        seen.push_back(name.to_owned());
        false
    }

    /// Handles a request that is already acknowledged.
    fn take(self: &Arc<Self>, inbound: Inbound) {
        let app = Arc::clone(self);
        let place = Arc::clone(&self.places).try_acquire_owned();
        tokio::spawn(async move {
            let address = inbound.address();
            match place {
                Ok(_place) => app.deal(inbound, address.as_deref()).await,
                Err(_) => {
                    app.replies
                        .reply_privately(address.as_deref(), &reply_text("Too much at once. Try again in a moment."))
                        .await
                }
            }
        });
    }

    async fn deal(&self, inbound: Inbound, address: Option<&str>) {
        let answer = self.handlers.answer(&inbound);
        tokio::pin!(answer);
        let answer = match tokio::time::timeout(PATIENCE, &mut answer).await {
            Ok(answer) => answer,
            Err(_) => {
                let late =
                    reply_text("The log does not answer yet. This goes on, and is answered here as soon as it does.");
                self.replies.reply_privately(address, &late).await;
                answer.await
            }
        };
        match answer {
            HandlerReply::Say(card) => self.replies.reply_privately(address, &card).await,
            HandlerReply::Form { title, fields, purpose } => {
                let response_url = address.map(str::to_owned);
                let carried = Carried { purpose, response_url, alone: inbound.alone };
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
        self.news.notify_one();
    }

    async fn show_form(
        &self,
        inbound: &Inbound,
        title: &str,
        fields: Vec<SlackBlock>,
        carried: &Carried,
    ) -> Result<(), String> {
        let trigger = inbound.trigger.as_deref().ok_or("Slack gave nothing to open it with")?;
        let view = render::modal::view(title, fields, carried).ok_or("what it is about is too long")?;
        let asked = SlackApiViewsOpenRequest::new(trigger.to_owned().into(), view);
        self.web.call("views.open", &asked, "the form").await.map(|_: IgnoredAny| ()).map_err(|error| error.reason)
    }
}

impl Inbound {
    /// The reply address; a form carries the address of the request that opened it.
    fn address(&self) -> Option<String> {
        match &self.act {
            Act::Submitted { carried, .. } => serde_json::from_str::<Carried>(carried).ok()?.response_url,
            _ => self.response_url.clone(),
        }
    }

    /// Whether the action belongs to an ephemeral message; a form carries this from the request that opened it.
    fn is_alone(&self) -> bool {
        match &self.act {
            Act::Submitted { carried, .. } => {
                serde_json::from_str::<Carried>(carried).is_ok_and(|carried| carried.alone)
            }
            _ => self.alone,
        }
    }
}
