//! What the receivers remember, held against what was true.

use std::collections::BTreeMap;
use std::time::Duration;

use model::Timestamp;
use serde_json::Value;

use super::house::{Arrival, Fault, HOOK, House, SLACK, is_within};
use super::{ALERTS, Truth, name};
use crate::group::Key;
use crate::pagerduty::dedup_key;
use crate::tests::world::{START, minutes, secs};

#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) faults: usize,
    pub(super) take_overs: usize,
    pub(super) messages: usize,
    pub(super) incidents: usize,
    pub(super) episodes: usize,
    pub(super) marked: usize,
    pub(super) repeats: usize,
    /// Of the repeats those from when both spoke, each not knowing of the other.
    pub(super) doubled: usize,
}

impl Figures {
    pub(super) fn add(&mut self, other: &Self) {
        self.faults += other.faults;
        self.take_overs += other.take_overs;
        self.messages += other.messages;
        self.incidents += other.incidents;
        self.episodes += other.episodes;
        self.marked += other.marked;
        self.repeats += other.repeats;
        self.doubled += other.doubled;
    }
}

fn arrivals(house: &House, url: &str) -> Vec<Arrival> {
    let arrivals = house.outside.arrivals.lock().unwrap();
    arrivals
        .iter()
        .filter(|arrival| arrival.url == url)
        .cloned()
        .collect()
}

fn at(arrival: &Arrival) -> Timestamp {
    START + arrival.at
}

/// `firing` or `resolved` by number.
fn hook(arrival: &Arrival) -> BTreeMap<usize, String> {
    let body: Value = serde_json::from_slice(&arrival.body).unwrap();
    let alerts = body["alerts"].as_array().unwrap().iter();
    let told = alerts.map(|alert| {
        let n = alert["labels"]["n"].as_str().unwrap().parse().unwrap();
        (n, alert["status"].as_str().unwrap().to_owned())
    });
    told.collect()
}

fn key(nth: usize) -> Key {
    format!("{{}}:{{alertname=\"{}\"}}", name(nth)).into()
}

/// In the end everybody believes what is true.
pub(super) fn everybody_knows(house: &House, truth: &[Truth]) {
    let belief: BTreeMap<usize, String> = arrivals(house, HOOK).iter().flat_map(hook).collect();
    let service = house.outside.service.lock().unwrap();
    for (nth, truth) in truth.iter().enumerate() {
        let believed = belief.get(&nth).map(String::as_str);
        let open = service
            .open()
            .filter(|open| open.key == dedup_key(&key(nth)))
            .count();
        if truth.fires() {
            let told = arrivals(house, HOOK)
                .into_iter()
                .filter_map(|arrival| Some((arrival.at, arrival.from, hook(&arrival).remove(&nth)?)));
            let told: Vec<_> = told.collect();
            assert_eq!(
                believed,
                Some("firing"),
                "the webhook about {nth}: {told:?}, {truth:?}, {:?}",
                house.faults
            );
            assert_eq!(open, 1, "an incident of {nth}");
        } else {
            assert_ne!(
                believed,
                Some("firing"),
                "the webhook still believes that {nth} fires"
            );
            // Two of them share a group.
            assert!(
                nth >= ALERTS - 2 || open == 0,
                "an incident of {nth} that is over"
            );
        }
    }
}

pub(super) fn of(house: &House, truth: &[Truth]) -> Figures {
    let mut figures = Figures {
        faults: house.faults.len(),
        take_overs: house.take_overs,
        messages: house.outside.arrivals.lock().unwrap().len(),
        ..Figures::default()
    };
    nothing_false(house, truth);
    nothing_lost(house, truth);
    incidents(house, truth, &mut figures);
    repeats(house, truth, &mut figures);
    figures
}

/// Longest that a word may have been on its way: lost ones are said again each minute, and what was composed is
/// sent within seconds.
const LATE: Duration = Duration::from_secs(6 * 60);

fn nothing_false(house: &House, truth: &[Truth]) {
    for arrival in arrivals(house, HOOK) {
        let when = at(&arrival);
        for (nth, status) in hook(&arrival) {
            let episodes = &truth[nth].episodes;
            let fired = |from: Timestamp, until: Timestamp| {
                episodes
                    .iter()
                    .any(|(began, ended)| *began <= until && ended.is_none_or(|ended| ended >= from))
            };
            let fires_all_along = episodes
                .iter()
                .any(|(began, ended)| *began + LATE <= when && ended.is_none_or(|ended| ended >= when));
            if status == "firing" {
                assert!(
                    fired(when - LATE, when),
                    "{nth} is said to fire at {when:?}: {episodes:?}"
                );
            } else {
                assert!(!fires_all_along, "a false end of {nth} at {when:?}: {episodes:?}");
                assert!(fired(START, when), "an end of {nth} that never fired");
            }
        }
    }
}

