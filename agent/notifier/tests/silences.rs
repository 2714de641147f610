//! Silences: what Alertmanager 0.33.1 answers to the same requests, and what they keep from people.

use model::Clock;
use serde_json::{Value, json};

use super::world::{BOTH, HOOK, Manner, START, World, minutes, secs};

fn at(seconds: i64) -> String {
    let millis = START.0 + seconds * 1000;
    jiff::Timestamp::from_millisecond(millis).unwrap().to_string()
}

/// One of `a="b"` from `from` to `until`, in seconds after the start.
fn silence(from: i64, until: i64) -> Value {
    json!({
        "matchers": [{ "name": "a", "value": "b", "isRegex": false }],
        "startsAt": at(from), "endsAt": at(until), "createdBy": "x", "comment": "d",
    })
}

fn with(mut silence: Value, name: &str, value: Value) -> Value {
    silence[name] = value;
    silence
}

fn without(mut silence: Value, name: &str) -> Value {
    silence.as_object_mut().unwrap().remove(name);
    silence
}

fn post(world: &World, silence: &Value) -> String {
    world.handle.put_silence(silence.to_string().as_bytes()).unwrap()
}

fn refused(world: &World, body: &str) -> (u16, String) {
    world.handle.put_silence(body.as_bytes()).unwrap_err()
}

