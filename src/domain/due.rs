//! What the world is owed.
