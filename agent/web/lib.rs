//! Serves the house over HTTP: pages for people, Prometheus' API for everything that speaks it, `/metrics*`
//! for whoever scrapes us, probes for whoever starts us.
//!
//! Knows nothing but [`Rooms`]: every answer is a question to the house. It promises that a slow, silent,
//! greedy or foreign client costs a bounded share of the process and nothing of the others' time.

mod api;
mod config;
mod desk;
mod exposition;
mod form;
mod guard;
mod json;
mod life;
mod line;
mod measure;
mod page;
#[allow(
    clippy::type_complexity,
    reason = "a room is called by what it is asked and answers"
)]
mod rooms;
mod routes;
mod server;
#[cfg(test)]
mod tests;

pub use config::Config;
pub use rooms::{Rooms, SilenceError, Silences};
pub use server::{BindError, Server};
