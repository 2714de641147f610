//! What `skopos doctor` is told of AWS: whether there are credentials, from where, and for how long.

use model::Timestamp;
use model::text::duration::spoken;
use model::view::Checkup;

use crate::Aws;
use crate::keeping::Known;

const ROOM: &str = "aws";
const NAME: &str = "credentials";

impl Aws {
    #[must_use]
    pub fn checkups(&self) -> Vec<Checkup> {
        let known: Vec<Known> = self.all().iter().map(|keeping| keeping.known()).collect();
        vec![credentials(&known, self.clock.now())]
    }
}

fn credentials(all: &[Known], now: Timestamp) -> Checkup {
    if all.is_empty() {
        return Checkup::off(ROOM, NAME, "nothing is asked of AWS");
    }
    let failing = all.iter().filter(|known| known.failure.is_some());
    let findings = failing.map(|known| {
        let (words, since) = known.failure.clone().unwrap_or_default();
        format!("{}, for {}: {words}", known.account, spoken(now.since(since)))
    });
    let findings: Vec<String> = findings.collect();
    if findings.is_empty() {
        let all: Vec<String> = all.iter().map(|known| said(known, now)).collect();
        return Checkup::ok(ROOM, NAME, all.join("; "));
    }
    let are_gone = all
        .iter()
        .any(|known| known.failure.is_some() && known.good.is_none());
    let checkup = if are_gone {
        Checkup::fail(ROOM, NAME, "there are none, and what is for AWS waits")
    } else {
        Checkup::warn(ROOM, NAME, "they cannot be renewed, and are good for a while yet")
    };
    checkup
        .advise("do what is said here; it is tried again by itself")
        .list(findings)
}

/// `default credentials from the profile, for another 55 min`.
pub(crate) fn said(known: &Known, now: Timestamp) -> String {
    let account = &known.account;
    match &known.good {
        Some((source, Some(expiry))) => {
            format!(
                "{account} from {source}, for another {}",
                spoken(expiry.since(now))
            )
        }
        Some((source, None)) => format!("{account} from {source}"),
        None => format!("{account} not fetched yet"),
    }
}
