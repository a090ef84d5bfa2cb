//! The checker of `estate.yaml`.
