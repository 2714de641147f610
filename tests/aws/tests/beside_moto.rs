//! The same requests to the fake and to moto, where moto answers: both say the same.
//!
//! moto verifies no signature and knows no rates; its ids and tokens are its own, so that only what they lead to is compared.

use std::process::Command;
use std::time::{Duration, Instant};

use aws_sdk_cloudwatchlogs::Client;
use model::Clock;

use super::{client, code, event, fake};

const PATIENCE: Duration = Duration::from_secs(40);

/// What became of each, in words.
async fn story(client: &Client, now: i64) -> Vec<String> {
    let mut told = Vec::new();
    let mut tell = |what: &str, how: String| told.push(format!("{what}: {how}"));
    let made = client.create_log_group().log_group_name("beside").send().await;
    tell("group", format!("{}", made.is_ok()));
    let again = client.create_log_group().log_group_name("beside").send().await;
    tell("group again", code(again));
    let stream = || {
        client
            .create_log_stream()
            .log_group_name("beside")
            .log_stream_name("s")
    };
    tell("stream", format!("{}", stream().send().await.is_ok()));
    tell("stream again", code(stream().send().await));
    let kept = client
        .put_retention_policy()
        .log_group_name("beside")
        .retention_in_days(7);
    tell("retention", format!("{}", kept.send().await.is_ok()));
    let groups = client
        .describe_log_groups()
        .log_group_name_prefix("besi")
        .send()
        .await
        .unwrap();
    let groups = groups.log_groups().iter();
    let groups = groups.map(|group| {
        (
            group.log_group_name().unwrap().to_owned(),
            group.retention_in_days(),
        )
    });
    tell("groups", format!("{:?}", groups.collect::<Vec<_>>()));
    let put = |times: Vec<i64>| {
        let put = client
            .put_log_events()
            .log_group_name("beside")
            .log_stream_name("s");
        let events = times
            .into_iter()
            .map(|time| event(time, &format!("GET {}", time - now)));
        put.set_log_events(Some(events.collect())).send()
    };
    tell(
        "put",
        format!(
            "{}",
            put((0..30).map(|nth| now - 30 + nth).collect()).await.is_ok()
        ),
    );
    let nowhere = client
        .put_log_events()
        .log_group_name("beside")
        .log_stream_name("none");
    tell(
        "put nowhere",
        code(nowhere.log_events(event(now, "a")).send().await),
    );
    let nobody = client
        .put_log_events()
        .log_group_name("nobody")
        .log_stream_name("s");
    tell(
        "put for nobody",
        code(nobody.log_events(event(now, "a")).send().await),
    );
    let mixed = put(vec![now - 40, now + 3 * 3_600_000]).await.unwrap();
    let rejected = mixed
        .rejected_log_events_info()
        .and_then(|info| info.too_new_log_event_start_index());
    tell("put too new", format!("{rejected:?}"));
    let streams = client
        .describe_log_streams()
        .log_group_name("beside")
        .send()
        .await
        .unwrap();
    let streams = streams.log_streams().iter();
    let streams = streams.map(|stream| {
        (
            stream.log_stream_name().unwrap().to_owned(),
            stream.first_event_timestamp().map(|time| time - now),
            stream.last_event_timestamp().map(|time| time - now),
        )
    });
    tell("streams", format!("{:?}", streams.collect::<Vec<_>>()));
    let (mut token, mut lines) = (None, Vec::new());
    loop {
        let asked = client
            .get_log_events()
            .log_group_name("beside")
            .log_stream_name("s");
        let asked = asked
            .start_from_head(true)
            .limit(10)
            .set_next_token(token.clone());
        let page = asked.send().await.unwrap();
        lines.extend(page.events().iter().map(|event| {
            (
                event.timestamp().unwrap() - now,
                event.message().unwrap().to_owned(),
            )
        }));
        let next = page.next_forward_token().map(str::to_owned);
        if next == token {
            break;
        }
        token = next;
    }
    tell("read", format!("{lines:?}"));
    let (mut token, mut found) = (None, Vec::new());
    loop {
        let asked = client
            .filter_log_events()
            .log_group_name("beside")
            .filter_pattern("GET");
        let asked = asked.start_time(now - 20).end_time(now - 3).set_next_token(token);
        let page = asked.send().await.unwrap();
        found.extend(
            page.events()
                .iter()
                .map(|event| event.message().unwrap().to_owned()),
        );
        token = page.next_token().map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    // moto ends where `endTime` is, AWS before it.
    found.retain(|message| message != "GET -3");
    tell("filter", format!("{found:?}"));
    told
}

#[tokio::test]
async fn both_tell_the_same_story() {
    let Some(server) = programs::file("aws/moto/server.py") else {
        return;
    };
    let packages = server.parent().unwrap().parent().unwrap().to_owned();
    let port = programs::free_port();
    let _moto = programs::start(
        Command::new("python3")
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()])
            .env("PYTHONPATH", packages),
    );
    let begun = Instant::now();
    while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        assert!(begun.elapsed() < PATIENCE, "moto does not start");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (clock, _fake, ours) = fake().await;
    let now = clock.now().millis();
    let theirs = client(&format!("http://127.0.0.1:{port}"), ("AKIAMOTO", "any"), clock).await;
    assert_eq!(story(&ours, now).await, story(&theirs, now).await);
}
