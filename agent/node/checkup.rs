//! What `skopos doctor` is told of this machine: whether it can be read, all of it and in time.

use std::time::Duration;

use model::Timestamp;
use model::text::duration::spoken;
use model::view::{Checkup, Health, Target};

use crate::node::Handle;

const ROOM: &str = "node";
const NAME: &str = "machine";
/// Without a reading for so many intervals, and for so long at least, something stands still.
const INTERVALS: u32 = 3;
const STILL: Duration = Duration::from_secs(30);

impl Handle {
    /// `up` is how long the process has been running.
    #[must_use]
    pub fn checkups(&self, now: Timestamp, up: Duration) -> Vec<Checkup> {
        vec![read(&self.view(), now, up)]
    }
}

fn read(machine: &Target, now: Timestamp, up: Duration) -> Checkup {
    let late = machine.last_scrape.map_or(up, |last| now.since(last));
    let wrong = || machine.last_error.split("; ").map(str::to_owned);
    if late > STILL.max(INTERVALS * machine.interval) {
        return Checkup::fail(
            ROOM,
            NAME,
            format!("{} were not read for {}", machine.url, spoken(late)),
        )
        .advise("a file system that does not answer may hold the reading; see the log");
    }
    match machine.health {
        Health::Bad => Checkup::fail(ROOM, NAME, format!("nothing could be read of {}", machine.url))
            .advise("see whether node.procfs and node.sysfs are right and may be read")
            .list(wrong()),
        Health::Pending => Checkup::warn(ROOM, NAME, format!("some of {} could not be read", machine.url))
            .advise("what is named here is missing in /metrics/node; see whether it may be read")
            .list(wrong()),
        Health::Unknown => Checkup::ok(ROOM, NAME, format!("{} are about to be read", machine.url)),
        Health::Good => Checkup::ok(
            ROOM,
            NAME,
            format!(
                "{} samples of {} in {} ms",
                machine.samples,
                machine.url,
                machine.last_duration.as_millis().max(1)
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use model::Labels;
    use model::view::Verdict;

    use super::*;

    #[test]
    fn what_cannot_be_read_is_named_and_a_pause_is_noticed() {
        let machine = |health| Target {
            job: "node".to_owned(),
            url: "/proc and /sys".to_owned(),
            discovered: Labels::empty(),
            labels: Labels::empty(),
            health,
            last_error: "disk: permission denied; netdev: gone".to_owned(),
            last_scrape: Some(Timestamp(100_000)),
            last_duration: Duration::from_millis(3),
            interval: Duration::from_secs(15),
            timeout: Duration::from_secs(15),
            samples: 900,
            http: false,
            read_by: None,
        };
        let at = |health, seconds: i64| read(&machine(health), Timestamp(seconds * 1000), Duration::ZERO);
        assert_eq!(at(Health::Good, 101).verdict, Verdict::Ok);
        assert_eq!(at(Health::Good, 146).verdict, Verdict::Fail);
        assert_eq!(at(Health::Bad, 101).verdict, Verdict::Fail);
        let some = at(Health::Pending, 101);
        assert_eq!((some.verdict, some.findings.len()), (Verdict::Warn, 2));
    }
}
