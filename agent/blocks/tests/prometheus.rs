//! Independent checks: Prometheus' own tools read what we wrote, and we read what they wrote.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use blocks::Meta;
use model::text::is_legacy_label_name;
use model::{Series, TimeRange};

use crate::components::{Prometheus, find, query, run, start};
use crate::harness::{HOUR, House, counters, equal, everything, hours, labels, series, write};

/// The first hour of 2026.
const START: i64 = 490_896;

/// As promtool prints a label set, each with its samples; a NaN is a NaN.
type Dump = BTreeMap<String, Vec<(i64, String)>>;

fn value(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else {
        value.to_string()
    }
}

fn dump(promtool: &Path, data: &Path) -> Dump {
    let text = run(Command::new(promtool).args(["tsdb", "dump"]).arg(data));
    let mut all = Dump::new();
    for line in text.lines() {
        let mut parts = line.rsplitn(3, ' ');
        let time = parts.next().unwrap().parse().unwrap();
        let number: f64 = parts.next().unwrap().parse().unwrap();
        all.entry(parts.next().unwrap().to_owned())
            .or_default()
            .push((time, value(number)));
    }
    all
}

fn ours(all: &[Series]) -> Dump {
    let name = |series: &Series| {
        let pairs: Vec<String> = series
            .labels
            .iter()
            .map(|(name, value)| match is_legacy_label_name(name) {
                true => format!("{name}={value:?}"),
                false => format!("{name:?}={value:?}"),
            })
            .collect();
        format!("{{{}}}", pairs.join(", "))
    };
    let mut dump = Dump::new();
    for series in all {
        let pairs = series.times.iter().zip(series.values.iter());
        let samples = pairs.map(|(time, number)| (time.0, value(*number)));
        dump.entry(name(series)).or_default().extend(samples);
    }
    dump
}

/// Odd values, odd labels, uneven times.
fn odd(start: i64) -> Vec<Series> {
    let begin = start * HOUR;
    let values = [
        0.0,
        -0.0,
        1e300,
        f64::NAN,
        model::STALE,
        f64::INFINITY,
        f64::NEG_INFINITY,
        0.1,
        1e-320,
    ];
    let times = [0, 1, 2, 10_000, 20_000, 20_001, 500_000, 7_000_000, 7_199_999].map(|time| begin + time);
    vec![
        series(
            labels(&[("__name__", "a"), ("quoted", "x\"y\\z\n"), ("ß", "☃")]),
            times.into_iter().zip(values),
        ),
        series(
            labels(&[("__name__", "b")]),
            (0..1000).map(|nth| (begin + nth * 7001, (nth as f64).sin())),
        ),
    ]
}

/// Says the first difference, not all of both.
fn same(got: &Dump, wanted: &Dump, when: &str) {
    assert!(
        got.keys().eq(wanted.keys()),
        "{when}: {:?} {:?}",
        got.keys(),
        wanted.keys()
    );
    for (name, samples) in wanted {
        let different = got[name].iter().zip(samples).find(|(got, wanted)| got != wanted);
        assert_eq!(different, None, "{when}: {name}");
        assert_eq!(got[name].len(), samples.len(), "{when}: {name}");
    }
}

fn estate(start: i64) -> Vec<Series> {
    let mut all = odd(start);
    all.extend(counters(40, hours(start, start + 2), 15_000));
    all
}

#[test]
fn promtool_prints_what_we_wrote() {
    let Some(promtool) = find("promtool") else { return };
    let house = House::new();
    let blocks = house.open();
    let mut wanted = Dump::new();
    let mut metas: Vec<Meta> = Vec::new();
    for start in [START, START + 2, START + 4, START + 6] {
        metas.push(write(&blocks, start..=start + 2, estate(start)));
        for (name, samples) in ours(&estate(start)) {
            wanted.entry(name).or_default().extend(samples);
        }
    }
    same(&dump(&promtool, house.path()), &wanted, "as written");
    listed(&promtool, house.path(), &metas);
    let made = blocks
        .maintain()
        .compacted
        .expect("planned")
        .made
        .expect("a block");
    same(&dump(&promtool, house.path()), &wanted, "after a compaction");
    listed(&promtool, house.path(), std::slice::from_ref(&made));
    let text = run(Command::new(&promtool)
        .args(["tsdb", "analyze"])
        .arg(house.path())
        .arg(made.ulid.to_string()));
    for line in [format!("Block ID: {}", made.ulid), "Total Series: 42".to_owned()] {
        assert!(text.contains(&line), "{line} is not in\n{text}");
    }
}

fn listed(promtool: &Path, data: &Path, metas: &[Meta]) {
    let list = run(Command::new(promtool).args(["tsdb", "list"]).arg(data));
    for meta in metas {
        let line = list.lines().find(|line| line.contains(&meta.ulid.to_string()));
        let words: Vec<&str> = line.expect("listed").split_whitespace().collect();
        let stats = &meta.stats;
        for number in [
            meta.min_time.0 as u64,
            meta.max_time.0 as u64,
            stats.num_samples,
            stats.num_chunks,
            stats.num_series,
        ] {
            assert!(
                words.contains(&number.to_string().as_str()),
                "{number} is not in {words:?}"
            );
        }
    }
}

