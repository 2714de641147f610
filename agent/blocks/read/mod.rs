//! Reads a block: what is in its files, and never more of it than a question needs.

pub(crate) mod answer;
pub(crate) mod block;
pub(crate) mod chunks;
pub(crate) mod finding;
pub(crate) mod index;
pub(crate) mod mixed;
pub(crate) mod series;
pub(crate) mod source;
pub(crate) mod symbols;
pub(crate) mod tombstones;
pub(crate) mod verify;
pub(crate) mod whole;
