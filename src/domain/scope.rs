//! What templates may refer to.