#[test]
fn we_read_what_promtool_made_of_openmetrics() {
    let Some(promtool) = find("promtool") else { return };
    let house = House::new();
    let mut wanted = Dump::new();
    for start in [START, START + 2] {
        for (name, samples) in ours(&counters(30, hours(start, start + 2), 60_000)) {
            wanted.entry(name).or_default().extend(samples);
        }
    }
    let mut text = "# TYPE requests counter\n".to_owned();
    for (name, samples) in &wanted {
        // Without the spaces that OpenMetrics does not allow.
        let rest = name
            .replacen("__name__=\"requests_total\", ", "", 1)
            .replace(", ", ",");
        for (time, value) in samples {
            _ = writeln!(text, "requests_total{rest} {value} {}", *time as f64 / 1000.0);
        }
    }
    text.push_str("# EOF\n");
    let input = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(input.path(), text).expect("written");
    run(Command::new(&promtool)
        .args(["tsdb", "create-blocks-from", "openmetrics"])
        .arg(input.path())
        .arg(house.path()));
    let blocks = house.open();
    assert_eq!((blocks.all().len(), blocks.counts().broken), (2, 0));
    for block in blocks.all() {
        block.verify().expect("whole");
    }
    let all = blocks.select(&[], TimeRange::ALL, usize::MAX).expect("read");
    same(&ours(&all), &wanted, "as promtool made it");
    let some = blocks
        .select(&[equal("pod", "pod-00007")], TimeRange::ALL, usize::MAX)
        .expect("read");
    assert_eq!(some.len(), 1);
}

#[test]
fn a_prometheus_works_on_our_folder() {
    let (Some(promtool), Some(_)) = (find("promtool"), find("prometheus")) else {
        return;
    };
    let house = House::new();
    let blocks = house.open();
    for start in [START, START + 2] {
        write(&blocks, start..=start + 2, estate(start));
    }
    let before = everything(&blocks);
    let Some(prometheus) = start(house.path()) else {
        return;
    };
    let seconds = |hour: i64, more: i64| hour * 3600 + more;

    let at = seconds(START + 1, 0);
    let sum: f64 = (1..=40).map(|nth| (at / 15 * nth) as f64).sum();
    let answer = query(&prometheus, &format!("query=sum(requests_total)&time={at}"));
    let number: f64 = answer[0]["value"][1]
        .as_str()
        .expect("a value")
        .parse()
        .expect("a number");
    assert!((number - sum).abs() < 1e-9 * sum, "{number} is not {sum}");
    let answer = query(
        &prometheus,
        &format!(
            "query=count_over_time(requests_total%7Bjob%3D~%22w.*%22%7D%5B4h%5D)&time={}",
            seconds(START + 4, 0)
        ),
    );
    let counts = answer.as_array().expect("a vector");
    assert_eq!(counts.len(), 20);
    // The first sample of the four hours lies at their open end.
    assert!(counts.iter().all(|one| one["value"][1] == "959"), "{answer}");

    made_from_rules(&promtool, &prometheus);
    deleted(&prometheus, &house, &before);
}

fn made_from_rules(promtool: &Path, prometheus: &Prometheus) {
    let output = House::new();
    let rules = tempfile::NamedTempFile::new().expect("a file");
    let text = "groups: [{ name: g, rules: [{ record: 'job:requests:sum', expr: 'sum by (job) (requests_total)' }] }]";
    std::fs::write(rules.path(), text).expect("written");
    let (start, end) = (START * 3600, (START + 2) * 3600);
    run(Command::new(promtool)
        .args(["tsdb", "create-blocks-from", "rules", "--eval-interval=60s"])
        .arg(format!("--url={}", prometheus.url()))
        .arg(format!("--start={start}"))
        .arg(format!("--end={end}"))
        .arg(format!("--output-dir={}", output.path().display()))
        .arg(rules.path()));
    let blocks = output.open();
    assert_eq!(blocks.counts().broken, 0);
    let all = blocks
        .select(
            &[equal("__name__", "job:requests:sum")],
            TimeRange::ALL,
            usize::MAX,
        )
        .expect("read");
    same(
        &ours(&all),
        &dump(promtool, output.path()),
        "as promtool made it of rules",
    );
    assert_eq!(all.len(), 2);
    assert!(all[0].times.len() >= 120, "{}", all[0].times.len());
}

fn deleted(prometheus: &Prometheus, house: &House, before: &crate::harness::Plain) {
    let path = format!(
        "/api/v1/admin/tsdb/delete_series?match[]=requests_total%7Bpod%3D%22pod-00003%22%7D&start={}&end={}",
        START * 3600 + 600,
        START * 3600 + 1200
    );
    assert_eq!(prometheus.ask("POST", &path, &[]).expect("an answer").0, 204);
    let blocks = house.open();
    let after = everything(&blocks);
    let name = "requests_total{job=\"db\", pod=\"pod-00003\"}".to_owned();
    let lost = before[&name].len() - after[&name].len();
    assert_eq!(lost, 600 / 15 + 1, "both ends are deleted");
    assert_eq!(
        before.values().map(Vec::len).sum::<usize>() - lost,
        after.values().map(Vec::len).sum::<usize>()
    );
    let counts: Vec<u64> = blocks
        .all()
        .iter()
        .map(|block| block.meta().stats.num_tombstones)
        .collect();
    assert_eq!(counts, [1, 0]);
    for start in [START + 4, START + 6] {
        write(&blocks, start..=start + 2, estate(start));
    }
    let all = everything(&blocks);
    let made = blocks
        .maintain()
        .compacted
        .expect("planned")
        .made
        .expect("a block");
    assert_eq!(
        (made.span(), made.stats.num_tombstones),
        (hours(START, START + 6), 0)
    );
    assert_eq!(everything(&blocks), all, "what was deleted stays deleted");
    assert_eq!(made.stats.num_samples, 3 * (40 * 480 + 1009) - lost as u64);
}
