//! YAML nodes with spans.
