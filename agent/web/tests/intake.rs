//! Calls of other processes: who may, how much, and what is left of the rest.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use model::BoxFuture;
use model::outside::{Call, Identify, Identity, Response, Serve};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::house::{Answer, House, LOOPBACK, NOW, OPEN};
use super::memory;
use crate::Config;

const NODE: &str = "authorization: Bearer node-token-0123456789";
const REPLICA: &str = "authorization: bearer replica-token-0123456789";
const WRITER: &str = "authorization: Bearer writer-token-0123456789";
const TOKENS: &str =
    "node a node-token-0123456789\nreplica b replica-token-0123456789\nwriter c writer-token-0123456789\n";
const SOON: Duration = Duration::from_secs(20);
const MEBIBYTE: usize = 1024 * 1024;

/// Says who called, and keeps what it was given.
#[derive(Default)]
struct Ear {
    heard: Mutex<Vec<Call>>,
    /// Answers wait for this, when it is there.
    go: Option<Arc<Semaphore>>,
}

struct Shared(Arc<Ear>);

impl Serve for Shared {
    fn serve(&self, call: Call) -> BoxFuture<'static, Response> {
        let from = call
            .from
            .as_ref()
            .map(|from| format!("{} {}", from.role.word(), from.name));
        let answer = Response {
            status: 202,
            headers: vec![(
                "x-told".to_owned(),
                call.header("x-told").unwrap_or("").to_owned(),
            )],
            body: from.unwrap_or_default().into_bytes(),
        };
        let go = self.0.go.clone();
        self.0.heard.lock().push(call);
        Box::pin(async move {
            if let Some(go) = go {
                go.acquire().await.unwrap().forget();
            }
            answer
        })
    }
}

fn small() -> Config {
    Config {
        request_timeout: Duration::from_millis(500),
        write_bytes_max: MEBIBYTE,
        ..Config::default()
    }
}

fn known() -> Arc<dyn Identify> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(TOKENS.as_bytes()).unwrap();
    net::Tokens::open(file.path()).unwrap()
}

fn house(config: &Config, listen: &str, identify: Arc<dyn Identify>) -> (House, Arc<Ear>) {
    with(config, listen, identify, Ear::default())
}

fn with(config: &Config, listen: &str, identify: Arc<dyn Identify>, ear: Ear) -> (House, Arc<Ear>) {
    let ear = Arc::new(ear);
    let serve: Arc<dyn Serve> = Arc::new(Shared(Arc::clone(&ear)));
    let house = House::furnished(config, listen, Arc::new(memory::estate(NOW)), |rooms| {
        rooms.write = Some(Arc::clone(&serve));
        rooms.peer = Some(Arc::clone(&serve));
        rooms.tail = Some(serve);
        rooms.identify = identify;
    });
    (house, ear)
}

fn refused(house: &House, reason: &str) -> f64 {
    house.metric("skopos_web_refused_total", &[("reason", reason)])
}

