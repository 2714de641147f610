//! A storm's message stays within what Slack takes, whatever is in it.

use fastrand::Rng;
use model::{Labels, Timestamp};

use super::super::cards;
use super::super::fake::slack;
use super::super::limits::{check, nasty};
use super::super::world::{START, World, firing, minutes, rounds, secs};
use super::reader::{lines, title};
use super::{APP, HOOK};
use crate::alert::Alert;
use crate::core::GROUPS_MAX;
use crate::delivered::Reason;
use crate::slack::storm;
use crate::storm::{Digest, Storm};

#[tokio::test(start_paused = true)]
async fn five_hundred_groups_fit_and_each_is_named_or_counted() {
    for (text, groups) in [(APP, 500), (HOOK, GROUPS_MAX)] {
        let world = World::new(text);
        for nth in 0..groups {
            world.warns(nth).await;
        }
        world.wait(minutes(2)).await;
        let channel = world.channel();
        assert_eq!(channel.len(), 1);
        assert!(slack::judge(channel[0].body.to_string().as_bytes()).is_ok());
        check(channel[0].body.to_string().as_bytes());
        assert_eq!(
            title(&channel[0]),
            format!("▲ Storm: {groups} groups, {groups} alerts firing")
        );
        let lines = lines(&channel[0].body);
        let named = lines.iter().filter(|line| line.starts_with("▲ ")).count();
        assert!(named > 50, "{named} named");
        assert!(
            lines.contains(&format!("and {} more groups", groups - named)),
            "{lines:#?}"
        );
        world.balances();
    }
}

#[test]
fn no_storm_whatever_it_contains_passes_the_limits_of_slack() {
    for seed in 0..rounds(30) {
        let mut random = Rng::with_seed(seed);
        let size = [10, 200, 5_000][random.usize(..3)];
        let now = Timestamp(START.0 + 60_000);
        let mut digest = Digest::new(&Storm::begins(START), now, &"http://skopos.example".into());
        for nth in 0..[1, 30, 700][random.usize(..3)] {
            let names = ["alertname", "severity", "cluster", "namespace", "node"];
            let pairs = names.map(|name| (name, nasty(&mut random, size)));
            let mut labels =
                Labels::from_pairs(pairs.iter().map(|(name, value)| (*name, value.as_str()))).to_builder();
            labels.set("n", &nth.to_string());
            let labels = labels.build();
            let summary = nasty(&mut random, 2 * size);
            let alert = Alert {
                fingerprint: labels.fingerprint(),
                labels,
                annotations: Labels::from_pairs([("summary", summary.as_str())]),
                resolved_at: random.bool().then_some(now),
                ..Alert::new(firing("x", "y", START), START)
            };
            let reason = if alert.firing() {
                Reason::First
            } else {
                Reason::AllResolved
            };
            let known: Vec<u64> = alert.resolved_at.iter().map(|_| alert.fingerprint).collect();
            digest.tell(&cards::message(reason, vec![alert], &known));
        }
        digest.sort();
        digest.own = random.usize(..3);
        digest.may_repeat = random.bool();
        for message in [storm::payload(&digest), storm::reply(&digest)] {
            let body = message.to_string();
            assert!(slack::judge(body.as_bytes()).is_ok(), "seed {seed}: {body}");
            check(body.as_bytes());
        }
    }
}

#[test]
fn a_storm_looks_as_kept() {
    let alert = |nth: usize, severity: &str, ended: Option<u64>| {
        let labels = Labels::from_pairs([
            ("alertname", format!("Alert{nth}").as_str()),
            ("severity", severity),
            ("namespace", ["shop", "kube-system"][nth % 2]),
            ("node", "node-7"),
        ]);
        Alert {
            fingerprint: labels.fingerprint(),
            annotations: Labels::from_pairs([("summary", format!("pod {nth} of node-7 is away").as_str())]),
            labels,
            resolved_at: ended.map(|after| START + secs(after)),
            ..Alert::new(firing("x", "y", START), START)
        }
    };
    let mut storm = Storm::begins(START);
    (storm.ended, storm.rings) = (4, false);
    let now = START + minutes(3);
    let mut digest = Digest::new(&storm, now, &"http://skopos.example:9464".into());
    for (nth, severity, ended) in [
        (0, "warning", None),
        (1, "critical", None),
        (2, "warning", Some(90)),
    ] {
        let alert = alert(nth, severity, ended);
        let (reason, known) = match ended {
            Some(_) => (Reason::AllResolved, vec![alert.fingerprint]),
            None => (Reason::First, vec![]),
        };
        digest.tell(&cards::message(reason, vec![alert], &known));
    }
    let several = vec![alert(3, "info", None), alert(3, "warning", None)];
    let known = several[0].fingerprint;
    digest.tell(&cards::message(Reason::New, several, &[known]));
    digest.sort();
    (digest.own, digest.may_repeat) = (2, true);
    cards::golden("slack_storm.json", storm::payload(&digest).to_string().as_bytes());
    cards::golden(
        "slack_storm_reply.json",
        storm::reply(&digest).to_string().as_bytes(),
    );
    let mut over = Digest::new(&storm, now, &"".into());
    let ended = alert(2, "warning", Some(90));
    let known = ended.fingerprint;
    over.tell(&cards::message(Reason::AllResolved, vec![ended], &[known]));
    cards::golden(
        "slack_storm_over.json",
        storm::payload(&over).to_string().as_bytes(),
    );
    cards::golden(
        "slack_storm_over_reply.json",
        storm::reply(&over).to_string().as_bytes(),
    );
}
