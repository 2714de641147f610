//! Two replicas on virtual time, with a network, a disk and an arbiter that fail as told.

mod leading;
mod memo;
mod merging;
mod sharing;
mod world;
