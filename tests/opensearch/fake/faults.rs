//! What goes wrong, and when: scripted, drawn by a seed, or always.

use std::collections::VecDeque;
use std::time::Duration;

use fastrand::Rng;

/// One thing that happens to one request.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// This status for the whole request, of which nothing is applied. With `Retry-After` if it is given.
    Status(u16, Option<Duration>),
    /// Some items, each kind with its share between 0 and 1, are answered so; the others are applied.
    Items(Vec<(f64, ItemFault)>),
    /// Applied; of the answer this part between 0 and 1 comes, and then the connection ends.
    Truncated(f64),
    /// Applied; the answer is no JSON.
    Garbled,
    /// Applied; the answer is JSON, and not that of a bulk request.
    Misshapen,
    /// Applied; the answer has so many items more, or less when it is negative.
    Count(i64),
    /// Applied; the answer begins well and never ends.
    Endless,
    /// Applied; the answer says that it has so many bytes, begins, and says no more.
    Length(u64),
    /// Applied; the answer comes with so many bytes a second.
    Slow(u32),
    /// The connection is reset; nothing is applied.
    ResetBefore,
    /// Applied, and then the connection is reset: the acknowledgement is lost.
    ResetAfter,
    /// Nothing is applied or answered, for ever.
    HangBefore,
    /// Applied; never answered.
    HangAfter,
    /// Waits before it does anything, then is well.
    Late(Duration),
}

/// How one item is refused.
#[derive(Clone, Debug, PartialEq)]
pub struct ItemFault {
    pub status: u16,
    pub kind: &'static str,
    /// It was stored all the same, as when only the answer of a replica is lost.
    pub is_applied: bool,
}

impl ItemFault {
    /// A status with the type that OpenSearch gives it.
    ///
    /// # Panics
    /// OpenSearch gives an item no such status.
    #[must_use]
    pub fn new(status: u16) -> Self {
        let kind = match status {
            400 => "mapper_parsing_exception",
            403 => "cluster_block_exception",
            404 => "index_not_found_exception",
            429 => "rejected_execution_exception",
            500 => "illegal_state_exception",
            503 => "unavailable_shards_exception",
            other => panic!("no item has the status {other}"),
        };
        Self {
            status,
            kind,
            is_applied: false,
        }
    }

    /// The same, but stored.
    #[must_use]
    pub fn applied(mut self) -> Self {
        self.is_applied = true;
        self
    }
}

/// Type and reason of a status of a whole request.
pub(crate) fn words(status: u16) -> (&'static str, &'static str) {
    match status {
        401 => (
            "security_exception",
            "missing authentication credentials for REST request",
        ),
        403 => (
            "security_exception",
            "no permissions for [indices:data/write/bulk]",
        ),
        404 => ("index_not_found_exception", "no such index"),
        413 => ("", ""),
        429 => (
            "rejected_execution_exception",
            "rejected execution of coordinating operation",
        ),
        503 => (
            "cluster_block_exception",
            "blocked by: [SERVICE_UNAVAILABLE/1/state not recovered / initialized];",
        ),
        _ => ("exception", "something went wrong"),
    }
}

/// What happens to one request after another.
#[derive(Clone, Debug)]
pub struct Plan {
    script: VecDeque<Option<Fault>>,
    then: Then,
}

#[derive(Clone, Debug)]
enum Then {
    Well,
    Always(Fault),
    Drawn(Rng, Vec<(f64, Fault)>),
}

impl Plan {
    /// Nothing goes wrong.
    #[must_use]
    pub fn well() -> Self {
        Self::script([])
    }

    /// One after the other, None being well; all is well after that.
    #[must_use]
    pub fn script(faults: impl IntoIterator<Item = Option<Fault>>) -> Self {
        Self {
            script: faults.into_iter().collect(),
            then: Then::Well,
        }
    }

    #[must_use]
    pub fn always(fault: Fault) -> Self {
        Self {
            script: VecDeque::new(),
            then: Then::Always(fault),
        }
    }

    /// Each with its share between 0 and 1 of all requests, in an order that the seed decides; the rest is well.
    #[must_use]
    pub fn drawn(seed: u64, faults: impl IntoIterator<Item = (f64, Fault)>) -> Self {
        Self {
            script: VecDeque::new(),
            then: Then::Drawn(Rng::with_seed(seed), faults.into_iter().collect()),
        }
    }

    /// What is left of a script before anything else happens.
    #[must_use]
    pub fn left(&self) -> usize {
        self.script.len()
    }

    pub(crate) fn next(&mut self) -> Option<Fault> {
        if let Some(fault) = self.script.pop_front() {
            return fault;
        }
        match &mut self.then {
            Then::Well => None,
            Then::Always(fault) => Some(fault.clone()),
            Then::Drawn(random, faults) => drawn(random, faults).cloned(),
        }
    }
}

/// One of them by its share, or none.
pub(crate) fn drawn<'a, T>(random: &mut Rng, all: &'a [(f64, T)]) -> Option<&'a T> {
    let mut place = random.f64();
    all.iter().find_map(|(share, one)| {
        place -= share;
        (place < 0.0).then_some(one)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_played_once_and_a_seed_draws_the_same_again() {
        let mut plan = Plan::script([Some(Fault::Garbled), None]);
        assert_eq!(
            [plan.next(), plan.next(), plan.next()],
            [Some(Fault::Garbled), None, None]
        );
        let all = |seed| {
            let mut plan = Plan::drawn(seed, [(0.2, Fault::ResetAfter), (0.1, Fault::HangBefore)]);
            std::iter::repeat_with(move || plan.next())
                .take(1_000)
                .collect::<Vec<_>>()
        };
        let (first, again, other) = (all(1), all(1), all(2));
        assert!(first == again && first != other);
        let count = |wanted: Option<Fault>| first.iter().filter(|fault| **fault == wanted).count();
        assert!((150..250).contains(&count(Some(Fault::ResetAfter))) && (650..750).contains(&count(None)));
    }
}
