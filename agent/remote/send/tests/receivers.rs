//! Receivers that fail, refuse, throttle and lie.

use std::time::Duration;

use model::view::Health;
use net::Secret;
use net::http_config::{Basic, Token};

use super::world::{Does, LONG, World, desc, header, to};
use crate::send::{Limits, Message};

fn says(status: u16, body: &'static str) -> Does {
    Does::Says(status, vec![], body)
}

#[tokio::test(start_paused = true)]
async fn a_dead_receiver_gets_everything_when_it_is_back_and_holds_nobody_up() {
    let mut world = World::new(&["a", "dead"]);
    world.receivers.always("dead", Does::Refuses);
    for round in 0..100 {
        world.feed(0..20, f64::from(round));
        world.wait(15.0).await;
        assert_eq!(world.view(0).waiting_samples, 0);
    }
    let view = world.view(1);
    assert_eq!((view.waiting_samples, view.health), (2_000, Health::Bad));
    assert_eq!(view.oldest, Some(super::world::START));
    assert!(view.last_error.contains("cannot connect"), "{}", view.last_error);
    assert!(
        world.requests("dead") < 150,
        "{} attempts",
        world.requests("dead")
    );
    world.receivers.always("dead", Does::Takes);
    world.wait(31.0).await;
    world.assert_exact("a");
    world.assert_exact("dead");
    assert!(world.handle.is_drained());
    assert_eq!(world.view(1).health, Health::Good);
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_from_milliseconds_to_five_seconds_and_then_to_thirty() {
    let mut world = World::new(&["a"]);
    world.receivers.always("a", says(503, ""));
    world.feed(0..1, 1.0);
    world.wait(3_600.0).await;
    let times = world.receivers.with("a", |receiver| receiver.times.clone());
    let pauses: Vec<f64> = times
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).as_secs_f64())
        .collect();
    assert!(pauses[0] <= 0.031, "{pauses:?}");
    assert!(pauses.iter().all(|pause| *pause <= 30.1));
    let early = times.iter().filter(|time| time.as_secs() < 300).count() - 1;
    assert!(pauses[..early].iter().all(|pause| *pause <= 5.1), "{pauses:?}");
    assert!(
        pauses[pauses.len() - 20..].iter().all(|pause| *pause >= 15.0),
        "{pauses:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_heeded() {
    let mut world = World::new(&["a"]);
    let throttle = |text: &str| Does::Says(429, vec![("retry-after", text.to_owned())], "slow down");
    world.receivers.with("a", |receiver| {
        receiver.next.extend([throttle("42"), throttle("86400")])
    });
    world.feed(0..5, 1.0);
    world.wait(400.0).await;
    let times = world.receivers.with("a", |receiver| receiver.times.clone());
    let seconds: Vec<u64> = times
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).as_secs())
        .collect();
    assert_eq!(seconds, [42, 300]);
    world.assert_exact("a");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_or_late_costs_a_repeat_and_nothing_else() {
    let mut world = World::new(&["a"]);
    world.receivers.with("a", |receiver| {
        receiver.next.extend([
            Does::TakesInSilence,
            Does::Hangs,
            Does::TakesInSilence,
            Does::Takes,
        ]);
    });
    for round in 0..5 {
        world.feed(0..5, f64::from(round));
        world.wait(1.0).await;
    }
    world.wait(60.0).await;
    world.assert_has_all("a");
    assert_eq!(world.handle.ledger().given, 25);
}

#[tokio::test(start_paused = true)]
async fn what_a_receiver_will_never_take_is_dropped_and_counted_and_the_rest_goes_on() {
    let mut world = World::new(&["a"]);
    let written = "x-prometheus-remote-write-samples-written";
    world.receivers.with("a", |receiver| {
        receiver.next.extend([
            Does::Takes,
            says(400, "out of order sample for metric_1_total"),
            Does::Says(400, vec![(written, "4".to_owned())], "one is too old"),
        ]);
    });
    for round in 0..4 {
        world.feed(0..5, f64::from(round));
        world.wait(1.0).await;
        if round == 1 {
            assert_eq!(
                world.view(0).last_error,
                "400 out of order sample for metric_1_total"
            );
            assert_eq!(world.view(0).health, Health::Pending);
        }
    }
    assert_eq!(world.requests("a"), 4, "none is tried twice");
    let ledger = world.handle.ledger();
    assert_eq!((ledger.given, ledger.dropped["rejected"]), (14, 6));
    assert_eq!(world.view(0).health, Health::Good);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_lies_about_numbers_breaks_no_account() {
    let mut world = World::new(&["a"]);
    let wrote = |text: &str| {
        Does::Says(
            200,
            vec![("x-prometheus-remote-write-samples-written", text.to_owned())],
            "",
        )
    };
    let lies = ["99999999999999", "2", "-7", "many"];
    world
        .receivers
        .with("a", |receiver| receiver.next.extend(lies.map(wrote)));
    for round in 0..4 {
        world.feed(0..5, f64::from(round));
        world.wait(1.0).await;
    }
    let ledger = world.handle.ledger();
    assert_eq!(
        (ledger.taken, ledger.given, ledger.dropped["rejected"]),
        (20, 7, 13)
    );
}

#[tokio::test(start_paused = true)]
async fn a_refused_sender_waits_for_a_new_token_and_uses_it_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let mut whom = to("a");
    whom.config.http.authorization = Some(Token {
        credentials_file: Some(file.clone()),
        ..Token::default()
    });
    let mut world = World::with(vec![whom], Limits::default());
    world.receivers.always("a", says(401, "unknown token"));
    world.feed(0..5, 1.0);
    world.wait(1.0).await;
    assert_eq!(world.requests("a"), 0, "nothing is sent without its credential");
    assert!(
        world.view(0).last_error.contains("token"),
        "{}",
        world.view(0).last_error
    );
    std::fs::write(&file, "old\n").unwrap();
    world.wait(60.0).await;
    let view = world.view(0);
    assert_eq!(
        (view.last_error.as_str(), view.health, view.waiting_samples),
        ("401 unknown token", Health::Bad, 5)
    );
    assert!(world.requests("a") <= 12, "{} attempts", world.requests("a"));
    std::fs::write(&file, "new").unwrap();
    world.receivers.always("a", Does::Takes);
    world.wait(31.0).await;
    world.assert_exact("a");
    let last = world
        .receivers
        .with("a", |receiver| receiver.requests.last().cloned())
        .unwrap();
    assert_eq!(header(&last, "authorization"), Some("Bearer new"));
}

