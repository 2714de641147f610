//! The receiver as a whole: requests in, columns and answers out.

mod hostile;
mod identity;
mod requests;
mod silence;
