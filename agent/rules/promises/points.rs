//! M of N: what fires and what ends is what a count of the last evaluations says, over restarts, failures and silence.

use std::collections::VecDeque;
use std::time::Duration;

use fastrand::Rng;

use super::house::{House, INTERVAL};
use crate::alert::{Found, State, Table, Times};
use crate::points::Datapoints;

use model::{Labels, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

const THREE_OF_FIVE: &str =
    "groups: [{name: g, rules: [{alert: Bad, expr: bad == 1, datapoints: {m: 3, n: 5}}]}]";

fn cases() -> u64 {
    std::env::var_os("SKOPOS_TEST_LONG").map_or(300, |_| 100_000)
}

/// What an evaluation says of one alert.
#[derive(Clone, Copy, PartialEq)]
enum Said {
    Found,
    Missing,
    /// Nothing is known of it.
    Unknown,
}

/// A list of the last evaluations that said something, and nothing clever.
struct Model {
    m: usize,
    n: usize,
    last: VecDeque<bool>,
    keep_firing: Duration,
    firing: bool,
    /// Since when it fires only because it is to go on.
    kept_since: Option<Timestamp>,
}

impl Model {
    fn step(&mut self, said: Said, at: Timestamp) -> &'static str {
        let was_active = self.firing || self.last.contains(&true);
        if said != Said::Unknown || !was_active {
            self.last.push_back(said == Said::Found);
            if self.last.len() > self.n {
                self.last.pop_front();
            }
            let count = self.last.iter().filter(|found| **found).count();
            if count >= self.m {
                (self.firing, self.kept_since) = (true, None);
            } else if self.firing {
                let since = *self.kept_since.get_or_insert(at);
                if at.since(since) >= self.keep_firing {
                    (self.firing, self.kept_since) = (false, None);
                }
            }
        }
        match (self.firing, self.last.contains(&true)) {
            (true, _) => "firing",
            (false, true) => "pending",
            (false, false) => "none",
        }
    }
}

#[test]
fn a_table_says_what_a_count_says() {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for seed in 0..cases() {
        let mut rng = Rng::with_seed(seed);
        let n = [1, 2, 5, 20, 64][rng.usize(..5)];
        let m = rng.u32(1..=n);
        let keep_firing = Duration::from_secs([0, 60, 240][rng.usize(..3)]);
        let times = Times {
            keep_firing,
            datapoints: Some(Datapoints::new(m, n).unwrap()),
            ..Times::default()
        };
        let mut model = Model {
            m: m as usize,
            n: n as usize,
            last: VecDeque::new(),
            keep_firing,
            firing: false,
            kept_since: None,
        };
        let labels = Labels::from_pairs([("alertname", "A")]);
        let mut table = Table::default();
        let mut at = Timestamp(1_700_000_000_000);
        let (often, never) = (rng.u8(1..10), rng.u8(..4));
        let mut end = None;
        for _ in 0..150 {
            // Now and then evaluations are missed.
            at = at + Duration::from_secs(60) * u32::from(1 + rng.u8(..20) / 19);
            let said = match rng.u8(..10) {
                dice if dice < never => Said::Unknown,
                _ if rng.u8(..10) < often => Said::Found,
                _ => Said::Missing,
            };
            let one = || Found {
                annotations: Labels::empty(),
                value: 1.0,
                source: Labels::empty(),
            };
            let about = |is: Said| (said == is).then(|| labels.clone());
            let found = about(Said::Found).map(|labels| (labels, one()));
            let unknown: BTreeSet<Labels> = about(Said::Unknown).into_iter().collect();
            table.step(at, times, found.into_iter().collect(), &unknown);
            let alert = table.alerts.get(&labels);
            let state = match alert.map(|alert| alert.state) {
                Some(State::Firing) => "firing",
                Some(State::Pending) => "pending",
                Some(State::Resolved) | None => "none",
            };
            assert_eq!(state, model.step(said, at), "{m} of {n}, seed {seed}");
            *seen.entry(state).or_default() += 1;
            // An end is told for as long as it stands, and changes only with another.
            let told = alert.and_then(|alert| alert.resolved_at);
            assert!(state != "firing" || told.is_none());
            if let (Some(told), Some(end)) = (told, end) {
                assert!(told == end || at == told, "seed {seed}");
            }
            end = told;
            // As the journal keeps it.
            if rng.u8(..10) == 0 {
                for alert in table.alerts.values_mut() {
                    let text = serde_json::to_string(alert).unwrap();
                    *alert = serde_json::from_str(&text).unwrap();
                }
            }
        }
    }
    println!("{seen:?}");
    assert!(
        seen.len() == 3 && seen.values().all(|count| *count > 1000),
        "{seen:?}"
    );
}

