//! What every view must say, and must never let through.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use http::{Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use model::view::{Asked, OwnLines, Pair};
use model::{Clock, Labels, Timestamp};
use tokio_util::sync::CancellationToken;

use super::made_up::{self, Standing, Story};
use super::routes;
use crate::desk::Desk;
use crate::{Config, Rooms, Server, Silences};

pub(super) const NOW: Timestamp = Timestamp(1_795_687_255_000);
const STORIES: [Story; 4] = [Story::Calm, Story::Firing, Story::Pair, Story::Empty];
const VIEWS: [&str; 26] = [
    "/",
    "/aws",
    "/changes",
    "/changes?from=now-1h",
    "/workloads",
    "/workloads?ns=payments&sort=-cpu",
    "/nodes",
    "/nodes?sort=-disk",
    "/alerts",
    "/silences",
    "/silences?filter=%7Balertname%3D%22FilesystemAlmostFull%22%7D&for=until&until=soon",
    "/silences?id=00000000-0000-4000-8000-000000000001",
    "/routes",
    "/routes?labels=team=db+alertname=Down",
    "/targets",
    "/logs",
    "/logs?ns=shop&pod=checkout&level=warn&q=payment&from=now-20s",
    "/logs?line=1-1",
    "/rules",
    "/rules?sort=-took",
    "/explore",
    "/explore?expr=up",
    "/self",
    "/self?sort=-samples",
    "/checks",
    "/graph",
];

pub(super) fn house(story: Story) -> Rooms {
    let age = match story {
        Story::Firing => 4000,
        Story::Pair => 90_000,
        Story::Calm | Story::Empty => 48,
    };
    made_up::rooms(story, Arc::new(Standing(NOW)), NOW - Duration::from_secs(age))
}

pub(super) async fn ask(rooms: Rooms, request: Request<Body>) -> (Response<()>, String) {
    let desk = Arc::new(Desk::new(2, Duration::from_secs(10)));
    let service = TowerToHyperService::new(routes().with_state(rooms).layer(Extension(desk)));
    let (parts, body) = service.call(request).await.unwrap().into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    (
        Response::from_parts(parts, ()),
        String::from_utf8_lossy(&bytes).into_owned(),
    )
}

pub(super) async fn get(rooms: Rooms, path: &str) -> (StatusCode, String) {
    let (head, body) = ask(rooms, Request::get(path).body(Body::empty()).unwrap()).await;
    (head.status(), body)
}

/// What a view says, without what stands around it.
pub(super) fn main(body: &str) -> &str {
    let main = body.split_once("<main").map_or(body, |(_, main)| main);
    main.split_once("</main>").map_or(main, |(main, _)| main)
}

