//! What `skopos doctor` is told of the notifier: whether somebody is told, and whether messages get through.

use std::sync::Arc;
use std::time::Duration;

use model::mail::Mail;
use model::outside::Client;
use model::text::duration::spoken;
use model::view::{Checkup, Health, Telling};
use model::{BoxFuture, Ledger, Timestamp};

use crate::handle::Handle;
use crate::probe::{Probed, probe_all};

const ROOM: &str = "notifier";
/// A message that waits for longer is late, and for much longer somebody is not told.
const LATE: Duration = Duration::from_secs(60);
const TOO_LATE: Duration = Duration::from_secs(300);
/// A lost message is bad for an hour, and worth a look for a day.
const RECENT: Duration = Duration::from_secs(3600);
const LATELY: Duration = Duration::from_secs(24 * 3600);

/// What became of the last ping of the heartbeat, and when.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Beat {
    pub(crate) at: Timestamp,
    /// What was wrong with it.
    pub(crate) outcome: Result<(), String>,
}

/// All that the checks look at.
struct Standing {
    telling: Telling,
    ledger: Ledger,
    /// Since when the oldest message waits.
    oldest: Option<Timestamp>,
    /// Why the journal does not take what is to be kept.
    is_durable: bool,
    /// Whether this process tells people; in a pair only one of both does.
    speaks: bool,
    /// Time between pings, where a heartbeat is configured.
    heartbeat: Option<Duration>,
    beat: Option<Beat>,
    now: Timestamp,
    up: Duration,
}

impl Handle {
    /// `up` is how long the process has been running.
    #[must_use]
    pub fn checkups(&self, now: Timestamp, up: Duration) -> Vec<Checkup> {
        let heartbeat = self.heartbeat.borrow().as_ref().map(|config| config.interval);
        let doing = self.board.doing();
        all(&Standing {
            telling: self.view(),
            ledger: self.ledger(),
            oldest: doing.oldest,
            is_durable: doing.is_durable,
            speaks: doing.speaks,
            heartbeat,
            beat: self.board.beat(),
            now,
            up,
        })
    }

    /// Asks each receiver in force whether it is there and knows us; nobody is told anything.
    #[must_use]
    pub fn probe(&self, client: Arc<dyn Client>, mail: Arc<dyn Mail>) -> BoxFuture<'static, Vec<Checkup>> {
        let plan = self.board.plan();
        Box::pin(async move {
            let receivers = plan.map(|plan| plan.receivers.clone()).unwrap_or_default();
            vec![asked(&probe_all(&receivers, &*client, &*mail).await)]
        })
    }
}

fn asked(answers: &[Probed]) -> Checkup {
    const NAME: &str = "receivers, asked now";
    if answers.is_empty() {
        return Checkup::off(ROOM, NAME, "there is no receiver to ask");
    }
    let failed = answers.iter().filter(|one| one.outcome.is_err()).count();
    let findings = answers.iter().map(|one| match &one.outcome {
        Ok(words) => format!("{}: {words}", one.receiver),
        Err(words) => format!("{}: {words}", one.receiver),
    });
    let checkup = match failed {
        0 => Checkup::ok(ROOM, NAME, format!("{} answer", count(answers.len(), "receiver"))),
        _ => Checkup::fail(
            ROOM,
            NAME,
            format!(
                "{failed} of {} {} not answer as it should",
                count(answers.len(), "receiver"),
                does(failed)
            ),
        )
        .advise("mend the address or the secret in the configuration, or the receiver itself"),
    };
    // What is wrong stands first.
    let mut findings: Vec<(bool, String)> = answers
        .iter()
        .map(|one| one.outcome.is_ok())
        .zip(findings)
        .collect();
    findings.sort_by_key(|(is_ok, _)| *is_ok);
    checkup.list(findings.into_iter().map(|(_, words)| words))
}

fn all(standing: &Standing) -> Vec<Checkup> {
    vec![
        receivers(standing),
        waiting(standing),
        lost(standing),
        heartbeat(standing),
        durable(standing),
    ]
}

