//! Following an incident after a command: in this process until it ends, or in a background worker; and who delivers its
//! messages afterwards.

pub(crate) mod background;
pub(crate) mod submit;
pub(crate) mod undelivered;
pub(crate) mod until_done;
