//! Takes in what others send: a request becomes columns, and a sender that is known costs no label work.
//!
//! Who sends is its credential's to say, never the body's. A node that neither replica hears is silent: in its place
//! it is said provisionally that it is down and that its series have ended, which late samples overwrite.

mod account;
mod answer;
mod cache;
mod columns;
mod config;
mod families;
mod intake;
mod lists;
mod naming;
mod receiver;
mod sender;
mod senders;

#[cfg(test)]
mod fakes;
#[cfg(test)]
mod tests;

pub use config::Config;
pub(crate) use families::{Families, Said};
pub(crate) use intake::{Counts, Protocol};
pub use receiver::Receiver;
