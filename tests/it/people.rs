//! People: who is told, by which way and when; who may do what.
//!
//! Time is simulated, the ways out are real: a stand-in for Slack that can hang, an SMTP server, a receiver of webhooks and
//! a program.

mod agree;
mod deadlines;
mod messages;
mod roles;
mod watch;
mod ways;
