//! The post-mortem draft.
