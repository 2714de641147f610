//! A line that somebody has deleted in OpenSearch, and one that is there twice, are found by comparing.

use std::path::PathBuf;
use std::time::Duration;

use logs::{Found, Verdict, Verify};
use opensearch_tests::Node;
use serde_json::{Value, json};

use super::room::{self, Room};
use super::{entry, start};

async fn compare(room: &Room, sink: &Value, files: &[PathBuf]) -> Vec<Verdict> {
    let config = room::config(room.folder(), "opensearch", sink);
    let folder = room.folder().join("data/logs");
    let outside = room::outside();
    let verify = Verify {
        config: &config,
        folder: &folder,
        host: &outside.host,
        client: outside.client,
    };
    verify.compare("opensearch", files).await.unwrap()
}

fn lines(found: &Found) -> Vec<(u64, u64)> {
    found
        .lines
        .iter()
        .map(|range| (range.first, range.last))
        .collect()
}

/// The document with this message: its index, its id and itself.
fn document(node: &Node, index: &str, message: &str) -> (String, String, Value) {
    let found = node.search(
        index,
        &json!({"size": 10, "query": {"match_phrase": {"message": message}}}),
    );
    let hits = found["hits"]["hits"].as_array().unwrap();
    assert_eq!(hits.len(), 1, "{message}: {found}");
    let text = |key: &str| hits[0][key].as_str().unwrap().to_owned();
    (text("_index"), text("_id"), hits[0]["_source"].clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_that_is_deleted_or_doubled_by_hand_is_named_with_its_line() {
    let Some(node) = Node::shared() else {
        return;
    };
    let sink = json!({"index": "verify-room", "name": "opensearch"});
    let mut room = start(&node.url(), &sink);
    room.write(500);
    room.write_plain("first plain line\nsecond plain line\nthird plain line\n");
    room.settled(room.lines() + 3).await;
    let sink = entry(&node.url(), &sink);
    let plain = room.folder().join("plain/extra.log");
    let mut files = vec![plain.clone()];
    for pod in std::fs::read_dir(room.folder().join("pods")).unwrap() {
        for container in std::fs::read_dir(pod.unwrap().path()).unwrap() {
            for file in std::fs::read_dir(container.unwrap().path()).unwrap() {
                files.push(file.unwrap().path());
            }
        }
    }
    let all = compare(&room, &sink, &files).await;
    assert_eq!(all.len(), files.len());
    for verdict in &all {
        assert!(verdict.is_complete() && verdict.records > 0, "{verdict:?}");
    }
    let records: u64 = all.iter().map(|verdict| verdict.records).sum();
    assert_eq!(records, room.lines() as u64 + 3);

    // The places reached are on the disk within a second.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let index = "verify-room*";
    node.refresh(index);
    let (of, id, _) = document(node, index, "second plain line");
    node.ask("DELETE", &format!("/{of}/_doc/{id}"), &[], b"").unwrap();
    let (_, id, source) = document(node, index, "third plain line");
    let again = format!("/verify-room-2001.01.01/_doc/{id}");
    node.put(&again, &source);
    let verdicts = compare(&room, &sink, &[plain]).await;
    let verdict = verdicts.first().unwrap();
    assert_eq!(
        (verdict.records, verdict.found, verdict.is_complete()),
        (3, 2, false)
    );
    assert_eq!(lines(&verdict.missing), [(2, 2)]);
    assert_eq!(
        verdict.missing.first_offset,
        Some("first plain line\n".len() as u64)
    );
    assert_eq!(lines(&verdict.doubled), [(3, 3)]);
    assert_eq!((verdict.waiting.records, verdict.refused.records), (0, 0));
    room.stop().await;
}