#[tokio::test(start_paused = true)]
async fn headers_and_credentials_of_the_configuration_are_sent() {
    let mut whom = to("a");
    whom.config
        .headers
        .insert("X-Scope-OrgID".to_owned(), Secret::plain("team"));
    whom.config.http.authorization = Some(Token {
        kind: "Token".to_owned(),
        credentials: Some(Secret::plain("abc")),
        credentials_file: None,
    });
    whom.config.remote_timeout = Duration::from_secs(7);
    let mut world = World::with(vec![whom], Limits::default());
    world.feed(0..1, 1.0);
    world.wait(1.0).await;
    let request = world.receivers.with("a", |receiver| receiver.requests[0].clone());
    assert_eq!(header(&request, "x-scope-orgid"), Some("team"));
    assert_eq!(header(&request, "authorization"), Some("Token abc"));
    assert_eq!(request.timeout, Duration::from_secs(7));
    assert!(!format!("{:?}", world.view(0)).contains("abc"));
}

#[tokio::test(start_paused = true)]
async fn a_name_and_a_password_are_sent_and_a_new_password_is_used_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "open sesame\n").unwrap();
    let (mut said, mut kept) = (to("said"), to("kept"));
    said.config.http.basic_auth = Some(Basic {
        username: "Aladdin".to_owned(),
        password: Some(Secret::plain("open sesame")),
        ..Basic::default()
    });
    kept.config.http.basic_auth = Some(Basic {
        username: "Aladdin".to_owned(),
        password_file: Some(file.clone()),
        ..Basic::default()
    });
    let mut world = World::with(vec![said, kept], Limits::default());
    let sent = |world: &World, host: &str| {
        let request = world
            .receivers
            .with(host, |receiver| receiver.requests.last().cloned());
        header(&request.unwrap(), "authorization").map(str::to_owned)
    };
    world.feed(0..5, 1.0);
    world.wait(1.0).await;
    let wanted = Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    assert_eq!(sent(&world, "said").as_deref(), wanted);
    assert_eq!(sent(&world, "kept").as_deref(), wanted);
    std::fs::write(&file, "p\u{e4}ss").unwrap();
    world.feed(0..5, 2.0);
    world.wait(1.0).await;
    assert_eq!(
        sent(&world, "kept").as_deref(),
        Some("Basic QWxhZGRpbjpww6Rzcw==")
    );
    world.assert_exact("said");
    world.assert_exact("kept");
    assert!(!format!("{:?}", world.destinations[0].config).contains("sesame"));
}

#[tokio::test(start_paused = true)]
async fn what_is_too_large_is_halved_until_it_is_taken_and_later_ones_are_cut_before() {
    for message in [Message::Two, Message::One] {
        let mut whom = to("a");
        whom.config.protobuf_message = Some(message);
        let mut world = World::with(vec![whom], Limits::default());
        world
            .receivers
            .with("a", |receiver| receiver.bytes_max = Some(1_000));
        world.feed(0..400, 1.0);
        world.wait(1.0).await;
        world.assert_exact("a");
        let first = world.requests("a");
        let refused = |world: &World| {
            world.receivers.with("a", |receiver| {
                let long = receiver.requests.iter();
                long.filter(|request| request.body.len() > 1_000).count()
            })
        };
        assert!((2..8).contains(&refused(&world)), "{} refused", refused(&world));
        // It is known by now how much is too much.
        let known = refused(&world);
        world.feed(0..400, 2.0);
        world.wait(1.0).await;
        world.assert_exact("a");
        assert!(refused(&world) <= known + 1, "{known} and {}", refused(&world));
        assert!(world.requests("a") - first < first);
        // Though not for ever.
        world.receivers.with("a", |receiver| receiver.bytes_max = None);
        world.wait(61.0).await;
        let before = world.requests("a");
        world.feed(0..400, 3.0);
        world.wait(1.0).await;
        world.assert_exact("a");
        let metadata = usize::from(message == Message::One);
        assert!(world.requests("a") - before <= 1 + metadata);
        assert_eq!(world.handle.ledger().given, 1_200);
    }
}

