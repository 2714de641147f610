//! The table of sentences.

use jiff::tz::TimeZone;
use model::Labels;
use model::view::{Alert, Rule, RuleGroup};

use super::*;

const NOW: Timestamp = Timestamp(1_795_687_200_000); // 10:00 UTC

fn rule(name: &str) -> Rule {
    Rule {
        name: name.to_owned(),
        alerting: true,
        expr: "x > 1".to_owned(),
        hold: Duration::from_secs(600),
        keep_firing: Duration::ZERO,
        datapoints: None,
        on_missing: None,
        labels: Labels::empty(),
        annotations: Labels::empty(),
        health: "ok",
        last_error: String::new(),
        last_evaluation: None,
        last_duration: Duration::ZERO,
        alerts: Vec::new(),
        headroom: None,
    }
}

fn alert(state: AlertState, ago: u64, labels: &[(&str, &str)]) -> Alert {
    let active_at = NOW - Duration::from_secs(ago);
    Alert {
        fingerprint: 1,
        labels: Labels::from_pairs(labels.iter().copied()),
        annotations: Labels::empty(),
        state,
        active_at,
        fired_at: (state == AlertState::Firing).then_some(active_at + Duration::from_secs(600)),
        resolved_at: None,
        keep_firing_since: None,
        value: 1.0,
        restored: false,
        unknown: false,
    }
}

/// The sentence for these facts, changed from those of a laptop that is well.
fn said<'a>(change: impl FnOnce(&mut Facts<'a>)) -> (Health, String) {
    let mut facts = Facts {
        name: "laptop",
        ready: Ok(()),
        firing: Vec::new(),
        pending: Vec::new(),
        rules: 26,
        broken: 0,
        doubts: Vec::new(),
        down: Vec::new(),
        uptime: Duration::from_secs(48),
        resolved: None,
    };
    change(&mut facts);
    let wall = Wall {
        now: NOW,
        zone: TimeZone::UTC,
    };
    let (health, sentence) = sentence(&facts, &wall);
    assert!(sentence.chars().count() <= LETTERS_MAX, "{sentence}");
    (health, sentence)
}

#[test]
fn when_nothing_is_wrong_it_says_how_long_it_has_looked() {
    let calm = |change: fn(&mut Facts<'static>)| said(change);
    for ((health, sentence), expected_health, expected) in [
        (
            calm(|_| {}),
            Health::Good,
            "Nothing is wrong on laptop, as far as 48 seconds can tell",
        ),
        (
            calm(|facts| facts.uptime = Duration::from_secs(1)),
            Health::Good,
            "Nothing is wrong on laptop, as far as 1 second can tell",
        ),
        (
            calm(|facts| facts.uptime = Duration::from_secs(300)),
            Health::Good,
            "Nothing is wrong on laptop, as far as 5 minutes can tell",
        ),
        (
            calm(|facts| facts.uptime = Duration::from_secs(7500)),
            Health::Good,
            "Nothing has been wrong on laptop for 2 h 5 min",
        ),
        (
            calm(|facts| facts.resolved = Some(("CpuBusy", NOW - Duration::from_secs(60)))),
            Health::Good,
            "Nothing is wrong on laptop since CpuBusy ended at 09:59",
        ),
        (
            calm(|facts| facts.rules = 0),
            Health::Unknown,
            "Nobody watches laptop: no alert rule is loaded",
        ),
        (
            calm(|facts| facts.broken = 2),
            Health::Pending,
            "Nothing fires on laptop, but 2 rules cannot be evaluated",
        ),
        (
            calm(|facts| facts.down = vec!["shop"]),
            Health::Pending,
            "Nothing fires on laptop, but shop does not answer",
        ),
        (
            calm(|facts| facts.down = vec!["a", "b"]),
            Health::Pending,
            "Nothing fires on laptop, but 2 targets do not answer",
        ),
        (
            calm(|facts| facts.ready = Err("reading its log".to_owned())),
            Health::Unknown,
            "Skopos on laptop is not ready: reading its log",
        ),
    ] {
        assert_eq!((health, sentence.as_str()), (expected_health, expected));
    }
}

fn fires<'a>(firing: Vec<Standing<'a>>, pending: Vec<Standing<'a>>) -> (Health, String) {
    said(|facts| (facts.firing, facts.pending) = (firing, pending))
}

#[test]
fn what_fires_comes_first_with_its_beginning_and_its_place() {
    let (full, busy) = (rule("FilesystemAlmostFull"), rule("CpuBusy"));
    let group = RuleGroup {
        name: "machine".to_owned(),
        file: "machine.yaml".to_owned(),
        interval: Duration::from_secs(15),
        query_offset: Duration::ZERO,
        limit: 0,
        rules: Vec::new(),
        last_evaluation: None,
        last_duration: Duration::ZERO,
    };
    let home = alert(AlertState::Firing, 2460, &[("mountpoint", "/home")]);
    let var = alert(AlertState::Firing, 2000, &[("mountpoint", "/var")]);
    let far = "/srv/a/very/long/path/that/nobody/could/read/at/a/glance/in/one/line/of/text";
    let far = alert(AlertState::Firing, 2460, &[("mountpoint", far)]);
    let soon = alert(AlertState::Pending, 60, &[]);
    let one = |rule, alert| Standing {
        group: &group,
        rule,
        alert,
    };

    let bad = |sentence: &str| (Health::Bad, sentence.to_owned());
    assert_eq!(
        fires(vec![one(&full, &home)], vec![one(&busy, &soon)]),
        bad("FilesystemAlmostFull is firing for /home since 09:29")
    );
    assert_eq!(
        fires(vec![one(&full, &far)], Vec::new()),
        bad("FilesystemAlmostFull is firing since 09:29")
    );
    assert_eq!(
        fires(vec![one(&full, &home), one(&full, &var)], Vec::new()),
        bad("FilesystemAlmostFull is firing since 09:29, in 2 places")
    );
    assert_eq!(
        fires(vec![one(&full, &home), one(&busy, &var)], Vec::new()),
        bad("2 alerts are firing, first FilesystemAlmostFull since 09:29")
    );
    assert_eq!(
        fires(Vec::new(), vec![one(&busy, &soon)]),
        (
            Health::Pending,
            "Nothing fires yet; CpuBusy will at 10:09 if it lasts".to_owned()
        )
    );
    assert_eq!(
        fires(Vec::new(), vec![one(&busy, &soon), one(&full, &soon)]),
        (
            Health::Pending,
            "Nothing fires yet; CpuBusy will at 10:09 if it lasts, and 1 more wait".to_owned()
        )
    );
}

#[test]
fn a_long_name_is_cut_and_not_the_page() {
    let name = "A".repeat(300);
    let (_, sentence) = said(|facts| facts.ready = Err(name.clone()));
    assert!(sentence.ends_with('…'), "{sentence}");
}
