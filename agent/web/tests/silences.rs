//! Silences through Alertmanager's API: made, listed, ended, passed on.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::outside::{Call, Response};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::house::{House, LOOPBACK, NOW, OPEN};
use super::memory;
use crate::{Alerting, Config, Rooms, SilenceError, Silences};

const JSON: &str = "content-type: application/json";

fn postable() -> Value {
    json!({
        "matchers": [{ "name": "job", "value": "shop", "isRegex": false, "isEqual": true }],
        "startsAt": "2026-11-26T06:00:00Z",
        "endsAt": "2026-11-26T08:00:00Z",
        "createdBy": "me",
        "comment": "moving",
    })
}

/// Keeps what it is given, as the notifier would, and knows little of what is valid.
fn kept() -> Silences {
    let all: Arc<Mutex<BTreeMap<String, Value>>> = Arc::default();
    let (list, get, put, delete) = (all.clone(), all.clone(), all.clone(), all);
    Silences {
        list: Arc::new(move |filters| {
            if let Some(bad) = filters.iter().find(|filter| !filter.contains('=')) {
                return Err(format!("bad matcher format: {bad}"));
            }
            let all: Vec<Value> = list.lock().values().cloned().collect();
            let fits = |silence: &&Value| {
                filters.iter().all(|filter| {
                    let (name, value) = filter.split_once('=').unwrap();
                    silence["matchers"][0]["name"] == name && silence["matchers"][0]["value"] == value
                })
            };
            Ok(serde_json::to_string(&all.iter().filter(fits).collect::<Vec<_>>()).unwrap())
        }),
        get: Arc::new(move |id| get.lock().get(id).map(ToString::to_string)),
        put: Arc::new(move |text| {
            let mut silence: Value = serde_json::from_str(&text).unwrap();
            let mut all = put.lock();
            let id = match silence.get("id").and_then(Value::as_str) {
                Some(id) if all.contains_key(id) => Ok(id.to_owned()),
                Some(_) => Err(SilenceError::Unknown),
                None if silence["comment"] == "" => Err(SilenceError::Bad("comment missing".to_owned())),
                None => Ok(format!("00000000-0000-0000-0000-{:012}", all.len() + 1)),
            };
            if let Ok(id) = &id {
                silence["id"] = json!(id);
                silence["status"] = json!({ "state": "active" });
                silence["updatedAt"] = json!("2026-11-26T06:00:00Z");
                all.insert(id.clone(), silence);
            }
            Box::pin(std::future::ready(id))
        }),
        delete: Arc::new(move |id| {
            let ended = match delete.lock().get_mut(&id) {
                Some(silence) => {
                    silence["status"]["state"] = json!("expired");
                    Ok(())
                }
                None => Err(SilenceError::Unknown),
            };
            Box::pin(std::future::ready(ended))
        }),
        read: Arc::new(|_| Ok(Vec::new())),
        covering: Arc::new(|_| Err("nobody asks here".to_owned())),
    }
}

fn house(listen: &str, furnish: impl FnOnce(&mut Rooms)) -> House {
    House::furnished(
        &Config::default(),
        listen,
        Arc::new(memory::estate(NOW)),
        |rooms| {
            rooms.silences = Some(kept());
            furnish(rooms);
        },
    )
}

async fn post(house: &House, silence: &Value) -> (u16, Value) {
    let answer = house
        .send("POST", "/api/v2/silences", &[JSON], &silence.to_string())
        .await;
    assert_eq!(answer.header("content-type"), "application/json");
    (answer.status, serde_json::from_str(&answer.body).unwrap())
}

async fn read(house: &House, path: &str) -> Value {
    let answer = house.get(path).await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, "application/json")
    );
    serde_json::from_str(&answer.body).unwrap()
}

#[tokio::test]
async fn a_silence_is_made_found_and_ended() {
    let house = house(LOOPBACK, |_| {});
    assert_eq!(read(&house, "/api/v2/silences").await, json!([]));
    let id = "00000000-0000-0000-0000-000000000001";
    assert_eq!(post(&house, &postable()).await, (200, json!({ "silenceID": id })));
    for (filter, found) in [
        ("", 1),
        ("?filter=job%3Dshop", 1),
        ("?filter=job%3Dshop&filter=a%3Db", 0),
    ] {
        let list = read(&house, &format!("/api/v2/silences{filter}")).await;
        assert_eq!(list.as_array().unwrap().len(), found, "{filter}");
    }
    let one = read(&house, &format!("/api/v2/silence/{id}")).await;
    assert_eq!(
        (&one["id"], &one["status"]["state"]),
        (&json!(id), &json!("active"))
    );
    let ended = house
        .send("DELETE", &format!("/api/v2/silence/{id}"), &[], "")
        .await;
    assert_eq!((ended.status, &*ended.body), (200, ""));
    let one = read(&house, &format!("/api/v2/silence/{id}")).await;
    assert_eq!(one["status"]["state"], "expired");
    let mut changed = postable();
    changed["id"] = json!(id);
    assert_eq!(post(&house, &changed).await, (200, json!({ "silenceID": id })));
}