/// What fires for long is told, whatever happens.
fn nothing_lost(house: &House, truth: &[Truth]) {
    let arrivals = arrivals(house, HOOK);
    for (nth, truth) in truth.iter().enumerate() {
        let mut before = START;
        for (began, ended) in &truth.episodes {
            let until = ended.unwrap_or(Timestamp::MAX);
            if until.since(*began) > minutes(12) {
                // What ended and fires again soon may never have been told to have ended.
                let from = if began.since(before) < LATE { START } else { *began };
                let told = arrivals.iter().any(|arrival| {
                    let when = at(arrival);
                    from <= when
                        && when <= until
                        && hook(arrival).get(&nth).is_some_and(|word| word == "firing")
                });
                assert!(
                    told,
                    "{nth} fired from {began:?} to {until:?} and nobody was told"
                );
            }
            before = until;
        }
    }
}

/// No group had more incidents than times that it fired.
fn incidents(house: &House, truth: &[Truth], figures: &mut Figures) {
    let service = house.outside.service.lock().unwrap();
    figures.incidents = service.incidents.len();
    for nth in 0..ALERTS - 1 {
        let mut episodes: Vec<(Timestamp, Timestamp)> = truth
            .iter()
            .enumerate()
            .filter(|(other, _)| name(*other) == name(nth))
            .flat_map(|(_, truth)| &truth.episodes)
            .map(|(began, ended)| (*began, ended.unwrap_or(Timestamp::MAX)))
            .collect();
        episodes.sort_unstable();
        let mut times: Vec<(Timestamp, Timestamp)> = Vec::new();
        for (began, ended) in episodes {
            match times.last_mut() {
                // Whose beginning was heard of after the end of the one before is a new incident.
                Some((_, last)) if began + secs(120) <= *last => *last = (*last).max(ended),
                _ => times.push((began, ended)),
            }
        }
        figures.episodes += times.len();
        let opened = service
            .incidents
            .iter()
            .filter(|incident| incident.key == dedup_key(&key(nth)));
        let opened: Vec<_> = opened
            .map(|incident| (incident.opened, incident.resolved, incident.triggers.len()))
            .collect();
        assert!(
            opened.len() <= times.len(),
            "{} incidents of {nth}, which fired {} times: {opened:?} {times:?} {:?} {:?}",
            opened.len(),
            times.len(),
            arrivals(house, HOOK)
                .iter()
                .filter_map(|arrival| Some((arrival.at, arrival.from, hook(arrival).remove(&nth)?)))
                .collect::<Vec<_>>(),
            house.faults
        );
    }
}

/// A message that says what the one before it said, though nothing has changed in between, says that it may be one;
/// and there are no more of them than faults.
fn repeats(house: &House, truth: &[Truth], figures: &mut Figures) {
    let arrivals = arrivals(house, SLACK);
    for (nth, truth) in truth.iter().enumerate().take(ALERTS - 2) {
        let mut last: Option<(&Arrival, bool)> = None;
        let (mut repeats, name) = (0, name(nth));
        for arrival in &arrivals {
            let text = String::from_utf8_lossy(&arrival.body).into_owned();
            if !text.contains(&format!(": {name}\"")) {
                continue;
            }
            let fires = text.contains("Firing: ");
            let is_marked = text.contains("possibly a repeat");
            figures.marked += usize::from(is_marked);
            if let Some((before, fired)) = last
                && fired == fires
            {
                // Two ends, or two beginnings, with one of the other kind in between that nobody was told of.
                let changes = truth.episodes.iter().filter(|(began, ended)| {
                    let turn = if fires { Some(*began) } else { *ended };
                    turn.is_some_and(|turn| at(before) - secs(120) < turn && turn <= at(arrival))
                });
                let changed = changes.count() > usize::from(fires);
                let was_marked = String::from_utf8_lossy(&before.body).contains("possibly a repeat");
                if before.from != arrival.from && is_within(&house.blind, arrival.at) && !is_marked {
                    figures.doubled += 1;
                } else if !changed {
                    repeats += 1;
                    assert!(
                        is_marked || was_marked,
                        "{name} is told twice at {:?} and {:?}, from {} and {}, fires: {fires}; {:?} {:?}",
                        before.at,
                        arrival.at,
                        before.from,
                        arrival.from,
                        truth.episodes,
                        house.faults
                    );
                }
            }
            last = Some((arrival, fires));
        }
        figures.repeats += repeats;
        assert!(repeats <= faults(house), "{repeats} repeats of {name}");
    }
}

fn faults(house: &House) -> usize {
    let matter = house
        .faults
        .iter()
        .filter(|(_, fault)| !matches!(fault, Fault::Clock(..)));
    matter.count()
}
