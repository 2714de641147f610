//! What must hold, in virtual time, against receivers that misbehave on command.

mod cards;
mod failures;
mod fake;
mod grouping;
mod limits;
mod pair;
mod property;
mod reload;
mod restart;
mod routes;
mod routing;
mod silences;
mod threads;
mod two;
pub(crate) mod world;
