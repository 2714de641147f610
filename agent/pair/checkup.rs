//! What `skopos doctor` is told of the pair: whether one of both leads, and the two hear each other.

use model::Timestamp;
use model::text::duration::spoken;
use model::view::{self, Checkup};

use crate::handle::Handle;
use crate::memo::Stand;

const ROOM: &str = "pair";
/// Changes that wait for the peer beyond which they do not get there.
const UNSHARED: usize = 1_000;

impl Handle {
    #[must_use]
    pub fn checkups(&self, now: Timestamp) -> Vec<Checkup> {
        let pair = self.view();
        let mut all = vec![lease(&pair), peer(&pair, now)];
        all.extend(memo(&self.0.memo.lock(), now));
        all
    }
}

/// None where there is no such place.
fn memo(stand: &Stand, now: Timestamp) -> Option<Checkup> {
    const NAME: &str = "memo";
    if !stand.is_there {
        return None;
    }
    if !stand.error.is_empty() {
        let seen = format!(
            "what was told is not written down outside of both replicas: {}",
            stand.error
        );
        let advice = "see whether the ConfigMap of the chart is there and may be updated; without it alerts are told again when both disks are lost at once";
        return Some(Checkup::warn(ROOM, NAME, seen).advise(advice));
    }
    if stand.left_out > 0 {
        let seen = format!(
            "{} entries are too many to be written down outside of both replicas",
            stand.left_out
        );
        let advice =
            "group alerts more coarsely, or give the replicas disks (persistence.enabled of the chart)";
        return Some(Checkup::warn(ROOM, NAME, seen).advise(advice));
    }
    Some(Checkup::ok(
        ROOM,
        NAME,
        match stand.written_at {
            Some(at) => format!(
                "{} bytes were written down {} ago",
                stand.bytes,
                spoken(now.since(at))
            ),
            None => "whoever leads writes it down".to_owned(),
        },
    ))
}

fn lease(pair: &view::Pair) -> Checkup {
    const NAME: &str = "lease";
    if !pair.arbiter_error.is_empty() {
        return Checkup::fail(
            ROOM,
            NAME,
            format!("nobody can say who leads: {}", pair.arbiter_error),
        )
        .advise(
            "see whether pair.lease_file can be read and written from both; whoever led goes on telling",
        );
    }
    match &pair.holder {
        None => Checkup::fail(ROOM, NAME, "nobody leads")
            .advise("the runbook of PairWithoutLeader says what to look at"),
        Some(holder) => Checkup::ok(ROOM, NAME, format!("{holder} leads, epoch {}", pair.epoch)),
    }
}

fn peer(pair: &view::Pair, now: Timestamp) -> Checkup {
    const NAME: &str = "other replica";
    if pair.state != "ready" {
        return Checkup::warn(ROOM, NAME, format!("this replica is not ready: {}", pair.state))
            .advise("it copies what the other has; look again in a minute");
    }
    let advice = "see whether the other replica runs and both reach each other; nothing is lost while one of them tells";
    if !pair.in_step {
        let seen = match pair.peer_heard {
            Some(heard) => format!(
                "{} was last heard {} ago: out of step",
                pair.peer,
                spoken(now.since(heard))
            ),
            None => format!("{} has not been heard yet: out of step", pair.peer),
        };
        return Checkup::fail(ROOM, NAME, seen).advise(advice);
    }
    if pair.unshared > UNSHARED {
        return Checkup::warn(
            ROOM,
            NAME,
            format!("{} changes wait for {}", pair.unshared, pair.peer),
        )
        .advise(advice);
    }
    Checkup::ok(ROOM, NAME, format!("{} is in step", pair.peer))
}

#[cfg(test)]
mod tests {
    use model::view::Verdict;

    use super::*;

    fn pair() -> view::Pair {
        view::Pair {
            name: "a".to_owned(),
            peer: "b".to_owned(),
            holder: Some("a".to_owned()),
            in_step: true,
            state: "ready".to_owned(),
            ..view::Pair::default()
        }
    }

    #[test]
    fn two_that_hear_each_other_under_one_leader_are_well() {
        assert_eq!(lease(&pair()).verdict, Verdict::Ok);
        assert_eq!(peer(&pair(), Timestamp(0)).verdict, Verdict::Ok);
    }

    #[test]
    fn a_memo_that_cannot_be_written_or_is_too_long_is_said() {
        assert!(memo(&Stand::default(), Timestamp(0)).is_none());
        let mut stand = Stand {
            is_there: true,
            written_at: Some(Timestamp(0)),
            ..Stand::default()
        };
        let verdict = |stand: &Stand| memo(stand, Timestamp(60_000)).unwrap().verdict;
        assert_eq!(verdict(&stand), Verdict::Ok);
        stand.left_out = 7;
        assert_eq!(verdict(&stand), Verdict::Warn);
        stand.error = "configmaps is forbidden".to_owned();
        let told = memo(&stand, Timestamp(0)).unwrap();
        assert!(told.seen.ends_with("configmaps is forbidden"), "{}", told.seen);
    }

    #[test]
    fn without_a_leader_or_out_of_step_it_fails() {
        let mut pair = pair();
        pair.holder = None;
        assert_eq!(lease(&pair).verdict, Verdict::Fail);
        pair.arbiter_error = "permission denied".to_owned();
        assert!(lease(&pair).seen.ends_with("permission denied"));
        pair.in_step = false;
        pair.peer_heard = Some(Timestamp(0));
        let told = peer(&pair, Timestamp(60_000));
        assert_eq!(told.verdict, Verdict::Fail);
        assert!(told.seen.starts_with("b was last heard 1"), "{}", told.seen);
        pair.state = "copying 40 %".to_owned();
        assert_eq!(peer(&pair, Timestamp(0)).verdict, Verdict::Warn);
    }
}
