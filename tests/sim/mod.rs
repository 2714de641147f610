//! The seeded simulator: a pair of replicas, their nodes, the arbiter and the receivers in one process on
//! virtual time, with a network and disks that fail by the seed.
//!
//! The rooms are the real ones; only clock, network, disk, arbiter and receivers are the simulator's own. A run
//! that fails prints its seed and replays exactly: `SKOPOS_SIM_SEED=n cargo test --test tests sim::`.

mod arbiter;
mod checks;
mod disk;
mod faults;
mod machine;
mod net;
mod node;
mod process;
mod receivers;
mod replica;
mod trace;
mod truth;
mod world;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;

use faults::{Kind, Plan};

use crate::harness::long_run;

const SEEDS: u64 = 25;
const SEEDS_LONG: u64 = 2_000;
/// Lines of the run's own log that a failure shows.
const SHOWN: usize = 200;

/// What one run has come to.
struct Outcome {
    seed: u64,
    plan: Vec<String>,
    kinds: Vec<Kind>,
    lines: Vec<String>,
    wrong: Vec<String>,
    seen: checks::Seen,
}

fn run(seed: u64) -> Outcome {
    fastrand::seed(seed);
    let plan = Plan::new(seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .max_blocking_threads(1)
        .build()
        .unwrap();
    let (lines, wrong, seen) = runtime.block_on(async {
        let mut world = world::World::new(seed, &plan);
        let traced = trace::is_on()
            .then(|| tracing::subscriber::set_default(trace::Trace(Arc::clone(&world.around.log))));
        world.run(plan.end).await;
        drop(traced);
        let (wrong, seen) = checks::check(&world, &plan);
        let lines = world.around.log.lines();
        world.end().await;
        (lines, wrong, seen)
    });
    let mut told: Vec<String> = plan.faults.iter().map(ToString::to_string).collect();
    if told.is_empty() {
        told.push("none".to_owned());
    }
    Outcome {
        seed,
        plan: told,
        kinds: plan.faults.iter().map(|fault| fault.kind).collect(),
        lines,
        wrong,
        seen,
    }
}

impl Outcome {
    /// Of thousands of runs only the logs of those that failed are kept.
    fn for_keeping(mut self, runs: usize) -> Self {
        if runs > 1 && self.wrong.is_empty() {
            self.lines = Vec::new();
        }
        self
    }

    fn report(&self) -> String {
        // What machines say to each other is for the whole log.
        let telling = self
            .lines
            .iter()
            .filter(|line| !line.contains(" net ") || line.contains("slack") || line.contains("pager"));
        let telling: Vec<&str> = telling.map(String::as_str).collect();
        let from = telling.len().saturating_sub(SHOWN);
        format!(
            "seed {} failed:\n  {}\nfaults:\n  {}\nthe last lines of {}:\n{}\nreplay: SKOPOS_SIM_SEED={} cargo test --test tests sim:: -- --nocapture",
            self.seed,
            self.wrong.join("\n  "),
            self.plan.join("\n  "),
            self.lines.len(),
            telling[from..].join("\n"),
            self.seed,
        )
    }
}

/// Runs them on as many threads as there are processors, each seed on a runtime of its own.
fn run_all(seeds: Vec<u64>) -> Vec<Result<Outcome, String>> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let next = AtomicU64::new(0);
    let (results, all) = sync_channel(seeds.len().max(1));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (results, next, seeds) = (results.clone(), &next, &seeds);
            scope.spawn(move || {
                while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                    let outcome = catch_unwind(AssertUnwindSafe(|| run(*seed)));
                    let outcome = outcome.map(|outcome| outcome.for_keeping(seeds.len()));
                    let outcome = outcome.map_err(|_| {
                        format!("seed {seed} panicked; replay: SKOPOS_SIM_SEED={seed} cargo test --test tests sim::")
                    });
                    results.send(outcome).unwrap();
                }
            });
        }
    });
    drop(results);
    let mut all: Vec<_> = all.into_iter().collect();
    all.sort_by_key(|outcome| outcome.as_ref().map_or(0, |outcome| outcome.seed));
    all
}

#[test]
fn nothing_is_lost_and_nothing_told_twice_whatever_fails() {
    let one = std::env::var("SKOPOS_SIM_SEED")
        .ok()
        .map(|seed| seed.parse().unwrap());
    let count = std::env::var("SKOPOS_SIM_SEEDS")
        .ok()
        .map(|count| count.parse().unwrap());
    let count = count.unwrap_or(if long_run() { SEEDS_LONG } else { SEEDS });
    let first: u64 = std::env::var("SKOPOS_SIM_FIRST").map_or(0, |seed| seed.parse().unwrap());
    let seeds: Vec<u64> = one.map_or_else(|| (first..first + count).collect(), |seed| vec![seed]);
    let begun = std::time::Instant::now();
    let outcomes = run_all(seeds);
    let mut failed = Vec::new();
    let mut kinds: BTreeMap<Kind, usize> = BTreeMap::new();
    let mut seen = checks::Seen::default();
    for outcome in &outcomes {
        match outcome {
            Ok(outcome) => {
                outcome
                    .kinds
                    .iter()
                    .for_each(|kind| *kinds.entry(*kind).or_default() += 1);
                seen.add(&outcome.seen);
                if one.is_some() {
                    println!("{}\n{}", outcome.lines.join("\n"), outcome.plan.join("\n"));
                }
                if !outcome.wrong.is_empty() {
                    failed.push(outcome.report());
                }
            }
            Err(panic) => failed.push(panic.clone()),
        }
    }
    println!(
        "{} runs in {:.1?}; faults {kinds:?}; {seen}",
        outcomes.len(),
        begun.elapsed()
    );
    for report in failed.iter().skip(1) {
        println!("{}\n", report.lines().take(12).collect::<Vec<_>>().join("\n"));
    }
    assert!(
        one.is_some() || outcomes.len() < 8 || seen.storms > 0,
        "no run has come into a storm"
    );
    assert!(
        failed.is_empty(),
        "{} of {} runs failed; the first:\n{}",
        failed.len(),
        outcomes.len(),
        failed[0]
    );
}

#[test]
fn a_seed_replays_exactly() {
    let more = if long_run() { 100 } else { 0 };
    for seed in 1..=3 + more {
        let (one, other) = (run(seed), run(seed));
        let differ = one
            .lines
            .iter()
            .zip(&other.lines)
            .position(|(one, other)| one != other);
        if let Some(at) = differ {
            panic!("seed {seed}, line {at}:\n{}\n{}", one.lines[at], other.lines[at]);
        }
        assert_eq!(one.lines.len(), other.lines.len());
    }
}
