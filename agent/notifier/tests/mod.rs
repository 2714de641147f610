//! What must hold, in virtual time, against receivers that misbehave on command.

mod cards;
mod changes;
mod ends;
mod evidence;
mod failures;
mod fake;
mod fallback;
mod grouping;
mod heartbeat;
mod limits;
mod mail;
mod original;
mod pair;
mod property;
mod reach;
mod reload;
mod restart;
mod routes;
mod routing;
mod silences;
mod storm;
mod threads;
mod two;
pub(crate) mod world;
