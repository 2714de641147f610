//! Pings come as long as everything goes on, and stay away as soon as it does not.

use std::sync::Arc;

use model::{Clock, Leadership};
use parking_lot::Mutex;
use prometheus::Registry;
use telemetry::clock::RuntimeClock;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::world::{Manner, Receivers, START, minutes, secs};
use crate::heartbeat::{Config, Heartbeat};

const URL: &str = "http://hc/ping";

struct Beating {
    clock: Arc<RuntimeClock>,
    receivers: Arc<Receivers>,
    config: watch::Sender<Option<Config>>,
    leads: watch::Sender<Leadership>,
    still: Arc<Mutex<Option<String>>>,
    registry: Registry,
    stop: CancellationToken,
}

impl Beating {
    fn start(text: &str) -> Self {
        let clock = RuntimeClock::starting_at(START);
        let receivers = Receivers::new(Arc::clone(&clock));
        let (config, watched) = watch::channel(Some(yaml::read("x", text).unwrap()));
        let (leads, leadership) = watch::channel(Leadership::standalone());
        let still: Arc<Mutex<Option<String>>> = Arc::default();
        let (asked, registry, stop) = (Arc::clone(&still), Registry::new(), CancellationToken::new());
        let heartbeat = Heartbeat::new(
            watched,
            leadership,
            Arc::<Receivers>::clone(&receivers),
            Arc::<RuntimeClock>::clone(&clock),
            Arc::new(move || {
                let still = asked.lock().clone();
                Box::pin(async move { still.map_or(Ok(()), Err) })
            }),
            &registry,
        );
        tokio::spawn(heartbeat.run(stop.clone()));
        Self {
            clock,
            receivers,
            config,
            leads,
            still,
            registry,
            stop,
        }
    }

    /// Pings that arrived since the last time.
    fn pings(&self) -> usize {
        let got = self.receivers.got(URL).len();
        self.receivers.forget();
        got
    }

    fn count(&self, outcome: &str) -> f64 {
        let families = self.registry.gather();
        let family = families
            .iter()
            .find(|family| family.name() == "skopos_heartbeat_pings_total")
            .unwrap();
        let of = |metric: &&prometheus::proto::Metric| metric.get_label()[0].value() == outcome;
        family
            .get_metric()
            .iter()
            .find(of)
            .unwrap()
            .get_counter()
            .get_value()
    }
}

impl Drop for Beating {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[tokio::test(start_paused = true)]
async fn pings_come_while_everything_goes_on() {
    let beating = Beating::start("{ url: 'http://hc/ping', interval: 30s }");
    beating.clock.sleep(secs(95)).await;
    assert_eq!(beating.pings(), 3);
    *beating.still.lock() = Some("rule group \"a\" has not been evaluated for 5 min".to_owned());
    beating.clock.sleep(minutes(2)).await;
    assert_eq!((beating.pings(), beating.count("withheld")), (0, 4.0));
    *beating.still.lock() = None;
    beating.clock.sleep(minutes(1)).await;
    assert_eq!(beating.pings(), 2);
    // Another one speaks.
    let mut other = beating.leads.borrow().clone();
    other.speaks = false;
    beating.leads.send_replace(other);
    beating.clock.sleep(minutes(5)).await;
    assert_eq!(beating.pings(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_ping_that_fails_is_counted_and_the_next_one_comes_in_its_time() {
    let beating = Beating::start("{ url: 'http://hc/ping' }");
    for manner in [
        Manner::Refuses,
        Manner::Hangs,
        Manner::Answers(503),
        Manner::Answers(404),
    ] {
        let before = beating.count("failed");
        beating.receivers.behave(URL, manner);
        beating.clock.sleep(secs(75)).await;
        assert!(beating.count("failed") > before, "{manner:?}");
    }
    beating.receivers.behave(URL, Manner::Takes);
    beating.clock.sleep(secs(75)).await;
    assert!(beating.pings() >= 1);
}

#[tokio::test(start_paused = true)]
async fn a_new_configuration_is_heeded_at_once() {
    let beating = Beating::start("{ url: 'http://hc/ping', interval: 1h }");
    beating.clock.sleep(minutes(5)).await;
    beating.config.send_replace(Some(
        yaml::read("x", "{ url: 'http://hc/ping', interval: 10s }").unwrap(),
    ));
    beating.clock.sleep(secs(35)).await;
    assert_eq!(beating.pings(), 3);
    beating.config.send_replace(None);
    beating.clock.sleep(minutes(5)).await;
    assert_eq!(beating.pings(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_ping_goes_the_way_that_is_said_for_all_unless_the_heartbeat_says_another() {
    let read = |text: &str| -> crate::Config { yaml::read("x", text).unwrap() };
    let keys = |of: &str| format!("{{ http_headers: {{ X-Of: {{ values: [ {of} ] }} }} }}");
    let all = format!(
        "http_config: {}\nheartbeat: {{ url: 'http://hc/ping' }}\n",
        keys("all")
    );
    let own = format!(
        "http_config: {}\nheartbeat: {{ url: 'http://hc/ping', http_config: {} }}\n",
        keys("all"),
        keys("own")
    );
    for (text, wanted) in [(&all, "all"), (&own, "own")] {
        let config = read(text);
        assert_eq!(config.complaints(), Vec::<String>::new());
        let beating = Beating::start("{ url: 'http://hc/ping' }");
        beating.config.send_replace(config.beats());
        beating.clock.sleep(secs(65)).await;
        let pinged = beating.receivers.got(URL);
        let of = pinged.last().unwrap().headers.iter();
        let of: Vec<_> = of
            .filter(|(name, _)| name == "X-Of")
            .map(|(_, of)| of.as_str())
            .collect();
        assert_eq!(of, [wanted]);
    }
    let wrong = read("heartbeat: { url: 'http://hc/ping', http_config: { no_proxy: a } }\n").complaints();
    assert!(
        wrong[0].starts_with("notifier.heartbeat.http_config.no_proxy: "),
        "{wrong:?}"
    );
}
