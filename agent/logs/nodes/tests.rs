//! Who is asked, and what is made of the answers.

use std::sync::Arc;
use std::time::Duration;

use model::outside::ClientError;
use model::{BoxFuture, Level};
use parking_lot::Mutex;

use super::*;

/// Answers by the host's name; remembers what it was asked, and by whose token.
#[derive(Default)]
struct Fake(Mutex<Vec<String>>, Mutex<Vec<String>>);

impl Client for Fake {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, ClientError>> {
        self.0.lock().push(request.url.clone());
        let shown = request.headers.iter();
        let shown = shown.filter(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        self.1.lock().extend(
            shown.map(|(_, value)| format!("{} {value}", request.url.split('/').nth(2).unwrap_or_default())),
        );
        Box::pin(async move {
            let said = |status, body: &str| {
                Ok(Response {
                    status,
                    headers: Vec::new(),
                    body: body.as_bytes().to_vec(),
                })
            };
            let host = request.url.split('/').nth(2).unwrap_or_default();
            match host {
                "hangs" => std::future::pending().await,
                "shut" => said(401, "unknown token\nand more"),
                "odd" => said(200, "<html>"),
                "empty" => said(200, r#"{"lines":[],"cut":false,"known":false}"#),
                _ => {
                    let line = |time: i64, source: &str| {
                        serde_json::json!({"time": time, "level": "warn", "source": source, "stream": "", "text": host,
                            "file": "/f", "offset_bytes": time})
                    };
                    let lines = [
                        line(1, "shop/cart-1/app"),
                        line(3, "shop/cart-1/app"),
                        line(2, "shop/other-1/app"),
                    ];
                    said(
                        200,
                        &serde_json::json!({"lines": lines, "cut": false, "known": true}).to_string(),
                    )
                }
            }
        })
    }
}

fn nodes(names: &[&str], found: &[&str]) -> (Nodes, Arc<Fake>) {
    let config: Vec<Node> = names
        .iter()
        .map(|name| Node {
            node: (*name).to_owned(),
            url: format!("http://{name}"),
            ..Node::default()
        })
        .collect();
    let found: Vec<NodeAddress> = found
        .iter()
        .map(|name| NodeAddress {
            node: (*name).into(),
            url: format!("http://{name}").into(),
        })
        .collect();
    let fake = Arc::new(Fake::default());
    let found = FoundNodes {
        addresses: watch::channel(found).1,
        token_file: None,
    };
    let nodes = Nodes::new(&config, found, fake.clone());
    (nodes, fake)
}

fn query() -> TailQuery {
    TailQuery {
        namespace: "shop".to_owned(),
        pod: "cart-*".to_owned(),
        container: String::new(),
        text: "a b".to_owned(),
        level: Some(Level::Warn),
        from: Timestamp(1_500),
        to: Timestamp::MAX,
        lines: 3,
    }
}

const PATIENCE: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn whatever_arrives_in_time_is_the_answer_and_who_is_silent_is_named() {
    let (nodes, fake) = nodes(&["a", "hangs", "shut", "odd", "empty"], &["b"]);
    let begun = tokio::time::Instant::now();
    let found = nodes.tail(&query(), None, PATIENCE).await;
    assert_eq!(begun.elapsed(), PATIENCE);
    // Four lines of the pod came, and three were wanted; those of another pod were not.
    let times: Vec<i64> = found.lines.iter().map(|line| line.time.0).collect();
    assert_eq!(
        (times, found.cut, found.known, found.heard),
        (vec![1, 3, 3], true, true, 3)
    );
    let unheard: Vec<(&str, &str)> = found
        .unheard
        .iter()
        .map(|one| (&*one.node, one.why.as_str()))
        .collect();
    assert_eq!(
        unheard,
        [
            ("hangs", "no answer within 1s"),
            ("odd", "its answer is not that of a Skopos"),
            ("shut", "it does not let us (401): unknown token"),
        ]
    );
    let asked = fake.0.lock().clone();
    assert_eq!(asked.len(), 6);
    let question = "/api/v1/logs/tail?namespace=shop&pod=cart-*&text=a+b&lines=3&level=warn&from=1.5";
    assert!(asked.contains(&format!("http://a{question}")), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn only_the_node_that_is_named_is_asked_unless_nobody_knows_it() {
    let (nodes, fake) = nodes(&["a", "hangs"], &["b"]);
    let found = nodes.tail(&query(), Some("a"), PATIENCE).await;
    assert_eq!((found.heard, found.unheard.len(), fake.0.lock().len()), (1, 0, 1));
    let found = nodes.tail(&query(), Some("gone"), PATIENCE).await;
    assert_eq!((found.heard, found.unheard.len()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_is_found_is_shown_the_token_of_the_moment_and_nobody_else_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let config = [Node {
        node: "a".to_owned(),
        url: "http://a".to_owned(),
        ..Node::default()
    }];
    let address = |node: &str| NodeAddress {
        node: node.into(),
        url: format!("http://{node}").into(),
    };
    let found = FoundNodes {
        // Whoever is named is asked as the configuration says.
        addresses: watch::channel(vec![address("a"), address("b")]).1,
        token_file: Some(file.clone()),
    };
    let fake = Arc::new(Fake::default());
    let nodes = Nodes::new(&config, found, fake.clone());
    for token in ["first.of.two", "second.of.two"] {
        std::fs::write(&file, format!("{token}\n")).unwrap();
        assert_eq!(nodes.tail(&query(), None, PATIENCE).await.heard, 2);
    }
    assert_eq!(
        *fake.1.lock(),
        ["b Bearer first.of.two", "b Bearer second.of.two"]
    );
    std::fs::remove_file(&file).unwrap();
    let told = nodes.tail(&query(), None, PATIENCE).await;
    assert_eq!((told.heard, told.unheard.len()), (1, 1));
    assert!(told.unheard[0].why.contains("token"), "{told:?}");
}

#[test]
fn a_list_of_nodes_says_what_is_wrong_with_it() {
    let node = |node: &str, url: &str| Node {
        node: node.to_owned(),
        url: url.to_owned(),
        ..Node::default()
    };
    assert_eq!(
        mistakes(&[node("a", "http://a:9600"), node("b", "https://b")]),
        [""; 0]
    );
    let wrong = mistakes(&[
        node("", "a:9600"),
        node("b", "http://b"),
        node("b", "http://b?x=1"),
    ]);
    assert_eq!(
        wrong,
        [
            "logs.nodes[0].node: missing; write the node's name as the label node has it",
            "logs.nodes[0].url: not an http:// or https:// URL: \"a:9600\"",
            "logs.nodes[2].url: has a query or fragment; give host, port and path",
            "logs.nodes[2].node: \"b\" is also the name of logs.nodes[1]",
        ]
    );
}
