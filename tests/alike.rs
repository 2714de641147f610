//! `ALERTS` and `ALERTS_FOR_STATE` are those of a real Prometheus that runs the same rules on the same data.
//!
//! Both get the same samples by remote write, between their slots, and evaluate the same file. Slots lie apart by a fixed
//! phase, because each spreads its groups in its own way; so what is compared is which series there are after each
//! write, and after which write each alert became active. A round in which a machine was too slow to write between the
//! slots proves nothing: then it begins again.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use model::{Labels, Timestamp};
use serde_json::Value;

use crate::harness::components::write::{Written, body};
use crate::harness::components::{Prometheus, find_kept};
use crate::harness::write::{Version, post};
use crate::harness::{Skopos, long_run};

const INTERVAL: i64 = 5_000;
/// A write has come too late when the next slot is nearer than this.
const MARGIN: i64 = 250;
const TRIES: usize = 3;
const HOSTS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
/// As remote write has it.
const STALE: u64 = 0x7ff0_0000_0000_0002;

const RULES: &str = r#"
groups:
  - name: alike
    interval: 5s
    rules:
      - { record: 'alike:alive', expr: vector(1) }
      - { record: 'alike:zone:sum', expr: 'sum by (zone) (load)' }
      - { alert: Plain, expr: load > 50 }
      - { alert: Held, expr: load > 40, for: 8s }
      - { alert: HeldLong, expr: load > 20, for: 14s }
      - { alert: Kept, expr: load > 60, keep_firing_for: 12s }
      - { alert: HeldAndKept, expr: load > 30, for: 5s, keep_firing_for: 5s }
      - alert: Shaped
        expr: load > 50
        labels: { grade: '{{ if gt $value 80.0 }}high{{ else }}low{{ end }}', at: '{{ $labels.host }}-{{ $labels.none }}', zone: '' }
        annotations: { value: '{{ $value | humanize }}' }
      - { alert: Zone, expr: 'alike:zone:sum > 150', for: 5s, labels: { severity: page } }
      - { alert: Many, expr: 'count(ALERTS{alertname="Plain", alertstate="firing"}) > 2' }
      - { alert: Gone, expr: 'absent(load{host="a"})', for: 5s }
      - { alert: Past, expr: load offset 10s > 70 }
      - { alert: Changing, expr: 'changes(load[16s]) > 2' }
      - { alert: Scalar, expr: 'scalar(sum(load)) > bool 300' }
      - { alert: Twins, expr: load > 90, labels: { host: '' } }
      - { alert: Broken, expr: 'load * on (zone) group_left () alike:zone:sum > 9000' }
"#;

fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

async fn sleep_until(millis: i64) {
    let left = u64::try_from(millis - now()).unwrap_or(0);
    tokio::time::sleep(Duration::from_millis(left)).await;
}

/// Every sample of a series, by its labels: milliseconds and value.
type Samples = BTreeMap<Labels, Vec<(i64, f64)>>;

fn samples(answer: &str) -> Samples {
    let answer: Value = serde_json::from_str(answer).unwrap();
    let result = answer["data"]["result"]
        .as_array()
        .unwrap_or_else(|| panic!("{answer}"));
    let series = result.iter().map(|series| {
        let labels: BTreeMap<String, String> = serde_json::from_value(series["metric"].clone()).unwrap();
        let values = series["values"].as_array().unwrap();
        let values = values.iter().map(|pair| {
            let millis = (pair[0].as_f64().unwrap() * 1e3).round() as i64;
            (millis, pair[1].as_str().unwrap().parse().unwrap())
        });
        (Labels::from_pairs(labels), values.collect())
    });
    series.collect()
}

const ALIVE: &str = "/api/v1/query?query=alike:alive[1h]";

fn slots(samples: &Samples) -> Vec<i64> {
    samples.values().flatten().map(|(time, _)| *time).collect()
}

/// Which write came last before a slot.
fn after(writes: &[i64], slot: i64) -> usize {
    writes.partition_point(|write| *write < slot)
}

/// What there was, by label set: after which write, and what it said.
type Story = BTreeMap<String, Vec<(usize, String)>>;

/// None: a slot was missed, so that there is nothing to compare.
fn story(all: &[Samples], slots: &[i64], writes: &[i64]) -> Option<Story> {
    let after_writes: Vec<usize> = slots.iter().map(|slot| after(writes, *slot)).collect();
    let is_whole =
        (1..=writes.len()).all(|nth| after_writes.iter().filter(|after| **after == nth).count() >= 1);
    // The last write is followed by one slot or more; all before by one exactly.
    let is_single =
        (1..writes.len()).all(|nth| after_writes.iter().filter(|after| **after == nth).count() == 1);
    if !is_whole || !is_single {
        return None;
    }
    let mut story = Story::new();
    for (labels, values) in all.iter().flatten() {
        let is_since = labels.name() == "ALERTS_FOR_STATE";
        for (time, value) in values {
            let nth = after(writes, *time);
            if nth == 0 || nth == writes.len() {
                continue;
            }
            let said = if is_since {
                let since = slots.iter().find(|slot| slot.div_euclid(1000) as f64 == *value);
                format!("since {:?}", since.map(|slot| after(writes, *slot)))
            } else {
                value.to_string()
            };
            story.entry(labels.to_string()).or_default().push((nth, said));
        }
    }
    Some(story)
}