fn receivers(standing: &Standing) -> Checkup {
    const NAME: &str = "receivers";
    let Telling {
        receivers, failing, ..
    } = &standing.telling;
    if receivers.is_empty() {
        return Checkup::warn(ROOM, NAME, "nobody is told: the configuration names no receiver")
            .advise("name one in notifier, for example notifier.slack");
    }
    if !standing.speaks {
        return Checkup::ok(
            ROOM,
            NAME,
            format!(
                "the other replica tells; this one would tell {}",
                count(receivers.len(), "receiver")
            ),
        );
    }
    if failing.is_empty() {
        return Checkup::ok(
            ROOM,
            NAME,
            format!(
                "{} took the last message, or had none to take",
                count(receivers.len(), "receiver")
            ),
        );
    }
    let seen = if failing.len() >= receivers.len() {
        "no receiver takes messages: nobody is told".to_owned()
    } else {
        format!(
            "{} of {} {} not take messages",
            failing.len(),
            count(receivers.len(), "receiver"),
            does(failing.len())
        )
    };
    Checkup::fail(ROOM, NAME, seen)
        .advise("mend the address or the secret; messages wait and are tried again. --live asks each receiver now")
        .list(failing.iter().map(|(receiver, error)| format!("{receiver}: {error}")))
}

fn waiting(standing: &Standing) -> Checkup {
    const NAME: &str = "messages";
    let waiting = standing.telling.waiting;
    let Some(oldest) = standing.oldest.filter(|_| waiting > 0) else {
        return Checkup::ok(ROOM, NAME, "no message waits");
    };
    let age = standing.now.since(oldest);
    let seen = format!("{}, the oldest for {}", waits(waiting), spoken(age));
    let advice = "see which receiver is slow or refuses: the check of receivers, and /self#receivers";
    match age {
        age if age > TOO_LATE => Checkup::fail(ROOM, NAME, seen).advise(advice),
        age if age > LATE => Checkup::warn(ROOM, NAME, seen).advise(advice),
        _ => Checkup::ok(ROOM, NAME, seen),
    }
}

fn lost(standing: &Standing) -> Checkup {
    const NAME: &str = "lost messages";
    let refused: Vec<_> = standing
        .telling
        .told
        .iter()
        .filter(|told| told.health == Health::Bad && standing.now.since(told.time) < LATELY)
        .collect();
    let evicted = standing
        .ledger
        .dropped
        .get("evicted")
        .copied()
        .unwrap_or_default();
    let findings = refused.iter().map(|told| {
        format!(
            "{} to {}, {} ago: {}",
            told.message,
            told.receiver,
            spoken(standing.now.since(told.time)),
            told.answer
        )
    });
    let seen = match (refused.len(), evicted) {
        (0, 0) => return Checkup::ok(ROOM, NAME, "no message was lost within a day"),
        (0, evicted) => format!("{evicted} messages found no room since the start"),
        (refused, 0) => format!("{} refused for good within a day", were(refused)),
        (refused, evicted) => {
            format!(
                "{} refused for good within a day, and {evicted} found no room",
                were(refused)
            )
        }
    };
    let is_recent = refused
        .first()
        .is_some_and(|told| standing.now.since(told.time) < RECENT);
    let checkup = if is_recent {
        Checkup::fail(ROOM, NAME, seen)
    } else {
        Checkup::warn(ROOM, NAME, seen)
    };
    checkup
        .advise("look at /alerts for what was not told; mend what the receiver complains of, or name a notifier.fallback")
        .list(findings)
}

