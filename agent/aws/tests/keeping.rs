//! Credentials are kept, renewed and missed, in a time that the test owns.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_config::ConfigLoader;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use model::signature::Account;
use model::{BoxFuture, Clock, Timestamp};
use parking_lot::Mutex;
use prometheus::Registry;
use telemetry::clock::RuntimeClock;
use tokio_util::sync::CancellationToken;

use crate::Aws;
use crate::chain::{Find, Found, NotFound, Source};
use crate::clock::system;

const START: Timestamp = Timestamp(1_790_000_000_000);
const HOUR: Duration = Duration::from_secs(3600);

fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}

/// Gives numbered keys after a while, good for as long as the test says; or fails.
struct Giver {
    clock: Arc<RuntimeClock>,
    asked: AtomicUsize,
    lifetime: Mutex<Option<Duration>>,
    failure: Mutex<Option<&'static str>>,
    takes: Mutex<Duration>,
}

impl Find for Giver {
    fn find<'a>(&'a self, _: &'a Account) -> BoxFuture<'a, Result<Found, NotFound>> {
        Box::pin(async {
            let nth = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
            let takes = *self.takes.lock();
            self.clock.sleep(takes).await;
            if let Some(words) = *self.failure.lock() {
                return Err(NotFound {
                    source: Some(Source::Container),
                    words: words.to_owned(),
                });
            }
            let expiry = self
                .lifetime
                .lock()
                .map(|lifetime| system(self.clock.now() + lifetime));
            Ok(Found {
                credentials: Credentials::new(nth.to_string(), "secret", None, expiry, "test"),
                source: Source::Container,
            })
        })
    }

    fn region<'a>(&'a self, _: &'a Account) -> BoxFuture<'a, Option<String>> {
        Box::pin(async { None })
    }

    fn loader(&self, _: Option<String>) -> ConfigLoader {
        aws_config::defaults(crate::behavior())
    }
}

struct House {
    clock: Arc<RuntimeClock>,
    giver: Arc<Giver>,
    aws: Arc<Aws>,
    registry: Registry,
}

fn house(lifetime: Option<Duration>) -> House {
    let clock = RuntimeClock::starting_at(START);
    let giver = Arc::new(Giver {
        clock: clock.clone(),
        asked: AtomicUsize::new(0),
        lifetime: Mutex::new(lifetime),
        failure: Mutex::new(None),
        takes: Mutex::new(Duration::from_millis(100)),
    });
    let registry = Registry::new();
    let aws = Aws::with(giver.clone(), clock.clone(), &registry).unwrap();
    House {
        clock,
        giver,
        aws,
        registry,
    }
}

impl House {
    /// The number of the key, or why there is none.
    async fn key(&self) -> Result<usize, String> {
        let got = self
            .aws
            .credentials(&Account::default())
            .provide_credentials()
            .await;
        let got = got.map_err(|error| crate::words::innermost(&error))?;
        Ok(got.access_key_id().parse().unwrap())
    }

    fn asked(&self) -> usize {
        self.giver.asked.load(Ordering::Relaxed)
    }

    fn count(&self, outcome: &str) -> f64 {
        let families = self.registry.gather();
        let fetches = families
            .iter()
            .find(|family| family.name() == "skopos_aws_credentials_fetches_total");
        let metrics = fetches.map(|family| family.get_metric()).unwrap_or_default();
        let found = metrics
            .iter()
            .find(|metric| metric.get_label().iter().any(|label| label.value() == outcome));
        found.map_or(0.0, |metric| metric.get_counter().get_value())
    }

    fn renew(&self) -> CancellationToken {
        let stop = CancellationToken::new();
        tokio::spawn(self.aws.renewer().run(stop.clone()));
        stop
    }
}

#[tokio::test(start_paused = true)]
async fn all_who_ask_at_once_share_one_fetch() {
    let house = Arc::new(house(Some(HOUR)));
    let asking = (0..20).map(|_| {
        let house = Arc::clone(&house);
        tokio::spawn(async move { house.key().await })
    });
    for asker in asking.collect::<Vec<_>>() {
        assert_eq!(asker.await.unwrap(), Ok(1));
    }
    assert_eq!((house.asked(), house.count("fetched")), (1, 1.0));
}

