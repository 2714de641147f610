//! What the server must do, asked over real sockets.

mod api;
mod explain;
mod exposition;
mod house;
mod intake;
mod line;
mod memory;
mod server;
mod silences;
mod tls;
