//! YAML as written.
