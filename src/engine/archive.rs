//! Post-mortem drafts on disk.
