//! A shop with a Slack app, a real `runbook serve` over it, and the stand-in for Slack on the other side.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use runbook::actions::transport::process::output_detached;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::look::{button, sdk, seen, signature};
use crate::real::daemon::{Daemon, free_port, get};
use crate::real::slack::{APP_TOKEN, Message, Slack, TOKEN};

const PROGRAM: &str = env!("CARGO_BIN_EXE_runbook");

/// What requests over HTTP are signed with.
pub const SIGNING: &str = "8f742231b10e8888abcd99yyyzzz85a5";
/// What the shop's sender of alerts proves itself with.
const KEY: &str = "key-one-51";

/// What the keys of links are made with.
const PAGE: &str = "0f6d1a92c75b4e38a1d0";

/// The people: the commander, another, and one whom the estate does not know.
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
slack: { channel: incidents, WAYS, strangers: look }
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
    command: [touch, \"MENDED\"]
    verify: { command: [test, -e, \"MENDED\"], effect: read }
";

const P2: &str = "\
runbook: p2
title: Staging is down
severity: p2
steps:
  - id: mend
    approve: { expires: 8s }
    command: [touch, \"MENDED\"]
    verify: { command: [test, -e, \"MENDED\"], effect: read }
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

const P5: &str = "\
runbook: tidy
title: Tidies up
severity: p4
steps:
  - { id: tell, notify: { to: incidents, message: Tidying up }, timeout: 2s, on_failure: continue }
  - id: mark
    command: [touch, \"MENDED\"]
    effect: repeatable
    verify: { command: [test, -e, \"MENDED\"], effect: read }
    undo: { command: [rm, \"MENDED\"], effect: repeatable }
  - { id: broken, name: broken, command: [\"false\"], effect: read }
  - { id: rest, name: \"Anything else?\", ask: {} }
  - { id: pause, wait: 1h }
";

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The shop; its server ends with the value.
pub struct House {
    pub slack: Slack,
    serve: Option<Daemon>,
    port: u16,
    directory: TempDir,
    number: AtomicU32,
}

/// What came back of a request, and how fast.
pub struct Reply {
    pub status: u16,
    pub took: Duration,
    /// The number of its answers' address.
    pub number: String,
}

impl House {
    /// Reached over HTTP.
    pub fn http() -> Self {
        Self::open("signing_secret: { secret: signing }")
    }

    /// Reached over HTTP, with a channel an incident.
    pub fn with_channels() -> Self {
        let mut house = Self::closed("signing_secret: { secret: signing }, channel_an_incident: true");
        // The app may do what the manifest asks for, and no more.
        let manifest: Value = serde_json::from_str(&house.cli(&["slack", "manifest"])).unwrap();
        let scopes = manifest["oauth_config"]["scopes"]["bot"].as_array().unwrap();
        let scopes: Vec<&str> = scopes.iter().filter_map(Value::as_str).collect();
        house.slack.allow(&scopes.join(","));
        house.begin();
        house
    }

    /// Reached by Socket Mode.
    pub fn socket() -> Self {
        let house = Self::open("app_token: { secret: app }");
        house.until("the socket is open", || house.slack.sockets() == 1);
        house
    }

    /// Reached over HTTP; the bot's token is in a file, which holds this.
    pub fn with_token_file(token: &str) -> Self {
        let mut house = Self::closed("signing_secret: { secret: signing }");
        let estate = house.directory.path().join("runbooks/estate.yaml");
        let text = fs::read_to_string(&estate).unwrap().replace("bot: { env: BOT }", "bot: { file: bot_token }");
        fs::write(&estate, text).unwrap();
        house.put("bot_token", token);
        house.begin();
        house
    }

    /// Writes a file of the shop.
    pub fn put(&self, name: &str, text: &str) {
        fs::write(self.directory.path().join(name), text).unwrap();
    }

    /// Tells the server to take up edited files, and waits until it says this.
    pub fn reload(&mut self, said: &str) {
        let serve = self.serve.as_mut().expect("it serves");
        let before = serve.said().matches(said).count();
        serve.signal(rustix::process::Signal::HUP);
        serve.wait_for(said, |serve| serve.said().matches(said).count() > before);
    }

    fn open(ways: &str) -> Self {
        let mut house = Self::closed(ways);
        house.begin();
        house
    }

    /// The shop without a server.
    pub fn closed(ways: &str) -> Self {
        let (slack, directory) = (Slack::start(), tempfile::tempdir().unwrap());
        let runbooks = directory.path().join("runbooks");
        fs::create_dir(&runbooks).unwrap();
        fs::create_dir(directory.path().join("state")).unwrap();
        let mended = directory.path().join("mended").display().to_string();
        let port = free_port();
        let estate = ESTATE.replace("API", &slack.api_url()).replace("WAYS", ways).replace("PORT", &port.to_string());
        fs::write(runbooks.join("estate.yaml"), estate).unwrap();
        fs::write(runbooks.join("p1.yaml"), P1.replace("MENDED", &mended)).unwrap();
        fs::write(runbooks.join("p2.yaml"), P2.replace("MENDED", &mended)).unwrap();
        fs::write(runbooks.join("p3.yaml"), P3).unwrap();
        fs::write(runbooks.join("p4.yaml"), P4).unwrap();
        fs::write(runbooks.join("tidy.yaml"), P5.replace("MENDED", &mended)).unwrap();
        Self { slack, serve: None, port, directory, number: AtomicU32::new(0) }
    }

    /// Starts the server.
    pub fn begin(&mut self) {
        let mut words: Vec<String> = vec!["-i".into()];
        words.extend(self.environment());
        words.push(PROGRAM.into());
        words.extend(self.places());
        words.extend(["serve".into(), "--listen".into(), format!("127.0.0.1:{}", self.port)]);
        let log = self.directory.path().join("serve.log");
        let mut serve = Daemon::start(Path::new("/usr/bin/env"), &words, None, &log);
        serve.wait(|| get(self.port, "/health/ready").is_some_and(|(status, _)| status == 200));
        self.serve = Some(serve);
    }

    /// Ends the server.
    pub fn end(&mut self) {
        self.serve = None;
    }

    /// What the server said of itself.
    pub fn said(&self) -> String {
        self.serve.as_ref().map(Daemon::said).unwrap_or_default()
    }

    /// Whether the change of `p1` was made.
    pub fn is_mended(&self) -> bool {
        self.directory.path().join("mended").exists()
    }

    /// The log's file.
    pub fn log_file(&self) -> std::path::PathBuf {
        self.directory.path().join("state/runbook.db")
    }

    /// Another address for answers, by number.
    pub fn next(&self) -> String {
        self.number.fetch_add(1, Ordering::Relaxed).to_string()
    }

    /// `/runbook <words>` over HTTP.
    pub fn command(&self, user: &str, words: &str) -> Reply {
        let number = self.next();
        let fields = self.command_fields(user, words, &number);
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in fields.as_object().unwrap() {
            form.append_pair(name, value.as_str().unwrap());
        }
        let (status, took) = self.signed("/slack/command", form.finish().as_bytes());
        Reply { status, took, number }
    }

    /// The fields of a command as Slack sends them.
    pub fn command_fields(&self, user: &str, words: &str, number: &str) -> Value {
        json!({
            "token": "xyzz0WbapA4vBCDEFasx0q6G", "team_id": "T0SHOP", "team_domain": "pakashop", "channel_id": "C0INCIDENTS",
            "channel_name": "incidents", "user_id": user, "user_name": "ada", "command": "/runbook", "text": words,
            "api_app_id": "A0RUNBOOK", "response_url": self.slack.reply_url(number), "trigger_id": format!("trigger.{number}"),
        })
    }

    /// The first answer to a command, as text.
    pub fn told(&self, user: &str, words: &str) -> String {
        let reply = self.command(user, words);
        assert_eq!(reply.status, 200);
        self.answer(&reply)
    }

    /// The first answer to a request, as text.
    pub fn answer(&self, reply: &Reply) -> String {
        self.until("it is answered", || !self.slack.replies(&reply.number).is_empty());
        seen(&self.slack.replies(&reply.number)[0]["blocks"])
    }

    /// A click on the button whose label begins so.
    pub fn click(&self, user: &str, message: &Message, label: &str) -> Reply {
        let button = button(&message.blocks, label).unwrap_or_else(|| panic!("no `{label}` in {}", message.blocks));
        self.press(user, message, &button["value"])
    }

    /// A click on a button that carries this.
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

    /// An interaction over HTTP.
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

    /// Posts a body; the status, 0 without one, and how long it took.
    pub fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, Duration) {
        let begun = Instant::now();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("serve listens");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut head = format!(
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("Content-Type: application/x-www-form-urlencoded\r\n\r\n");
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        (answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0), begun.elapsed())
    }

    /// What the server answers to a GET: the status, the headers and the body.
    pub fn fetch(&self, path: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("serve listens");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
        (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_lowercase(), body.to_owned())
    }

    /// The path of an incident's page, its key included.
    pub fn page(&self, incident: &str) -> String {
        let link = self.cli(&["page", incident]);
        let begins = format!("http://127.0.0.1:{}", self.port);
        link.trim().strip_prefix(&begins).expect("it begins as the estate says").to_owned()
    }

    /// An alert of this name, with this summary.
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

    /// The message that reads so now; waits for it.
    pub fn message(&self, words: &str) -> Message {
        let find = || self.slack.messages().into_iter().find(|message| seen(&message.blocks).contains(words));
        self.until(&format!("a message says `{words}`"), || find().is_some());
        find().unwrap()
    }

    /// The message of an incident that reads so now; waits for it.
    pub fn message_of(&self, incident: &str, words: &str) -> Message {
        let is_of =
            |message: &Message| message.blocks.to_string().contains(incident) && seen(&message.blocks).contains(words);
        let find = || self.slack.messages().into_iter().find(is_of);
        self.until(&format!("a message of {incident} says `{words}`"), || find().is_some());
        find().unwrap()
    }

    /// The open incident beside this one; waits for it.
    pub fn until_second(&self, first: &str) -> String {
        let mut second = None;
        self.until("there is a second incident", || {
            let all: Value = serde_json::from_str(&self.cli(&["-o", "json", "incidents", "--open"])).unwrap();
            let ids = all.as_array().into_iter().flatten().filter_map(|one| one["id"].as_str().map(str::to_owned));
            second = ids.into_iter().find(|id| id != first);
            second.is_some()
        });
        second.unwrap()
    }

    /// The one open incident.
    pub fn incident(&self) -> String {
        let all: Value = serde_json::from_str(&self.cli(&["-o", "json", "incidents", "--open"])).unwrap();
        all[0]["id"].as_str().unwrap().to_owned()
    }

    /// Everything that the log of an incident says.
    pub fn timeline(&self, incident: &str) -> String {
        self.cli(&["timeline", incident])
    }

    /// What a command comes to, below another program and with more variables.
    pub fn tried(&self, before: &[&str], words: &[&str]) -> Output {
        let mut all: Vec<String> = ["/usr/bin/env", "-i"].map(str::to_owned).into();
        all.extend(self.environment());
        all.extend(before.iter().map(|word| (*word).to_owned()));
        all.push(PROGRAM.to_owned());
        all.extend(self.places());
        all.extend(words.iter().map(|word| (*word).to_owned()));
        output_detached(Command::new(&all[0]).args(&all[1..]).stdin(Stdio::null())).unwrap()
    }

    /// What a command says; it must succeed.
    pub fn cli(&self, words: &[&str]) -> String {
        let output = self.tried(&[], words);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Waits, in real time.
    pub fn until(&self, what: &str, mut is_true: impl FnMut() -> bool) {
        let until = Instant::now() + PATIENCE;
        while !is_true() {
            let now: Vec<String> = self.slack.messages().iter().map(|message| seen(&message.blocks)).collect();
            assert!(
                Instant::now() < until,
                "waited in vain until {what}: {now:#?}\n{:#?}\n{}",
                self.answers(),
                self.said()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn answers(&self) -> Vec<String> {
        self.slack.all_replies().iter().map(|reply| seen(&reply["blocks"])).collect()
    }

    /// Everything that was sent so far is what Slack's own SDK takes; how many messages and forms that was.
    pub fn check(&self) -> usize {
        let requests = self.slack.requests();
        let sent =
            requests.iter().filter(|request| request.body["blocks"].is_array()).map(|request| request.body.clone());
        let sent = sent.chain(self.slack.all_replies()).map(|body| json!({"blocks": body["blocks"]}));
        let all: Vec<Value> = sent.chain(self.slack.views().into_iter().map(|view| json!({"view": view}))).collect();
        sdk(&all);
        all.len()
    }

    fn environment(&self) -> Vec<String> {
        let home = format!("HOME={}", self.directory.path().display());
        let secrets = [
            ("BOT", TOKEN),
            ("APP", APP_TOKEN),
            ("SIGNING", SIGNING),
            ("KEY", KEY),
            ("PAGE", PAGE),
            ("RUNBOOK_LOG", "warn"),
        ];
        let secrets = secrets.map(|(name, value)| format!("{name}={value}"));
        ["PATH=/usr/bin:/bin".into(), home].into_iter().chain(secrets).collect()
    }

    fn places(&self) -> Vec<String> {
        let at = |path: &Path| path.display().to_string();
        vec!["--state".into(), at(&self.directory.path().join("state")), "--dir".into(), at(self.directory.path())]
    }
}
