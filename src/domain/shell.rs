//! Quoting for shells.
