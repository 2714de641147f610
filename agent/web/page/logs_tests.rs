//! What the log page must say, and where its links lead.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use model::Level;
use model::view::{Asked, LogPage, LogQuery, LogState, OwnLines};
use parking_lot::Mutex;

use super::made_up::Story;
use super::tests::{NOW, get, house, linked, main};
use crate::Rooms;

#[tokio::test]
async fn a_pod_is_asked_for_by_its_names_and_each_of_them_can_be_left_out() {
    let asked: Arc<Mutex<Vec<LogQuery>>> = Arc::default();
    let (noted, real) = (Arc::clone(&asked), house(Story::Firing).logs);
    let rooms = Rooms {
        logs: Arc::new(move |query| {
            noted.lock().push(query.clone());
            real(query)
        }),
        ..house(Story::Firing)
    };
    let (_, body) = get(
        rooms,
        "/logs?ns=shop&pod=checkout&container=api&q=payment&level=warn",
    )
    .await;
    let pods = asked.lock().first().unwrap().pods.clone();
    assert_eq!(
        (
            pods.namespace.as_str(),
            pods.pod.as_str(),
            pods.container.as_str()
        ),
        ("shop", "checkout", "api")
    );
    for without in [
        "/logs?q=payment&amp;level=warn&amp;pod=checkout&amp;container=api",
        "/logs?q=payment&amp;level=warn&amp;ns=shop&amp;container=api",
        "/logs?level=warn&amp;ns=shop&amp;pod=checkout&amp;container=api",
    ] {
        assert!(
            body.contains(&format!("href=\"{without}\" aria-label=\"without")),
            "{without}"
        );
    }
    // A line leads to its pod, wherever it is seen.
    assert!(
        body.contains("href=\"/logs?ns=shop&amp;pod=checkout-7d9f8c6b5-x2x9k\""),
        "{}",
        main(&body)
    );
    // Nothing is measured of this pod, and so nothing is promised.
    assert!(!body.contains("graphs of checkout"));
}

#[tokio::test]
async fn a_bar_narrows_the_time_and_keeps_the_rest() {
    let (_, body) = get(house(Story::Firing), "/logs?q=payment&from=now-10m").await;
    let bars: Vec<&str> = body
        .split("<a href=\"/logs?q=payment&amp;from=")
        .skip(1)
        .filter(|rest| rest.contains("class=\"hit\""))
        .collect();
    // One such line a minute, and bars of ten seconds.
    assert_eq!(body.matches("class=\"hit\"").count(), 10);
    let times = bars.first().unwrap().split('"').next().unwrap();
    let (from, to) = times.split_once("&amp;to=").unwrap();
    let time = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_millisecond();
    assert_eq!(time(to) - time(from), 10_000);
    assert!(body.contains("10 lines over time, 10 of them warnings or worse, 0 errors"));
}

#[tokio::test]
async fn a_line_has_an_address_that_shows_what_was_said_around_it() {
    let (_, body) = get(house(Story::Firing), "/logs?q=payment&from=now-10m").await;
    let link = linked(&body, "/logs?q=payment&amp;from=now-10m&amp;line=").replace("&amp;", "&");
    let (link, place) = link.split_once('#').unwrap();
    let (status, around) = get(house(Story::Firing), link).await;
    let around = main(&around);
    assert_eq!(status, StatusCode::OK);
    assert!(
        around.contains("api of checkout-7d9f8c6b5-x2x9k said this at"),
        "{around}"
    );
    assert_eq!(
        around.matches("<li id=\"l").count(),
        30,
        "20 before, itself, and the 9 since"
    );
    // The line itself is what the browser goes to.
    assert!(around.contains(&format!("<li id=\"{place}\"")), "{place}");
    assert_eq!(around.matches("aria-current").count(), 1);
    assert!(around.contains("<mark>payment</mark>") && around.contains("iwlwifi"));
    assert!(
        around.contains("href=\"/logs?q=payment&amp;from=now-10m\""),
        "back"
    );
    let (_, gone) = get(house(Story::Firing), "/logs?line=1795687000000-0000000000000001").await;
    assert!(gone.contains("is no longer kept here"));
}