/// The address of the first alert or rule that a view links to.
pub(super) fn linked(body: &str, prefix: &str) -> String {
    let start = body.find(&format!("href=\"{prefix}")).unwrap() + 6;
    body[start..].split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn every_view_is_drawn_whatever_the_house_knows() {
    for story in STORIES {
        for path in VIEWS {
            let (status, body) = get(house(story), path).await;
            assert_eq!(status, StatusCode::OK, "{story:?} {path}");
            assert!(body.starts_with("<!DOCTYPE html>"), "{story:?} {path}");
            assert_eq!(body.matches("<h1>").count(), 1, "{story:?} {path}");
            // The content security policy would silently drop these.
            assert!(
                !body.contains(" style=") && !body.contains("<style"),
                "{story:?} {path}"
            );
            assert!(
                !body.contains("<script>") && !body.contains(" onclick"),
                "{story:?} {path}"
            );
            assert!(
                !body.contains("//cdn") && !body.contains("src=\"http"),
                "{story:?} {path}"
            );
        }
    }
}

#[tokio::test]
async fn an_incident_shows_the_lines_of_what_it_is_about() {
    let mut rooms = house(Story::Firing);
    rooms.own_lines = Arc::new(|labels, now, most| {
        labels
            .get("mountpoint")
            .filter(|place| *place == "/home" && most > 0)?;
        let line = |age: u64, text: &str| model::LogRecord {
            time: now - Duration::from_secs(age),
            level: model::Level::Fatal,
            source: "shop/cart-1/app".into(),
            stream: "stderr".into(),
            text: text.to_owned(),
            file: "/var/log/pods/shop_cart-1_1/app/0.log".into(),
            offset_bytes: age,
        };
        Some(OwnLines {
            lines: vec![line(9, "no room left for <b>carts</b>"), line(3, "exiting")],
            nodes: Asked::default(),
        })
    });
    let (_, main) = get(rooms.clone(), "/").await;
    let fingerprint = (rooms.rules)()[0].rules[0].alerts[0].fingerprint;
    let (_, own) = get(rooms, &format!("/alerts/FilesystemAlmostFull/{fingerprint:016x}")).await;
    for page in [main, own] {
        assert!(page.contains("Last lines of shop/cart-1/app"), "{page}");
        assert!(
            page.contains("no room left for &lt;b&gt;carts&lt;/b&gt;"),
            "{page}"
        );
        assert!(
            page.contains("href=\"/logs?ns=shop&amp;pod=cart-1&amp;container=app&amp;from=now-1h"),
            "{page}"
        );
    }
}

#[tokio::test]
async fn every_view_answers_in_a_sentence() {
    for (story, path, sentence) in [
        (
            Story::Calm,
            "/",
            "Nothing is wrong on laptop, as far as 48 seconds can tell",
        ),
        (Story::Calm, "/", "10 rules are watching and none is true."),
        (Story::Calm, "/", "Nobody is told yet"),
        (Story::Calm, "/", "Three next steps"),
        (Story::Calm, "/", "6 readings so far, the next in 2 s"),
        (Story::Calm, "/", "permission denied: readable by group adm"),
        (Story::Calm, "/", "iwlwifi 0000:00:14.3: missed beacons"),
        (
            Story::Calm,
            "/alerts",
            "Nothing fires and nothing is pending. No alert has fired since",
        ),
        (Story::Calm, "/targets", "All 2 targets answer"),
        (Story::Calm, "/routes", "3 routes, from the first to the last"),
        (
            Story::Calm,
            "/routes?labels=team%3Ddb",
            "It is told to pagerduty, slack #loud, webhook bell",
        ),
        (Story::Calm, "/routes?labels=nonsense", "These are no labels"),
        (
            Story::Calm,
            "/routes",
            "42 groups told in one message, and new ones join it.",
        ),
        (
            Story::Calm,
            "/routes?labels=team%3Dweb",
            "told within a storm to slack #ops, and its end will be",
        ),
        (Story::Calm, "/self", "Skopos uses 27.0 MiB and has lost nothing"),
        (Story::Calm, "/checks", "disk: only 4 % of it is free"),
        (
            Story::Calm,
            "/checks",
            "→ free some of it, or lower store.retention",
        ),
        (Story::Firing, "/checks", "2 checks fail"),
        (Story::Empty, "/checks", "Skopos has what it needs"),
        (
            Story::Pair,
            "/changes",
            "5 changes in the last 24 hours, the last of checkout at",
        ),
        (
            Story::Pair,
            "/changes?from=now-1m",
            "No workload, autoscaler or node has changed in the last minute.",
        ),
        (Story::Calm, "/changes", "No cluster is asked here"),
        (
            Story::Pair,
            "/pods/payments/payments-api-7c9d8f6b54-x2k40",
            "is waiting (CrashLoopBackOff) after an OOM kill",
        ),
        (
            Story::Pair,
            "/pods/payments/payments-api-7c9d8f6b54-x2k40",
            "The last run of app ended: OOMKilled, exit code 137.",
        ),
        (
            Story::Pair,
            "/pods/payments/payments-api-7c9d8f6b54-x2k45",
            "x2k45 is running and ready",
        ),
        (Story::Calm, "/workloads", "No cluster is asked here"),
        (Story::Calm, "/nodes", "No cluster is asked here"),
        (
            Story::Pair,
            "/workloads",
            "payments-api has 2 of 6 pods ready, all others have theirs",
        ),
        (
            Story::Pair,
            "/workloads?ns=none",
            "No workload is known in the namespace none.",
        ),
        (Story::Pair, "/nodes", "ip-10-0-22-142 is not ready, 3 of 4 are"),
        (
            Story::Pair,
            "/workloads/payments/payments-api",
            "payments-api has 2 of 6 pods ready",
        ),
        (
            Story::Pair,
            "/workloads/payments/payments-api",
            "CrashLoopBackOff",
        ),
        (
            Story::Pair,
            "/nodes/ip-10-0-22-141",
            "ip-10-0-22-141 is ready, DiskPressure",
        ),
        (
            Story::Pair,
            "/nodes/ip-10-0-22-141",
            "This node has not changed in the last 24 hours.",
        ),
        (Story::Firing, "/", "FilesystemAlmostFull is firing since"),
        (Story::Firing, "/", "/home is 94 % full and 6.1 GiB are left"),
        (Story::Firing, "/", "shop at localhost:8080 does not answer"),
        (Story::Firing, "/", "A newer configuration was refused"),
        (Story::Firing, "/targets", "shop does not answer, the other 2 do"),
        (Story::Firing, "/targets", "Connection refused (os error 111)"),
        (Story::Firing, "/rules", "found duplicate series"),
        (
            Story::Firing,
            "/self",
            "did you mean &quot;scrape_interval&quot;?",
        ),
        (Story::Firing, "/self", "2 too long"),
        (Story::Firing, "/explore?expr=up", "1 series answers"),
        (Story::Firing, "/explore?expr=sum(", "Line 1, column"),
        (Story::Firing, "/logs?q=beacons", "<mark>beacons</mark>"),
        (Story::Firing, "/logs?q=nowhere-to-be-found", "No line matches"),
        (
            Story::Pair,
            "/",
            "Nothing fires on skopos-1, but ip-10-0-12-33 has been silent for 4 min 11 s",
        ),
        (
            Story::Pair,
            "/",
            "skopos-0 leads and this replica follows; the two are out of step; 1 of 7 senders is silent",
        ),
        (
            Story::Pair,
            "/self",
            "Skopos has lost nothing, but ip-10-0-12-33 has been silent",
        ),
        (Story::Pair, "/self", "out of step; 3 changes not shared yet"),
        (Story::Pair, "/self", "silent, 4 min 12 s ago"),
        (Story::Pair, "/self", "no answer within 5s"),
        (
            Story::Pair,
            "/graph",
            "2 joints fail, first pair → skopos-0: not heard for 9 s",
        ),
        (
            Story::Calm,
            "/graph",
            "Every queue has room and nothing between the rooms fails",
        ),
        (
            Story::Calm,
            "/self",
            "There is no other replica: this process leads always",
        ),
        (
            Story::Calm,
            "/self",
            "Nobody sends samples here: role all takes none.",
        ),
        (
            Story::Calm,
            "/self",
            "Samples stay here: no destination is configured",
        ),
        (Story::Empty, "/graph", "There is no house to show"),
        (
            Story::Empty,
            "/",
            "Nobody watches this machine: no alert rule is loaded",
        ),
        (Story::Empty, "/", "No log file was found to read."),
        (Story::Empty, "/targets", "There is no target: nothing is read"),
        (Story::Empty, "/rules", "No rule is loaded"),
        (Story::Empty, "/explore?expr=up", "Nothing answers"),
    ] {
        let (_, body) = get(house(story), path).await;
        assert!(
            body.contains(sentence),
            "{story:?} {path} does not say: {sentence}"
        );
    }
}

#[tokio::test]
async fn the_title_carries_the_state() {
    for (story, title) in [
        (
            Story::Calm,
            "<title>● nothing is wrong · Overview · Skopos laptop</title>",
        ),
        (
            Story::Firing,
            "<title>▲ 2 firing · Overview · Skopos laptop</title>",
        ),
        (
            Story::Empty,
            "<title>○ not watching · Overview · Skopos this machine</title>",
        ),
    ] {
        let (_, body) = get(house(story), "/").await;
        assert!(body.contains(title), "{story:?}");
    }
}

#[tokio::test]
async fn one_alert_has_its_band_its_reasons_and_its_runbook() {
    let (_, alerts) = get(house(Story::Firing), "/alerts").await;
    let (status, body) = get(
        house(Story::Firing),
        &linked(&alerts, "/alerts/FilesystemAlmostFull/"),
    )
    .await;
    assert_eq!(status, StatusCode::OK);
    for said in [
        "is firing for /home since",
        "class=\"firing\"",
        "class=\"pending\"",
        "0.942 &gt; 0.9 holds",
        "First three commands",
        "200 in 212 ms",
        "Fires since 09:52:45, true since 09:42:45; told to slack at 09:59:45: 1 new alert, 2 in all (200 in 230 ms).",
        "Last evaluations, newest first",
        "skopos explain 'FilesystemAlmostFull' --as-test",
    ] {
        assert!(body.contains(said), "{said} is not in {}", main(&body));
    }
    // As runbook links in messages name it.
    let (status, body) = get(house(Story::Firing), "/alerts/FilesystemAlmostFull").await;
    assert!(
        status.is_success() && body.contains("is firing for /home since") && body.contains("id=\"runbook\"")
    );
    let (status, body) = get(house(Story::Calm), "/alerts/FilesystemAlmostFull").await;
    assert!(
        status.is_success()
            && body.contains("FilesystemAlmostFull is not true: 81")
            && body.contains("id=\"runbook\"")
    );
    let (status, body) = get(house(Story::Firing), "/alerts/FilesystemAlmostFull/0").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(body.contains("FilesystemAlmostFull is not true here now"));
}

#[tokio::test]
async fn the_page_of_a_rule_says_why_it_does_not_fire() {
    let (_, body) = get(house(Story::Calm), "/rules/machine.yaml/ClockSkew").await;
    for said in [
        "Why it is not true",
        "It does not fire: no series match node_timex_offset_seconds",
        "Last evaluations, newest first",
    ] {
        assert!(body.contains(said), "{said} is not in {}", main(&body));
    }
    let (_, body) = get(house(Story::Firing), "/rules/machine.yaml/FilesystemAlmostFull").await;
    for said in ["2 alerts are firing.", "1 new alert, 2 in all"] {
        assert!(body.contains(said), "{said} is not in {}", main(&body));
    }
    // Why is a click away from where it is seen.
    let (_, rules) = get(house(Story::Firing), "/rules").await;
    assert!(rules.contains("href=\"/rules/machine.yaml/FilesystemAlmostFull#why-0\""));
}

#[tokio::test]
async fn what_fired_and_ended_is_remembered() {
    let (_, body) = get(house(Story::Firing), "/alerts").await;
    let history = body.split_once("id=\"history\"").unwrap().1;
    for said in [
        "3 times in the 12 h that can be looked back",
        "still fires",
        "<td data-label=\"Fired\">09:01:05",
        "<td data-label=\"Ended\">09:10:50",
        "slack 09:52:54, 3 messages in all",
        "href=\"/alerts/FilesystemAlmostFull/",
    ] {
        assert!(history.contains(said), "{said} is not in {history}");
    }
    let (_, body) = get(house(Story::Calm), "/alerts").await;
    assert!(body.contains("Nothing fired in the 12 h that can be looked back"));
}

#[tokio::test]
async fn rules_are_sorted_by_what_they_cost() {
    let rooms = house(Story::Calm);
    let given = Arc::clone(&rooms.rules);
    let rooms = Rooms {
        rules: Arc::new(move || {
            let mut groups = given();
            groups[0].rules[1].last_duration = Duration::from_secs(13);
            groups
        }),
        ..rooms
    };
    let (_, body) = get(rooms, "/rules?sort=-took").await;
    let slow = body.find(">InodesRunOut</a>").unwrap();
    for name in ["CpuBusy", "ClockSkew"] {
        assert!(slow < body.find(&format!(">{name}</a>")).unwrap(), "{name}");
    }
    assert!(body.contains("<span class=\"wrong\">86.7 %</span>") && body.contains(">13 s</td>"));
}

#[tokio::test]
async fn an_edited_rule_is_tried_on_its_page() {
    let page = "/rules/machine.yaml/FilesystemAlmostFull";
    let (_, body) = get(house(Story::Firing), page).await;
    let id = body.split("name=\"try\" value=\"").nth(1).unwrap();
    let id = id.split('"').next().unwrap();
    assert!(body.contains("data-every="));
    let asked = format!("{page}?try={id}&expr=up+%3C+0.8&for=7m&days=3");
    let (_, body) = get(house(Story::Firing), &asked).await;
    for said in [
        "Would have fired 2 times in the 12 h that are kept, 9 min in all, longest 6 min; today's rule: 5 times",
        "With <code>for: 1m</code> also 2 times, with <code>for: 1h</code> never.",
        "up &lt; 0.8</textarea>",
        "name=\"for\" value=\"7m\"",
        "href=\"/explore?expr=up%20%3C%200.8&amp;from=2026-11-26T",
    ] {
        assert!(body.contains(said), "{said} is not in {}", main(&body));
    }
    // It takes its time, so that it is not done again and again.
    assert!(!body.contains("data-every="));
    for (asked, said) in [
        ("expr=error&for=7m", "line 1, column 7: there is an error"),
        ("expr=up&for=soon", "&quot;soon&quot; is no duration"),
        ("expr=&for=7m", "there is no expression"),
    ] {
        let (_, body) = get(house(Story::Firing), &format!("{page}?try={id}&{asked}")).await;
        assert!(body.contains(said), "{said}");
    }
}

#[tokio::test]
async fn every_link_to_a_rule_leads_to_it() {
    let (_, body) = get(house(Story::Firing), "/rules").await;
    for part in body.split("href=\"").skip(1) {
        let address = part.split('"').next().unwrap();
        if address.starts_with("/rules/") || address.starts_with("/alerts/") {
            let (status, _) = get(house(Story::Firing), address).await;
            assert_eq!(status, StatusCode::OK, "{address}");
        }
    }
    let (status, body) = get(house(Story::Calm), "/rules/machine.yaml/Nothing").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(body.contains("No rule Nothing is loaded from machine.yaml"));
}

const EVIL: &str = "\"><img src=x onerror=alert(1)><script>alert(2)</script>'";

fn made_up<T>(look: impl FnOnce(&Rooms) -> T) -> T {
    look(&house(Story::Pair))
}

/// The firing house, with markup wherever a text can come from.
fn evil() -> Rooms {
    let rooms = house(Story::Firing);
    let given = rooms.clone();
    let rules = Arc::clone(&given.rules);
    let routing = Arc::clone(&given.routing);
    let labels = Labels::from_pairs([("alertname", EVIL), ("mountpoint", EVIL), ("severity", EVIL)]);
    Rooms {
        own: Arc::new(move || {
            let mut own = (given.own)();
            (own.name, own.machine, own.data_dir) = (EVIL.into(), EVIL.into(), EVIL.into());
            own
        }),
        targets: Arc::new(move || {
            let mut targets = (given.targets)();
            for target in &mut targets {
                (target.job, target.url, target.last_error) = (EVIL.into(), EVIL.into(), EVIL.into());
            }
            targets
        }),
        rules: Arc::new(move || {
            let mut groups = rules();
            for group in &mut groups {
                (group.name, group.file) = (EVIL.into(), EVIL.into());
                for rule in &mut group.rules {
                    (rule.name, rule.last_error) = (EVIL.into(), EVIL.into());
                    for alert in &mut rule.alerts {
                        alert.labels = labels.clone();
                        alert.annotations =
                            Labels::from_pairs([("summary", EVIL), ("runbook_url", "javascript:alert(1)")]);
                    }
                    if let Some(headroom) = &mut rule.headroom {
                        headroom.labels = labels.clone();
                    }
                }
            }
            groups
        }),
        telling: Arc::new(move || {
            let mut telling = (given.telling)();
            telling.receivers = vec![EVIL.into()];
            telling.failing = vec![(EVIL.into(), EVIL.into())];
            for told in &mut telling.told {
                (told.receiver, told.message, told.answer) = (EVIL.into(), EVIL.into(), EVIL.into());
            }
            telling
        }),
        routing: Arc::new(move |labels, now| {
            let mut routing = routing(labels, now);
            routing.fallback = Some(EVIL.into());
            for storm in &mut routing.storms {
                storm.receiver = EVIL.into();
            }
            for way in &mut routing.ways {
                way.storms = vec![EVIL.into()];
            }
            for line in &mut routing.routes {
                (line.matchers, line.receiver) = (EVIL.into(), EVIL.into());
                (line.told, line.hours) = (vec![EVIL.into()], vec![EVIL.into()]);
                (line.group_by, line.muted_by) = (Some(vec![EVIL.into()]), vec![EVIL.into()]);
            }
            routing
        }),
        config: Arc::new(move || {
            let mut config = (given.config)();
            (config.file, config.refused) = (EVIL.into(), vec![EVIL.into()]);
            config
        }),
        pair: Arc::new(|| {
            Some(Pair {
                name: EVIL.into(),
                peer: EVIL.into(),
                holder: Some(EVIL.into()),
                arbiter_error: EVIL.into(),
                state: EVIL.into(),
                ..Pair::default()
            })
        }),
        senders: {
            let senders = made_up(|house| (house.senders)());
            Arc::new(move || {
                let mut senders = senders.clone();
                for sender in &mut senders {
                    (sender.name, sender.role) = (EVIL.into(), EVIL.into());
                }
                senders
            })
        },
        destinations: {
            let destinations = made_up(|house| (house.destinations)());
            Arc::new(move || {
                let mut destinations = destinations.clone();
                for one in &mut destinations {
                    (one.name, one.url) = (EVIL.into(), EVIL.into());
                    (one.protocol, one.last_error) = (EVIL.into(), EVIL.into());
                }
                destinations
            })
        },
        objects: Some(super::made_up::evil(EVIL, NOW)),
        aws: Some(super::made_up::evil_aws(EVIL, NOW)),
        graph: {
            let graph = made_up(|house| (house.graph)());
            Arc::new(move || {
                let mut graph = graph.clone();
                for place in &mut graph.places {
                    place.name = format!("{EVIL}{}", place.name);
                }
                for joint in &mut graph.joints {
                    (joint.from, joint.to) = (format!("{EVIL}{}", joint.from), format!("{EVIL}{}", joint.to));
                    (joint.carries, joint.when_full) = (EVIL.into(), EVIL.into());
                    (joint.size, joint.now) = (EVIL.into(), EVIL.into());
                }
                graph
            })
        },
        silences: rooms.silences.clone().map(|silences| {
            let (list, get) = (Arc::clone(&silences.list), Arc::clone(&silences.get));
            let evil = |text: String| {
                let quoted = serde_json::Value::from(EVIL).to_string();
                text.replace("\"ann\"", &quoted)
                    .replace("\"the mail archive moves, OPS-17\"", &quoted)
                    .replace("\"/var\"", &quoted)
            };
            Silences {
                list: Arc::new(move |filter| list(filter).map(evil)),
                get: Arc::new(move |id| get(id).map(evil)),
                ..silences
            }
        }),
        runbook: Arc::new(|_| Some(EVIL.to_owned())),
        ready: Arc::new(|| Err(EVIL.to_owned())),
        ..rooms
    }
}

#[tokio::test]
async fn no_text_becomes_markup_wherever_it_comes_from() {
    let encoded = super::link::encode(EVIL);
    let mut paths: Vec<String> = VIEWS.map(str::to_owned).into();
    paths.extend(
        [
            "/logs?q=",
            "/logs?source=",
            "/logs?pod=",
            "/logs?order=",
            "/logs?line=",
            "/silences?filter=",
            "/silences?add=x%3D1&because=",
            "/silences?made=",
            "/graph?sort=",
            "/explore?expr=",
            "/?from=",
            "/alerts/",
            "/alerts/x/",
            "/rules/x/",
        ]
        .map(|path| format!("{path}{encoded}")),
    );
    let (_, alerts) = get(evil(), "/alerts").await;
    paths.push(linked(&alerts, "/alerts/%22"));
    let (_, rules) = get(evil(), "/rules").await;
    paths.push(linked(&rules, "/rules/script"));
    for path in paths {
        let (_, body) = get(evil(), &path).await;
        assert!(!body.contains("<img"), "{path}");
        assert!(!body.contains("<script>"), "{path}");
        assert!(!body.contains("<b onmouseover"), "{path}");
        assert!(!body.contains("href=\"javascript"), "{path}");
    }
}

#[tokio::test]
async fn a_permanent_link_names_absolute_times() {
    let (_, body) = get(house(Story::Firing), "/logs?q=a%26b&from=now-15m").await;
    let expected =
        "data-permalink=\"/logs?q=a%26b&amp;from=2026-11-26T09:45:55Z&amp;to=2026-11-26T10:00:55Z\"";
    assert!(body.contains(expected), "{}", &body[..2000]);
    // A view of the past does not refresh itself.
    let (_, past) = get(
        house(Story::Firing),
        "/logs?from=2026-11-26T09:00:00Z&to=2026-11-26T09:10:00Z",
    )
    .await;
    assert!(body.contains("data-every=") && !past.contains("data-every="));
}

#[tokio::test]
async fn steps_are_gone_once_they_are_done() {
    let (_, body) = get(house(Story::Firing), "/").await;
    assert!(!body.contains("next steps"));
}

#[tokio::test]
async fn a_jump_leads_to_what_is_named() {
    for (words, destination) in [
        ("targets", "/targets"),
        ("graph", "/graph"),
        ("clockskew", "/rules/machine.yaml/ClockSkew"),
        ("shop", "/targets"),
        (
            "up%7Bjob%3D%22node%22%7D",
            "/explore?expr=up%7Bjob%3D%22node%22%7D",
        ),
        ("connection+refused", "/logs?q=connection%20refused"),
        ("", "/logs"),
    ] {
        let request = Request::get(format!("/jump?q={words}"))
            .body(Body::empty())
            .unwrap();
        let (head, _) = ask(house(Story::Firing), request).await;
        assert_eq!(head.headers()[header::LOCATION], destination, "{words}");
    }
}

#[tokio::test]
async fn a_test_message_answers_in_a_sentence() {
    let request = Request::post("/self/test").body(Body::empty()).unwrap();
    let (head, body) = ask(house(Story::Calm), request).await;
    assert_eq!(head.status(), StatusCode::OK);
    assert!(body.contains("<h1>nobody to tell: the configuration names no receiver</h1>"));
}

#[tokio::test]
async fn everything_a_view_loads_is_here_and_may_be_kept() {
    let (_, body) = get(house(Story::Calm), "/").await;
    let mut loaded = 0;
    for part in body.split("\"/assets/").skip(1) {
        let name = part.split('"').next().unwrap();
        let (head, content) = ask(
            house(Story::Calm),
            Request::get(format!("/assets/{name}"))
                .body(Body::empty())
                .unwrap(),
        )
        .await;
        assert_eq!(head.status(), StatusCode::OK, "{name}");
        assert!(
            head.headers()[header::CACHE_CONTROL]
                .to_str()
                .unwrap()
                .contains("immutable"),
            "{name}"
        );
        assert!(
            !content.contains("http://") || name.starts_with("mark"),
            "{name} names another place"
        );
        loaded += 1;
    }
    assert_eq!(loaded, 9);
    let (status, _) = get(house(Story::Calm), "/assets/page-0000000000000000.css").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

/// Through the real server; with `SKOPOS_LOOK=1` it goes on serving for eyes:
/// `SKOPOS_LOOK=1 cargo test -p web made_up_houses -- --nocapture`.
#[tokio::test]
async fn the_made_up_houses_are_served() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let clock: Arc<dyn Clock> = telemetry::clock::RuntimeClock::system();
    let now = clock.now();
    for (story, age, title) in [
        (Story::Calm, 48, "Nothing is wrong"),
        (Story::Firing, 4000, "firing since"),
        (Story::Pair, 90_000, "has been silent for"),
        (Story::Empty, 3, "<h1"),
    ] {
        let rooms = made_up::rooms(story, Arc::clone(&clock), now - Duration::from_secs(age));
        let server = Server::bind(&Config::default(), ([127, 0, 0, 1], 0).into()).unwrap();
        let address = server.local_addr();
        println!("http://{address}/");
        tokio::spawn(server.run(rooms, CancellationToken::new()));
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.contains(title),
            "{answer}"
        );
    }
    if std::env::var_os("SKOPOS_LOOK").is_some() {
        std::future::pending::<()>().await;
    }
}
