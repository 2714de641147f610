//! What the silence form must do, without JavaScript.

use std::sync::Arc;

use axum::body::Body;
use http::{Request, StatusCode, header};
use model::outside::{Call, Response};
use parking_lot::Mutex;
use serde_json::Value;

use super::made_up::Story;
use super::tests::{ask, get, house};
use crate::Rooms;

const WHOLE: &str = "matcher=alertname%3D%22FilesystemAlmostFull%22&matcher=mountpoint%3D%22%2Fhome%22&for=2h&because=moving&by=ann";
const ONE: &str = "00000000-0000-4000-8000-000000000001";

async fn post(rooms: &Rooms, path: &str, body: &str) -> (StatusCode, String, String) {
    let request = Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    let (head, body) = ask(rooms.clone(), request.body(Body::from(body.to_owned())).unwrap()).await;
    let location = head.headers().get(header::LOCATION);
    let location = location
        .map_or("", |location| location.to_str().unwrap())
        .to_owned();
    (head.status(), location, body)
}

#[tokio::test]
async fn silences_are_listed_with_what_each_keeps_quiet() {
    let (status, body) = get(house(Story::Firing), "/silences").await;
    assert_eq!(status, StatusCode::OK);
    for said in [
        "1 silence keeps 1 alert quiet, until",
        "mountpoint=&quot;/var&quot;",
        "the mail archive moves, OPS-17",
        "Yet to begin",
        "restore test",
        "End this silence now?",
        "action=\"/silences/00000000-0000-4000-8000-000000000001/expire\"",
        "href=\"/silences?id=00000000-0000-4000-8000-000000000003#silence\"",
    ] {
        assert!(body.contains(said), "{said}");
    }
    let (_, body) = get(house(Story::Calm), "/silences").await;
    assert!(body.contains("Nothing is silenced") && body.contains("no silence is remembered"));
    let (status, body) = get(house(Story::Empty), "/silences").await;
    assert!(status.is_success() && body.contains("No silences are kept here"));
}

#[tokio::test]
async fn a_link_opens_the_form_filled_in_and_says_what_would_fall_silent() {
    let path = format!("/silences?{WHOLE}&offer=severity%3D%22warning%22");
    let (_, body) = get(house(Story::Firing), &path).await;
    for said in [
        "name=\"matcher\" value=\"mountpoint=&quot;/home&quot;\" checked",
        "name=\"matcher\" value=\"severity=&quot;warning&quot;\">",
        "value=\"moving\"",
        "value=\"ann\"",
        "Silences 1 alert until 12:00",
        "1 firing now: FilesystemAlmostFull /home",
        "FilesystemAlmostFull /var</b> stays loud: another mountpoint, /var",
        "would have held back 2 alerts in the 12 h that can be looked back: 09:52 FilesystemAlmostFull /home, still; 09:01",
        "Silence 1 alert</button>",
    ] {
        assert!(body.contains(said), "{said}");
    }
    // As Alertmanager's own links have it; and nothing drawn moves under the hand that types.
    let (_, body) = get(
        house(Story::Firing),
        "/silences?filter=%7Bseverity%3D%22warning%22%7D",
    )
    .await;
    assert!(body.contains("Silence 2 alerts</button>") && !body.contains("data-every"));
}

#[tokio::test]
async fn the_page_of_an_alert_has_the_form_with_its_labels() {
    let (_, body) = get(house(Story::Firing), "/alerts/FilesystemAlmostFull").await;
    for said in [
        "id=\"silence\"",
        "value=\"alertname=&quot;FilesystemAlmostFull&quot;\" checked",
        "value=\"mountpoint=&quot;/home&quot;\" checked",
        "Silence 1 alert</button>",
        "No silence matches this alert now.",
    ] {
        assert!(body.contains(said), "{said}");
    }
    let quiet = body.split("href=\"/alerts/FilesystemAlmostFull/").nth(1).unwrap();
    let quiet = format!(
        "/alerts/FilesystemAlmostFull/{}",
        quiet.split('"').next().unwrap()
    );
    let (_, body) = get(house(Story::Firing), &quiet).await;
    assert!(body.contains("It is silent until 11:30, by ann: the mail archive moves, OPS-17."));
}