#[tokio::test(start_paused = true)]
async fn a_series_that_is_too_large_by_itself_is_dropped_and_counted_and_no_other_is() {
    let mut world = World::new(&["a"]);
    world.receivers.with("a", |receiver| receiver.bytes_max = Some(0));
    world.feed(0..64, 1.0);
    world.wait(1.0).await;
    let ledger = world.handle.ledger();
    assert_eq!((ledger.given, ledger.dropped["too_large"]), (0, 64));
    assert_eq!(
        world.view(0).last_error,
        "413 client intended to send too large body"
    );
    // Halving asks as often as there are halves, and not once for each series.
    assert!(world.requests("a") < 20, "{} requests", world.requests("a"));
    assert_eq!(world.view(0).waiting_samples, 0);

    world
        .receivers
        .with("a", |receiver| receiver.bytes_max = Some(1_000));
    world.wait(61.0).await;
    world.feed(LONG - 8..LONG + 8, 2.0);
    world.wait(1.0).await;
    let ledger = world.handle.ledger();
    assert_eq!((ledger.given, ledger.dropped["too_large"]), (15, 65));
    let long = desc(LONG).labels.to_string();
    world
        .receivers
        .with("a", |receiver| assert!(!receiver.taken.contains_key(&long)));
}

#[tokio::test(start_paused = true)]
async fn a_dead_receiver_loses_the_oldest_once_the_queue_is_full_and_nobody_else_does() {
    let limits = Limits {
        bytes_max: 128 << 10,
        ..Limits::default()
    };
    let mut world = World::with(vec![to("a"), to("dead")], limits);
    world.receivers.always("dead", Does::Refuses);
    for round in 0..150 {
        world.feed(0..200, f64::from(round));
        world.wait(15.0).await;
        assert!(
            world.memory.bytes() < (128 << 10) + 2_000,
            "{}",
            world.memory.bytes()
        );
    }
    world.assert_exact("a");
    let ledger = world.handle.ledger();
    assert!(ledger.dropped["queue_full"] > 0);
    assert!(world.handle.fill() > 0.8, "{}", world.handle.fill());
    world.receivers.always("dead", Does::Takes);
    world.wait(31.0).await;
    let ledger = world.handle.ledger();
    assert_eq!(ledger.in_flight, 0);
    let got: usize = world
        .receivers
        .with("dead", |receiver| receiver.taken.values().map(Vec::len).sum());
    assert_eq!(got as u64 + ledger.dropped["queue_full"], 30_000);
    let newest = world.receivers.with("dead", |receiver| {
        receiver.taken["metric_0_total{instance=\"machine\", job=\"node\"}"]
            .last()
            .copied()
    });
    assert_eq!(newest, world.fed.values().next().unwrap().last().copied());
}

#[tokio::test(start_paused = true)]
async fn how_things_stand_is_in_the_metrics() {
    let mut world = World::new(&["a", "dead"]);
    world.receivers.always("dead", Does::Refuses);
    world.feed(0..5, 1.0);
    world.wait(61.0).await;
    let families = world.registry.gather();
    let value = |name: &str, labels: &[(&str, &str)]| {
        let family = families
            .iter()
            .find(|family| family.name() == name)
            .unwrap_or_else(|| panic!("{name}"));
        let fits = |metric: &&prometheus::proto::Metric| {
            labels.iter().all(|(name, value)| {
                let own = metric.get_label();
                own.iter()
                    .any(|label| label.name() == *name && label.value() == *value)
            })
        };
        let metric = family
            .get_metric()
            .iter()
            .find(fits)
            .unwrap_or_else(|| panic!("{name} {labels:?}"));
        metric.get_counter().get_value() + metric.get_gauge().get_value()
    };
    let (a, dead) = (
        ("destination", "http://a/write"),
        ("destination", "http://dead/write"),
    );
    assert_eq!(value("skopos_remote_sent_samples_total", &[a]), 5.0);
    assert_eq!(value("skopos_remote_waiting_samples", &[dead]), 5.0);
    assert!((60.0..62.0).contains(&value("skopos_remote_oldest_sample_age_seconds", &[dead])));
    assert_eq!(value("skopos_remote_oldest_sample_age_seconds", &[a]), 0.0);
    assert!(value("skopos_remote_retries_total", &[dead, ("reason", "connect")]) > 10.0);
    assert!(value("skopos_remote_queue_bytes", &[]) > 0.0);
}
