//! Roles, approvals, deadlines and messages: who is notified, by which channel and when, and who may do what.
//!
//! Time is simulated. Channels are real, except for the stand-in for Slack: an SMTP server, a receiver of webhooks and a
//! program.

mod approvals;
mod channels;
mod deadlines;
mod fixture;
mod messages;
mod roles;
