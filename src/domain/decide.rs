//! What a command makes happen.
