//! What a block costs in memory and on disk, as figures that may be lowered.

use std::time::Instant;

use model::{Series, TimeRange};

use crate::harness::{House, equal, hours, labels, range, series};

/// As a cluster's: ten labels, half of the texts of a pod its own.
fn estate(pods: usize, metrics: usize, step: i64) -> impl Iterator<Item = Series> {
    (0..metrics).flat_map(move |metric| {
        let all = (0..pods).map(move |pod| {
            let name = labels(&[
                ("__name__", &format!("container_metric_{metric:03}_total")),
                ("cluster", "production"),
                ("container", &format!("app-{}", pod % 40)),
                (
                    "id",
                    &format!("/kubepods/burstable/pod{pod:08x}/{:016x}", pod * 7919),
                ),
                (
                    "image",
                    &format!("registry.example/team/app-{}:v1.{}.0", pod % 40, pod % 7),
                ),
                ("instance", &format!("10.0.{}.{}:10250", pod % 50 / 25, pod % 25)),
                ("job", "cadvisor"),
                ("namespace", &format!("team-{}", pod % 12)),
                ("node", &format!("node-{:02}", pod % 50)),
                ("pod", &format!("app-{}-{:08x}", pod % 40, pod * 104_729)),
            ]);
            let times = (0..7_200_000 / step).map(move |nth| nth * step);
            let rise = (pod % 50) as i64;
            series(
                name,
                times
                    .enumerate()
                    .map(move |(nth, time)| (time, (nth as i64 * rise) as f64)),
            )
        });
        let mut all: Vec<Series> = all.collect();
        all.sort_by(|a, b| a.labels.cmp(&b.labels));
        all
    })
}

/// Fewer samples than usual: what is measured is the index.
fn measure(pods: usize, metrics: usize) -> f64 {
    let house = House::new();
    let blocks = house.open();
    let all: Vec<Series> = estate(pods, metrics, 600_000).collect();
    let start = Instant::now();
    let meta = blocks.write(hours(0, 2), all).expect("written").expect("a block");
    let written = start.elapsed();
    assert_eq!(meta.stats.num_series, 100_000);
    let block = blocks.all().remove(0);
    let per_series = block.memory_bytes() as f64 / 100_000.0;
    let start = Instant::now();
    drop(house.open());
    let opened = start.elapsed();
    let question = [
        equal("__name__", "container_metric_000_total"),
        equal("pod", "app-0-00000000"),
    ];
    let start = Instant::now();
    let one = blocks.select(&question, TimeRange::ALL, 1000).expect("read");
    let asked = start.elapsed();
    assert_eq!(one.len(), 1);
    let start = Instant::now();
    let all = blocks.labels(&[], range(0, 7_200_000)).expect("read").len();
    println!(
        "{all} series of {pods} pods: {per_series:.2} bytes in memory, {:.1} on disk each; written in {written:?}, opened \
         in {opened:?}, one series in {asked:?}, all labels in {:?}",
        block.bytes() as f64 / 100_000.0,
        start.elapsed()
    );
    per_series
}

#[test]
fn memory_is_a_few_bytes_for_a_series() {
    assert!(measure(1000, 100) < 1.0);
    // Three texts of every series are its own.
    assert!(measure(100_000, 1) < 16.0);
}

#[test]
fn a_sample_takes_about_two_bytes() {
    let house = House::new();
    let blocks = house.open();
    let start = Instant::now();
    let meta = blocks
        .write(hours(0, 2), estate(100, 20, 15_000))
        .expect("written")
        .expect("a block");
    let written = start.elapsed();
    let block = blocks.all().remove(0);
    let per_sample = block.bytes() as f64 / meta.stats.num_samples as f64;
    let read = || {
        let start = Instant::now();
        let found = blocks
            .select(&[], TimeRange::ALL, usize::MAX)
            .expect("read")
            .len();
        assert_eq!(found, 2000);
        start.elapsed()
    };
    // The best of some: the machine does other things too.
    let best = (0..10).map(|_| read()).min().expect("some");
    println!(
        "{} samples of 2000 series: {per_sample:.2} bytes each, written in {written:?}, read in {best:?}",
        meta.stats.num_samples
    );
    assert!(per_sample < 3.0, "{per_sample}");
}

#[test]
fn compacting_copies_chunks() {
    let house = House::new();
    let blocks = house.open();
    for nth in 0..4 {
        let later = |mut series: Series| {
            series.times = series
                .times
                .iter()
                .map(|time| model::Timestamp(time.0 + nth * 7_200_000))
                .collect();
            series
        };
        let all = estate(100, 20, 15_000).map(later);
        blocks.write(hours(2 * nth, 2 * nth + 2), all).expect("written");
    }
    let start = Instant::now();
    let made = blocks
        .maintain()
        .compacted
        .expect("planned")
        .made
        .expect("a block");
    println!(
        "{} samples compacted in {:?}",
        made.stats.num_samples,
        start.elapsed()
    );
    assert_eq!(made.stats.num_chunks, 3 * 4 * 2000);
}
