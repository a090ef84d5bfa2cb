//! Slack as a face: the command `/runbook`, buttons and forms, and one message an incident that is changed in place.
//!
//! What comes in, by the [socket](connect::socket_mode) or over [HTTP](connect::http), is acknowledged at once and answered afterwards, so that a log that
//! does not answer keeps nobody waiting. The [`board`] shows every incident; [`card`](render::card), [`question`](render::question) and [`block_kit`](render::block_kit) are pure
//! functions from an incident to what is sent.
//!
//! **Invariant:** what changes an incident goes through [`Engine::submit`]; where the board's messages stand is in the log.
//!
//! **Invariant:** a request changes an incident once, however often it is delivered, and whatever was started anew between.
//!
//! Deliberately absent: decisions about incidents, and messages to stakeholders, which the engine owes and delivers.

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

use self::board::{IncidentMessages, Unrecorded};
use self::connect::payload::{Act, Inbound};
use self::connect::reply::Replies;
use self::handlers::{HandlerReply, Handlers, reply_text};
use self::render::modal::Carried;

mod board;
pub mod connect;
mod handlers;
pub mod parse;
pub mod render;

pub use self::connect::app::SlackInterface;

/// How long somebody waits for an answer before being told that it takes longer: answers come within a second.
const PATIENCE: Duration = Duration::from_millis(700);

/// The requests that are dealt with at the same time. Who comes later is asked to try again.
const AT_ONCE: usize = 64;

/// The requests that are remembered, so that none is even looked at twice: more than come within the minutes in which Slack,
/// or somebody who has overheard one, may send it again. What changes an incident is remembered by the log besides.
const REMEMBERED: usize = 4_096;

/// The names of the requests that came last.
type SeenRequests = Arc<Mutex<VecDeque<String>>>;

/// What the face needs besides the engine.
pub struct SlackConfig {
    /// 32 random bits, for the ids of incidents.
    pub chance: fn() -> u32,
    /// Told of every incident that is opened, before that is durable.
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
    desk: Handlers,
    web: Arc<Web>,
    /// The API with the app's own token, for Socket Mode.
    socket: Option<Web>,
    /// The name of the secret that requests over HTTP are signed with.
    signing: Option<String>,
    /// Whether the Web API is a stand-in: only then a socket may be unencrypted.
    stand_in: bool,
    replies: Replies,
    seen: SeenRequests,
    unrecorded: Unrecorded,
    places: Arc<Semaphore>,
    news: Arc<Notify>,
}

impl App {
    /// The app that the estate declares; none when it declares none.
    ///
    /// # Errors
    /// Why it cannot be used, such as a secret that is not there.
    fn open(
        engine: Engine,
        terms: Arc<SlackConfig>,
        seen: SeenRequests,
        unrecorded: Unrecorded,
    ) -> Result<Option<Arc<Self>>, String> {
        let catalog = Arc::clone(&engine.parts().catalog);
        let Ok(estate) = &catalog.estate().content else { return Ok(None) };
        let Some(app) = &estate.slack else { return Ok(None) };
        let (_, channel) = estate.board().ok_or("the channel of `slack` is not in the estate")?;
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
            desk: Handlers { engine, terms },
        })))
    }

    /// Shows incidents, and listens on the socket where there is a token for it, until `stop` is cancelled.
    fn begin(self: &Arc<Self>, stop: &CancellationToken) -> Vec<JoinHandle<()>> {
        let (web, news) = (Arc::clone(&self.web), Arc::clone(&self.news));
        let board = IncidentMessages::new(self.desk.engine.clone(), web, news, Arc::clone(&self.unrecorded));
        let stopped = stop.clone();
        let mut tasks = vec![tokio::spawn(async move {
            tokio::select! {
                () = board.keep() => {}
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

    /// Whether a request was delivered before; it is remembered.
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

    /// Deals with something that was acknowledged already.
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
        let answer = self.desk.answer(&inbound);
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
    /// Where the answer goes: a form carries the address of what opened it.
    fn address(&self) -> Option<String> {
        match &self.act {
            Act::Submitted { carried, .. } => serde_json::from_str::<Carried>(carried).ok()?.response_url,
            _ => self.response_url.clone(),
        }
    }

    /// Whether it was done at a message that only this person sees; a form was opened by one or not.
    fn is_alone(&self) -> bool {
        match &self.act {
            Act::Submitted { carried, .. } => {
                serde_json::from_str::<Carried>(carried).is_ok_and(|carried| carried.alone)
            }
            _ => self.alone,
        }
    }
}
