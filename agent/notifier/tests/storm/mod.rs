//! Storms: many groups that become due at once share a message, and nothing of that is lost, false or told twice.

mod after;
mod failures;
mod limits;
mod reader;

use model::{AlertEvent, Clock, Labels, Timestamp};

use self::reader::{belief, fact, is_edit, is_reply, is_storm, title, unmarked_repeats, words};
use super::world::{Attempt, START, World, firing, minutes, resolved, secs};

const HOOK: &str = "slack: { webhook_url: 'http://slack/' }\nresolve_wait: 0s";
const APP: &str = "slack: { bot_token: xoxb-1, channel: '#ops', api_url: 'http://slack/api/chat.postMessage' }\n\
                   resolve_wait: 0s";

/// With a severity, a namespace and the node that died.
fn of(event: AlertEvent, severity: &str) -> AlertEvent {
    let labels = Labels::from_pairs([
        ("alertname", event.labels.value("alertname")),
        ("n", event.labels.value("n")),
        ("severity", severity),
        ("namespace", "shop"),
        ("node", "node-7"),
    ]);
    AlertEvent {
        fingerprint: labels.fingerprint(),
        labels,
        ..event
    }
}

fn name(nth: usize) -> String {
    format!("Alert{nth}")
}

impl World {
    async fn warns(&self, nth: usize) {
        let event = firing(&name(nth), "a", self.clock.now());
        self.says(of(event, "warning")).await;
    }

    async fn pages(&self, nth: usize) {
        let event = firing(&name(nth), "a", self.clock.now());
        self.says(of(event, "critical")).await;
    }

    async fn ends(&self, nth: usize, severity: &str, since: Timestamp) {
        let event = resolved(&name(nth), "a", since, self.clock.now());
        self.says(of(event, severity)).await;
    }

    /// All messages in the channel, and edits of them.
    fn channel(&self) -> Vec<Attempt> {
        let attempts = self.receivers.attempts().into_iter();
        attempts
            .filter(|attempt| attempt.arrived && attempt.url.starts_with("http://slack/"))
            .collect()
    }

    fn storms(&self) -> Vec<Attempt> {
        self.channel().into_iter().filter(is_storm).collect()
    }

    /// What becomes another message in the channel.
    fn posts(&self) -> Vec<Attempt> {
        let channel = self.channel().into_iter();
        channel
            .filter(|attempt| !is_edit(attempt) && !is_reply(attempt))
            .collect()
    }
}

fn fires(words: &[reader::Word]) -> usize {
    belief(words).values().filter(|fires| **fires).count()
}

#[tokio::test(start_paused = true)]
async fn sixty_groups_at_once_share_one_message() {
    for text in [HOOK, APP] {
        let world = World::new(text);
        for nth in 0..60 {
            world.warns(nth).await;
        }
        world.wait(minutes(10)).await;
        let channel = world.channel();
        assert_eq!(channel.len(), 1, "{channel:#?}");
        assert_eq!(channel[0].after(START), 30);
        assert_eq!(title(&channel[0]), "▲ Storm: 60 groups, 60 alerts firing");
        assert_eq!(fact(&channel[0], "Groups"), "+60 new");
        assert_eq!(fact(&channel[0], "Alerts"), "60 warning");
        assert_eq!(fact(&channel[0], "node"), "node-7 60");
        assert_eq!(
            fact(&channel[0], "alertname"),
            "Alert0 1, Alert1 1, Alert10 1, 57 others"
        );
        assert_eq!(fires(&words(&channel)), 60);
        assert_eq!(
            world.metric("skopos_notifier_storm_messages_total{receiver=\"slack\"}"),
            1.0
        );
        assert_eq!(
            world.metric("skopos_notifier_storm_groups_total{receiver=\"slack\"}"),
            60.0
        );
        let told = world.handle.view().told;
        assert_eq!(told.len(), 1);
        assert_eq!(
            (told[0].message.as_str(), told[0].alerts.len()),
            ("within a storm: 60 groups, 60 alerts firing (+60 new)", 60)
        );
        world.balances();
    }
}

#[tokio::test(start_paused = true)]
async fn fewer_groups_than_make_a_storm_have_a_message_each() {
    let off = format!("{HOOK}\nstorm_groups: 0");
    for (text, groups) in [(HOOK, 19), (&*off, 60)] {
        let world = World::new(text);
        for nth in 0..groups {
            world.warns(nth).await;
        }
        world.wait(minutes(3)).await;
        assert_eq!((world.posts().len(), world.storms().len()), (groups, 0));
        world.balances();
    }
}