/// One evaluation for each letter: `1` is true, `0` is not, `!` fails, `R` is a restart after one that is true.
async fn run(mut house: House, rules: &str, script: &str) -> (House, String) {
    let mut states = String::new();
    for letter in script.chars() {
        match letter {
            '!' => house.gate.fail("bad"),
            '0' => house.set("bad", "a", 0.0),
            _ => house.set("bad", "a", 1.0),
        }
        house.run(INTERVAL).await;
        house.gate.mend();
        states += match house.alerts().first().map(String::as_str) {
            None => ".",
            Some("bad pending") => "p",
            Some("bad firing") => "F",
            Some(_) => "r",
        };
        if letter == 'R' {
            house = house.restart(rules, Duration::ZERO, true).await;
        }
    }
    (house, states)
}

async fn states(rules: &str, script: &str) -> String {
    let mut house = House::new(rules);
    house.set("bad", "a", 0.0);
    house.run(INTERVAL).await;
    run(house, rules, script).await.1
}

#[tokio::test(start_paused = true)]
async fn an_alert_fires_in_three_of_five_and_ends_below_it() {
    assert_eq!(states(THREE_OF_FIVE, "1010100").await, "ppppFpp");
    assert_eq!(states(THREE_OF_FIVE, "1100000001").await, "pppppp...p");
    assert_eq!(states(THREE_OF_FIVE, "11100000000").await, "ppFFFpprrrr");
}

#[tokio::test(start_paused = true)]
async fn an_evaluation_that_fails_is_none_of_them() {
    assert_eq!(states(THREE_OF_FIVE, "1!1!!!!!1").await, "ppppppppF");
}

#[tokio::test(start_paused = true)]
async fn the_count_survives_a_restart() {
    assert_eq!(states(THREE_OF_FIVE, "10R01").await, "ppppF");
    assert_eq!(states(THREE_OF_FIVE, "R0R0R00").await, "ppppFpp");
    // A firing one neither ends nor fires anew, and ends when the count says so.
    assert_eq!(states(THREE_OF_FIVE, "11RR0000").await, "ppFFFFpp");
}

#[tokio::test(start_paused = true)]
async fn it_keeps_firing_for_its_time_below_the_count() {
    let rules = "
groups:
- name: g
  rules:
  - {alert: Bad, expr: bad == 1, datapoints: {m: 2, n: 2}, keep_firing_for: 30s}
";
    assert_eq!(states(rules, "1101000000").await, "pFFFFrrrrr");
}

#[tokio::test(start_paused = true)]
async fn a_reload_to_datapoints_ends_nothing() {
    let plain = "groups: [{name: g, rules: [{alert: Bad, expr: bad == 1}]}]";
    let mut house = House::new(plain);
    house.set("bad", "a", 1.0);
    house.seconds(20).await;
    house.apply(THREE_OF_FIVE);
    let (mut house, states) = run(house, THREE_OF_FIVE, "11000").await;
    assert_eq!(states, "FFFFp");
    assert_eq!(house.news(), ["Bad firing", "Bad resolved"]);
}

#[tokio::test(start_paused = true)]
async fn while_a_sender_is_silent_nothing_is_counted() {
    let mut house = House::new(THREE_OF_FIVE);
    house.send("x", "bad", "x:1", 1.0);
    house.seconds(20).await;
    assert_eq!(house.alerts(), ["bad pending"]);
    house.silence("x", false).await;
    let before = house.alerts();
    house.seconds(600).await;
    assert_eq!(house.alerts(), before);
}

#[tokio::test(start_paused = true)]
async fn its_end_is_told_once_while_it_is_pending_again() {
    let mut house = House::new(THREE_OF_FIVE);
    house.set("bad", "a", 0.0);
    house.run(INTERVAL).await;
    let (mut house, _) = run(house, THREE_OF_FIVE, "1110001").await;
    let told = house.told();
    let ends: BTreeSet<_> = told
        .iter()
        .map(|event| format!("{} {:?}", event.starts_at.0, event.state))
        .collect();
    assert_eq!(ends.len(), 2, "{told:?}");
    assert_eq!(house.alerts(), ["bad pending"]);
}
