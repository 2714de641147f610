//! Random lives: alerts come and go, receivers fail in every way, the process dies, the configuration
//! changes. In the end everybody knows what is true, and nobody was told what was not.

use std::collections::BTreeMap;

use fastrand::Rng;
use model::{AlertEvent, Clock, Timestamp};

use super::world::{Attempt, Manner, World, config, firing, minutes, resolved, rounds, secs};

const RECEIVERS: [&str; 2] = ["http://one/", "http://two/"];
const ALERTS: usize = 12;

/// What rules know of one alert.
#[derive(Clone, Copy, Debug, Default)]
struct Truth {
    fires_since: Option<Timestamp>,
    ended: Option<(Timestamp, Timestamp)>,
}

struct Life {
    random: Rng,
    world: World,
    truth: [Truth; ALERTS],
}

fn settings(random: &mut Rng) -> String {
    let group_by = ["[alertname]", "[alertname, n]", "['...']", "[]"][random.usize(..4)];
    format!(
        "webhook: [{{ name: one, url: '{}' }}, {{ name: two, url: '{}' }}]\n\
         group_by: {group_by}\ngroup_interval: 2m\nrepeat_interval: 20m\nresolve_wait: {}s",
        RECEIVERS[0],
        RECEIVERS[1],
        random.usize(..40)
    )
}

fn name(nth: usize) -> String {
    format!("Alert{}", nth % 4)
}

impl Life {
    fn new(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let world = World::new(&settings(&mut random));
        Self {
            random,
            world,
            truth: [Truth::default(); ALERTS],
        }
    }

    fn event(&self, nth: usize) -> Option<AlertEvent> {
        let now = self.world.clock.now();
        let truth = self.truth[nth];
        let n = nth.to_string();
        if let Some(since) = truth.fires_since {
            let heard = AlertEvent {
                starts_at: since,
                ..firing(&name(nth), &n, now)
            };
            return Some(heard);
        }
        let (since, end) = truth.ended?;
        (now.since(end) < minutes(15)).then(|| resolved(&name(nth), &n, since, end))
    }

    async fn say(&self, nth: usize) {
        // Losing one is harmless, so some are lost.
        if let Some(event) = self.event(nth) {
            self.world.says(event).await;
        }
    }

    async fn say_all(&mut self) {
        for nth in 0..ALERTS {
            if self.random.u8(..) > 25 {
                self.say(nth).await;
            }
        }
    }

    async fn flip(&mut self, nth: usize) {
        let now = self.world.clock.now();
        let truth = &mut self.truth[nth];
        match truth.fires_since.take() {
            Some(since) => truth.ended = Some((since, now)),
            None => truth.fires_since = Some(now),
        }
        if self.random.u8(..) > 25 {
            self.say(nth).await;
        }
    }

    fn misbehave(&mut self) {
        let url = RECEIVERS[self.random.usize(..2)];
        let manner = match self.random.usize(..11) {
            0 => Manner::Answers(500),
            1 => Manner::Answers(400),
            2 => Manner::Throttles(self.random.u64(..200)),
            3 => Manner::Refuses,
            4 => Manner::Hangs,
            5 => Manner::HangsAfterReading,
            6 => Manner::TakesAfter(secs(self.random.u64(1..9))),
            7 => Manner::Answers(504),
            _ => Manner::Takes,
        };
        self.world.receivers.behave(url, manner);
    }

    async fn live(mut self, steps: usize) -> Self {
        for _ in 0..steps {
            match self.random.usize(..20) {
                0..=7 => {
                    let nth = self.random.usize(..ALERTS);
                    self.flip(nth).await;
                }
                8..=9 => self.misbehave(),
                10 => self.world = self.world.crash().await,
                11 => self.world = self.world.restart().await,
                12 => {
                    let text = settings(&mut self.random);
                    self.world.config = config(&text);
                    self.world.handle.apply(config(&text)).await.unwrap();
                }
                13 => self.world.clock.skew(self.random.i64(-4_000..4_000)),
                _ => {
                    let wait = [1, 5, 20, 60, 200][self.random.usize(..5)];
                    self.world.wait(secs(wait)).await;
                }
            }
            self.say_all().await;
            self.world.balances();
        }
        self
    }

    /// Everything works again, and rules speak as they do.
    async fn calm(&mut self, time: u64) {
        for url in RECEIVERS {
            self.world.receivers.behave(url, Manner::Takes);
        }
        for _ in 0..time {
            for nth in 0..ALERTS {
                self.say(nth).await;
            }
            self.world.wait(minutes(1)).await;
        }
        self.world.balances();
    }

    /// What `url` believes of each alert.
    fn belief(&self, url: &str) -> BTreeMap<String, String> {
        self.world
            .receivers
            .got(url)
            .iter()
            .flat_map(Attempt::alerts)
            .collect()
    }

    fn everybody_knows(&self) {
        for url in RECEIVERS {
            let belief = self.belief(url);
            for (nth, truth) in self.truth.iter().enumerate() {
                let believed = belief.get(&nth.to_string()).map(String::as_str);
                match truth.fires_since {
                    Some(_) => assert_eq!(believed, Some("firing"), "{url} about {nth}"),
                    None => assert!(
                        believed != Some("firing"),
                        "{url} still believes that {nth} fires"
                    ),
                }
            }
        }
    }

    /// An end is told only to who was told, or may have been told, of the beginning.
    fn no_end_without_a_beginning(&self) {
        for url in RECEIVERS {
            let mut begun: BTreeMap<String, bool> = BTreeMap::new();
            for attempt in self
                .world
                .receivers
                .attempts()
                .iter()
                .filter(|attempt| attempt.url == url)
            {
                for (n, status) in attempt.alerts() {
                    let known = begun.entry(n.clone()).or_default();
                    if status == "firing" {
                        *known |= attempt.arrived || attempt.unsure;
                    } else {
                        assert!(*known, "{url}: the end of {n} and no beginning");
                    }
                }
            }
        }
    }
}

async fn lead_a_life(seed: u64) {
    let steps = 120;
    let mut life = Life::new(seed).live(steps).await;
    // Longer than a refusal is respected, than any throttling, and than all waits together.
    life.calm(45).await;
    life.everybody_knows();
    for nth in 0..ALERTS {
        if life.truth[nth].fires_since.is_some() {
            life.flip(nth).await;
        }
    }
    life.calm(30).await;
    life.everybody_knows();
    life.no_end_without_a_beginning();
    assert_eq!(life.world.metric("alertmanager_alerts{state=\"active\"}"), 0.0);
    assert_eq!(
        life.world.metric("alertmanager_dispatcher_aggregation_groups"),
        0.0
    );
    let ledger = life.world.handle.ledger();
    assert_eq!(ledger.in_flight, 0, "{ledger:?}");
}

#[tokio::test(start_paused = true)]
async fn in_the_end_everybody_knows_what_is_true() {
    let lives = rounds(15);
    for seed in 0..lives {
        println!("seed {seed}");
        lead_a_life(seed).await;
    }
}
