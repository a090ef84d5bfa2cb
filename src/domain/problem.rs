//! What is wrong with a file.
