//! The language reference.
