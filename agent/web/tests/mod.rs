//! What the server must do, asked over real sockets.

mod api;
mod exposition;
mod house;
mod line;
mod memory;
mod server;
