//! The receiver as a whole: requests in, columns and answers out.

mod copying;
mod histograms;
mod hostile;
mod identity;
mod prometheus;
mod requests;
mod silence;
mod stories;
mod world;
