//! The other replica: who leads, what both know, and what fires because either says so.
