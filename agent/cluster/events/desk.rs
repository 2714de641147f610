//! What was heard of events and is not written yet: none twice, none left out.
//!
//! Events are ordered by the version of their objects. A list is compared with the last one written; what comes behind a list is new.
//! When too much waits, the rest is let go of, and all are asked for once more when there is room.

use std::collections::BTreeMap;

use model::Ledger;
use serde::{Deserialize, Serialize};

use super::read::Told;

/// Events that wait; of about a kilobyte each.
pub(super) const WAITING_MAX: usize = 10_000;
/// Written in one go.
const CHUNK: usize = 200;
/// An event that happened so long after the last one was written is new whatever its version: versions begin anew when a cluster is
/// restored.
const ANEW_MILLIS: i64 = 600_000;

/// The last event written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cursor {
    pub(super) version: u64,
    /// When that was, by the clock of whoever wrote.
    pub(super) at: i64,
}

impl Cursor {
    fn is_behind(self, told: &Told) -> bool {
        told.version > self.version || told.note.nanos / 1_000_000 > self.at + ANEW_MILLIS
    }
}

/// Whether what waits lacks nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// Something was not listened to: a list is waited for.
    #[default]
    Deaf,
    Listing,
    /// Behind a list.
    Hearing,
}

#[derive(Debug, Default)]
pub(super) struct Desk {
    leads: bool,
    cursor: Cursor,
    stage: Stage,
    waiting: BTreeMap<u64, Told>,
    wants_all: bool,
    /// Something had no room.
    is_cut: bool,
    taken: u64,
    given: u64,
    handed_over: u64,
}

impl Desk {
    pub(super) fn leads(&self) -> bool {
        self.leads
    }

    pub(super) fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// Writes from now on, behind the last one that anybody has written.
    pub(super) fn begin(&mut self, cursor: Cursor) {
        self.leads = true;
        self.cursor = cursor;
        self.stage = Stage::Deaf;
        self.wants_all = true;
    }

    /// Somebody else writes what waits.
    pub(super) fn end(&mut self) {
        self.leads = false;
        self.stage = Stage::Deaf;
        self.wants_all = false;
        self.is_cut = false;
        self.handed_over += self.waiting.len() as u64;
        self.waiting.clear();
    }

    pub(super) fn begun(&mut self) {
        if self.leads {
            self.stage = Stage::Listing;
            self.wants_all = false;
        }
    }

    /// Whether somebody is to be woken.
    pub(super) fn here(&mut self, told: Told) -> bool {
        let is_new = match self.stage {
            Stage::Deaf => false,
            Stage::Listing => self.cursor.is_behind(&told),
            Stage::Hearing => true,
        };
        if is_new && self.waiting.insert(told.version, told).is_none() {
            self.taken += 1;
        }
        if self.waiting.len() > WAITING_MAX {
            // The newest: what is written first goes up to it without a gap.
            self.waiting.pop_last();
            self.taken -= 1;
            self.is_cut = true;
            if self.stage == Stage::Hearing {
                self.stage = Stage::Deaf;
            }
        }
        is_new && self.stage != Stage::Listing
    }

    pub(super) fn whole(&mut self) {
        if self.stage == Stage::Listing {
            self.stage = match self.is_cut {
                true => Stage::Deaf,
                false => Stage::Hearing,
            };
        }
    }

    pub(super) fn wants_all(&self) -> bool {
        self.wants_all
    }

    /// The oldest that wait. None while a list is read: older ones may follow.
    pub(super) fn next(&self) -> Vec<Told> {
        match self.leads && self.stage != Stage::Listing {
            true => self.waiting.values().take(CHUNK).cloned().collect(),
            false => Vec::new(),
        }
    }

    /// They are on the disk.
    pub(super) fn written(&mut self, told: &[Told], cursor: Cursor) {
        for one in told {
            // Not those that were handed over meanwhile.
            self.given += u64::from(self.waiting.remove(&one.version).is_some());
        }
        self.cursor = cursor;
        if self.waiting.is_empty() && self.is_cut {
            self.is_cut = false;
            self.wants_all = true;
        }
    }

