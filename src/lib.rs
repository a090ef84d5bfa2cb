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
//! * [`due`](domain::incident::due::due) lists the pending effects, and [`wake_at`](domain::incident::due::wake_at) gives the time of
//!   the next one.
//!
//! These functions are pure: time, random bits and the log are arguments. The [engine](engine::Engine) is the loop around
//! them. It appends the events, writes an *intent* before each attempt, and the *result* after it.
//!
//! # Invariants
//!
//! * `due` depends on state and `now` alone. Resuming after a crash runs the same code, plus reconciliation of interrupted
//!   attempts.
//! * A change starts only after its `StepStarted` is durable. After an interruption,
//!   [`Kind::reconcile`](actions::Kind::reconcile) checks whether the change happened. It is repeated only where its
//!   [effect class](domain::core::effect::EffectClass) allows that; otherwise a person decides.
//! * Only [`engine::commit`](engine) appends to the log: fold, redact, check limits, append, publish.
//! * A run has a copy of its runbook and estate. Editing a file never changes a run in progress.
//! * Only text from a runbook is rendered as a template, and once. A parameter, an output or a journal entry is data: it
//!   reaches a program as an argument or an environment variable, and a shell script as a quoted argument.
//! * A message is pending in the log until it is delivered by its channel or a fallback, withdrawn, or 24 h old. The order of
//!   sending is kept in memory only.
//! * A person is identified by an account, a Slack user id or an address that an interface has verified, never by a name.
//! * One firing of an alert belongs to one incident, and one occurrence of a schedule to one maintenance incident. The store
//!   registers a unique key for each in the write that records it.
//! * The log holds names of secrets. Every event is redacted before it is written.
//!
//! # Code map
//!
//! | module | contents |
//! |---|---|
//! | [`domain`] | pure functions over plain data |
//! | [`clock`] | the clocks: wall, monotonic, simulated |
//! | [`sync`] | locks that stay usable after a panic |
//! | [`actions`] | the kinds of action, one module each, and how they reach a host |
//! | [`notify`] | how a message is sent, one module per channel |
//! | [`store`] | the event log, one module per backend |
//! | [`engine`] | commands in ([`Engine::submit`](engine::Engine::submit)), work on an incident ([`Engine::drive`](engine::Engine::drive)), the [dispatcher](engine::dispatcher) of a service |
//! | [`surface`] | the interfaces: command line, stepper, status board, demo, webhooks, Slack, incident page |
//!
//! Imports go one way, and no modules import each other in a circle. `tests/architecture.rs` checks both:
//!
//! ```text
//! surface ─→ engine ─→ actions, notify, store ─→ clock ─→ domain        sync: used by the layers above clock
//! ```
//!
//! Within `domain`, [`domain::config`] reads the estate and [`domain::runbook`] the runbooks. The reader turns a file into nodes
//! with their places. The checker turns the nodes into a resolved value, or reports every problem at once. Tables list the fields
//! of a kind ([`KindForm`](domain::config::kind_schema::KindForm)), the keys of the estate
//! ([`Section`](domain::config::estate_schema::Section)) and the keys of a runbook (`domain::runbook::runbook_schema`). The
//! checker, the JSON Schema and the manual are made from these tables.
//!
//! # Not here
//!
//! There is no required server, no plug-in, no `goto` in the language, and no second evaluation of data. No fact about a project
//! is in the code: those are in YAML.

#![forbid(unsafe_code)]

pub mod actions;
pub mod clock;
pub mod domain;
pub mod engine;
pub mod notify;
pub mod store;
pub mod surface;
pub mod sync;
