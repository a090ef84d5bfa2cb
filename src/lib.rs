//! `runbook`: executable runbooks for on-call engineers, in one binary that needs no server, broker or network.
//!
//! It joins incident management (severity, deadlines, timeline, post-mortem) and automation that acts on hosts (systemd,
//! journald, git, HTTP, databases). This page is the architecture.
//!
//! # Overview
//!
//! An incident is one append-only stream of [events](domain::incident::event::Event). Everything else is a function of it:
//!
//! ```text
//!              command                 events                       effects
//!   interface ─────────→ decide(…) ───────────→ the log ─→ fold(…) ─→ due(…) ───────────→ the engine acts
//!      ↑                                          │                                          │
//!      └──────────── subscription ────────────────┘ ←──────────── intent, then result ───────┘
//! ```
//!
//! * [`fold`](domain::incident::fold) computes the state,
//! * [`decide`](domain::incident::decide::decide) turns a [command](domain::incident::command::Command) into events, or refuses it,
//! * [`due`](domain::incident::due::due) lists the pending effects, and [`wake_at`](domain::incident::due::wake_at) says when to look again.
//!
//! These functions are pure: time, random bits and the log are arguments. The [engine](engine::Engine) is the loop around
//! them. It appends what follows, writes an *intent* before each attempt, and the *result* after it.
//!
//! # Invariants
//!
//! * `due` depends on state alone. Resuming after a crash is the normal path; there is no separate recovery.
//! * A change starts only after its `StepStarted` is durable. An interrupted change is reconciled with the world
//!   ([`Kind::reconcile`](actions::Kind::reconcile)), repeated only where its
//!   [effect class](domain::core::effect::EffectClass) allows that, and otherwise put to a person.
//! * Only [`engine::commit`](engine) appends to the log: fold, redact, check limits, append, publish.
//! * A run keeps a copy of its runbook and estate. Editing a file never changes a run in progress.
//! * Only text from a runbook is rendered as a template, and once. A parameter, an output or a journal entry is data: it
//!   reaches a program as an argument or an environment variable, and a shell script as a quoted word.
//! * A message is pending in the log until it is delivered, by its channel or a fallback. Nothing else remembers it.
//! * An identity is what an interface has verified (account, Slack user id, address), never a name.
//! * One firing of an alert belongs to one incident, and one occurrence of a schedule to one maintenance incident. The store
//!   registers a unique name for each in the write that records it.
//! * The log holds names of secrets. Every event is redacted before it is written.
//!
//! # Code map
//!
//! | module | contents |
//! |---|---|
//! | [`domain`] | pure functions over plain data |
//! | [`clock`] | the clocks: wall, monotonic, simulated |
//! | [`sync`] | locks that stay usable after a panic |
//! | [`actions`] | the kinds of action, one file each, and how they reach a host |
//! | [`notify`] | how a message is sent, one file a channel |
//! | [`store`] | the event log, one module a backend |
//! | [`engine`] | commands in ([`Engine::submit`](engine::Engine::submit)), work on an incident ([`Engine::drive`](engine::Engine::drive)), the [dispatcher](engine::dispatcher) of a service |
//! | [`surface`] | the interfaces: command line, stepper, status board, demo, webhooks, Slack, incident page |
//!
//! Imports go one way; `tests/architecture.rs` holds that, and that no modules import each other in a circle:
//!
//! ```text
//! surface ─→ engine ─→ actions, notify, store ─→ domain        clock: beside domain
//! ```
//!
//! Within `domain`, [`domain::config`] reads the estate and [`domain::runbook`] the runbooks: a file becomes nodes with their
//! places, and the checker returns a resolved value or every problem at once. What a kind takes is data
//! ([`KindForm`](domain::config::kind_schema::KindForm)), which the checker, the schema, the manual and the plan share. The keys of
//! the estate ([`Section`](domain::config::estate_schema::Section)) and of a runbook (`domain::runbook::runbook_schema`) are data as
//! well.
//!
//! # Not here
//!
//! No server that must be up, no plug-ins, no `goto` in the language, no second evaluation of data, and no fact about a
//! project: those are in YAML.

#![forbid(unsafe_code)]

pub mod actions;
pub mod clock;
pub mod domain;
pub mod engine;
pub mod notify;
pub mod store;
pub mod surface;
pub mod sync;
