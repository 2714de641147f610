//! What the sender promises, on virtual time.

mod receivers;
mod rows;
mod survival;
mod versions;
mod world;