#[tokio::test(start_paused = true)]
async fn groups_that_come_slower_are_no_storm() {
    let world = World::new(HOOK);
    for nth in 0..60 {
        world.warns(nth).await;
        world.wait(secs(4)).await;
    }
    world.wait(minutes(1)).await;
    assert_eq!((world.posts().len(), world.storms().len()), (60, 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_critical_does_not_drown() {
    let world = World::new(APP);
    for nth in 0..40 {
        world.warns(nth).await;
    }
    for nth in 40..55 {
        world.pages(nth).await;
    }
    world.wait(minutes(3)).await;
    let posts = world.posts();
    assert_eq!(posts.len(), 11, "ten of their own, and the storm");
    let (own, storm) = posts.split_at(10);
    assert!(
        own.iter().all(|post| title(post).starts_with("▲ Firing")),
        "{own:#?}"
    );
    assert!(own.iter().all(|post| post.body.to_string().contains("critical")));
    assert_eq!(title(&storm[0]), "▲ Storm: 45 groups, 45 alerts firing");
    assert_eq!(fact(&storm[0], "Alerts"), "5 critical, 40 warning");
    assert!(
        storm[0]
            .body
            .to_string()
            .contains("10 more groups fire and have messages of their own")
    );
    assert_eq!(storm[0].body["attachments"][0]["color"], "#d55e00");
    // The gravest stand first.
    let words = words(storm);
    assert!(words[..5].iter().all(|word| word.name >= name(50)), "{words:#?}");
    assert!(storm[0].after(START) <= 41);
    assert_eq!(fires(&words) + own.len(), 55);
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn an_app_edits_the_storm_and_tells_what_happens_in_its_thread() {
    let world = World::new(APP);
    let began = world.clock.now();
    for nth in 0..30 {
        world.warns(nth).await;
    }
    world.wait(secs(40)).await;
    for nth in 30..33 {
        world.warns(nth).await;
    }
    world.ends(7, "warning", began).await;
    world.wait(minutes(2)).await;
    let channel = world.channel();
    assert_eq!(world.posts().len(), 1, "{channel:#?}");
    let edits: Vec<&Attempt> = channel.iter().filter(|attempt| is_edit(attempt)).collect();
    assert_eq!(edits.len(), 2);
    assert_eq!(title(edits[0]), "▲ Storm: 29 groups, 29 alerts firing");
    assert_eq!(fact(edits[0], "Groups"), "1 resolved, 29 unchanged");
    assert_eq!(title(edits[1]), "▲ Storm: 32 groups, 32 alerts firing");
    assert_eq!(fact(edits[1], "Groups"), "+3 new, 29 unchanged");
    assert_eq!(fact(edits[1], "Resolved so far"), "1 group");
    let replies: Vec<&Attempt> = channel.iter().filter(|attempt| is_reply(attempt)).collect();
    assert_eq!(
        replies[0].body["text"],
        "*Storm: 29 groups, 29 alerts firing* (1 resolved, 29 unchanged)\n● *Alert7 on a* (warning, resolved after 40 s)"
    );
    assert!(
        replies[1].body["text"]
            .as_str()
            .unwrap()
            .starts_with("*Storm: 32 groups, 32 alerts firing* (+3 new, 29 unchanged)\n▲ *Alert30")
    );
    // Nobody's phone rings for these.
    assert!(
        replies
            .iter()
            .all(|reply| reply.body["reply_broadcast"].is_null())
    );
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn a_webhook_is_told_at_most_once_a_minute_while_it_changes() {
    let world = World::new(HOOK);
    for nth in 0..100 {
        world.warns(nth).await;
        world.wait(secs(2)).await;
    }
    world.wait(minutes(3)).await;
    let storms = world.storms();
    assert!((3..=5).contains(&storms.len()), "{}", storms.len());
    for pair in storms.windows(2) {
        assert!(pair[1].at.since(pair[0].at) >= minutes(1));
    }
    // Those before it began have messages of their own.
    assert!(world.posts().len() < 20 + 5, "{}", world.posts().len());
    let words = words(&world.channel());
    assert_eq!(fires(&words), 100);
    assert_eq!(unmarked_repeats(&words), []);
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn others_than_slack_know_no_storm() {
    let world = World::new(
        "slack: { webhook_url: 'http://slack/' }\nwebhook: [{ url: 'http://hook/' }]\n\
         pagerduty: { routing_key: 0123456789abcdef0123456789abcdef, url: 'http://pager/enqueue' }\n\
         email: { to: ops@example.org, from: skopos@example.org, smarthost: 'mail:25', encryption: none }",
    );
    for nth in 0..60 {
        world.warns(nth).await;
    }
    world.wait(minutes(4)).await;
    assert_eq!(world.posts().len(), 1);
    for url in ["http://hook/", "http://pager/enqueue", "mail://ops@example.org"] {
        assert_eq!(world.receivers.got(url).len(), 60, "{url}");
    }
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn an_alertmanagers_file_has_storms_only_where_somebody_asks_for_them() {
    const FILE: &str = "route: { receiver: ops, group_by: [alertname] }\nreceivers: [{ name: ops, slack_configs: \
                        [{ api_url: 'http://slack/', channel: '#ops', send_resolved: true }] }]";
    for (text, posts) in [("{}", 40), ("storm_groups: 20", 1)] {
        let mut config = super::world::config(text);
        let files = |_: &std::path::Path, _: &str| Ok(Vec::new());
        config
            .read_file("alertmanager.yml", FILE, std::path::Path::new("/"), &files)
            .unwrap();
        let clock = telemetry::clock::RuntimeClock::starting_at(START);
        let receivers = super::world::Receivers::new(std::sync::Arc::clone(&clock));
        let world = World::with(config, clock, receivers, std::sync::Arc::default());
        for nth in 0..40 {
            world.warns(nth).await;
        }
        world.wait(minutes(2)).await;
        assert_eq!(world.posts().len(), posts, "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn where_alerts_go_says_that_they_were_told_within_a_storm() {
    let world = World::new(HOOK);
    for nth in 0..30 {
        world.warns(nth).await;
    }
    world.wait(secs(35)).await;
    world.fires("Late", "a").await;
    world.wait(secs(40)).await;
    let labels = |name: &str| Labels::from_pairs([("alertname", name)]);
    let routing = |name: &str| world.handle.routing(Some(&labels(name)), world.clock.now());
    assert_eq!(routing("Alert3").ways[0].storms, ["slack"]);
    assert_eq!(
        routing("Late").ways[0].storms,
        [""; 0],
        "it is critical and has its own"
    );
    let storms = routing("Late").storms;
    assert_eq!((storms[0].groups, storms[0].is_open), (30, true));
    world.wait(minutes(6)).await;
    assert!(!routing("Late").storms[0].is_open);
}
