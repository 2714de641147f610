//! Keeps samples: a label index, a hot window in memory with a write-ahead log beside it, blocks on disk behind it.
//!
//! [`Store`] is [`model::Keep`] for sources and [`model::Select`] for readers, from any thread.
//!
//! * **Memory** is bounded by `series_max` (about 400 bytes a series, 140 without history), and `memory_bytes_max` for samples. A
//!   sample takes 8 bytes for its first 60 rounds (a quarter of an hour at 15 s), then 0 to 8, by how it moves
//!   (the bench's mixture: 3.3); times are shared by all series of a target that were read together.
//! * **A series** is a label set of one target. When two targets say the same labels, both are kept, the
//!   second is counted, and readers see one series with the times of both.
//! * **Staleness**: the store writes the markers. A whole round ends what was in the target's last whole
//!   round and is missing, a retired target ends altogether. After a restart a target that does not come back
//!   is left to the reader's lookback; one that does ends what it no longer has with its first whole round.
//! * **Provisional points** lie behind the samples of a series, 64 at most, and read like them, until a sample
//!   proper or [`Store::settle`] decides about them: see [`model::Keep::commit`]. They survive a restart as the
//!   samples do, and the feed gets them once they are samples.
//! * **The past**: two to three hours are in memory; windows of two hours go to blocks on disk ([`Store::seal`]), which
//!   readers see behind the memory, for `retention.time` and `retention.size`.
//! * **Forgetting**: a series without a sample in memory is forgotten with its ref once what it had is in a block, or
//!   past the retention where there are no blocks; a commit then counts it `unknown` and the source asks for it again.
//! * **Native histograms** stand in rows of their own, packed to about a hundred bytes each, and only [`model::Select::mixed`]
//!   gives them; for who reads floats, a series that goes over to them has ended.
//! * **Exemplars** are in memory only, `exemplars_max` at most of all series together; the oldest give way.
//! * **The log** lags by at most `wal_sync_interval`. A commit does not wait for the disk; only when a
//!   million samples wait for it already, a commit waits 20 ms before its samples go without the log, counted.
//!   When the disk is full or broken, what does not fit in that million is missing in the log, oldest first.

mod accounts;
mod block;
mod cardinality;
mod checkup;
mod config;
mod exemplars;
mod families;
mod feed;
mod finding;
mod guard;
mod histograms;
mod index;
mod joined;
mod keep;
mod latest;
mod lean;
mod lock;
mod look;
mod maintain;
mod mixed;
mod packed;
mod pairs;
mod parts;
mod picked;
mod postings;
mod provisional;
mod read;
mod reference;
mod row;
mod scan;
mod sealing;
mod select;
mod selection;
mod sets;
mod slots;
mod store;
mod tail;
mod target;
mod view;
mod wal;

pub use checkup::Room;
pub use config::{Config, History, Retention};
pub use look::Look;
pub use sealing::Sealed;
pub use store::{OpenError, Store};
pub use wal::disk::{Append, Disk, SystemDisk};
