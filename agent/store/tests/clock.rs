//! The wall clock jumps by an hour and back: nothing is lost, doubled, or sealed before it is complete.

use model::Clock;

use crate::harness::long;
use crate::sealing::{BEGUN, HOUR, Kept, MINUTE};

const MINUTES: i64 = 7 * 60;

#[derive(Clone, Copy, Debug)]
struct Jump {
    /// Minutes after a window has begun; one is sealed in the 180th.
    at: i64,
    by: i64,
    /// Minutes until it is as it was.
    back_after: i64,
    restart: bool,
}

/// What a source of this machine says bears the time of its clock, and what others send bears their own.
fn play(jump: Jump) {
    let mut kept = Kept::new();
    let mut refused = 0;
    for minute in 1..=MINUTES {
        kept.clock.pass(MINUTE);
        for (at, by) in [(jump.at, jump.by), (jump.at + jump.back_after, -jump.by)] {
            if minute == at {
                kept.clock.jump(by);
                if jump.restart {
                    kept = kept.reopen();
                    kept.check();
                }
            }
        }
        let truly = BEGUN + minute * MINUTE;
        let (here, value) = (kept.clock.now().0, minute as f64);
        refused += 1 - kept.offer("here", here, &[("here", value)]).kept;
        for (of, late) in [("quick", 7_000), ("slow", 30 * MINUTE)] {
            let taken = kept.offer(of, truly - late, &[(of, value)]);
            assert_eq!(taken.kept, 1, "{jump:?}, {of} in minute {minute}: {taken:?}");
        }
        if let Some(span) = kept.tend() {
            assert!(
                span.end.0 <= truly,
                "{jump:?}: sealed {span:?} in minute {minute}"
            );
        }
        if minute % 20 == 0 {
            kept.check();
        }
    }
    kept.check();
    // The hour that was there twice, if there was one.
    let twice = jump.by < 0 || jump.at + jump.back_after <= MINUTES;
    let least = usize::from(twice);
    assert!((least..=60).contains(&refused), "{jump:?}: {refused} refused");
    if !jump.restart {
        let ledger = kept.store.ledger();
        let dropped: u64 = ledger.dropped.values().sum();
        assert!(
            ledger.balances() && dropped == refused as u64,
            "{jump:?}: {refused} {ledger:?}"
        );
    }
    let oldest = kept.store.cardinality(1).oldest.map(|oldest| oldest.0);
    assert!(
        oldest >= Some(BEGUN + 4 * HOUR),
        "{jump:?}: what is late is sealed, too: {oldest:?}"
    );
    kept.reopen().check();
}

#[test]
fn a_clock_that_jumps_by_an_hour_loses_nothing_doubles_nothing_and_seals_nothing_early() {
    let (ats, backs): (&[i64], &[i64]) = if long() {
        (&[100, 119, 120, 121, 150, 179, 180, 181], &[1, 30, 90, 10_000])
    } else {
        (&[180], &[1, 90])
    };
    for at in ats {
        for back_after in backs {
            for by in [HOUR, -HOUR] {
                for restart in [false, true] {
                    play(Jump {
                        at: *at,
                        by,
                        back_after: *back_after,
                        restart,
                    });
                }
            }
        }
    }
}
