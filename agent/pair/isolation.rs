//! A replica that hears neither the other one nor any sender is more likely cut off than the last one alive: for a
//! while it lets the other lead, which may hear them all. If nobody takes the lease in that time, it leads on. Pure.

use std::time::Duration;

#[derive(Clone, Debug, Default)]
pub(crate) struct Isolation {
    since: Option<Duration>,
}

impl Isolation {
    /// True when it has just begun.
    pub(crate) fn look(&mut self, now: Duration, isolated: bool) -> bool {
        let begins = isolated && self.since.is_none();
        if begins {
            self.since = Some(now);
        } else if !isolated {
            self.since = None;
        }
        begins
    }

    /// Whether the other is given the time to lead.
    pub(crate) fn yields(&self, now: Duration, patience: Duration) -> bool {
        self.since
            .is_some_and(|since| now.saturating_sub(since) < patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_gets_its_time_once_for_each_time_we_are_cut_off() {
        let seconds = Duration::from_secs;
        let mut isolation = Isolation::default();
        assert!(!isolation.look(seconds(1), false) && !isolation.yields(seconds(1), seconds(30)));
        assert!(isolation.look(seconds(2), true) && isolation.yields(seconds(2), seconds(30)));
        assert!(!isolation.look(seconds(31), true) && isolation.yields(seconds(31), seconds(30)));
        assert!(!isolation.look(seconds(32), true) && !isolation.yields(seconds(32), seconds(30)));
        assert!(!isolation.look(seconds(40), false));
        assert!(isolation.look(seconds(41), true) && isolation.yields(seconds(41), seconds(30)));
    }
}
