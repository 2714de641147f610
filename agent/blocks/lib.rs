//! Keeps sealed samples on disk, in Prometheus' own block format: promtool, a real Prometheus and Thanos read what
//! we keep, and we read what they made.
//!
//! [`Blocks`] is a folder of blocks: `write` seals a range, `select`, `mixed` and `labels` read across all of it,
//! `maintain` lets go and puts together. [`Block`] is one of them, open.
//!
//! * **A block is there or it is not.** It is written beside its name, synced, and renamed last; what a crash leaves
//!   half-made goes at the next start. What takes the place of others says so, and those go once it is safe.
//! * **A broken block stops nobody.** What is wrong with it is said once with the file and the place, the folder is
//!   set aside as `<ulid>.broken`, and the rest goes on; three of those are kept at most, for as long as the
//!   retention. Every byte is behind a checksum that is looked at before it
//!   is believed, and every length is held against its file before memory is asked for.
//! * **Memory** is a byte or two for a series, not the samples: the kernel's page cache is the cache. Reading takes
//!   what is answered and a few pages; writing and compacting take the distinct label texts, twelve bytes for each
//!   label of each series, and one series.
//! * **Times**: blocks are half-open, `start <= time < end`; questions are left-open, as [`model::TimeRange`].
//! * **Native histograms** are written and read in Prometheus' two encodings, in chunks of their own beside those of
//!   floats. `select` leaves them out, `mixed` gives the series that have any. Whether the first of a chunk is a reset
//!   nobody is told, as in Prometheus: who asks compares it with the one before.
//! * **Not kept**: a series' own staleness, and metadata; the format has no place for them. Chunks of encodings that are
//!   not known are read over, counted, and copied as they are when blocks become one.

mod bits;
mod bytes;
mod chunk;
mod compact;
mod copy;
mod differing;
mod durable;
mod error;
mod folder;
mod histogram;
pub mod matching;
mod merge;
mod meta;
mod pack;
mod plan;
mod read;
mod ulid;
mod varbit;
mod write;
mod xor;

pub use copy::{Incoming, Listing};
pub use error::Error;
pub use folder::{Blocks, Compacted, Counts, Done, Limits};
pub use meta::{Compaction, Meta, Parent, Span, Stats};
pub use pack::Samples;
pub use plan::SPAN;
pub use read::block::Block;
pub use ulid::{NotUlid, Ulid};