/// Sends a head by hand and leaves the body to the test.
async fn head(house: &House, lines: &[&str]) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", house.address.port()))
        .await
        .unwrap();
    let head = format!(
        "POST /api/v1/write HTTP/1.1\r\nhost: localhost\r\n{}\r\n\r\n",
        lines.join("\r\n")
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn everybody_may_what_the_token_says() {
    let (write, peer) = ("/api/v1/write", "/peer/v1/shared/newest");
    let none = "x: y";
    let wrong = "authorization: Bearer node-token-0123456788";
    let basic = "authorization: Basic bm9kZQ==";
    for listen in [LOOPBACK, OPEN] {
        let (house, ear) = house(&small(), listen, known());
        for (path, header, status, said) in [
            (write, NODE, 202, "node a"),
            (write, WRITER, 202, "writer c"),
            (write, REPLICA, 202, "replica b"),
            (peer, REPLICA, 202, "replica b"),
            (peer, NODE, 403, "node a may not call /peer/v1/shared/newest\n"),
            (
                peer,
                WRITER,
                403,
                "writer c may not call /peer/v1/shared/newest\n",
            ),
            (write, none, 401, "no token: send"),
            (peer, none, 401, "no token: send"),
            (write, basic, 401, "no token: send"),
            (write, wrong, 401, "unknown token"),
            (peer, wrong, 401, "unknown token"),
        ] {
            let answer = house.send("POST", path, &[header, "x-told: yes"], "body").await;
            assert_eq!(answer.status, status, "{listen} {path} {header}");
            assert!(
                answer.body.starts_with(said),
                "{listen} {path} {header}: {}",
                answer.body
            );
            let challenge = if status == 401 { "Bearer" } else { "" };
            assert_eq!(answer.header("www-authenticate"), challenge);
            assert_eq!(answer.header("x-told"), if status == 202 { "yes" } else { "" });
            assert_eq!(answer.header("x-content-type-options"), "nosniff");
        }
        assert_eq!((refused(&house, "token"), refused(&house, "role")), (5.0, 2.0));
        let heard = ear.heard.lock();
        assert_eq!(heard.len(), 4);
        assert!(
            heard
                .iter()
                .all(|call| call.body == b"body" && call.local == (listen == LOOPBACK))
        );
    }
}

#[tokio::test]
async fn log_lines_are_read_by_readers_and_replicas_only() {
    let tail = "/api/v1/logs/tail?namespace=shop&pod=cart-1";
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let tokens = format!("{TOKENS}reader d reader-token-0123456789\n");
    file.write_all(tokens.as_bytes()).unwrap();
    let tokens = net::Tokens::open(file.path()).unwrap();
    let (house, ear) = house(&small(), OPEN, tokens);
    let reader = "authorization: Bearer reader-token-0123456789";
    for (header, status, said) in [
        (reader, 202, "reader d"),
        (REPLICA, 202, "replica b"),
        (NODE, 403, "node a may not call /api/v1/logs/tail\n"),
        (WRITER, 403, "writer c may not call /api/v1/logs/tail\n"),
        ("x: y", 401, "no token: send"),
        (
            "authorization: Bearer reader-token-0123456780",
            401,
            "unknown token",
        ),
    ] {
        let answer = house.send("GET", tail, &[header], "").await;
        assert_eq!(
            (answer.status, answer.body.starts_with(said)),
            (status, true),
            "{header}: {}",
            answer.body
        );
    }
    let writes = house.send("POST", "/api/v1/write", &[reader], "x").await;
    assert_eq!(writes.status, 403, "a reader writes nothing");
    let heard = ear.heard.lock();
    assert_eq!(heard.len(), 2);
    assert!(heard.iter().all(|call| call.query == "namespace=shop&pod=cart-1"));
}

#[tokio::test]
async fn without_tokens_only_this_machine_may() {
    let (near, _) = house(&small(), LOOPBACK, net::Tokens::none());
    assert_eq!(
        near.send("POST", "/api/v1/write", &[], "x").await.body,
        "writer local"
    );
    assert_eq!(
        near.send("POST", "/peer/v1/a", &[], "x").await.body,
        "replica local"
    );
    assert_eq!(near.get("/peer/v1/a?b=c").await.body, "replica local");
    assert_eq!(near.get("/api/v1/logs/tail").await.body, "reader local");
    let (open, ear) = house(&small(), OPEN, net::Tokens::none());
    assert_eq!(open.get("/api/v1/logs/tail").await.status, 401);
    for path in ["/api/v1/write", "/peer/v1/a"] {
        let answer = open.send("POST", path, &[NODE], "x").await;
        assert_eq!(answer.status, 401);
        assert!(answer.body.contains("web.tokens_file"), "{}", answer.body);
    }
    assert!(ear.heard.lock().is_empty());
}

#[tokio::test]
async fn no_browser_and_no_foreign_name_gets_in() {
    let (near, ear) = house(&small(), LOOPBACK, net::Tokens::none());
    let own = format!("origin: http://{}", near.address);
    for header in [
        own.as_str(),
        "origin: null",
        "sec-fetch-site: same-origin",
        "host: evil.example",
    ] {
        for path in ["/api/v1/write", "/peer/v1/a"] {
            assert_eq!(
                near.send("POST", path, &[header], "x").await.status,
                403,
                "{header}"
            );
        }
    }
    assert_eq!((refused(&near, "origin"), refused(&near, "host")), (6.0, 2.0));
    // A replica or a Prometheus calls by whatever name it was given.
    let (open, _) = house(&small(), OPEN, known());
    for host in [
        "host: 10.1.2.3:9464",
        "host: skopos-0.skopos.svc",
        "host: [fd00::1]:9464",
    ] {
        assert_eq!(
            open.send("POST", "/api/v1/write", &[host, NODE], "x")
                .await
                .status,
            202
        );
    }
    let browser = [
        "origin: http://skopos-0.skopos.svc",
        "host: skopos-0.skopos.svc",
        REPLICA,
    ];
    assert_eq!(open.send("POST", "/peer/v1/a", &browser, "x").await.status, 403);
    assert!(ear.heard.lock().is_empty());
}

#[tokio::test]
async fn what_a_role_does_not_take_is_not_here() {
    let house = House::open();
    let answer = house.send("POST", "/api/v1/write", &[], "x").await;
    assert_eq!(
        (answer.status, &*answer.body),
        (404, "samples are not taken here: role all\n")
    );
    let answer = house.get("/peer/v1/a").await;
    assert_eq!(
        (answer.status, &*answer.body),
        (404, "calls of a replica are not taken here: role all\n")
    );
    assert_eq!(refused(&house, "absent"), 2.0);
    assert_eq!(house.get("/api/v1/write").await.status, 405);
}

#[tokio::test]
async fn a_gigabyte_that_is_announced_is_not_awaited() {
    let (house, ear) = house(&small(), LOOPBACK, known());
    let mut patient = head(
        &house,
        &[
            WRITER,
            "content-length: 1000000000",
            "expect: 100-continue",
            "connection: close",
        ],
    )
    .await;
    let answer = Answer::read(&mut patient).await;
    assert_eq!(
        (answer.status, &*answer.body),
        (413, "the body is longer than 1048576 bytes\n")
    );

    let mut hasty = head(&house, &[WRITER, "content-length: 1000000000"]).await;
    // The server may hang up before it has read all of it, but its answer arrives.
    hasty.write_all(&[7; 100_000]).await.unwrap();
    let mut status = [0; 12];
    hasty.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 413");
    assert!(ear.heard.lock().is_empty());
    assert_eq!(refused(&house, "too_long"), 2.0);
}

#[tokio::test]
async fn an_endless_body_ends_at_the_limit_and_a_slow_one_at_the_time() {
    let (house, ear) = house(&small(), LOOPBACK, known());
    let mut endless = head(&house, &[WRITER, "transfer-encoding: chunked"]).await;
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let mut sent = 0;
    // Until nobody takes it any more.
    while endless.write_all(chunk.as_bytes()).await.is_ok() {
        sent += 0x10000;
        assert!(sent < 64 * MEBIBYTE, "an endless body is taken");
    }
    let mut slow = head(&house, &[WRITER, "content-length: 10"]).await;
    slow.write_all(b"12345").await.unwrap();
    let mut status = [0; 12];
    slow.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 408");
    assert!(ear.heard.lock().is_empty());
    assert_eq!((refused(&house, "too_long"), refused(&house, "slow")), (1.0, 1.0));
    // The longest that may is taken, in either form.
    let whole = "y".repeat(MEBIBYTE);
    assert_eq!(
        house
            .send("POST", "/api/v1/write", &[WRITER], &whole)
            .await
            .status,
        202
    );
    let chunks = format!("{}0\r\n\r\n", chunk.repeat(16));
    let mut stream = head(
        &house,
        &[WRITER, "transfer-encoding: chunked", "connection: close"],
    )
    .await;
    stream.write_all(chunks.as_bytes()).await.unwrap();
    assert_eq!(Answer::read(&mut stream).await.status, 202);
    let heard = ear.heard.lock();
    assert!(heard.iter().all(|call| call.body.len() == MEBIBYTE) && heard.len() == 2);
}

#[tokio::test]
async fn a_caller_without_a_token_is_not_listened_to() {
    let (house, _) = house(&small(), OPEN, known());
    let mut polite = head(
        &house,
        &[
            "content-length: 1000",
            "expect: 100-continue",
            "connection: close",
        ],
    )
    .await;
    let answer = Answer::read(&mut polite).await;
    assert_eq!(answer.status, 401, "and not 100 before: {answer:?}");
    // One that talks at once still reads why.
    let long = "z".repeat(500_000);
    let answer = house.send("POST", "/api/v1/write", &[], &long).await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn too_much_at_one_time_is_asked_to_come_again() {
    let go = Arc::new(Semaphore::new(0));
    let ear = Ear {
        go: Some(Arc::clone(&go)),
        ..Ear::default()
    };
    let (house, ear) = with(&small(), LOOPBACK, known(), ear);
    let length = format!("content-length: {MEBIBYTE}");
    let whole = vec![b'x'; MEBIBYTE];
    let mut waiting = Vec::new();
    for nth in 1..=4 {
        let mut stream = head(&house, &[WRITER, &length, "connection: close"]).await;
        stream.write_all(&whole).await.unwrap();
        waiting.push(stream);
        while ear.heard.lock().len() < nth {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    // They have been read, but not answered yet: their bodies are still held.
    for body in ["x", &"x".repeat(10_000)] {
        let headers = [NODE];
        let refused = house.send("POST", "/api/v1/write", &headers, body);
        let answer = timeout(SOON, refused).await.expect("refused at once, not served");
        assert_eq!((answer.status, answer.header("retry-after")), (503, "1"));
    }
    let mut chunked = head(&house, &[NODE, "transfer-encoding: chunked", "connection: close"]).await;
    chunked.write_all(b"1\r\nx\r\n0\r\n\r\n").await.unwrap();
    assert_eq!(Answer::read(&mut chunked).await.status, 503);
    assert_eq!(refused(&house, "busy"), 3.0);
    // People are served meanwhile.
    assert_eq!(house.get("/api/v1/labels").await.status, 200);
    go.add_permits(5);
    for stream in &mut waiting {
        assert_eq!(Answer::read(stream).await.status, 202);
    }
    assert_eq!(
        house.send("POST", "/api/v1/write", &[NODE], "x").await.status,
        202
    );
}

/// Never finds out who calls.
struct Lost;

impl Identify for Lost {
    fn identify<'a>(&'a self, _: &'a Call) -> BoxFuture<'a, Result<Identity, String>> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn nobody_waits_for_ever_to_be_known() {
    let (house, ear) = house(&small(), LOOPBACK, Arc::new(Lost));
    let answer = house.send("POST", "/api/v1/write", &[NODE], "x").await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "1"));
    assert!(ear.heard.lock().is_empty());
    assert_eq!(refused(&house, "unidentified"), 1.0);
}
