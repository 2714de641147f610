//! CloudWatch Logs as AWS' own client sees it.

use std::time::Duration;

use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::types::InputLogEvent;
use model::Clock;

use super::{code, event, fake};
use crate::Fault;

const HOUR: i64 = 3_600_000;

async fn put(client: &Client, events: Vec<InputLogEvent>) -> String {
    let put = client.put_log_events().log_group_name("g").log_stream_name("s");
    match put.set_log_events(Some(events)).send().await {
        Ok(taken) => {
            let rejected = taken.rejected_log_events_info().map(|info| {
                (
                    info.too_old_log_event_end_index(),
                    info.expired_log_event_end_index(),
                    info.too_new_log_event_start_index(),
                )
            });
            format!("{rejected:?}")
        }
        Err(error) => {
            let error = error.into_service_error();
            let message = aws_sdk_cloudwatchlogs::error::ProvideErrorMetadata::message(&error);
            message.unwrap_or_default().to_owned()
        }
    }
}

#[tokio::test]
async fn groups_and_streams_are_made_once_and_listed_in_pages() {
    let (_clock, fake, client) = fake().await;
    let again = client.create_log_group().log_group_name("g").send().await;
    assert_eq!(code(again), "ResourceAlreadyExistsException");
    let bad = client
        .create_log_group()
        .log_group_name("with space")
        .send()
        .await;
    assert_eq!(code(bad), "InvalidParameterException");
    for nth in 0..7 {
        let made = client.create_log_group().log_group_name(format!("app/{nth}"));
        made.send().await.unwrap();
    }
    let kept = client.put_retention_policy().log_group_name("app/3");
    kept.clone().retention_in_days(30).send().await.unwrap();
    assert_eq!(
        code(kept.retention_in_days(31).send().await),
        "InvalidParameterException"
    );
    assert_eq!(fake.logs(|logs| logs.retention_days("app/3")), Some(30));
    let (mut names, mut token, mut pages) = (Vec::new(), None, 0);
    loop {
        let asked = client
            .describe_log_groups()
            .log_group_name_prefix("app/")
            .limit(3);
        let page = asked.set_next_token(token).send().await.unwrap();
        names.extend(
            page.log_groups()
                .iter()
                .filter_map(|group| Some((group.log_group_name()?.to_owned(), group.retention_in_days()))),
        );
        pages += 1;
        token = page.next_token().map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    let expected = (0..7).map(|nth| (format!("app/{nth}"), (nth == 3).then_some(30)));
    assert_eq!((names, pages), (expected.collect::<Vec<_>>(), 3));
    let missing = client
        .create_log_stream()
        .log_group_name("none")
        .log_stream_name("s");
    assert_eq!(code(missing.send().await), "ResourceNotFoundException");
}

#[tokio::test]
async fn a_batch_is_taken_within_the_limits_and_refused_beyond_them() {
    let (clock, fake, client) = fake().await;
    let now = clock.now().millis();
    let many = |count: usize, bytes: usize| -> Vec<InputLogEvent> {
        (0..count).map(|_| event(now, &"x".repeat(bytes))).collect()
    };
    // 1,048,576 bytes, with 26 for each event.
    assert_eq!(put(&client, many(1024, 998)).await, "None");
    let larger = [many(1023, 998), many(1, 999)].concat();
    assert_eq!(
        put(&client, larger).await,
        "Upload too large: 1048577 bytes exceeds limit of 1048576"
    );
    assert_eq!(put(&client, many(10_000, 1)).await, "None");
    assert!(
        put(&client, many(10_001, 1))
            .await
            .contains("length less than or equal to 10000")
    );
    assert!(
        put(&client, Vec::new())
            .await
            .contains("greater than or equal to 1")
    );
    let unordered = vec![event(now, "b"), event(now - 1, "a")];
    assert!(put(&client, unordered).await.contains("chronological order"));
    let long = |span: i64| vec![event(now - span, "a"), event(now, "b")];
    assert_eq!(put(&client, long(24 * HOUR)).await, "None");
    assert!(
        put(&client, long(24 * HOUR + 1))
            .await
            .contains("span more than 24 hours")
    );
    // Each is counted as UTF-8.
    let greek = vec![event(now, &"σ".repeat((1_048_576 - 26) / 2))];
    assert_eq!(put(&client, greek).await, "None");
    let greek = vec![event(now, &"σ".repeat((1_048_576 - 26) / 2 + 1))];
    assert!(put(&client, greek).await.starts_with("Upload too large: 1048578"));
    assert_eq!(
        fake.logs(|logs| logs.events("g", "s").len()),
        1024 + 10_000 + 2 + 1
    );
}

#[tokio::test]
async fn what_is_too_old_or_too_new_is_left_out_one_by_one() {
    let (clock, fake, client) = fake().await;
    let now = clock.now().millis();
    let day = 24 * HOUR;
    let old = vec![
        event(now - 14 * day - HOUR, "old"),
        event(now - 14 * day + HOUR, "just"),
    ];
    assert_eq!(put(&client, old).await, "Some((Some(1), None, None))");
    let new = vec![
        event(now, "now"),
        event(now + 2 * HOUR - 60_000, "just"),
        event(now + 2 * HOUR + 60_000, "new"),
    ];
    assert_eq!(put(&client, new).await, "Some((None, None, Some(2)))");
    let kept = client
        .put_retention_policy()
        .log_group_name("g")
        .retention_in_days(3);
    kept.send().await.unwrap();
    let expired = vec![
        event(now - 3 * day - 2 * HOUR, "a"),
        event(now - 3 * day - HOUR, "b"),
        event(now - 3 * day + HOUR, "c"),
    ];
    assert_eq!(put(&client, expired).await, "Some((None, Some(2), None))");
    let kept = fake.logs(|logs| logs.events("g", "s"));
    let kept: Vec<&str> = kept.iter().map(|event| event.message.as_str()).collect();
    assert_eq!(kept, ["just", "c", "now", "just"]);
}

#[tokio::test]
async fn a_stream_is_read_to_an_end_whose_token_stays_the_same() {
    let (clock, _fake, client) = fake().await;
    let now = clock.now().millis();
    let events = (0..25).map(|nth| event(now + nth, &format!("line {nth}")));
    put(&client, events.collect()).await;
    let (mut token, mut lines, mut pages) = (None, Vec::new(), 0);
    loop {
        let asked = client.get_log_events().log_group_name("g").log_stream_name("s");
        let asked = asked
            .start_from_head(true)
            .limit(10)
            .set_next_token(token.clone());
        let page = asked.send().await.unwrap();
        lines.extend(
            page.events()
                .iter()
                .filter_map(|event| event.message().map(str::to_owned)),
        );
        pages += 1;
        let next = page.next_forward_token().map(str::to_owned);
        if next == token {
            assert!(page.events().is_empty());
            break;
        }
        token = next;
    }
    let expected: Vec<String> = (0..25).map(|nth| format!("line {nth}")).collect();
    assert_eq!((lines, pages), (expected, 4));
    // What comes later is read from there.
    put(&client, vec![event(now + 100, "later")]).await;
    let asked = client.get_log_events().log_group_name("g").log_stream_name("s");
    let page = asked
        .start_from_head(true)
        .set_next_token(token)
        .send()
        .await
        .unwrap();
    assert_eq!(page.events()[0].message(), Some("later"));
    // Without a direction the last ones come, in order.
    let asked = client
        .get_log_events()
        .log_group_name("g")
        .log_stream_name("s")
        .limit(2);
    let page = asked.send().await.unwrap();
    let last: Vec<&str> = page.events().iter().filter_map(|event| event.message()).collect();
    assert_eq!(last, ["line 24", "later"]);
}

#[tokio::test]
async fn a_filter_goes_over_streams_in_pages_that_may_be_empty() {
    let (clock, fake, client) = fake().await;
    let now = clock.now().millis();
    let other = client
        .create_log_stream()
        .log_group_name("g")
        .log_stream_name("t");
    other.send().await.unwrap();
    for (stream, offset) in [("s", 0), ("t", 1)] {
        let put = client
            .put_log_events()
            .log_group_name("g")
            .log_stream_name(stream);
        let events = (0..10).map(|nth| event(now + 2 * nth + offset, &format!("GET {stream}{nth}")));
        put.set_log_events(Some(events.collect())).send().await.unwrap();
    }
    fake.logs(|logs| {
        logs.empty_pages = 2;
        logs.limit("FilterLogEvents", 1000);
    });
    let read = async |pattern: &str, from: Option<i64>| {
        let (mut found, mut token, mut sizes) = (Vec::new(), None, Vec::new());
        loop {
            let asked = client.filter_log_events().log_group_name("g").limit(8);
            let asked = asked.filter_pattern(pattern).set_start_time(from);
            let page = asked.set_next_token(token).send().await.unwrap();
            sizes.push(page.events().len());
            found.extend(page.events().iter().map(|event| {
                (
                    event.event_id().unwrap().to_owned(),
                    event.message().unwrap().to_owned(),
                )
            }));
            token = page.next_token().map(str::to_owned);
            if token.is_none() {
                return (found, sizes);
            }
        }
    };
    let (found, sizes) = read("GET", None).await;
    assert_eq!(sizes, [0, 0, 8, 0, 0, 8, 0, 0, 4]);
    let messages: Vec<&str> = found.iter().map(|(_, message)| message.as_str()).collect();
    let expected: Vec<String> = (0..20)
        .map(|nth| format!("GET {}{}", ["s", "t"][nth % 2], nth / 2))
        .collect();
    assert_eq!(messages, expected);
    let ids: std::collections::BTreeSet<&String> = found.iter().map(|(id, _)| id).collect();
    assert_eq!(ids.len(), 20);
    let (found, _) = read("\"GET t\"", Some(now + 15)).await;
    assert_eq!(found.len(), 3);
    let (found, sizes) = read("POST", None).await;
    assert_eq!((found.len(), sizes), (0, vec![0]));
}

#[tokio::test]
async fn late_events_are_seen_later_and_stand_where_they_belong() {
    let (clock, fake, client) = fake().await;
    let now = clock.now().millis();
    fake.logs(|logs| logs.late = Duration::from_secs(60));
    put(&client, vec![event(now - 1000, "late")]).await;
    fake.logs(|logs| logs.late = Duration::ZERO);
    put(&client, vec![event(now, "prompt")]).await;
    let read = async || {
        let asked = client.filter_log_events().log_group_name("g");
        let page = asked.send().await.unwrap();
        let found = page.events().iter().filter_map(|event| event.message());
        found.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(read().await, ["prompt"]);
    clock.skew(61_000);
    assert_eq!(read().await, ["late", "prompt"]);
}

#[tokio::test]
async fn too_many_requests_a_second_are_throttled() {
    let (clock, fake, client) = fake().await;
    let asked = || client.filter_log_events().log_group_name("g").send();
    for _ in 0..5 {
        assert!(asked().await.is_ok());
    }
    assert_eq!(code(asked().await), "ThrottlingException");
    clock.skew(1000);
    assert!(asked().await.is_ok());
    assert_eq!(fake.count("FilterLogEvents"), 7);
}

#[tokio::test]
async fn it_fails_as_it_is_told() {
    let (clock, fake, client) = fake().await;
    let now = clock.now().millis();
    let put = || {
        let put = client.put_log_events().log_group_name("g").log_stream_name("s");
        put.log_events(event(now, "a")).send()
    };
    let count = || fake.logs(|logs| logs.events("g", "s").len());
    fake.fails("PutLogEvents", 1, Fault::Broken);
    fake.fails("PutLogEvents", 1, Fault::Throttled);
    fake.fails("PutLogEvents", 1, Fault::LosesAnswer);
    fake.fails("PutLogEvents", 1, Fault::Hangs);
    assert_eq!(code(put().await), "no code");
    assert_eq!(code(put().await), "ThrottlingException");
    assert_eq!(count(), 0);
    // It was taken, and whoever sent it does not know: a repeat is a second one, as with the real one.
    assert!(put().await.is_err());
    assert_eq!(count(), 1);
    let hung = tokio::time::timeout(Duration::from_millis(300), put()).await;
    assert!(hung.is_err());
    assert_eq!(count(), 1);
    put().await.unwrap();
    assert_eq!(count(), 2);
    let statuses: Vec<u16> = fake.seen().iter().skip(2).map(|seen| seen.status).collect();
    assert_eq!(statuses, [500, 400, 0, 0, 200]);
    fake.logs(|logs| logs.remove_group("g"));
    assert_eq!(code(put().await), "ResourceNotFoundException");
}

#[tokio::test]
async fn a_token_of_yesterday_leads_nowhere_and_a_group_is_known_by_its_arn() {
    let (clock, _fake, client) = fake().await;
    let now = clock.now().millis();
    put(&client, vec![event(now, "a"), event(now + 1, "b")]).await;
    let groups = client.describe_log_groups().send().await.unwrap();
    let arn = groups.log_groups()[0].arn().unwrap().to_owned();
    let read = |token: Option<String>| {
        let asked = client
            .get_log_events()
            .log_group_identifier(&arn)
            .log_stream_name("s");
        let asked = asked.start_from_head(true).limit(1).set_next_token(token);
        asked.send()
    };
    let first = read(None).await.unwrap();
    let token = first.next_forward_token().map(str::to_owned);
    clock.skew(23 * HOUR);
    let second = read(token.clone()).await.unwrap();
    assert_eq!(second.events()[0].message(), Some("b"));
    clock.skew(2 * HOUR);
    assert_eq!(code(read(token).await), "InvalidParameterException");
    // That of the second page is younger, and the end's own token does not change.
    let token = second.next_forward_token().map(str::to_owned);
    assert_eq!(
        read(token.clone())
            .await
            .unwrap()
            .next_forward_token()
            .map(str::to_owned),
        token
    );
    let both = client
        .get_log_events()
        .log_group_identifier(&arn)
        .log_group_name("g");
    assert_eq!(
        code(both.log_stream_name("s").send().await),
        "InvalidParameterException"
    );
}

#[tokio::test]
async fn a_list_of_streams_may_lag_behind_what_is_in_them() {
    let (clock, fake, client) = fake().await;
    let now = clock.now().millis();
    fake.logs(|logs| logs.described_late = Duration::from_secs(600));
    put(&client, vec![event(now, "a")]).await;
    let last = async || {
        let asked = client.describe_log_streams().log_group_name("g");
        let asked = asked
            .order_by(aws_sdk_cloudwatchlogs::types::OrderBy::LastEventTime)
            .descending(true);
        let listed = asked.send().await.unwrap();
        listed.log_streams()[0].last_event_timestamp()
    };
    assert_eq!(last().await, None);
    clock.skew(601_000);
    assert_eq!(last().await, Some(now));
}
