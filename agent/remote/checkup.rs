//! What `skopos doctor` is told of remote write: whether destinations take what is sent, and senders are heard.

use std::collections::BTreeMap;

use model::Timestamp;
use model::text::bytes;
use model::text::duration::spoken;
use model::view::{Checkup, Destination, Health, Sender};

use crate::receive::Receiver;
use crate::send::SenderHandle;

/// Shares of the queue on disk.
const FILLING: f64 = 0.5;
const FULL: f64 = 0.9;

impl SenderHandle {
    /// `room` is what the house calls this sender.
    #[must_use]
    pub fn checkups(&self, room: &'static str, now: Timestamp) -> Vec<Checkup> {
        vec![
            destinations(room, &self.view(), now),
            queue(room, self.fill(), self.bytes_on_disk(), &self.ledger().dropped),
        ]
    }
}

impl Receiver {
    #[must_use]
    pub fn checkups(&self, now: Timestamp) -> Vec<Checkup> {
        vec![senders(&self.senders(), now)]
    }
}

fn destinations(room: &'static str, all: &[Destination], now: Timestamp) -> Checkup {
    const NAME: &str = "destinations";
    let of = |health: Health| all.iter().filter(|one| one.health == health).count();
    let (bad, near) = (of(Health::Bad), of(Health::Pending));
    if bad == 0 && near == 0 {
        return Checkup::ok(
            room,
            NAME,
            format!("{} of {} take what is sent", of(Health::Good), all.len()),
        );
    }
    let findings = all
        .iter()
        .filter(|one| matches!(one.health, Health::Bad | Health::Pending))
        .map(|one| {
            let behind = one.oldest.map_or_else(String::new, |oldest| {
                format!(", {} behind", spoken(now.since(oldest)))
            });
            format!("{}{behind}: {}", one.name, one.last_error)
        });
    let advice =
        "see whether the address and the credentials are right; what is not taken waits in the queue on disk";
    let checkup = if bad > 0 {
        Checkup::fail(room, NAME, format!("{bad} of {} take nothing", all.len()))
    } else {
        Checkup::warn(room, NAME, format!("{near} of {} falter", all.len()))
    };
    checkup.advise(advice).list(findings)
}

fn queue(room: &'static str, fill: f64, on_disk: u64, dropped: &BTreeMap<&'static str, u64>) -> Checkup {
    const NAME: &str = "queue";
    let seen = format!(
        "the queue on disk is {:.0} % full, {}",
        fill * 100.0,
        bytes(on_disk as f64)
    );
    let advice =
        "when it is full the oldest samples go: mend the destination, or raise remote.queue.bytes_max";
    if fill >= FULL {
        return Checkup::fail(room, NAME, seen).advise(advice);
    }
    if dropped.values().any(|count| *count > 0) {
        let count: u64 = dropped.values().sum();
        return Checkup::warn(
            room,
            NAME,
            format!("{count} samples were let go since the start; {seen}"),
        )
        .advise("the runbook of RemoteWriteDropping says what each reason means")
        .list(dropped.iter().map(|(reason, count)| format!("{reason}: {count}")));
    }
    if fill >= FILLING {
        return Checkup::warn(room, NAME, seen).advise(advice);
    }
    Checkup::ok(room, NAME, seen)
}

fn senders(all: &[Sender], now: Timestamp) -> Checkup {
    const ROOM: &str = "receiver";
    const NAME: &str = "senders";
    if all.is_empty() {
        return Checkup::off(ROOM, NAME, "nobody sends samples here");
    }
    let silent: Vec<&Sender> = all.iter().filter(|one| one.silent).collect();
    if silent.is_empty() {
        return Checkup::ok(ROOM, NAME, format!("every sender is heard, of {}", all.len()));
    }
    Checkup::fail(
        ROOM,
        NAME,
        format!("{} of {} are silent", silent.len(), all.len()),
    )
    .advise("see whether its machine and its process run and reach this one; what it said is kept as unknown")
    .list(silent.iter().map(|one| match one.heard.max(one.heard_elsewhere) {
        Some(heard) => format!("{} was last heard {} ago", one.name, spoken(now.since(heard))),
        None => format!("{} has not been heard since the start", one.name),
    }))
}

#[cfg(test)]
mod tests {
    use model::view::Verdict;

    use super::*;

    fn destination(health: Health) -> Destination {
        Destination {
            name: "long-term".to_owned(),
            url: "http://b".to_owned(),
            protocol: "2.0".to_owned(),
            waiting_bytes: 0,
            waiting_samples: 0,
            oldest: Some(Timestamp(40_000)),
            last_success: None,
            last_error: "401 unauthorized".to_owned(),
            health,
        }
    }

    #[test]
    fn a_destination_that_takes_nothing_fails_with_what_it_said() {
        let now = Timestamp(100_000);
        let of = |health| destinations("sender", &[destination(health)], now);
        assert_eq!(of(Health::Good).verdict, Verdict::Ok);
        assert_eq!(of(Health::Pending).verdict, Verdict::Warn);
        let bad = of(Health::Bad);
        assert_eq!(bad.verdict, Verdict::Fail);
        assert_eq!(
            bad.findings,
            [format!(
                "long-term, {} behind: 401 unauthorized",
                spoken(std::time::Duration::from_secs(60))
            )]
        );
    }

    #[test]
    fn a_queue_that_fills_is_told_before_it_drops_and_when_it_has() {
        let at = |fill, dropped: &[(&'static str, u64)]| {
            queue("sender", fill, 1 << 20, &dropped.iter().copied().collect()).verdict
        };
        assert_eq!(at(0.1, &[]), Verdict::Ok);
        assert_eq!(at(0.5, &[]), Verdict::Warn);
        assert_eq!(at(0.9, &[]), Verdict::Fail);
        assert_eq!(at(0.1, &[("full", 3)]), Verdict::Warn);
        assert_eq!(at(0.1, &[("forgotten", 0)]), Verdict::Ok);
    }

    #[test]
    fn a_silent_sender_is_named() {
        let sender = |silent| Sender {
            name: "node-7".to_owned(),
            role: "node".to_owned(),
            heard: Some(Timestamp(10_000)),
            heard_elsewhere: Some(Timestamp(40_000)),
            silent,
            series: 10,
            samples: 10,
        };
        let now = Timestamp(100_000);
        assert_eq!(senders(&[], now).verdict, Verdict::Off);
        assert_eq!(senders(&[sender(false)], now).verdict, Verdict::Ok);
        let told = senders(&[sender(false), sender(true)], now);
        assert_eq!(
            (told.verdict, told.seen.as_str()),
            (Verdict::Fail, "1 of 2 are silent")
        );
        assert!(
            told.findings[0].starts_with("node-7 was last heard 1"),
            "{told:?}"
        );
    }
}