/// Statuses and bodies as a real Alertmanager 0.33.1 gave them to the same requests.
#[tokio::test]
async fn mistakes_are_answered_in_alertmanagers_words() {
    let house = house(LOOPBACK, |_| {});
    let other = "00000000-0000-0000-0000-000000000009";
    for method in ["GET", "DELETE"] {
        let answer = house
            .send(method, &format!("/api/v2/silence/{other}"), &[], "")
            .await;
        assert_eq!((answer.status, &*answer.body), (404, ""));
    }
    let with = |name: &str, value: Value| {
        let mut silence = postable();
        silence[name] = value;
        silence
    };
    for (silence, status, said) in [
        (with("id", json!(other)), 404, json!("silence not found")),
        (with("comment", json!("")), 400, json!("comment missing")),
        (
            json!({ "matchers": [], "startsAt": "2026-11-26T00:00:00Z" }),
            422,
            json!({ "code": 602, "message": "comment in body is required" }),
        ),
        (
            with("matchers", json!([])),
            422,
            json!({ "code": 612, "message": "matchers in body should have at least 1 items" }),
        ),
    ] {
        assert_eq!(post(&house, &silence).await, (status, said));
    }
    for (headers, body, status, said) in [
        (
            &[JSON][..],
            "{nonsense",
            400,
            "parsing silence body from \\\"\\\" failed, because",
        ),
        (
            &["content-type: text/plain"],
            "{}",
            415,
            "unsupported media type \\\"text/plain\\\"",
        ),
        (&[], "{}", 415, "only [application/json] are allowed"),
    ] {
        let answer = house.send("POST", "/api/v2/silences", headers, body).await;
        assert_eq!(answer.status, status, "{body}");
        assert!(answer.body.contains(said), "{}", answer.body);
    }
    let filter = house.get("/api/v2/silences?filter=c").await;
    assert_eq!((filter.status, &*filter.body), (400, "\"bad matcher format: c\""));
    let nowhere = house.get("/api/v2/nothing").await;
    let said = "{\"code\":404,\"message\":\"path /api/v2/nothing was not found\"}";
    assert_eq!((nowhere.status, &*nowhere.body), (404, said));
    assert_eq!(
        house.send("PUT", "/api/v2/silences", &[JSON], "{}").await.status,
        405
    );
}

#[tokio::test]
async fn a_follower_passes_changes_on_and_reads_itself() {
    let passed: Arc<Mutex<Vec<Call>>> = Arc::default();
    let noted = Arc::clone(&passed);
    let house = house(LOOPBACK, |rooms| {
        rooms.forward = Arc::new(move |call| {
            noted.lock().push(call);
            Box::pin(std::future::ready(Some(Response {
                status: 503,
                headers: vec![("content-type".to_owned(), "application/json".to_owned())],
                body: b"\"skopos-0 leads and cannot be reached\"".to_vec(),
            })))
        });
    });
    let (status, said) = post(&house, &postable()).await;
    assert_eq!(
        (status, said),
        (503, json!("skopos-0 leads and cannot be reached"))
    );
    assert_eq!(
        house
            .send("DELETE", "/api/v2/silence/a%20b", &[], "")
            .await
            .status,
        503
    );
    assert_eq!(read(&house, "/api/v2/silences").await, json!([]));
    let passed = passed.lock();
    let asked: Vec<_> = passed
        .iter()
        .map(|call| (call.method.as_str(), call.path.as_str()))
        .collect();
    assert_eq!(
        asked,
        [("POST", "/api/v2/silences"), ("DELETE", "/api/v2/silence/a%20b")]
    );
    assert_eq!(
        serde_json::from_slice::<Value>(&passed[0].body).unwrap(),
        postable()
    );
    assert_eq!(passed[0].header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn people_silence_over_loopback_only_and_only_where_silences_are_kept() {
    let open = house(OPEN, |_| {});
    let text = postable().to_string();
    assert_eq!(
        open.send("POST", "/api/v2/silences", &[JSON], &text).await.status,
        403
    );
    assert_eq!(
        open.send("DELETE", "/api/v2/silence/x", &[], "").await.status,
        403
    );
    assert_eq!(open.get("/api/v2/silences").await.status, 200);
    // The page's forms go by the same rules.
    let form = "matcher=a%3Db&for=2h&because=x&by=ann";
    assert_eq!(open.post("/silences", form).await.status, 403);
    assert_eq!(open.post("/silences/x/expire", "").await.status, 403);
    let foreign = [
        "content-type: application/x-www-form-urlencoded",
        "sec-fetch-site: cross-site",
    ];
    let local = house(LOOPBACK, |_| {});
    for path in ["/silences", "/silences/x/expire"] {
        assert_eq!(local.send("POST", path, &foreign, form).await.status, 403);
    }
    let none = house(LOOPBACK, |rooms| rooms.silences = None);
    for (method, path) in [
        ("GET", "/api/v2/silences"),
        ("POST", "/api/v2/silences"),
        ("DELETE", "/api/v2/silence/x"),
    ] {
        let answer = none.send(method, path, &[JSON], &text).await;
        assert_eq!(answer.status, 404);
        assert!(
            answer.body.contains("no silences are kept here: role all"),
            "{}",
            answer.body
        );
    }
}

#[tokio::test]
async fn amtool_learns_what_it_asks_first() {
    let status = read(&house(LOOPBACK, |_| {}), "/api/v2/status").await;
    assert_eq!(status["uptime"], "2015-07-01T20:10:30.781Z");
    assert_eq!(status["cluster"], json!({ "peers": [], "status": "disabled" }));
    assert_eq!(status["versionInfo"]["version"], "0.33.1");
    assert_eq!(status["versionInfo"]["skopos"], "0.1.0");
    assert_eq!(status["config"]["original"], "");
    let telling = house(LOOPBACK, |rooms| {
        rooms.alerting = Some(Alerting {
            list: Arc::new(|_, _| Box::pin(std::future::ready(Ok("[]".to_owned())))),
            original: Arc::new(|| "route: { receiver: all }\n".to_owned()),
            post: Arc::new(|_| Box::pin(std::future::ready(Ok(())))),
        });
    });
    let status = read(&telling, "/api/v2/status").await;
    assert_eq!(status["config"]["original"], "route: { receiver: all }\n");
}
