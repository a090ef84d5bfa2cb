//! Follows an incident after a command, in this process or in a background worker, and warns about messages that no
//! process will deliver.

pub(crate) mod background;
pub(crate) mod submit;
pub(crate) mod undelivered;
pub(crate) mod until_done;