#[tokio::test(start_paused = true)]
async fn they_are_renewed_five_minutes_before_they_expire_and_nobody_waits() {
    let house = house(Some(HOUR));
    assert_eq!(house.key().await, Ok(1));
    let _stop = house.renew();
    // A fetch that takes long makes nobody wait.
    *house.giver.takes.lock() = Duration::from_secs(20);
    house.clock.sleep(minutes(55) - Duration::from_secs(2)).await;
    assert_eq!(house.asked(), 1);
    house.clock.sleep(Duration::from_secs(4)).await;
    assert_eq!(house.asked(), 2);
    let begun = house.clock.running();
    assert_eq!(house.key().await, Ok(1));
    assert_eq!(house.clock.running(), begun);
    house.clock.sleep(Duration::from_secs(20)).await;
    assert_eq!(house.key().await, Ok(2));
    house.clock.sleep(Duration::from_secs(10 * 3600)).await;
    assert_eq!(house.asked(), 12);
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_fails_costs_nothing_until_they_expire() {
    let house = house(Some(HOUR));
    assert_eq!(house.key().await, Ok(1));
    let _stop = house.renew();
    *house.giver.failure.lock() = Some("the agent is away");
    house.clock.sleep(minutes(59)).await;
    assert_eq!(house.key().await, Ok(1));
    let tried = house.asked();
    // 1, 2, 4 … 60 s apart.
    assert!((7..=12).contains(&tried), "{tried}");
    let checkup = house.aws.checkups().remove(0);
    assert_eq!(checkup.verdict.word(), "warn");
    assert!(checkup.findings[0].ends_with("the agent is away"), "{checkup:?}");
    house.clock.sleep(minutes(1)).await;
    assert_eq!(house.key().await, Err("the agent is away".to_owned()));
    assert_eq!(house.aws.checkups()[0].verdict.word(), "fail");
    *house.giver.failure.lock() = None;
    house.clock.sleep(minutes(1) + Duration::from_secs(1)).await;
    assert!(house.key().await.is_ok());
    let checkup = house.aws.checkups().remove(0);
    assert_eq!(checkup.verdict.word(), "ok");
    assert!(
        checkup
            .seen
            .starts_with("default credentials from the container (Pod Identity), for another "),
        "{}",
        checkup.seen
    );
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_nobody_is_asked_at_once() {
    let house = house(Some(HOUR));
    *house.giver.failure.lock() = Some("no");
    for _ in 0..50 {
        assert_eq!(house.key().await, Err("no".to_owned()));
    }
    assert_eq!((house.asked(), house.count("failed")), (1, 1.0));
    house.clock.sleep(Duration::from_millis(1001)).await;
    assert!(house.key().await.is_err());
    assert_eq!(house.asked(), 2);
    house.clock.sleep(Duration::from_millis(1001)).await;
    assert!(house.key().await.is_err());
    assert_eq!(house.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_past_their_end_has_them_fetched_anew() {
    let house = house(Some(HOUR));
    assert_eq!(house.key().await, Ok(1));
    house.clock.skew(model::time::millis(minutes(58)));
    assert_eq!(house.key().await, Ok(1));
    house.clock.skew(model::time::millis(minutes(3)));
    assert_eq!(house.key().await, Ok(2));
    // What was fetched in a future that did not come is good for longer.
    house.clock.skew(-model::time::millis(minutes(61)));
    assert_eq!(house.key().await, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn short_ones_are_renewed_halfway_and_lasting_ones_looked_at_hourly() {
    let short = house(Some(minutes(4)));
    assert_eq!(short.key().await, Ok(1));
    let _stop = short.renew();
    short.clock.sleep(minutes(2) + Duration::from_secs(1)).await;
    assert_eq!((short.asked(), short.key().await), (2, Ok(2)));
    let lasting = house(None);
    assert_eq!(lasting.key().await, Ok(1));
    let _stop = lasting.renew();
    lasting.clock.sleep(minutes(59)).await;
    assert_eq!(lasting.asked(), 1);
    lasting.clock.sleep(minutes(2)).await;
    assert_eq!(lasting.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_place_that_hangs_is_given_up_and_the_task_ends_when_it_is_told_to() {
    let house = house(Some(HOUR));
    *house.giver.takes.lock() = HOUR;
    let begun = house.clock.running();
    let why = house.key().await.unwrap_err();
    assert!(why.starts_with("AWS credentials did not come within 30"), "{why}");
    assert_eq!((house.clock.running() - begun).as_secs(), 30);
    let stop = CancellationToken::new();
    let task = tokio::spawn(house.aws.renewer().run(stop.clone()));
    house.clock.sleep(Duration::from_secs(5)).await;
    stop.cancel();
    task.await.unwrap();
}