/// One go with so many writes; both stories, or none if the machine was too slow.
async fn go(program: &Path, rounds: usize) -> Option<(Story, Story)> {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let rules = folder.path().join("rules.yaml");
    std::fs::write(&rules, RULES).unwrap();
    let config = format!("rule_files: ['{}']\n", rules.display());
    let prometheus = Prometheus::start(
        program,
        data.path(),
        &config,
        &["--web.enable-remote-write-receiver"],
    );
    let skopos = Skopos::start(
        folder.path(),
        "node: { enabled: false }\nlogs: { enabled: false }\nrule_files: [rules.yaml]\nrules: { shipped: false }\n",
    );
    // Prometheus shows alerts from its second round on.
    skopos
        .wait_for("three rounds of both", Duration::from_secs(60), async |skopos| {
            let theirs = slots(&samples(&prometheus.get(ALIVE))).len();
            slots(&samples(&skopos.get(ALIVE).await.1)).len() > 2 && theirs > 2
        })
        .await;
    let phase = |answer: &str| slots(&samples(answer))[0].rem_euclid(INTERVAL);
    let (theirs, ours) = (phase(&prometheus.get(ALIVE)), phase(&skopos.get(ALIVE).await.1));
    let (first, second) = (theirs.min(ours), theirs.max(ours));
    // In the middle of the wider gap between the two.
    let (middle, gap) = if second - first > INTERVAL / 2 {
        (i64::midpoint(first, second), second - first)
    } else {
        let gap = INTERVAL - (second - first);
        ((second + gap / 2).rem_euclid(INTERVAL), gap)
    };
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut random = fastrand::Rng::new();
    let labels = HOSTS.map(|host| {
        let zone = if host < "d" { "east" } else { "west" };
        Labels::from_pairs([("__name__", "load"), ("host", host), ("zone", zone)])
    });
    let mut values = HOSTS.map(|_| Some(random.f64() * 100.0));
    let mut writes = Vec::new();
    let mut next = (now() / INTERVAL + 1) * INTERVAL + middle;
    for _ in 0..rounds {
        sleep_until(next).await;
        let mut written = Vec::new();
        for (labels, value) in labels.iter().zip(&mut values) {
            let was = value.is_some();
            // Some stay as they are, some end and come back.
            match random.u8(0..10) {
                0..=1 => *value = None,
                2..=7 => *value = Some(f64::from(random.u8(0..100))),
                _ => {}
            }
            let said = value.or_else(|| was.then(|| f64::from_bits(STALE)));
            written.extend(said.map(|said| Written {
                labels,
                samples: vec![(Timestamp(next), said)],
            }));
        }
        prometheus.write(&written);
        let url = skopos.url("/api/v1/write");
        let (status, _, text) = post(&client, &url, None, Version::One, body(&written)).await;
        assert_eq!(status / 100, 2, "{text}");
        if now() > next + gap / 2 - MARGIN {
            return None;
        }
        writes.push(next);
        next += INTERVAL;
    }
    sleep_until(next).await;
    let mut both = Vec::new();
    for is_ours in [false, true] {
        let mut answers = Vec::new();
        for name in ["alike:alive", "ALERTS", "ALERTS_FOR_STATE", "alike:zone:sum"] {
            let path = format!("/api/v1/query?query={name}[1h]");
            let text = if is_ours {
                skopos.get(&path).await.1
            } else {
                prometheus.get(&path)
            };
            answers.push(samples(&text));
        }
        let alive = slots(&answers.remove(0));
        both.push(story(&answers, &alive, &writes)?);
    }
    assert_eq!(skopos.stop().await, 0);
    let ours = both.pop()?;
    both.pop().map(|theirs| (theirs, ours))
}

#[tokio::test]
async fn alerts_are_series_as_prometheus_has_them() {
    let Some(program) = find_kept("prometheus") else {
        return;
    };
    let rounds = if long_run() { 122 } else { 8 };
    for _ in 0..TRIES {
        let Some((theirs, ours)) = go(&program, rounds).await else {
            continue;
        };
        let differing = theirs
            .keys()
            .chain(ours.keys())
            .filter(|key| theirs.get(*key) != ours.get(*key));
        let differing: Vec<_> = differing
            .map(|key| (key, theirs.get(key), ours.get(key)))
            .collect();
        assert!(differing.is_empty(), "{differing:#?}");
        let count: usize = theirs.values().map(Vec::len).sum();
        println!(
            "{} series and {count} samples of {rounds} rounds are alike",
            theirs.len()
        );
        assert!(theirs.len() > 10, "{theirs:?}");
        return;
    }
    panic!("this machine is too slow to write between two slots, {TRIES} times");
}
