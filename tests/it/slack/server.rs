//! A project with a Slack app, and a running `serve` on it that uses the stand-in for Slack.

use std::path::PathBuf;
use std::process::Output;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use ring::hmac;
use runbook::actions::transport::process::output_detached;
use serde_json::{Value, json};

use super::blocks::{button, text_of, validate};
use crate::project::{self, Project};
use crate::real::daemon::{Daemon, free_port};
use crate::real::http;
use crate::real::slack::{APP_TOKEN, Message, Slack, TOKEN};

/// The signing secret of the app.
pub const SIGNING: &str = "8f742231b10e8888abcd99yyyzzz85a5";

/// The bearer token of the sender of alerts.
const KEY: &str = "key-one-51";

/// The secret of the links to pages.
const PAGE: &str = "0f6d1a92c75b4e38a1d0";

/// The users: the commander, another person, and one who is not in the estate.
pub const ADA: &str = "U0ADA";
pub const BOB: &str = "U0BOB";
pub const EVE: &str = "U0EVE";

const ESTATE: &str = "\
estate: Shop
environments: { production: { branch: production } }
services: { gateway: { unit: shop-gateway.service }, search: { unit: shop-search.service } }
channels: { incidents: { slack: \"#incidents\", token: { secret: bot }, api: API } }
people: { ada: { name: Ada, slack: U0ADA }, bob: { name: Bob, slack: U0BOB } }
roles: { incident_commander: { people: [ada] }, communications: {} }
secrets: { bot: { env: BOT }, app: { env: APP }, signing: { env: SIGNING }, key: { env: KEY }, page_key: { env: PAGE } }
page: { url: \"http://127.0.0.1:PORT\", secret: page_key }
alerts: { environment: production }
senders: { alertmanager: { auth: { bearer: { secret: key } } } }
slack: { channel: incidents, SLACK, strangers: look }
";

const P1: &str = "\
runbook: p1
title: Live platform down
severity: p1
summary: Customers cannot use the shop.
params: { service: { type: service, default: gateway } }
steps:
  - { id: cause, name: \"Infrastructure or code?\", ask: [infrastructure, code] }
  - id: mend
    name: Restart it
    why: A restart helps most often.
    approve: { by: [incident_commander] }
    command: [touch, \"REPAIRED\"]
    verify: { command: [test, -e, \"REPAIRED\"], effect: read }
";

const P2: &str = "\
runbook: p2
title: Staging is down
severity: p2
steps:
  - id: mend
    approve: { expires: 8s }
    command: [touch, \"REPAIRED\"]
    verify: { command: [test, -e, \"REPAIRED\"], effect: read }
";

const P3: &str = "\
runbook: p3
title: A service is down
severity: p3
params: { service: { type: service, help: Which one }, reason: { type: text } }
steps:
  - { id: look, name: \"What is seen in {{ params.service }}?\", ask: {} }
";

const P4: &str = "\
runbook: p4
title: Something minor
severity: p4
deadlines:
  owner: { within: 3s, warn_at: 1s, role: communications }
steps:
  - { id: look, name: \"What is it?\", ask: {} }
";

const TIDY: &str = "\
runbook: tidy
title: Tidies up
severity: p4
steps:
  - { id: tell, notify: { to: incidents, message: Tidying up }, timeout: 2s, on_failure: continue }
  - id: mark
    command: [touch, \"REPAIRED\"]
    effect: repeatable
    verify: { command: [test, -e, \"REPAIRED\"], effect: read }
    undo: { command: [rm, \"REPAIRED\"], effect: repeatable }
  - { id: broken, name: broken, command: [\"false\"], effect: read }
  - { id: rest, name: \"Anything else?\", ask: {} }
  - { id: pause, wait: 1h }
";

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The project and its server; the server ends with the value.
pub struct SlackServer {
    pub slack: Slack,
    // Dropped before the project, into which it writes.
    serve: Option<Daemon>,
    port: u16,
    project: Project,
    next_reply: AtomicU32,
}

/// The answer to a request of Slack, and how long it took.
pub struct Reply {
    pub status: u16,
    pub took: Duration,
    /// Identifies its response URL.
    pub number: String,
}

impl SlackServer {
    /// A server that Slack reaches over HTTP.
    pub fn http() -> Self {
        Self::started("signing_secret: { secret: signing }")
    }

    /// A server over HTTP that makes a channel for each incident.
    pub fn with_channels() -> Self {
        let mut server = Self::stopped("signing_secret: { secret: signing }, channel_an_incident: true");
        // The app has the scopes of the manifest, and no others.
        let manifest: Value = serde_json::from_str(&server.cli(&["slack", "manifest"])).unwrap();
        let scopes = manifest["oauth_config"]["scopes"]["bot"].as_array().unwrap();
        let scopes: Vec<&str> = scopes.iter().filter_map(Value::as_str).collect();
        server.slack.allow(&scopes.join(","));
        server.start();
        server
    }

    /// A server that uses Socket Mode.
    pub fn socket() -> Self {
        let server = Self::started("app_token: { secret: app }");
        server.until("the socket is open", || server.slack.sockets() == 1);
        server
    }

    /// A server over HTTP that reads the bot token from a file.
    pub fn with_token_file(token: &str) -> Self {
        let mut server = Self::stopped("signing_secret: { secret: signing }");
        let estate = std::fs::read_to_string(server.project.path("runbooks/estate.yaml")).unwrap();
        server.write("runbooks/estate.yaml", &estate.replace("bot: { env: BOT }", "bot: { file: bot_token }"));
        server.write("bot_token", token);
        server.start();
        server
    }

    /// Writes a file of the project.
    pub fn write(&self, name: &str, text: &str) {
        self.project.write(name, text);
    }

    /// Makes the server reload its files, and waits until it logs this about them.
    pub fn reload(&self, expected: &str) {
        project::reload(self.serve.as_ref().expect("the server is started"), expected);
    }

    fn started(slack: &str) -> Self {
        let mut server = Self::stopped(slack);
        server.start();
        server
    }

    /// A project whose server is not started; `slack` are keys of the estate's section.
    pub fn stopped(slack: &str) -> Self {
        let (stand_in, port) = (Slack::start(), free_port());
        let estate =
            ESTATE.replace("API", &stand_in.api_url()).replace("SLACK", slack).replace("PORT", &port.to_string());
        let variables = [
            ("BOT", TOKEN),
            ("APP", APP_TOKEN),
            ("SIGNING", SIGNING),
            ("KEY", KEY),
            ("PAGE", PAGE),
            ("RUNBOOK_LOG", "warn"),
        ];
        let project = Project::new(&estate, &variables);
        let repaired = project.path("repaired").display().to_string();
        for (name, text) in [("p1", P1), ("p2", P2), ("p3", P3), ("p4", P4), ("tidy", TIDY)] {
            project.write(&format!("runbooks/{name}.yaml"), &text.replace("REPAIRED", &repaired));
        }
        Self { slack: stand_in, serve: None, port, project, next_reply: AtomicU32::new(0) }
    }

    /// Starts the server.
    pub fn start(&mut self) {
        self.serve = Some(self.project.serve(self.port, &["--listen", &format!("127.0.0.1:{}", self.port)]));
    }

    /// Stops the server.
    pub fn stop(&mut self) {
        self.serve = None;
    }

    /// The end of the server's log.
    pub fn log_end(&self) -> String {
        self.serve.as_ref().map(Daemon::log_end).unwrap_or_default()
    }

    /// Whether the change of `p1`, `p2` or `tidy` was made.
    pub fn is_repaired(&self) -> bool {
        self.project.path("repaired").exists()
    }

    /// The log's file.
    pub fn log_file(&self) -> PathBuf {
        self.project.path("state/runbook.db")
    }

    /// The number of an unused response URL.
    pub fn next(&self) -> String {
        self.next_reply.fetch_add(1, Ordering::Relaxed).to_string()
    }

    /// Sends `/runbook <text>` over HTTP.
    pub fn command(&self, user: &str, text: &str) -> Reply {
        let number = self.next();
        let fields = self.command_fields(user, text, &number);
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in fields.as_object().unwrap() {
            form.append_pair(name, value.as_str().unwrap());
        }
        let (status, took) = self.signed("/slack/command", form.finish().as_bytes());
        Reply { status, took, number }
    }

    /// The fields of a command as Slack sends them.
    pub fn command_fields(&self, user: &str, text: &str, number: &str) -> Value {
        json!({
            "token": "xyzz0WbapA4vBCDEFasx0q6G", "team_id": "T0SHOP", "team_domain": "pakashop", "channel_id": "C0INCIDENTS",
            "channel_name": "incidents", "user_id": user, "user_name": "ada", "command": "/runbook", "text": text,
            "api_app_id": "A0RUNBOOK", "response_url": self.slack.reply_url(number), "trigger_id": format!("trigger.{number}"),
        })
    }

    /// The text of the first reply to `/runbook <text>`.
    pub fn reply_to(&self, user: &str, text: &str) -> String {
        let reply = self.command(user, text);
        assert_eq!(reply.status, 200);
        self.answer(&reply)
    }

    /// The text of the first reply to a request.
    pub fn answer(&self, reply: &Reply) -> String {
        self.until("it is answered", || !self.slack.replies(&reply.number).is_empty());
        text_of(&self.slack.replies(&reply.number)[0]["blocks"])
    }

    /// Clicks the button whose label begins with `label`.
    pub fn click(&self, user: &str, message: &Message, label: &str) -> Reply {
        let button = button(&message.blocks, label).unwrap_or_else(|| panic!("no `{label}` in {}", message.blocks));
        self.press(user, message, &button["value"])
    }

    /// Clicks a button with this value.
    pub fn press(&self, user: &str, message: &Message, value: &Value) -> Reply {
        let number = self.next();
        self.interact(&number, &json!({
            "type": "block_actions", "user": {"id": user, "username": "ada", "name": "ada", "team_id": "T0SHOP"},
            "api_app_id": "A0RUNBOOK", "container": {"type": "message", "message_ts": message.ts, "channel_id": message.channel},
            "trigger_id": format!("trigger.{number}"), "channel": {"id": message.channel, "name": "incidents"},
            "response_url": self.slack.reply_url(&number),
            "actions": [{"type": "button", "action_id": "press_1", "block_id": "x", "value": value, "action_ts": "1.2"}],
        }))
    }

    /// Sends an interaction over HTTP.
    pub fn interact(&self, number: &str, payload: &Value) -> Reply {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("payload", &payload.to_string());
        let (status, took) = self.signed("/slack/interactive", form.finish().as_bytes());
        Reply { status, took, number: number.to_owned() }
    }

    fn signed(&self, path: &str, body: &[u8]) -> (u16, Duration) {
        let stamp = crate::real::now().timestamp().to_string();
        let signature = signature(SIGNING, &stamp, body);
        self.post(path, &[("X-Slack-Request-Timestamp", &stamp), ("X-Slack-Signature", &signature)], body)
    }

    /// Posts a form; the status, 0 without an answer, and how long it took.
    pub fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, Duration) {
        let (start, form) = (Instant::now(), [("Content-Type", "application/x-www-form-urlencoded")]);
        let response = http::send(self.port, &format!("POST {path}"), &[headers, &form].concat(), body);
        (response.status, start.elapsed())
    }

    /// The answer to a GET.
    pub fn get(&self, path: &str) -> http::Response {
        http::send(self.port, &format!("GET {path}"), &[], b"")
    }

    /// The path of an incident's page, its key included.
    pub fn page(&self, incident: &str) -> String {
        let link = self.cli(&["page", incident]);
        let origin = format!("http://127.0.0.1:{}", self.port);
        link.trim().strip_prefix(&origin).expect("the link begins with the url of the estate").to_owned()
    }

    /// Posts an alert with this name and summary.
    pub fn alert(&self, name: &str, summary: &str) {
        let body = json!({
            "version": "4", "groupKey": "{}", "status": "firing", "receiver": "runbook", "groupLabels": {}, "commonLabels": {},
            "commonAnnotations": {}, "externalURL": "http://am",
            "alerts": [{"status": "firing", "labels": {"alertname": name}, "annotations": {"summary": summary},
                "startsAt": "2026-01-01T03:00:00Z", "endsAt": "0001-01-01T00:00:00Z", "fingerprint": "00000000000000a1"}],
        });
        let bearer = format!("Bearer {KEY}");
        let (status, _) = self.post("/hooks/alertmanager", &[("Authorization", &bearer)], body.to_string().as_bytes());
        assert_eq!(status, 200);
    }

    /// The message with this text; waits for it.
    pub fn message(&self, text: &str) -> Message {
        let find = || self.slack.messages().into_iter().find(|message| text_of(&message.blocks).contains(text));
        self.until(&format!("a message has `{text}`"), || find().is_some());
        find().unwrap()
    }

    /// The message of an incident with this text; waits for it.
    pub fn message_of(&self, incident: &str, text: &str) -> Message {
        let is_of = |message: &Message| {
            message.blocks.to_string().contains(incident) && text_of(&message.blocks).contains(text)
        };
        let find = || self.slack.messages().into_iter().find(is_of);
        self.until(&format!("a message of {incident} has `{text}`"), || find().is_some());
        find().unwrap()
    }

    /// The other open incident; waits for it.
    pub fn until_second(&self, first: &str) -> String {
        let mut second = None;
        self.until("there is a second incident", || {
            let all: Value = serde_json::from_str(&self.cli(&["-o", "json", "incidents", "--open"])).unwrap();
            let ids =
                all.as_array().into_iter().flatten().filter_map(|incident| incident["id"].as_str().map(str::to_owned));
            second = ids.into_iter().find(|id| id != first);
            second.is_some()
        });
        second.unwrap()
    }

    /// The newest open incident.
    pub fn incident(&self) -> String {
        let all: Value = serde_json::from_str(&self.cli(&["-o", "json", "incidents", "--open"])).unwrap();
        all[0]["id"].as_str().unwrap().to_owned()
    }

    /// The timeline of an incident, as text.
    pub fn timeline(&self, incident: &str) -> String {
        self.cli(&["timeline", incident])
    }

    /// Runs a command below another program and with more variables.
    pub fn run_below(&self, wrapper: &[&str], arguments: &[&str]) -> Output {
        output_detached(&mut self.project.command_below(wrapper, arguments)).unwrap()
    }

    /// The standard output of a command, which must succeed.
    pub fn cli(&self, arguments: &[&str]) -> String {
        self.project.stdout(arguments)
    }

    /// Waits, in real time, until something is true.
    pub fn until(&self, what: &str, mut is_true: impl FnMut() -> bool) {
        let until = Instant::now() + PATIENCE;
        while !is_true() {
            let now: Vec<String> = self.slack.messages().iter().map(|message| text_of(&message.blocks)).collect();
            assert!(
                Instant::now() < until,
                "waited in vain until {what}: {now:#?}\n{:#?}\n{}",
                self.answers(),
                self.log_end()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn answers(&self) -> Vec<String> {
        self.slack.all_replies().iter().map(|reply| text_of(&reply["blocks"])).collect()
    }

    /// Validates every message and form that was sent with Slack's SDK; returns how many there were.
    pub fn validate_messages(&self) -> usize {
        let requests = self.slack.requests();
        let sent =
            requests.iter().filter(|request| request.body["blocks"].is_array()).map(|request| request.body.clone());
        let sent = sent.chain(self.slack.all_replies()).map(|body| json!({"blocks": body["blocks"]}));
        let all: Vec<Value> = sent.chain(self.slack.views().into_iter().map(|view| json!({"view": view}))).collect();
        validate(&all);
        all.len()
    }
}

/// The signature of a body, as Slack makes it.
pub fn signature(secret: &str, timestamp: &str, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, &[b"v0:", timestamp.as_bytes(), b":", body].concat());
    format!("v0={}", hex::encode(tag.as_ref()))
}
