//! The one way a request goes, by a socket or within the process.

use std::time::Duration;

use crate::asked::{Answer, Asked, Refusal};
use crate::faults::Fault;
use crate::keys::Key;
use crate::protocol::Spoken;
use crate::{Estate, Seen, agent, front, logs, services, signature, sts};

/// Between two looks at what somebody waits for.
const LOOK: Duration = Duration::from_secs(1);

/// What becomes of a request.
pub(crate) enum Reply {
    Says(Answer),
    /// Nothing comes, and the connection stays.
    Hangs,
    /// The connection ends.
    Breaks,
}

/// Who answers.
enum Desk {
    Service(Spoken),
    Sts(String),
    Logs(String),
    Agent(String),
    Front,
}

impl Desk {
    fn of(asked: &Asked) -> Self {
        if let Some(spoken) = Spoken::of(asked) {
            return Self::Service(spoken);
        }
        let found = sts::operation(asked).map(Self::Sts);
        let found = found.or_else(|| logs::operation(asked).map(Self::Logs));
        let found = found.or_else(|| agent::operation(asked).map(Self::Agent));
        found.unwrap_or(Self::Front)
    }

    fn name(&self, asked: &Asked) -> String {
        match self {
            Self::Service(spoken) => spoken.name(),
            Self::Sts(operation) | Self::Logs(operation) | Self::Agent(operation) => operation.clone(),
            Self::Front => format!("{} {}", asked.method, asked.path),
        }
    }

    /// In its own words.
    fn refuse(&self, refusal: &Refusal) -> Answer {
        match self {
            Self::Service(spoken) => spoken.refuse(refusal),
            Self::Sts(_) => refusal.xml(),
            Self::Logs(_) => refusal.json(),
            Self::Agent(_) | Self::Front if refusal.code == "ThrottlingException" => Answer {
                status: 429,
                ..refusal.rest()
            },
            Self::Agent(_) | Self::Front => refusal.rest(),
        }
    }

    fn answer(&self, estate: &Estate, asked: &Asked) -> (Option<Key>, Answer) {
        match self {
            Self::Service(spoken) => services::answer(estate, spoken, asked),
            Self::Sts(operation) => sts::answer(estate, operation, asked),
            Self::Logs(operation) => logs::answer(estate, operation, asked),
            Self::Agent(operation) => agent::answer(estate, operation, asked),
            Self::Front => front::answer(estate, asked),
        }
    }

    /// Who asks, as far as somebody has signed.
    fn signer(&self, estate: &Estate, asked: &Asked) -> Result<Key, Refusal> {
        match self {
            Self::Service(spoken) => Ok(estate.signer(asked, spoken.service)?.key),
            Self::Sts(_) => estate.verify(asked, &["sts"]),
            Self::Logs(_) => estate.verify(asked, &["logs"]),
            Self::Agent(_) | Self::Front => estate.verify(asked, &front::SERVICES),
        }
    }

    /// What a policy calls it.
    fn action(&self, name: &str) -> String {
        match self {
            Self::Service(_) => name.to_owned(),
            Self::Sts(operation) => format!("sts:{operation}"),
            Self::Logs(operation) => format!("logs:{operation}"),
            Self::Agent(_) | Self::Front => name.to_owned(),
        }
    }
}

pub(crate) fn reply(estate: &Estate, asked: &Asked) -> Reply {
    let desk = Desk::of(asked);
    let name = desk.name(asked);
    let now = estate.clock.now();
    let scope = signature::scope(asked);
    let region = scope.map_or("", |(region, _)| region);
    let fault = estate.faults.lock().next(&name, region, now);
    let note = |by: Option<Key>, status: u16| {
        estate.seen.lock().push(Seen {
            operation: name.clone(),
            region: region.to_owned(),
            by: by.map(|key| key.access_key),
            status,
            at: now,
        });
    };
    let refused = |by: Option<Key>, refusal: &Refusal| {
        let answer = desk.refuse(refusal);
        note(by, answer.status);
        Reply::Says(answer)
    };
    match fault {
        Some(Fault::Hangs) => {
            note(None, 0);
            return Reply::Hangs;
        }
        Some(Fault::Broken) => {
            note(None, 500);
            return Reply::Says(Answer::empty(500));
        }
        Some(Fault::Garbage) => {
            note(None, 200);
            return Reply::Says(Answer {
                status: 200,
                kind: "text/html",
                body: b"<html><body>It works!</body></html>".to_vec(),
                ..Answer::default()
            });
        }
        Some(Fault::Throttled) => return refused(None, &Refusal::throttled()),
        Some(Fault::Denied) => {
            return match desk.signer(estate, asked) {
                Ok(key) => {
                    let refusal = denied(&key, &desk.action(&name));
                    refused(Some(key), &refusal)
                }
                Err(refusal) => refused(None, &refusal),
            };
        }
        Some(Fault::Expired) => {
            return refused(
                None,
                &Refusal::new(
                    "ExpiredTokenException",
                    "The security token included in the request is expired",
                ),
            );
        }
        Some(Fault::LosesAnswer) | None => {}
    }
    let (by, answer) = desk.answer(estate, asked);
    let is_lost = fault == Some(Fault::LosesAnswer);
    note(by, if is_lost { 0 } else { answer.status });
    if is_lost {
        return Reply::Breaks;
    }
    Reply::Says(answer)
}

/// What is said to who asks with patience: whatever comes meanwhile, or in the end that nothing did.
pub(crate) async fn waited(estate: &Estate, asked: &Asked, answer: Answer) -> Answer {
    let (desk, mut left) = (Desk::of(asked), answer.after);
    while !left.is_zero() {
        let step = left.min(LOOK);
        estate.clock.sleep(step).await;
        left -= step;
        let (_, now) = desk.answer(estate, asked);
        if now.after.is_zero() {
            return now;
        }
    }
    answer
}

/// As AWS says who may not do what.
pub(crate) fn denied(key: &Key, action: &str) -> Refusal {
    Refusal::new(
        "AccessDenied",
        format!(
            "User: {} is not authorized to perform: {action} because no identity-based policy allows the {action} action",
            key.arn
        ),
    )
}
