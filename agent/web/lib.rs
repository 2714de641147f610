//! Serves the house over HTTP.

#[cfg_attr(not(test), expect(dead_code, reason = "the server is built beside the pages"))]
mod page;
mod rooms;

pub use rooms::Rooms;
