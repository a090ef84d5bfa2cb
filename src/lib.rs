//! `runbook`: executable runbooks for on-call engineers, in one binary that needs no server, broker or network.
//!
//! It joins two halves: the *incident* (severity, deadlines, timeline, post-mortem) and the *machinery* that
//! acts on hosts (systemd, journald, git, HTTP). This page is the architecture: read it once, then any room.
//!
//! # Bird's-eye view
//!
//! An incident is one append-only stream of [events](domain::incident::event::Event). Everything else is a function of it:
//!
//! ```text
//!            command                 events                       effects
//!   a face ───────────→ decide(…) ───────────→ the log ─→ fold(…) ─→ due(…) ───────────→ the engine acts
//!      ↑                                          │                                          │
//!      └──────────────── feed ────────────────────┘ ←──────────── intent, then result ───────┘
//! ```
//!
//! * [`fold`](domain::incident::fold) says what is true,
//! * [`decide`](domain::incident::decide::decide) what a [command](domain::incident::command::Command) makes happen, or why not,
//! * [`due`](domain::incident::due::due) what the world is owed, and [`wake_at`](domain::incident::due::wake_at) when to ask again.
//!
//! The four are pure: time, chance and the log come in as arguments. The [engine](engine::Engine) is the loop
//! around them: it appends what follows, writes an *intent* before each attempt and its *result* after.
//!
//! **Invariant:** `due` looks only at state. Carrying on after a crash is the ordinary path; there is no recovery code.
//!
//! **Invariant:** a change begins only after its `StepStarted` is durable. One that was cut off is settled by
//! looking at the world ([`Kind::reconcile`](actions::Kind::reconcile)), repeated only where its
//! [effect class](domain::core::effect::EffectClass) says that this is harmless, and else put to a person.
//!
//! **Invariant:** a run keeps a copy of its runbook and estate. Editing a file never rewrites history.
//!
//! **Invariant:** only text that stands in a runbook is rendered as a template, and once. What comes from a
//! parameter, a command's output or a journal is data: it reaches a program as an argument or an environment
//! variable, and in a shell script as a quoted word.
//!
//! **Invariant:** a message is owed by the log until it has arrived, by its channel or a fallback of it; nothing keeps it in memory.
//!
//! **Invariant:** who somebody is rests on what a face has proved (account, Slack user id, address), never on a name.
//!
//! **Invariant:** one firing of an alert is one incident. Its name is given once, by the store, in the write that records it.
//!
//! **Invariant:** one occurrence of a schedule is one record, by the same means.
//!
//! **Invariant:** secrets stand in the log by name. Whatever becomes an event is scrubbed just before it is written.
//!
//! # Code map
//!
//! | room | what it is |
//! |---|---|
//! | [`domain`] | what is true: pure functions over plain data |
//! | [`clock`] | where `now` comes from; a leaf beside `domain` |
//! | [`actions`] | how a step touches the world: one file a kind, and the list of them |
//! | [`notify`] | how a message leaves: one file a channel |
//! | [`store`] | where the log lives: one file a backend |
//! | [`engine`] | the loop: one door in ([`Engine::submit`](engine::Engine::submit)), one door out ([`Engine::drive`](engine::Engine::drive)); [`duty`](engine::dispatcher) takes alerts, starts what is scheduled, and keeps every live incident going |
//! | [`surface`] | the faces: the command line, the stepper, the status board, the demo, the intake of alerts, Slack, the page of an incident |
//!
//! The import law, kept by `tests/architecture.rs`:
//!
//! ```text
//! surface ─→ engine ─→ actions, notify, store ─→ domain
//! ```
//!
//! Within `domain`, the language is read in [`domain::runbook`]: a file becomes spanned nodes, and the checker
//! makes of them a resolved [`Runbook`](domain::runbook::Runbook) or every problem at once. What kinds take is
//! data ([`KindForm`](domain::config::kind_schema::KindForm)), so that the checker, the schema, the manual and the plan agree. What
//! the estate may hold is data likewise ([`Section`](domain::config::estate_schema::Section)).
//!
//! # What is deliberately absent
//!
//! No server that must be up, no plug-ins loaded at run time, no goto in the language, no second evaluation of
//! data, no recovery path beside the ordinary one, and no fact about any shop: those stand in YAML.

#![warn(missing_docs)]

pub mod actions;
pub mod clock;
pub mod domain;
pub mod engine;
pub mod notify;
pub mod store;
pub mod surface;