#[tokio::test]
async fn a_search_that_did_not_look_at_everything_says_so() {
    let mut rooms = house(Story::Firing);
    let real = rooms.logs;
    rooms.logs = Arc::new(move |query| LogPage {
        looked_from: Some(NOW - Duration::from_secs(60)),
        ..real(query)
    });
    let (_, body) = get(rooms.clone(), "/logs?from=now-10m").await;
    let since = super::when::Wall {
        now: NOW,
        zone: jiff::tz::TimeZone::system(),
    };
    let since = since.second(NOW - Duration::from_secs(60));
    assert!(body.contains(&format!("older ones than {since} were not looked at")));
    let (_, none) = get(rooms, "/logs?q=nowhere-to-be-found&from=now-10m").await;
    assert!(none.contains("were not looked at: a narrower time reaches them"));
}

#[tokio::test]
async fn who_was_asked_and_did_not_answer_is_named_with_the_reason() {
    let nodes = Asked {
        heard: 1,
        known: true,
        unheard: vec![model::Unheard {
            node: "ip-10-0-12-33".into(),
            why: "no answer within 1s <b>".to_owned(),
        }],
    };
    let mut rooms = house(Story::Firing);
    // A sink that takes nothing would be said first.
    let state = (rooms.log_state)();
    rooms.log_state = Arc::new(move || LogState {
        sinks: Vec::new(),
        inputs: Vec::new(),
        ..state.clone()
    });
    let (said, real) = (nodes.clone(), rooms.logs);
    rooms.logs = Arc::new(move |query| LogPage {
        nodes: said.clone(),
        ..real(query)
    });
    let own = nodes.clone();
    rooms.own_lines = Arc::new(move |_, _, _| {
        Some(OwnLines {
            lines: Vec::new(),
            nodes: own.clone(),
        })
    });
    let told = "<b>ip-10-0-12-33</b> did not tell: no answer within 1s &lt;b&gt;.";
    let (_, page) = get(rooms.clone(), "/logs?ns=shop&pod=checkout").await;
    assert!(
        page.contains(told) && page.contains("1 node did not answer"),
        "{}",
        main(&page)
    );
    // What was said around a line of a node is on the node.
    assert!(!page.contains("line="), "{}", main(&page));
    let (_, card) = get(rooms.clone(), "/").await;
    assert!(card.contains(told), "{}", main(&card));
    let (_, empty) = get(rooms, "/logs?ns=shop&pod=checkout&q=nowhere-to-be-found").await;
    assert!(
        empty.contains("among the last lines that the pod"),
        "{}",
        main(&empty)
    );
}

#[tokio::test]
async fn a_house_that_only_asks_nodes_says_what_it_needs_to_know() {
    let rooms = Rooms {
        log_state: Arc::new(|| LogState {
            nodes: 2,
            ..LogState::default()
        }),
        ..house(Story::Empty)
    };
    let (_, body) = get(rooms, "/logs").await;
    assert!(body.contains("Name a namespace and a pod: its node is asked for its last lines"));
    assert!(body.contains("2 nodes can be asked") && body.contains("name=\"pod\""));
}

#[tokio::test]
async fn what_the_form_asks_reaches_the_room() {
    let asked: Arc<Mutex<Vec<LogQuery>>> = Arc::default();
    let noted = Arc::clone(&asked);
    let rooms = Rooms {
        logs: Arc::new(move |query| {
            noted.lock().push(query.clone());
            LogPage::default()
        }),
        ..house(Story::Calm)
    };
    let path =
        "/logs?q=disk+full&level=warn&source=kern.log&from=2026-11-26T09:00:00Z&to=2026-11-26T10:00:00Z";
    get(rooms, path).await;
    let asked = asked.lock();
    let query = asked.first().unwrap();
    assert_eq!(
        (query.text.as_str(), query.level, query.source.as_str()),
        ("disk full", Some(Level::Warn), "kern.log")
    );
    assert_eq!(query.to.since(query.from), Duration::from_secs(3600));
}