    pub(super) fn ledger(&self) -> Ledger {
        let dropped = (self.handed_over > 0).then_some(("handed_over", self.handed_over));
        Ledger {
            things: "events",
            taken: self.taken,
            given: self.given,
            dropped: dropped.into_iter().collect(),
            in_flight: self.waiting.len() as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use model::{Level, Note};

    use super::*;

    fn told(version: u64, seconds: i64) -> Told {
        Told {
            version,
            kind: "Pod".to_owned(),
            namespace: "shop".to_owned(),
            reason: "Started".to_owned(),
            severity: "Normal".to_owned(),
            note: Note {
                nanos: seconds * 1_000_000_000,
                level: Level::Info,
                source: String::new(),
                facts: Vec::new(),
                id: version.to_string(),
                text: String::new(),
            },
        }
    }

    fn versions(desk: &Desk) -> Vec<u64> {
        desk.next().iter().map(|told| told.version).collect()
    }

    fn list(desk: &mut Desk, versions: impl IntoIterator<Item = u64>) {
        desk.begun();
        for version in versions {
            desk.here(told(version, 0));
        }
        desk.whole();
    }

    /// Writes all that can be.
    fn write(desk: &mut Desk) -> Vec<u64> {
        let mut written = Vec::new();
        loop {
            let next = desk.next();
            let Some(last) = next.last() else { return written };
            let cursor = Cursor {
                version: last.version,
                at: 0,
            };
            written.extend(next.iter().map(|told| told.version));
            desk.written(&next, cursor);
        }
    }

    #[test]
    fn of_a_list_what_is_behind_the_last_one_written_is_new_and_so_is_all_that_follows() {
        let mut desk = Desk::default();
        desk.begin(Cursor { version: 5, at: 0 });
        assert!(desk.wants_all());
        desk.here(told(9, 0));
        assert_eq!(
            versions(&desk),
            [0; 0],
            "what was told before a list may have a gap before it"
        );
        desk.begun();
        for version in [8, 3, 6] {
            desk.here(told(version, 0));
        }
        assert_eq!(versions(&desk), [0; 0], "older ones may follow");
        desk.whole();
        desk.here(told(11, 0));
        assert_eq!(write(&mut desk), [6, 8, 11]);
        assert!(!desk.wants_all());
        // A list that was not asked for brings nothing again.
        list(&mut desk, [6, 8, 11, 12]);
        assert_eq!(write(&mut desk), [12]);
        assert!(desk.ledger().balances());
    }

    #[test]
    fn whoever_does_not_write_keeps_nothing_and_asks_for_all_when_it_is_his_turn() {
        let mut desk = Desk::default();
        list(&mut desk, [1, 2]);
        assert!(versions(&desk).is_empty() && !desk.wants_all());
        desk.begin(Cursor { version: 1, at: 0 });
        assert!(desk.wants_all());
        list(&mut desk, [1, 2]);
        assert_eq!(versions(&desk), [2]);
        desk.end();
        assert!(versions(&desk).is_empty());
        let ledger = desk.ledger();
        assert_eq!((ledger.taken, ledger.dropped_total()), (1, 1));
        assert!(ledger.balances());
    }

    #[test]
    fn a_flood_is_written_to_its_end_in_order_by_asking_again() {
        let all = WAITING_MAX as u64 + 700;
        let mut desk = Desk::default();
        desk.begin(Cursor::default());
        let mut written = Vec::new();
        let mut lists = 0;
        while desk.wants_all() {
            list(&mut desk, (1..=all).rev());
            lists += 1;
            assert!(desk.ledger().in_flight <= WAITING_MAX as u64);
            written.extend(write(&mut desk));
        }
        assert_eq!(written, (1..=all).collect::<Vec<_>>());
        assert_eq!(lists, 2);
        // Likewise one that comes behind a list.
        for version in all + 1..=2 * all {
            desk.here(told(version, 0));
        }
        let mut more = write(&mut desk);
        assert!(desk.wants_all());
        list(&mut desk, all - 5..=2 * all);
        more.extend(write(&mut desk));
        assert_eq!(more, (all + 1..=2 * all).collect::<Vec<_>>());
        assert!(desk.ledger().balances());
    }

    #[test]
    fn versions_that_begin_anew_hide_no_event() {
        let mut desk = Desk::default();
        desk.begin(Cursor {
            version: 1_000_000,
            at: 50_000_000,
        });
        desk.begun();
        desk.here(told(7, 50_000));
        desk.here(told(8, 51_000));
        desk.whole();
        desk.here(told(9, 51_001));
        assert_eq!(versions(&desk), [8, 9]);
    }
}
