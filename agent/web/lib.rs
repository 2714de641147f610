//! Serves the house over HTTP: pages for people, Prometheus' API for everything that speaks it, Alertmanager's for
//! silences, `/metrics*` for whoever scrapes us, probes for whoever starts us; takes in what other processes send.
//!
//! Knows nothing but [`Rooms`]: every answer is a question to the house. It promises that a slow, silent,
//! greedy or foreign client costs a bounded share of the process and nothing of the others' time.

mod api;
mod checkup;
mod config;
mod desk;
mod exposition;
mod federate;
mod form;
mod guard;
mod intake;
mod json;
mod life;
mod line;
mod measure;
mod page;
mod refusal;
#[allow(
    clippy::type_complexity,
    reason = "a room is called by what it is asked and answers"
)]
mod rooms;
mod routes;
mod server;
mod silences;
#[cfg(test)]
mod tests;

pub use config::{Config, Tls};
pub use rooms::{Alerting, Answered, Covers, Estate, Objects, Rooms, SilenceError, Silences};
pub use server::{BindError, Server};