#[tokio::test]
async fn a_silence_is_made_changed_and_ended_by_plain_forms() {
    let rooms = house(Story::Firing);
    let (status, location, _) = post(&rooms, "/silences", WHOLE).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    let (_, body) = get(rooms.clone(), &location).await;
    assert!(body.contains("Done: silent until 12:00") && body.contains("2 silences keep 2 alerts quiet"));
    let silences = rooms.silences.clone().unwrap();
    let made: Value =
        serde_json::from_str(&(silences.get)("00000000-0000-4000-8000-000000000004").unwrap()).unwrap();
    assert_eq!(made["matchers"][1]["value"], "/home");
    assert_eq!(made["endsAt"], "2026-11-26T12:00:55Z");
    assert_eq!(
        (&made["createdBy"], &made["comment"]),
        (&"ann".into(), &"moving".into())
    );

    // What has begun keeps its beginning, to the millisecond.
    let before: Value = serde_json::from_str(&(silences.get)(ONE).unwrap()).unwrap();
    let (status, ..) = post(&rooms, "/silences", &format!("id={ONE}&{WHOLE}")).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    let after: Value = serde_json::from_str(&(silences.get)(ONE).unwrap()).unwrap();
    assert_eq!(before["startsAt"], after["startsAt"]);
    assert_eq!(after["comment"], "moving");

    let (status, location, _) = post(&rooms, &format!("/silences/{ONE}/expire"), "").await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    let (_, body) = get(rooms.clone(), &location).await;
    assert!(body.contains("Done: it has ended"));
    let (status, _, body) = post(&rooms, "/silences/nothing/expire", "").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(body.contains("there is no such silence any more"));
}

#[tokio::test]
async fn a_mistake_is_said_in_place_and_loses_nothing() {
    for (typed, said) in [
        ("matcher=a%3Db&for=2h&by=ann", "say why"),
        ("matcher=a%3Db&for=2h&because=x", "say who you are"),
        (
            "matcher=a%3Db&for=until&until=soon&because=x&by=ann",
            "&quot;soon&quot; is not a time",
        ),
        ("matcher=a%3Db&for=until&because=x&by=ann", "say until when"),
        (
            "matcher=a%3Db&for=until&until=2020-01-01T00:00&because=x&by=ann",
            "and that is over",
        ),
        (
            "matcher=a%3Db&begins=2026-12-02T08:00&for=until&until=2026-12-01T08:00&because=x&by=ann",
            "before it begins at",
        ),
        (
            "matcher=a%3Db&add=nonsense&for=2h&because=x&by=ann",
            "bad matcher format: nonsense",
        ),
        ("for=2h&because=x&by=ann", "would silence every alert"),
    ] {
        let (status, _, body) = post(&house(Story::Firing), "/silences", typed).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{typed}");
        assert!(
            body.contains("Not done: ") && body.contains(said),
            "{typed}: {said}"
        );
        for field in ["because=x", "by=ann", "until=soon", "add=nonsense"] {
            let (name, value) = field.split_once('=').unwrap();
            let kept = format!("name=\"{name}\" value=\"{value}\"");
            assert!(
                !typed.contains(field) || body.contains(&kept),
                "{typed} loses {field}"
            );
        }
    }
}

#[tokio::test]
async fn a_follower_passes_the_form_on_and_says_what_the_holder_says() {
    let passed: Arc<Mutex<Vec<Call>>> = Arc::default();
    let noted = Arc::clone(&passed);
    let rooms = Rooms {
        forward: Arc::new(move |call| {
            noted.lock().push(call);
            Box::pin(std::future::ready(Some(Response {
                status: 503,
                headers: Vec::new(),
                body: b"\"skopos-0 leads and cannot be reached\"".to_vec(),
            })))
        }),
        ..house(Story::Firing)
    };
    let (status, _, body) = post(&rooms, "/silences", WHOLE).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        body.contains("Not done: skopos-0 leads and cannot be reached") && body.contains("value=\"moving\"")
    );
    let (status, ..) = post(&rooms, &format!("/silences/{ONE}/expire"), "").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let passed = passed.lock();
    let asked: Vec<_> = passed
        .iter()
        .map(|call| (call.method.as_str(), call.path.as_str()))
        .collect();
    let end = format!("/api/v2/silence/{ONE}");
    assert_eq!(asked, [("POST", "/api/v2/silences"), ("DELETE", end.as_str())]);
    let body: Value = serde_json::from_slice(&passed[0].body).unwrap();
    assert_eq!(body["createdBy"], "ann");
}
