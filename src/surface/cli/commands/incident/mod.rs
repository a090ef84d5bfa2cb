//! Commands that open an incident or act on one, and the preview of `start --plan`.

pub(crate) mod ack;
pub(crate) mod answer;
pub(crate) mod approve;
pub(crate) mod background_worker;
pub(crate) mod cancel;
pub(crate) mod confirm;
pub(crate) mod deny;
pub(crate) mod note;
pub(crate) mod preview;
pub(crate) mod resolve;
pub(crate) mod retry;
pub(crate) mod role;
pub(crate) mod severity;
pub(crate) mod skip;
pub(crate) mod start;
pub(crate) mod undo;
pub(crate) mod update;
pub(crate) mod watch;
