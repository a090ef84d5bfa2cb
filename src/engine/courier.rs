//! Delivers messages.