fn heartbeat(standing: &Standing) -> Checkup {
    const NAME: &str = "heartbeat";
    let Some(interval) = standing.heartbeat else {
        return Checkup::off(
            ROOM,
            NAME,
            "no heartbeat is configured: nobody outside would notice that this process is dead",
        )
        .advise("name an address that expects pings in notifier.heartbeat");
    };
    if !standing.speaks {
        return Checkup::off(ROOM, NAME, "the other replica tells, and pings");
    }
    let advice = "see what stands still; the service that expects the pings alarms meanwhile";
    match &standing.beat {
        None if standing.up > 3 * interval => {
            Checkup::fail(ROOM, NAME, "no ping was sent since the start").advise(advice)
        }
        None => Checkup::ok(
            ROOM,
            NAME,
            format!("the first ping is due within {}", spoken(interval)),
        ),
        Some(beat) => {
            let age = spoken(standing.now.since(beat.at));
            match &beat.outcome {
                Ok(()) if standing.now.since(beat.at) > 3 * interval + LATE => {
                    Checkup::fail(ROOM, NAME, format!("the last ping was taken {age} ago")).advise(advice)
                }
                Ok(()) => Checkup::ok(ROOM, NAME, format!("the last ping was taken {age} ago")),
                Err(why) => Checkup::fail(
                    ROOM,
                    NAME,
                    format!("the last ping was not taken, {age} ago: {why}"),
                )
                .advise(advice),
            }
        }
    }
}

fn durable(standing: &Standing) -> Checkup {
    const NAME: &str = "state on disk";
    if standing.is_durable {
        return Checkup::ok(ROOM, NAME, "what was told is on the disk");
    }
    Checkup::fail(
        ROOM,
        NAME,
        "what was told cannot be written: after a restart messages are repeated",
    )
    .advise("make room on the disk of the data directory, or make it writable")
}

fn does(number: usize) -> &'static str {
    if number == 1 { "does" } else { "do" }
}

fn count(number: usize, one: &str) -> String {
    if number == 1 {
        format!("1 {one}")
    } else {
        format!("{number} {one}s")
    }
}

fn waits(number: usize) -> String {
    if number == 1 {
        "1 message waits".to_owned()
    } else {
        format!("{number} messages wait")
    }
}

fn were(number: usize) -> String {
    if number == 1 {
        "1 message was".to_owned()
    } else {
        format!("{number} messages were")
    }
}

#[cfg(test)]
mod tests {
    use model::Labels;
    use model::view::{Told, Verdict};

    use super::*;

    fn standing() -> Standing {
        Standing {
            telling: Telling {
                receivers: vec!["slack".to_owned(), "webhook pager".to_owned()],
                ..Telling::default()
            },
            ledger: Ledger::default(),
            oldest: None,
            is_durable: true,
            speaks: true,
            heartbeat: Some(Duration::from_secs(60)),
            beat: Some(Beat {
                at: Timestamp(990_000),
                outcome: Ok(()),
            }),
            now: Timestamp(1_000_000),
            up: Duration::from_secs(900),
        }
    }

    fn refused(millis: i64) -> Told {
        Told {
            time: Timestamp(millis),
            receiver: "slack".to_owned(),
            group: Labels::empty(),
            message: "new message, 1 alert".to_owned(),
            answer: "404 no_service, given up".to_owned(),
            health: Health::Bad,
            took: Duration::ZERO,
            alerts: Vec::new(),
        }
    }

    #[test]
    fn all_is_well_when_messages_get_through() {
        let all = all(&standing());
        assert!(all.iter().all(|one| one.verdict == Verdict::Ok), "{all:?}");
    }

    #[test]
    fn a_receiver_that_refuses_fails_and_is_named() {
        let mut standing = standing();
        let error = ("slack".to_owned(), "404 no_service".to_owned());
        standing.telling.failing = vec![error.clone()];
        let one = receivers(&standing);
        assert_eq!(
            (one.verdict, one.seen.as_str()),
            (Verdict::Fail, "1 of 2 receivers does not take messages")
        );
        assert_eq!(one.findings, ["slack: 404 no_service"]);
        standing.telling.failing = vec![error.clone(), error];
        assert!(receivers(&standing).seen.contains("nobody is told"));
        standing.speaks = false;
        assert_eq!(
            receivers(&standing).verdict,
            Verdict::Ok,
            "it is the other one's to tell"
        );
    }

