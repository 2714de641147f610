//! Two replicas on virtual time, with a network, a disk and an arbiter that fail as told.
