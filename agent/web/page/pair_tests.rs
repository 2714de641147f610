//! The house as a picture, and what is said of the other replica and of senders.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{Request, StatusCode, header};
use model::view::{Graph, Health, Joint, Pair, Place, Sender};

use super::made_up::Story;
use super::tests::{NOW, ask, get, house};
use crate::Rooms;

/// Only what the view itself draws; `UPDATE_GOLDEN=1` rewrites the file.
#[tokio::test]
async fn the_picture_of_a_cluster_is_drawn_as_it_was() {
    let (_, body) = get(house(Story::Pair), "/graph").await;
    let main = body
        .split("<main")
        .nth(1)
        .unwrap()
        .split("</main>")
        .next()
        .unwrap();
    let found = format!("<main{}\n", main.replace("><", ">\n<"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/graph.html");
    if std::env::var("UPDATE_GOLDEN").is_ok_and(|value| value == "1") {
        std::fs::write(&path, &found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    for (nth, (found, expected)) in found.lines().zip(expected.lines()).enumerate() {
        assert_eq!(found, expected, "line {} of {}", nth + 1, path.display());
    }
    assert_eq!(found.lines().count(), expected.lines().count());
}

#[tokio::test]
async fn every_joint_is_in_the_picture_and_in_the_table() {
    let (_, body) = get(house(Story::Pair), "/graph").await;
    let graph = (house(Story::Pair).graph)();
    assert_eq!(body.matches("class=\"joint ").count(), graph.joints.len());
    for (nth, joint) in graph.joints.iter().enumerate() {
        let number = nth + 1;
        assert!(body.contains(&format!("href=\"#joint-{number}\"")), "{joint:?}");
        let row = body.split(&format!("<tr id=\"joint-{number}\"")).nth(1).unwrap();
        let row = row.split("</tr>").next().unwrap();
        for text in [&joint.from, &joint.to, &joint.carries, &joint.now] {
            assert!(row.contains(text.as_str()), "{text} in {row}");
        }
    }
    for place in &graph.places {
        assert!(body.contains(&format!("<title>{}", place.name)), "{}", place.name);
    }
}

#[tokio::test]
async fn joints_are_sorted_as_asked_and_what_fails_stands_first_otherwise() {
    let first = |body: &str| {
        body.split("<tr id=\"")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap()
            .to_owned()
    };
    for (path, joint) in [
        ("/graph", "joint-11"),
        ("/graph?sort=-fill", "joint-11"),
        ("/graph?sort=fill", "joint-5"),
        ("/graph?sort=from", "joint-1"),
        ("/graph?sort=carries", "joint-9"),
        ("/graph?sort=nonsense", "joint-11"),
    ] {
        let (_, body) = get(house(Story::Pair), path).await;
        assert_eq!(first(&body), joint, "{path}");
    }
    let (_, body) = get(house(Story::Pair), "/graph?sort=-fill").await;
    assert!(body.contains("aria-sort=\"descending\""));
}

fn with(joints: Vec<Joint>) -> Rooms {
    let place = |name: &str, row| Place {
        name: name.to_owned(),
        row,
        outside: false,
    };
    let graph = Graph {
        role: "all".to_owned(),
        places: vec![place("a", 0), place("b", 1)],
        joints,
    };
    Rooms {
        graph: Arc::new(move || graph.clone()),
        ..house(Story::Calm)
    }
}

#[tokio::test]
async fn a_queue_that_is_nearly_full_is_loud_before_its_room_says_so() {
    let queue = |fill| Joint {
        from: "a".to_owned(),
        to: "b".to_owned(),
        carries: "things".to_owned(),
        when_full: "the oldest is dropped".to_owned(),
        size: "10 things".to_owned(),
        fill,
        now: "8 waiting".to_owned(),
        health: Health::Good,
    };
    for (fill, sentence, class, kind) in [
        (Some(0.79), "Every queue has room", "fine", "joint good"),
        (Some(0.8), "a → b is in doubt: 80 % full", "near", "joint pend"),
        (Some(1.0), "a → b fails: 100 % full", "bad", "joint fire"),
        (Some(7.0), "a → b fails: 700 % full", "bad", "joint fire"),
        (None, "Every queue has room", "", "joint good"),
    ] {
        let (_, body) = get(with(vec![queue(fill)]), "/graph").await;
        assert!(body.contains(sentence) && body.contains(kind), "{fill:?}");
        assert!(
            body.contains(&format!("rect class=\"{class}\"")) || fill.is_none(),
            "{fill:?}"
        );
    }
    let (_, body) = get(with(Vec::new()), "/graph").await;
    assert!(body.contains("Nothing lies between the rooms: none of them hands anything on."));
}

#[tokio::test]
async fn links_in_prometheus_form_still_lead_to_a_question() {
    let request = Request::get("/graph?g0.expr=up&g0.tab=1")
        .body(Body::empty())
        .unwrap();
    let (head, _) = ask(house(Story::Calm), request).await;
    assert_eq!(head.status(), StatusCode::SEE_OTHER);
    assert_eq!(head.headers()[header::LOCATION], "/explore?expr=up");
}

fn paired(change: impl Fn(&mut Pair) + Send + Sync + 'static) -> Rooms {
    Rooms {
        pair: Arc::new(move || {
            let mut pair = Pair {
                name: "a".to_owned(),
                peer: "b".to_owned(),
                holder: Some("a".to_owned()),
                here: true,
                speaks: true,
                epoch: 3,
                in_step: true,
                peer_heard: Some(NOW - Duration::from_secs(1)),
                state: "ready".to_owned(),
                ..Pair::default()
            };
            change(&mut pair);
            Some(pair)
        }),
        ..house(Story::Calm)
    }
}

#[tokio::test]
async fn the_overview_says_who_leads_when_it_is_not_this_replica() {
    let said = async |change: fn(&mut Pair)| {
        let (_, body) = get(paired(change), "/").await;
        let remark = body.split("<a href=\"/self#pair\">").nth(1);
        let remark = remark.map(|rest| rest.split("</a>").next().unwrap().to_owned());
        (remark.unwrap_or_default(), body)
    };
    let (remark, body) = said(|_| {}).await;
    assert_eq!(remark, "");
    assert!(body.contains("Nothing is wrong on laptop"));
    let (remark, body) = said(|pair| {
        (pair.here, pair.speaks, pair.holder) = (false, false, Some("b.example".to_owned()));
    })
    .await;
    assert_eq!(remark, "b leads and this replica follows");
    assert!(
        body.contains("Nothing is wrong on laptop"),
        "to follow is no fault"
    );
    let (remark, _) = said(|pair| (pair.here, pair.speaks, pair.holder) = (false, false, None)).await;
    assert_eq!(remark, "Nobody is known to lead");
    let (remark, _) = said(|pair| pair.speaks = false).await;
    assert_eq!(
        remark,
        "This replica holds the lease, and the other one tells people"
    );
    let (remark, _) = said(|pair| (pair.here, pair.holder) = (false, None)).await;
    assert_eq!(
        remark,
        "Nobody holds the lease, and this replica tells people meanwhile"
    );
    let (remark, body) = said(|pair| (pair.in_step, pair.peer_heard) = (false, None)).await;
    assert_eq!(remark, "The two are out of step");
    assert!(body.contains("Nothing fires on laptop, but b has not been heard yet, out of step"));
    let (_, body) = said(|pair| pair.arbiter_error = "connection refused".to_owned()).await;
    assert!(body.contains("but nobody can say who leads: connection refused"));
}

#[tokio::test]
async fn senders_that_are_silent_are_named_while_it_is_one() {
    let sender = |name: &str, silent| Sender {
        name: name.to_owned(),
        role: "node".to_owned(),
        heard: Some(NOW - Duration::from_secs(90)),
        heard_elsewhere: Some(NOW - Duration::from_secs(60)),
        silent,
        series: 1,
        samples: 2,
    };
    let with = |senders: Vec<Sender>| Rooms {
        senders: Arc::new(move || senders.clone()),
        ..house(Story::Calm)
    };
    let one = vec![sender("10.0.0.7", true), sender("web-2", false)];
    let (_, body) = get(with(one), "/").await;
    assert!(
        body.contains("but 10.0.0.7 has been silent for 1 min"),
        "heard by the other 60 s ago"
    );
    let two = vec![
        sender("web-1", true),
        sender("web-2", true),
        sender("web-3", false),
    ];
    let (_, body) = get(with(two), "/").await;
    assert!(body.contains("but 2 of 3 senders are silent"));
    let many = (0..130)
        .map(|nth| sender(&format!("web-{nth}"), nth == 129))
        .collect();
    let (_, body) = get(with(many), "/self").await;
    assert!(
        body.contains("and 30 more") && body.contains("web-129"),
        "the silent one stands first"
    );
}
