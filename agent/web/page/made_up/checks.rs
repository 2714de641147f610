//! What its rooms need, and whether they have it.

use model::view::Checkup;

use super::{House, Story};

impl House {
    pub(super) fn checks(&self) -> Vec<Checkup> {
        let fine = || Checkup::ok("scrape", "targets", "every target is read, of 2 targets");
        let disk = || {
            Checkup::warn("store", "disk", "only 4 % of it is free")
                .advise("free some of it, or lower store.retention")
        };
        let receivers = || {
            Checkup::fail("notifier", "receivers", "1 of 2 receivers does not take messages")
                .advise("mend the address")
                .list((0..12).map(|nth| format!("webhook {nth}: <b>500</b>\u{1b}[31m")))
        };
        let pair = || Checkup::fail("pair", "step", "the other replica has not been heard for 4 min");
        match self.story {
            Story::Empty => Vec::new(),
            Story::Calm => vec![
                fine(),
                disk(),
                Checkup::off("pair", "step", "there is no other replica"),
            ],
            Story::Firing => vec![
                fine(),
                disk(),
                receivers(),
                Checkup::fail("rules", "rules", "1 of 10 rules fails"),
            ],
            Story::Pair => vec![fine(), receivers(), pair()],
        }
    }
}
