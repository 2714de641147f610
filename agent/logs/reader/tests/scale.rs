//! What many files cost.

use std::fs;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::rig::{Rig, append, cri};

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap(),
        u32::try_from(time.tv_nsec).unwrap(),
    )
}

/// Goal: 0.1 % of a core. The bound leaves room for a debug build on a busy machine; the number is printed.
#[test]
fn two_thousand_idle_files_cost_next_to_nothing() {
    let mut rig = Rig::new();
    for pod in 0..2000 {
        let folder = rig.root().join(format!("pods/ns_pod-{pod}_uid/main"));
        fs::create_dir_all(&folder).unwrap();
        append(&folder.join("0.log"), &cri("stdout", "F", "hello"));
    }
    rig.restart();
    rig.run(Duration::from_secs(15));
    assert_eq!(rig.texts().len(), 2000);
    let (before, started) = (cpu(), Instant::now());
    // With the rests that the reader asks for, as its thread takes them.
    let mut time = Duration::ZERO;
    let mut turns = 0;
    while time < Duration::from_secs(60) {
        let rest = rig.turn();
        rig.sleep(rest);
        time += rest;
        turns += 1;
    }
    let share = (cpu() - before).as_secs_f64() / 60.0;
    println!(
        "2,000 idle files: {:.3} % of a core, {turns} turns, {:?}",
        share * 100.0,
        started.elapsed()
    );
    assert!(share < 0.02, "{share}");
}
