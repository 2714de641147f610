//! Remote write: ready-made blocks of samples, sent from one bounded queue on disk and received without label work.

mod checkup;
mod copy;
mod queue;
pub mod receive;
mod send;
mod transcode;
pub mod wire;

pub use copy::{Copied, CopyError, copy};
pub use queue::OpenError;
pub use send::{Config, Destination, Forward, Limits, Message, Sender, SenderHandle};
