//! Two notifiers of a pair through random kills, pauses, partitions and an arbiter that goes away; with receivers
//! that remember. Nothing is lost, no incident is opened twice, and what is repeated says so.

mod house;
mod verdict;

use std::time::Duration;

use fastrand::Rng;
use model::{AlertEvent, Timestamp};

use self::house::{Fault, House};
use super::world::{firing, minutes, resolved, rounds, secs};

/// Each alert is a group of its own, but for the last two.
const ALERTS: usize = 8;

/// What is true of an alert: when it began to fire, and when it ended.
#[derive(Clone, Debug, Default)]
pub(super) struct Truth {
    pub(super) episodes: Vec<(Timestamp, Option<Timestamp>)>,
}

impl Truth {
    pub(super) fn fires(&self) -> bool {
        self.episodes.last().is_some_and(|(_, end)| end.is_none())
    }

    fn flip(&mut self, now: Timestamp) {
        match self.episodes.last_mut() {
            Some((_, end @ None)) => *end = Some(now),
            _ => self.episodes.push((now, None)),
        }
    }
}

/// `Alert6` has two alerts.
pub(super) fn name(nth: usize) -> String {
    format!("Alert{}", nth.min(ALERTS - 2))
}

struct Life {
    random: Rng,
    house: House,
    truth: [Truth; ALERTS],
    /// When rules last spoke of it.
    said: [Duration; ALERTS],
}

impl Life {
    fn event(&self, nth: usize) -> Option<AlertEvent> {
        let now = self.house.now();
        let (began, ended) = *self.truth[nth].episodes.last()?;
        let n = nth.to_string();
        match ended {
            None => Some(AlertEvent {
                starts_at: began,
                ..firing(&name(nth), &n, now)
            }),
            Some(ended) if now.since(ended) < minutes(15) => Some(resolved(&name(nth), &n, began, ended)),
            Some(_) => None,
        }
    }

    /// Both rules see the same; words get lost, and whoever is dead hears nothing.
    fn say(&mut self, nth: usize, loss: u8) {
        self.said[nth] = self.house.running();
        let Some(event) = self.event(nth) else {
            return;
        };
        for half in 0..2 {
            if self.random.u8(..) >= loss {
                self.house.hears(half, event.clone());
            }
        }
    }

    fn flip(&mut self, nth: usize) {
        let now = self.house.now();
        self.truth[nth].flip(now);
        self.say(nth, 40);
    }

    async fn tick(&mut self, loss: u8) {
        self.house.tick().await;
        for nth in 0..ALERTS {
            if self.house.running() - self.said[nth] >= minutes(1) {
                self.say(nth, loss);
            }
        }
    }

    async fn live(&mut self, time: Duration) {
        let end = self.house.running() + time;
        let (mut flips, mut faults) = (self.house.running(), self.house.running() + secs(60));
        while self.house.running() < end {
            if self.house.running() >= flips {
                let nth = self.random.usize(..ALERTS);
                self.flip(nth);
                flips = self.house.running() + secs(self.random.u64(5..90));
            }
            if self.house.running() >= faults {
                self.fault().await;
                faults = self.house.running() + secs(self.random.u64(20..200));
            }
            self.tick(20).await;
        }
    }

    async fn fault(&mut self) {
        let half = self.random.usize(..2);
        let fault = match self.random.usize(..12) {
            9 | 10 => Fault::KillAtArrival(half, secs(self.random.u64(2..60))),
            11 => Fault::PauseAtArrival(half, secs(self.random.u64(2..50))),
            0 | 1 => Fault::Kill(half, secs(self.random.u64(2..60))),
            2 => Fault::Both(secs(self.random.u64(2..40))),
            3 | 4 => Fault::Pause(half, secs(self.random.u64(2..50))),
            5 => Fault::Partition(secs(self.random.u64(2..90))),
            6 => Fault::Arbiter(secs(self.random.u64(5..200))),
            7 => Fault::Receiver(secs(self.random.u64(5..60))),
            _ => Fault::Clock(half, self.random.i64(-3_000..3_000)),
        };
        self.house.suffers(fault).await;
    }

    /// Everything works again, and rules speak as they do.
    async fn calm(&mut self, time: Duration) {
        self.house.heals().await;
        let end = self.house.running() + time;
        while self.house.running() < end {
            self.tick(0).await;
        }
    }
}

async fn lead_a_life(seed: u64) -> verdict::Figures {
    fastrand::seed(seed);
    let mut random = Rng::with_seed(seed);
    let house = House::new(random.fork());
    let mut life = Life {
        random,
        house,
        truth: Default::default(),
        said: [Duration::ZERO; ALERTS],
    };
    life.live(minutes(60)).await;
    life.calm(minutes(20)).await;
    verdict::everybody_knows(&life.house, &life.truth);
    for nth in 0..ALERTS {
        if life.truth[nth].fires() {
            life.flip(nth);
        }
    }
    life.calm(minutes(20)).await;
    verdict::everybody_knows(&life.house, &life.truth);
    life.house.is_empty();
    verdict::of(&life.house, &life.truth)
}

#[tokio::test(start_paused = true)]
async fn nothing_is_lost_and_nothing_is_told_twice_without_saying_so() {
    let mut sum = verdict::Figures::default();
    let (first, lives) = match std::env::var("SKOPOS_TEST_SEED") {
        Ok(seed) => (seed.parse().unwrap(), 1),
        Err(_) => (0, rounds(8)),
    };
    for seed in first..first + lives {
        println!("seed {seed}");
        sum.add(&lead_a_life(seed).await);
    }
    println!("{lives} lives: {sum:?}");
    assert!(sum.faults > 0 && sum.messages > 0 && sum.take_overs > 0);
}
