//! `https`: with a certificate from files, which may be replaced while we serve.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use model::outside::{Client, ClientError, Method, Request};
use net::HttpClient;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::house::{House, LOOPBACK, NOW};
use super::memory;
use crate::{BindError, Config, Server, Tls};

const SOON: Duration = Duration::from_secs(20);

/// Two authorities that have each signed a certificate for localhost and 127.0.0.1, good for a hundred years.
fn given(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls").join(name)
}

/// Copies that may be replaced.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        files.put("first");
        files
    }

    fn put(&self, name: &str) {
        let tls = self.tls();
        std::fs::copy(given(&format!("{name}.key.pem")), &tls.key_file).unwrap();
        std::fs::copy(given(&format!("{name}.cert.pem")), &tls.cert_file).unwrap();
    }

    fn tls(&self) -> Tls {
        Tls {
            cert_file: self.0.path().join("cert.pem"),
            key_file: self.0.path().join("key.pem"),
        }
    }
}

fn config(files: &Files) -> Config {
    Config {
        tls: Some(files.tls()),
        request_timeout: Duration::from_millis(500),
        ..Config::default()
    }
}

async fn ask(house: &House, authority: &str) -> Result<u16, ClientError> {
    // A new client each time: it would keep its connection, and that has the certificate it began with.
    let client = HttpClient::with_ca(&given(authority)).unwrap();
    let request = Request {
        method: Method::Get,
        url: format!("https://127.0.0.1:{}/-/healthy", house.address.port()),
        headers: vec![],
        body: vec![].into(),
        timeout: SOON,
        answer_bytes_max: 1000,
    };
    client.send(request).await.map(|answer| answer.status)
}

fn house(config: &Config) -> House {
    House::furnished(config, LOOPBACK, Arc::new(memory::estate(NOW)), |_| {})
}

fn refused(house: &House, reason: &str) -> f64 {
    house.metric("skopos_web_connections_refused_total", &[("reason", reason)])
}

#[tokio::test]
async fn only_who_trusts_the_authority_gets_an_answer() {
    let files = Files::new();
    let house = house(&config(&files));
    assert_eq!(ask(&house, "first.ca.pem").await, Ok(200));
    let foreign = ask(&house, "second.ca.pem").await.unwrap_err();
    assert_eq!(foreign.reason(), "connect", "{foreign}");
    assert!(foreign.to_string().contains("UnknownIssuer"), "{foreign}");
    let missing = HttpClient::with_ca(Path::new("/nowhere/ca.pem")).err().unwrap();
    assert!(missing.contains("/nowhere/ca.pem: No such file"), "{missing}");
    let none = HttpClient::with_ca(&given("first.key.pem")).err().unwrap();
    assert!(none.ends_with("there is none in it"), "{none}");
}

#[tokio::test]
async fn a_renewed_certificate_is_used_within_ten_seconds_and_a_torn_one_is_not() {
    let files = Files::new();
    let house = house(&config(&files));
    assert_eq!(ask(&house, "first.ca.pem").await, Ok(200));
    // Somebody is half-way through: the new certificate does not fit the old key.
    std::fs::copy(given("second.cert.pem"), files.tls().cert_file).unwrap();
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(10)).await;
    tokio::time::resume();
    assert_eq!(ask(&house, "first.ca.pem").await, Ok(200));
    files.put("second");
    assert_eq!(ask(&house, "first.ca.pem").await, Ok(200), "not looked at yet");
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(10)).await;
    tokio::time::resume();
    assert_eq!(ask(&house, "second.ca.pem").await, Ok(200));
    assert!(ask(&house, "first.ca.pem").await.is_err());
}

#[tokio::test]
async fn whoever_speaks_no_tls_or_nothing_is_let_go_and_holds_up_nobody() {
    let files = Files::new();
    let house = house(&config(&files));
    let mut silent = TcpStream::connect(house.address).await.unwrap();
    let mut plain = TcpStream::connect(house.address).await.unwrap();
    plain
        .write_all(b"GET /-/healthy HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(ask(&house, "first.ca.pem").await, Ok(200));
    let mut said = Vec::new();
    let _ended = timeout(SOON, plain.read_to_end(&mut said)).await.unwrap();
    assert!(!said.starts_with(b"HTTP"), "{said:?}");
    let _ended = timeout(SOON, silent.read_to_end(&mut said)).await.unwrap();
    assert_eq!(refused(&house, "handshake"), 2.0);
    assert_eq!(house.metric("skopos_web_connections", &[]), 0.0);
}

#[tokio::test]
async fn one_that_shakes_hands_for_ever_does_not_hold_up_the_end() {
    let files = Files::new();
    let patient = Config {
        request_timeout: Duration::from_secs(600),
        grace: Duration::from_secs(600),
        ..config(&files)
    };
    let house = house(&patient);
    let _silent = TcpStream::connect(house.address).await.unwrap();
    while house.metric("skopos_web_connections", &[]) < 1.0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    house.stop.cancel();
    timeout(SOON, house.running).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn files_that_cannot_serve_are_named_before_anything_starts() {
    let files = Files::new();
    let bind = |tls: Tls| {
        let config = Config {
            tls: Some(tls),
            ..Config::default()
        };
        match Server::bind(&config, LOOPBACK.parse().unwrap()).err() {
            Some(error @ BindError::Tls(_)) => error.to_string(),
            other => panic!("{other:?}"),
        }
    };
    let missing = bind(Tls {
        cert_file: "/nowhere/cert.pem".into(),
        ..files.tls()
    });
    assert!(
        missing.starts_with("serving https: reading the certificate from /nowhere/cert.pem"),
        "{missing}"
    );
    let swapped = bind(Tls {
        cert_file: files.tls().key_file,
        key_file: files.tls().cert_file,
    });
    assert!(swapped.contains("there is none in it"), "{swapped}");
    let torn = bind(Tls {
        key_file: given("second.key.pem"),
        ..files.tls()
    });
    assert!(torn.contains("second.key.pem"), "{torn}");
}