fn get(world: &World, id: &str) -> Value {
    serde_json::from_str(&world.handle.get_silence(id).unwrap()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_is_said_as_alertmanager_says_it() {
    let world = World::new("{}");
    let good = || silence(-60, 3600);
    let matcher = |matcher: Value| with(good(), "matchers", json!([matcher])).to_string();
    let empty = "invalid silence: matcher set 0: at least one matcher must not match the empty string";
    let bad_regex = "invalid silence: invalid label matcher 0 in set 0: invalid regular expression \"(\": error: \
                     unclosed group";
    for (body, status, says) in [
        (String::new(), 422, "silence in body is required"),
        ("{}".to_owned(), 422, "comment in body is required"),
        (
            without(good(), "createdBy").to_string(),
            422,
            "createdBy in body is required",
        ),
        (
            without(good(), "endsAt").to_string(),
            422,
            "endsAt in body is required",
        ),
        (
            without(good(), "startsAt").to_string(),
            422,
            "startsAt in body is required",
        ),
        (
            without(good(), "matchers").to_string(),
            422,
            "matchers in body is required",
        ),
        (
            with(good(), "matchers", json!([])).to_string(),
            422,
            "matchers in body should have at least 1 items",
        ),
        (
            matcher(json!({ "name": "a", "value": "b" })),
            422,
            "matchers.0.isRegex in body is required",
        ),
        (
            matcher(json!({ "name": "a", "value": "", "isRegex": false })),
            400,
            empty,
        ),
        (
            matcher(json!({ "name": "a", "value": ".*", "isRegex": true })),
            400,
            empty,
        ),
        (
            matcher(json!({ "name": "a", "value": "b", "isRegex": false, "isEqual": false })),
            400,
            empty,
        ),
        (
            matcher(json!({ "name": "a", "value": "(", "isRegex": true })),
            400,
            bad_regex,
        ),
        (
            matcher(json!({ "name": "", "value": "b", "isRegex": false })),
            400,
            "invalid silence: invalid label matcher 0 in set 0: invalid label name \"\"",
        ),
        (
            silence(60, -60).to_string(),
            400,
            "Failed to create silence: start time must be before end time",
        ),
        (
            silence(-60, -30).to_string(),
            400,
            "Failed to create silence: end time can't be in the past",
        ),
        (
            with(good(), "id", json!("nope")).to_string(),
            404,
            "silence not found",
        ),
    ] {
        assert_eq!(refused(&world, &body), (status, says.to_owned()), "{body}");
    }
    for body in [
        "{".to_owned(),
        "[]".to_owned(),
        with(good(), "startsAt", json!("soon")).to_string(),
    ] {
        let (status, why) = refused(&world, &body);
        assert!(
            status == 400 && why.starts_with("parsing silence body from \"\" failed, because "),
            "{why}"
        );
    }
    assert_eq!(world.handle.silences_json(&[]).unwrap(), "[]");
    let (status, _) = refused(
        &world,
        &with(good(), "comment", json!("x".repeat(70_000))).to_string(),
    );
    assert_eq!(status, 400);
}

#[tokio::test(start_paused = true)]
async fn one_is_shown_as_alertmanager_shows_it() {
    let world = World::new("{}");
    // Unknown fields are passed over; who wrote it may be nobody.
    let posted = with(
        with(silence(-60, 3600), "createdBy", json!("")),
        "unknown",
        json!(1),
    );
    let id = post(&world, &posted);
    let expected = format!(
        concat!(
            r#"{{"id":"{id}","status":{{"state":"active"}},"updatedAt":"2026-11-26T02:51:01.000Z","comment":"d","#,
            r#""createdBy":"","endsAt":"2026-11-26T03:51:01.000Z","#,
            r#""matchers":[{{"isEqual":true,"isRegex":false,"name":"a","value":"b"}}],"#,
            r#""startsAt":"2026-11-26T02:51:01.000Z"}}"#,
        ),
        id = id
    );
    assert_eq!(world.handle.get_silence(&id).unwrap(), expected);
    assert_eq!(world.handle.silences_json(&[]).unwrap(), format!("[{expected}]"));
    assert_eq!(id.len(), 36);
    let none = "0a1d5b6e-1111-4222-8333-444455556666";
    let unknown = || Err((404, "silence not found".to_owned()));
    assert_eq!(world.handle.get_silence(none), unknown());
    assert_eq!(world.handle.delete_silence(none), unknown().map(|_: String| ()));
    let says = r#"silenceID in path must be of type uuid: "nope""#;
    assert_eq!(world.handle.get_silence("nope"), Err((422, says.to_owned())));
}

#[tokio::test(start_paused = true)]
async fn a_change_keeps_the_name_where_it_may() {
    let world = World::new("{}");
    let state = |id: &str| get(&world, id)["status"]["state"].as_str().unwrap().to_owned();
    let id = post(&world, &silence(-60, 3600));
    world.wait(secs(1)).await;
    // It began when it was posted, so this one would begin at another time.
    let other = post(&world, &with(silence(-60, 7200), "id", json!(id)));
    assert_eq!(
        (state(&id), state(&other)),
        ("expired".to_owned(), "active".to_owned())
    );
    let from = get(&world, &other)["startsAt"].clone();
    let longer = with(
        with(silence(0, 9000), "id", json!(other)),
        "startsAt",
        from.clone(),
    );
    assert_eq!(post(&world, &longer), other);
    assert_eq!(
        get(&world, &other)["endsAt"],
        at(9000).replace('Z', ".000Z").as_str()
    );
    // Other matchers are another silence.
    let matchers = json!([{ "name": "a", "value": "c", "isRegex": false }]);
    let third = post(&world, &with(longer.clone(), "matchers", matchers));
    assert_eq!(
        (state(&other), state(&third)),
        ("expired".to_owned(), "active".to_owned())
    );
    world.handle.delete_silence(&third).unwrap();
    world.handle.delete_silence(&third).unwrap();
    assert_eq!(state(&third), "expired");
    // One that has ended does not come back to life.
    assert_ne!(post(&world, &with(longer, "id", json!(third))), third);
    let later = post(&world, &silence(3600, 7200));
    assert_eq!(state(&later), "pending");
    world.handle.delete_silence(&later).unwrap();
    assert_eq!(state(&later), "expired");
}

#[tokio::test(start_paused = true)]
async fn the_list_is_in_alertmanagers_order_and_filters_by_whole_matchers() {
    let world = World::new("{}");
    let name = |silence: Value, name: &str| with(silence, "comment", json!(name));
    for (from, until, word) in [
        (0, 7200, "late"),
        (0, 3600, "soon"),
        (3600, 7200, "next"),
        (1800, 7200, "first"),
        (0, 30, "old"),
    ] {
        post(&world, &name(silence(from, until), word));
    }
    let other = json!([{ "name": "a", "value": "b|c", "isRegex": true, "isEqual": false },
        { "name": "z", "value": "1", "isRegex": false }]);
    let id = post(&world, &with(name(silence(0, 20), "other"), "matchers", other));
    world.wait(minutes(1)).await;
    let list = |filter: &[&str]| -> Vec<String> {
        let filter: Vec<String> = filter.iter().map(|text| (*text).to_owned()).collect();
        let list: Vec<Value> = serde_json::from_str(&world.handle.silences_json(&filter).unwrap()).unwrap();
        let words = list
            .iter()
            .map(|silence| silence["comment"].as_str().unwrap().to_owned());
        words.collect()
    };
    assert_eq!(list(&[]), ["soon", "late", "first", "next", "old", "other"]);
    assert_eq!(list(&["a=b"]).len(), 5);
    assert_eq!(list(&["a!~\"b|c\"", "z=1"]), ["other"]);
    assert_eq!(list(&["a!=b"]), Vec::<String>::new());
    let refused = world.handle.silences_json(&["foo".to_owned()]);
    assert_eq!(refused, Err((400, "bad matcher format: foo".to_owned())));
    // Five days after its end nobody asks for it any more.
    world.wait(minutes(5 * 24 * 60 + 30)).await;
    assert!(
        world
            .handle
            .get_silence(&id)
            .is_err_and(|(status, _)| status == 404)
    );
    assert_eq!(list(&[]).len(), 4);
    assert_eq!(world.metric("alertmanager_silences{state=\"expired\"}"), 4.0);
}

fn of(label: &str, value: &str, seconds: i64) -> Value {
    let matchers = json!([{ "name": label, "value": value, "isRegex": true }]);
    with(silence(-60, seconds), "matchers", matchers)
}

#[tokio::test(start_paused = true)]
async fn what_is_silenced_is_told_when_the_silence_is_over_and_not_before() {
    let world = World::new(BOTH);
    post(&world, &of("alertname", "Do.*", 1000));
    world.fires("Down", "a").await;
    world.wait(minutes(10)).await;
    assert!(world.receivers.attempts().is_empty());
    assert_eq!(world.metric("alertmanager_alerts{state=\"suppressed\"}"), 1.0);
    // Over before anybody heard of it: nobody hears of its end.
    world.fires("Door", "b").await;
    world.wait(minutes(1)).await;
    world.resolves("Door", "b", START + minutes(10)).await;
    world.wait(minutes(4)).await;
    assert!(world.receivers.attempts().is_empty());
    world.wait(minutes(3)).await;
    let got = world.hook();
    assert_eq!((got.len(), world.slack().len()), (1, 1));
    assert_eq!(got[0].alerts().into_keys().collect::<Vec<_>>(), ["a"]);
    assert!(
        (1000..1020).contains(&got[0].after(START)),
        "{}",
        got[0].after(START)
    );
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn who_was_told_of_the_beginning_is_told_of_the_end() {
    let world = World::new(HOOK);
    world.fires("Down", "a").await;
    world.fires("Down", "b").await;
    world.wait(minutes(1)).await;
    let id = post(&world, &of("n", "a", 90_000));
    // Nothing of it is repeated either; the other one is.
    world.wait(minutes(300)).await;
    let got = world.hook();
    assert_eq!(
        (got.len(), got[1].alerts().into_keys().collect::<Vec<_>>()),
        (2, vec!["b".to_owned()])
    );
    world.resolves("Down", "a", START).await;
    world.wait(minutes(1)).await;
    assert_eq!(world.hook()[2].alerts()["a"], "resolved");
    // Told, silenced and still there when the silence is ended by hand.
    world.handle.delete_silence(&id).unwrap();
    post(&world, &of("n", "b", 90_000));
    world.wait(minutes(6)).await;
    let before = world.hook().len();
    let world = world.crash().await;
    let list: Vec<Value> = serde_json::from_str(&world.handle.silences_json(&[]).unwrap()).unwrap();
    let active = list.iter().find(|silence| silence["status"]["state"] == "active");
    world
        .handle
        .delete_silence(active.unwrap()["id"].as_str().unwrap())
        .unwrap();
    world.wait(minutes(1)).await;
    let got = world.hook();
    assert_eq!(
        (got.len(), &got[before].alerts()["b"][..]),
        (before + 1, "firing")
    );
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn what_is_silenced_while_its_message_is_on_its_way_is_not_forgotten() {
    let world = World::new(HOOK);
    world.fires("Down", "a").await;
    world.wait(minutes(1)).await;
    for (manner, told) in [(Manner::TakesAfter(secs(5)), true), (Manner::Answers(500), false)] {
        world.receivers.forget();
        world.receivers.behave("http://hook/", manner);
        let n = if told { "b" } else { "c" };
        let since = world.clock.now();
        world.fires("Down", n).await;
        world.wait(minutes(5)).await;
        post(&world, &of("n", "a|b|c", 1_000_000));
        world.wait(secs(20)).await;
        world.receivers.behave("http://hook/", Manner::Takes);
        world.resolves("Down", n, since).await;
        world.wait(minutes(5)).await;
        let ended = world
            .hook()
            .iter()
            .any(|got| got.alerts().get(n).is_some_and(|word| word == "resolved"));
        assert_eq!(ended, told, "{n}");
        let all: Vec<Value> = serde_json::from_str(&world.handle.silences_json(&[]).unwrap()).unwrap();
        for silence in all {
            world
                .handle
                .delete_silence(silence["id"].as_str().unwrap())
                .unwrap();
        }
        world.wait(minutes(1)).await;
    }
    world.resolves("Down", "a", START).await;
    world.wait(minutes(1)).await;
    assert_eq!(world.hook().last().unwrap().alerts()["a"], "resolved");
    assert_eq!(world.metric("alertmanager_alerts{state=\"active\"}"), 0.0);
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn a_silence_that_the_other_replica_wrote_is_heeded_within_a_second() {
    let world = World::new(HOOK);
    let now = world.clock.now();
    let theirs = json!({
        "id": "0a1d5b6e-1111-4222-8333-444455556666",
        "matchers": [{ "name": "n", "op": "=", "value": "a" }],
        "starts_at": now, "ends_at": now + minutes(90), "updated_at": now, "created_by": "", "comment": "",
    });
    world
        .leads
        .send_modify(|leads| leads.until = Some(secs(1_000_000)));
    world.fires("Down", "a").await;
    world.wait(secs(28)).await;
    world
        .journal
        .put("silences/0a1d5b6e-1111-4222-8333-444455556666", &theirs)
        .unwrap();
    world.wait(minutes(60)).await;
    assert!(world.receivers.attempts().is_empty());
    world.wait(minutes(31)).await;
    assert_eq!(world.hook().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_still_fires_after_its_silence_is_told_again_unless_it_is_to_wait_for_the_repeat() {
    let waits = format!("{HOOK}\ntell_after_silence: false\nrepeat_interval: 4h\n");
    for (config, soon) in [(HOOK.to_owned(), 2), (waits, 1)] {
        let world = World::new(&config);
        world.fires("Down", "a").await;
        world.wait(minutes(2)).await;
        post(&world, &of("n", "a", 600));
        world.wait(minutes(20)).await;
        assert_eq!(world.hook().len(), soon, "{config}");
        // Told once more when the last message is four hours old.
        world.wait(minutes(4 * 60)).await;
        assert_eq!(world.hook().len(), soon + 1, "{config}");
        world.balances();
    }
}
