//! What `skopos doctor` is told of the targets: which are down and why, and which are slow.

use model::view::{Checkup, Health, ScrapePool, Target};

use crate::pool::Pool;

const ROOM: &str = "scrape";
/// Share of its timeout from which on a target is nearly too slow.
const NEAR: f64 = 0.8;

impl Pool {
    #[must_use]
    pub fn checkups(&self) -> Vec<Checkup> {
        let targets = self.view();
        let always = [reached(&targets), slow(&targets)];
        always.into_iter().chain(left_out(&self.sifted())).collect()
    }
}

fn named(target: &Target) -> String {
    let instance = target.labels.get("instance").unwrap_or(&target.url);
    format!("{} {instance}", target.job)
}

fn number(count: usize) -> String {
    if count == 1 {
        "1 target".to_owned()
    } else {
        format!("{count} targets")
    }
}

fn reached(targets: &[Target]) -> Checkup {
    const NAME: &str = "targets";
    let down: Vec<&Target> = targets
        .iter()
        .filter(|target| target.health == Health::Bad)
        .collect();
    if !down.is_empty() {
        let are = if down.len() == 1 { "is" } else { "are" };
        return Checkup::fail(
            ROOM,
            NAME,
            format!("{} of {} {are} down", down.len(), number(targets.len())),
        )
        .advise("see whether the address is right and who listens there; /targets has all of them")
        .list(
            down.iter()
                .map(|target| format!("{}: {}", named(target), target.last_error)),
        );
    }
    let unread = targets
        .iter()
        .filter(|target| target.health == Health::Unknown)
        .count();
    match (targets.len(), unread) {
        (0, _) => Checkup::off(ROOM, NAME, "there are no targets"),
        (all, 0) => Checkup::ok(ROOM, NAME, format!("every target is read, of {}", number(all))),
        (all, unread) => Checkup::ok(ROOM, NAME, format!("{unread} of {} not read yet", number(all))),
    }
}

/// What rules make something of that cannot be scraped; nothing where all can be.
fn left_out(pools: &[ScrapePool]) -> Option<Checkup> {
    let failed: Vec<String> = pools
        .iter()
        .flat_map(|pool| pool.failed.iter().cloned())
        .collect();
    (!failed.is_empty()).then(|| {
        let sentence = format!("{} cannot be scraped after relabel_configs", number(failed.len()));
        Checkup::warn(ROOM, "relabelling", sentence)
            .advise("correct the rules, or drop what they are not for")
            .list(failed)
    })
}

fn slow(targets: &[Target]) -> Checkup {
    const NAME: &str = "duration";
    let slow: Vec<&Target> = targets
        .iter()
        .filter(|target| target.last_duration.as_secs_f64() >= NEAR * target.timeout.as_secs_f64())
        .filter(|target| target.last_scrape.is_some())
        .collect();
    if slow.is_empty() {
        let longest = targets.iter().map(|target| target.last_duration).max();
        let longest = longest.unwrap_or_default().as_millis();
        return Checkup::ok(ROOM, NAME, format!("the slowest target took {longest} ms"));
    }
    Checkup::warn(
        ROOM,
        NAME,
        format!("{} nearly took as long as they may", number(slow.len())),
    )
    .advise("lengthen scrape_timeout, or let the target say less")
    .list(slow.iter().map(|target| {
        let (took, may) = (target.last_duration.as_millis(), target.timeout.as_millis());
        format!("{}: {took} ms of {may} ms", named(target))
    }))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use model::view::Verdict;
    use model::{Labels, Timestamp};

    use super::*;

    fn target(health: Health) -> Target {
        Target {
            job: "shop".to_owned(),
            url: "http://a:80/metrics".to_owned(),
            discovered: Labels::empty(),
            labels: Labels::from_pairs([("instance", "a:80")]),
            health,
            last_error: "cannot connect: connection refused".to_owned(),
            last_scrape: Some(Timestamp(1)),
            last_duration: Duration::from_millis(20),
            interval: Duration::from_secs(15),
            timeout: Duration::from_secs(10),
            samples: 1,
            http: true,
            read_by: None,
        }
    }

    #[test]
    fn a_target_that_is_down_fails_with_its_error() {
        let one = reached(&[target(Health::Good), target(Health::Bad)]);
        assert_eq!(
            (one.verdict, one.seen.as_str()),
            (Verdict::Fail, "1 of 2 targets is down")
        );
        assert_eq!(one.findings, ["shop a:80: cannot connect: connection refused"]);
        assert_eq!(reached(&[target(Health::Good)]).verdict, Verdict::Ok);
        assert_eq!(
            reached(&[target(Health::Unknown)]).seen,
            "1 of 1 target not read yet"
        );
        assert_eq!(reached(&[]).verdict, Verdict::Off);
    }

    #[test]
    fn a_target_that_rules_spoil_is_a_warning_and_a_dropped_one_is_none() {
        let mut pool = ScrapePool {
            job: "shop".to_owned(),
            dropped_count: 3,
            ..ScrapePool::default()
        };
        assert!(left_out(&[pool.clone()]).is_none());
        pool.failed
            .push("scrape_configs[0]: \"a\" has no port".to_owned());
        let one = left_out(&[pool]).unwrap();
        assert_eq!(
            (one.verdict, one.seen.as_str()),
            (Verdict::Warn, "1 target cannot be scraped after relabel_configs")
        );
        assert_eq!(one.findings.len(), 1);
    }

    #[test]
    fn a_target_near_its_timeout_is_a_warning() {
        let mut near = target(Health::Good);
        near.last_duration = Duration::from_millis(8_100);
        assert_eq!(slow(&[near.clone()]).verdict, Verdict::Warn);
        assert_eq!(slow(&[near.clone()]).findings, ["shop a:80: 8100 ms of 10000 ms"]);
        near.last_duration = Duration::from_millis(7_900);
        assert_eq!(slow(&[near]).verdict, Verdict::Ok);
    }
}
