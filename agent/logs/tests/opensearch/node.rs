//! A real node that pushes back, stops and dies.

use std::time::Duration;

use opensearch_tests::Node;
use serde_json::json;

use super::generator::judge;
use super::room::{Room, pause, sort};
use super::start;

fn rounds() -> usize {
    if std::env::var_os("SKOPOS_TEST_LONG").is_some() {
        60
    } else {
        2
    }
}

/// So often in between everything must be settled again.
const STAGE: usize = 10;

fn check(what: &str, node: &Node, index: &str, room: &Room) {
    let documents = node.documents(&format!("{index}*"));
    let messages = documents.map(|(_, document)| document["message"].as_str().unwrap_or_default().to_owned());
    let (seen, between, _) = sort(messages);
    judge(&seen, &room.written(), what);
    let want: usize = room.written().iter().map(|lines| lines.div_ceil(7)).sum();
    assert_eq!(between, want, "lines between pieces");
}

/// An index that only grows takes ids with `create`, which is all that is sent to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_only_index_gets_every_line_once_under_its_id() {
    let Some(node) = Node::shared() else { return };
    let template = json!({
        "index_patterns": ["grows-*"], "priority": 200,
        "template": {"settings": {"index.append_only.enabled": true, "number_of_replicas": 0}},
    });
    node.put("/_index_template/grows", &template);
    let sink = json!({"index": "grows", "template": false, "wait": "50ms"});
    let mut room = start(&node.url(), &sink);
    room.write(200);
    room.settled(room.lines()).await;
    let settings = node.get_json("/grows-*/_settings?flat_settings=true");
    assert!(
        settings
            .to_string()
            .contains(r#""index.append_only.enabled":"true""#),
        "{settings}"
    );
    check("an index that only grows", node, "grows", &room);
    let (id, document) = node.documents("grows*").next().unwrap();
    assert_eq!((id.len(), document.get("event")), (27, None));
    let notes = room.handle.state().sinks.remove(0).notes;
    assert_eq!(notes, [""; 0]);
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_a_write_queue_of_one_gets_every_line_once() {
    let settings = [
        ("thread_pool.write.size", "1"),
        ("thread_pool.write.queue_size", "1"),
    ];
    let Some(node) = Node::start(&settings) else {
        return;
    };
    let sink = json!({"index": "queue", "requests_max": 8});
    // Several senders at once, as many nodes of a cluster are.
    let mut rooms: Vec<Room> = ["a", "b", "c", "d"]
        .iter()
        .map(|name| {
            let mut sink = sink.clone();
            sink["index"] = json!(format!("queue-{name}"));
            start(&node.url(), &sink)
        })
        .collect();
    for round in 1..=rounds() {
        for room in &mut rooms {
            room.write(1_500);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        if round % STAGE == 0 {
            for room in &rooms {
                room.settled(room.lines()).await;
            }
        }
    }
    let mut retried = 0.0;
    for (room, name) in rooms.iter().zip(["a", "b", "c", "d"]) {
        room.settled(room.lines()).await;
        check("a write queue of one", &node, &format!("queue-{name}"), room);
        retried += room.counter("skopos_logs_records_retried_total", &[]);
    }
    println!("{retried} records sent again");
    for room in rooms {
        room.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stands_still_and_is_killed_has_every_line_once() {
    let Some(node) = Node::start(&[]) else { return };
    let mut room = start(&node.url(), &json!({"index": "killed-node", "timeout": "2s"}));
    for round in 0..rounds() {
        for _ in 0..4 {
            room.write(1_000);
            pause(Duration::from_millis(300));
        }
        if round % 2 == 0 {
            node.pause();
            pause(Duration::from_millis(2_500));
            node.resume();
        } else {
            node.kill();
            node.start_again();
        }
        if round % STAGE == STAGE - 1 {
            room.settled(room.lines()).await;
        }
    }
    room.settled(room.lines()).await;
    check("stopped and killed", &node, "killed-node", &room);
    let known = room.counter("skopos_logs_records_known_total", &[]);
    println!("{known} records were there already");
    room.stop().await;
}

/// As Grafana's data source for OpenSearch asks: a Lucene query over a time range.
fn asked(query: &str, more: serde_json::Value) -> serde_json::Value {
    let mut question = json!({
        "size": 500,
        "query": {"bool": {"filter": [
            {"range": {"@timestamp": {"gte": "2024-02-29T00:00:00Z", "lte": "now+1d", "format": "strict_date_optional_time"}}},
            {"query_string": {"analyze_wildcard": true, "query": query}},
        ]}},
        "sort": [{"@timestamp": {"order": "desc", "unmapped_type": "boolean"}}, {"log.offset": {"order": "desc"}}],
    });
    for (key, value) in more.as_object().unwrap() {
        question[key] = value.clone();
    }
    question
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_people_look_for_is_found_as_grafana_asks_for_it() {
    let Some(node) = Node::shared() else { return };
    let mut room = start(&node.url(), &json!({"index": "asked"}));
    room.write(50);
    room.write_plain("{\"level\":\"error\",\"msg\":\"extra no route to host\",\"http\":{\"status\":502}}\n");
    room.write_plain("2026-11-27T10:00:00.250Z WARN extra slow request\n");
    room.settled(room.lines() + 2).await;
    node.refresh("asked-*");
    let hits = |query: &str| {
        let answer = node.search("asked-*", &asked(query, json!({})));
        answer["hits"]["hits"].as_array().unwrap().clone()
    };
    let one = hits("level:(\"error\" OR \"fatal\") AND (route)");
    assert_eq!(one.len(), 1, "{one:?}");
    assert_eq!(one[0]["_source"]["fields"]["http"]["status"], 502);
    assert_eq!(hits("fields.http.status:502").len(), 1);
    assert_eq!(hits("level:warn AND (slow AND request)").len(), 1);
    let pod = hits("kubernetes.namespace:shop AND kubernetes.pod:app-3 AND stream:stdout AND (*)");
    assert_eq!(pod.len(), 50);
    let numbers: Vec<&str> = pod
        .iter()
        .map(|hit| hit["_source"]["message"].as_str().unwrap())
        .collect();
    assert!(
        numbers[0].contains("line=00000049") && numbers[49].contains("line=00000000"),
        "newest first"
    );

    // The values of a variable, and the volume by level.
    let question = json!({"size": 0, "aggs": {"1": {"terms": {"field": "kubernetes.pod", "size": 500, "order": {"_key": "asc"}}}}});
    let answer = node.search("asked-*", &asked("*", question));
    assert_eq!(
        answer["aggregations"]["1"]["buckets"].as_array().unwrap().len(),
        room.writers.len()
    );
    let histogram =
        json!({"date_histogram": {"field": "@timestamp", "fixed_interval": "1d", "min_doc_count": 0}});
    let question = json!({"size": 0, "aggs": {"2": {
        "terms": {"field": "level", "size": 6, "order": {"_count": "desc"}, "min_doc_count": 1},
        "aggs": {"3": histogram},
    }}});
    let answer = node.search("asked-*", &asked("*", question));
    let levels: Vec<&str> = answer["aggregations"]["2"]["buckets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|bucket| bucket["key"].as_str().unwrap())
        .collect();
    assert_eq!(levels.len(), 3, "{levels:?}");
    let template = node.get_json("/_index_template/asked");
    assert_eq!(
        template["index_templates"][0]["index_template"]["_meta"]["made_by"],
        "skopos"
    );
    room.stop().await;
}
