//! A real node that pushes back, stops and dies.

use std::time::Duration;

use opensearch_tests::Node;
use serde_json::json;

use super::generator::judge;
use super::room::{Room, pause, sort};

fn rounds() -> usize {
    if std::env::var_os("SKOPOS_TEST_LONG").is_some() {
        60
    } else {
        6
    }
}

fn check(what: &str, node: &Node, index: &str, room: &Room) {
    let documents = node.documents(&format!("{index}*"));
    let messages = documents.map(|(_, document)| document["message"].as_str().unwrap_or_default().to_owned());
    let (seen, between, _) = sort(messages);
    judge(&seen, &room.written(), what);
    let want: usize = room.written().iter().map(|lines| lines.div_ceil(7)).sum();
    assert_eq!(between, want, "lines between pieces");
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
            Room::start(&node.url(), &sink)
        })
        .collect();
    for _ in 0..rounds() {
        for room in &mut rooms {
            room.write(1_500);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
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
    let mut room = Room::start(&node.url(), &json!({"index": "killed-node", "timeout": "2s"}));
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
    }
    room.settled(room.lines()).await;
    check("stopped and killed", &node, "killed-node", &room);
    let known = room.counter("skopos_logs_records_known_total", &[]);
    println!("{known} records were there already");
    room.stop().await;
}