    #[test]
    fn telling_nobody_is_a_warning() {
        let mut standing = standing();
        standing.telling.receivers.clear();
        assert_eq!(receivers(&standing).verdict, Verdict::Warn);
    }

    #[test]
    fn a_message_may_wait_for_a_minute_and_not_for_five() {
        let at = |seconds: i64| {
            let mut standing = standing();
            standing.telling.waiting = 2;
            standing.oldest = Some(Timestamp(1_000_000 - seconds * 1000));
            waiting(&standing)
        };
        assert_eq!(at(59).verdict, Verdict::Ok);
        assert_eq!(at(61).verdict, Verdict::Warn);
        let late = at(301);
        assert_eq!(late.verdict, Verdict::Fail);
        assert!(
            late.seen.starts_with("2 messages wait, the oldest for 5"),
            "{}",
            late.seen
        );
    }

    #[test]
    fn a_refused_message_is_bad_for_an_hour_and_remembered_for_a_day() {
        let with = |ago_seconds: i64| {
            let mut standing = standing();
            standing.now = Timestamp(1_000_000_000);
            standing.telling.told = vec![refused(standing.now.0 - ago_seconds * 1000)];
            lost(&standing)
        };
        let fresh = with(3500);
        assert_eq!(fresh.verdict, Verdict::Fail);
        assert!(fresh.findings[0].contains("to slack") && fresh.findings[0].contains("given up"));
        assert_eq!(with(3700).verdict, Verdict::Warn);
        assert_eq!(with(90_000).verdict, Verdict::Ok);
        let mut standing = standing();
        standing.ledger.dropped.insert("evicted", 3);
        assert_eq!(lost(&standing).verdict, Verdict::Warn);
    }

    #[test]
    fn a_heartbeat_that_stays_away_fails_only_where_there_is_one() {
        let mut standing = standing();
        standing.beat = Some(Beat {
            at: Timestamp(999_000),
            outcome: Err("no receiver takes messages".to_owned()),
        });
        let withheld = heartbeat(&standing);
        assert_eq!(withheld.verdict, Verdict::Fail);
        assert!(
            withheld.seen.ends_with("no receiver takes messages"),
            "{}",
            withheld.seen
        );
        standing.beat = Some(Beat {
            at: Timestamp(700_000),
            outcome: Ok(()),
        });
        assert_eq!(
            heartbeat(&standing).verdict,
            Verdict::Fail,
            "taken five minutes ago"
        );
        standing.beat = None;
        assert_eq!(heartbeat(&standing).verdict, Verdict::Fail);
        standing.up = Duration::from_secs(30);
        assert_eq!(heartbeat(&standing).verdict, Verdict::Ok);
        standing.speaks = false;
        assert_eq!(heartbeat(&standing).verdict, Verdict::Off);
        (standing.speaks, standing.heartbeat) = (true, None);
        assert_eq!(heartbeat(&standing).verdict, Verdict::Off);
    }

    #[test]
    fn state_that_is_not_on_the_disk_fails() {
        let mut standing = standing();
        standing.is_durable = false;
        assert_eq!(durable(&standing).verdict, Verdict::Fail);
    }

    #[test]
    fn what_does_not_answer_stands_first() {
        let said = |receiver: &str, outcome: Result<&str, &str>| Probed {
            receiver: receiver.to_owned(),
            outcome: outcome.map(str::to_owned).map_err(str::to_owned),
        };
        let one = asked(&[
            said("slack", Ok("the webhook is there")),
            said("pager", Err("answers 500")),
        ]);
        assert_eq!(one.verdict, Verdict::Fail);
        assert_eq!(
            one.findings,
            ["pager: answers 500", "slack: the webhook is there"]
        );
        assert_eq!(asked(&[said("slack", Ok("there"))]).verdict, Verdict::Ok);
        assert_eq!(asked(&[]).verdict, Verdict::Off);
    }
}
