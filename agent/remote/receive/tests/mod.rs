//! The receiver as a whole: requests in, columns and answers out.

mod copying;
mod hostile;
mod identity;
mod requests;
mod silence;
mod stories;
mod world;
