//! The board without a terminal: what a person sees, and what keys do.
