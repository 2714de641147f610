//! Connections: how many, how slow, how they end.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::house::{Answer, House};
use crate::{BindError, Config, Server};

const SOON: Duration = Duration::from_secs(20);

fn hasty() -> Config {
    Config {
        request_timeout: Duration::from_millis(300),
        idle_timeout: Duration::from_secs(3),
        ..Config::default()
    }
}

#[tokio::test]
async fn a_taken_address_is_a_clear_error() {
    let first = Server::bind(&Config::default(), "127.0.0.1:0".parse().unwrap()).unwrap();
    let address = first.local_addr();
    let error = Server::bind(&Config::default(), address).err().unwrap();
    let text = format!("{address} is already in use by another process; choose another with --listen");
    assert_eq!(error.to_string(), text);
    let elsewhere = Server::bind(&Config::default(), "192.0.2.1:9464".parse().unwrap()).err();
    assert!(
        matches!(elsewhere, Some(BindError::Foreign { .. })),
        "{elsewhere:?}"
    );
}

#[tokio::test]
async fn probes_answer() {
    let house = House::open();
    assert_eq!(house.get("/-/healthy").await.status, 200);
    assert_eq!(house.get("/-/ready").await.status, 200);
    *house.knobs.ready.lock() = Err("the write-ahead log is being read".to_owned());
    let answer = house.get("/-/ready").await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (503, "not ready: the write-ahead log is being read\n")
    );
    assert_eq!(house.get("/-/healthy").await.status, 200);
}

#[tokio::test]
async fn only_a_post_reloads_and_complaints_come_back() {
    let house = House::open();
    let answer = house.get("/-/reload").await;
    assert_eq!((answer.status, answer.header("allow")), (405, "POST, PUT"));
    assert_eq!(house.knobs.reloads.load(Ordering::Relaxed), 0);
    assert_eq!(house.post("/-/reload", "").await.status, 200);
    assert_eq!(house.send("PUT", "/-/reload", &[], "").await.status, 200);
    *house.knobs.reload.lock() = Err("skopos.yaml:3:1: unknown key \"scrap\"".to_owned());
    let answer = house.post("/-/reload", "").await;
    assert_eq!(answer.status, 500);
    assert!(
        answer.body.contains("skopos.yaml:3:1: unknown key \"scrap\""),
        "{}",
        answer.body
    );
    assert_eq!(house.knobs.reloads.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn foreign_names_and_origins_are_refused_and_counted() {
    let house = House::open();
    let answer = house
        .send("GET", "/api/v1/labels", &["host: evil.example"], "")
        .await;
    assert_eq!(answer.status, 403);
    assert!(
        answer.body.contains("only served as localhost"),
        "{}",
        answer.body
    );
    let origin = ["host: localhost:1", "origin: http://evil.example"];
    assert_eq!(house.send("GET", "/api/v1/labels", &origin, "").await.status, 403);
    let foreign = ["host: localhost:1", "sec-fetch-site: cross-site"];
    assert_eq!(house.send("POST", "/-/reload", &foreign, "").await.status, 403);
    assert_eq!(house.knobs.reloads.load(Ordering::Relaxed), 0);
    let labels = |code| [("handler", "/api/v1/labels"), ("code", code)];
    assert_eq!(house.metric("skopos_web_requests_total", &labels("403")), 2.0);
    assert_eq!(house.get("/api/v1/labels").await.status, 200);
    assert_eq!(house.metric("skopos_web_requests_total", &labels("200")), 1.0);
}

#[tokio::test]
async fn every_answer_wears_security_headers() {
    let house = House::open();
    for path in ["/-/healthy", "/api/v1/labels", "/nowhere", "/metrics"] {
        let answer = house.get(path).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
        let policy = answer.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'self'; frame-ancestors 'none'"),
            "{path}: {policy}"
        );
    }
    let unknown = [("handler", "other"), ("code", "404")];
    assert_eq!(house.metric("skopos_web_requests_total", &unknown), 1.0);
}

#[tokio::test]
async fn a_slow_loris_is_let_go_and_an_idle_friend_is_not() {
    let house = House::with(&hasty());
    let began = Instant::now();
    let mut loris = TcpStream::connect(house.address).await.unwrap();
    let drip = async {
        loris
            .write_all(b"GET /-/healthy HTTP/1.1\r\nhost: localhost\r\n")
            .await?;
        while began.elapsed() < SOON {
            loris.write_all(b"x: y\r\n").await?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        std::io::Result::Ok(())
    };
    assert!(drip.await.is_err(), "the connection was closed");
    assert!(began.elapsed() < SOON / 2, "{:?}", began.elapsed());

    let mut friend = TcpStream::connect(house.address).await.unwrap();
    let mut answer = [0; 1024];
    for _ in 0..3 {
        friend
            .write_all(b"GET /-/healthy HTTP/1.1\r\nhost: localhost\r\n\r\n")
            .await
            .unwrap();
        let read = friend.read(&mut answer).await.unwrap();
        assert!(answer[..read].starts_with(b"HTTP/1.1 200"));
        tokio::time::sleep(hasty().request_timeout * 2).await;
    }
    let end = timeout(SOON, friend.read(&mut answer)).await.unwrap();
    assert!(
        matches!(end, Ok(0) | Err(_)),
        "an idle connection ends too: {end:?}"
    );
}

#[tokio::test]
async fn long_and_slow_bodies_are_refused() {
    let house = House::with(&hasty());
    let path = "/api/v1/query";
    let announced = house.send("POST", path, &["content-length: 2000000"], "").await;
    assert_eq!(announced.status, 413);
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000)).repeat(17);
    let mut stream = TcpStream::connect(house.address).await.unwrap();
    let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    // The server may hang up before it has read all of it.
    let _sent = stream.write_all(chunk.as_bytes()).await;
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 413");

    let slow = house.send("POST", path, &["content-length: 10"], "").await;
    assert_eq!(slow.status, 408);
    assert!(slow.body.contains("did not arrive"), "{}", slow.body);
}

#[tokio::test]
async fn long_headers_are_refused() {
    let house = House::open();
    let answer = house
        .send("GET", "/-/healthy", &[&format!("x: {}", "y".repeat(100_000))], "")
        .await;
    assert_eq!(answer.status, 431);
    let many: Vec<String> = (0..200).map(|nth| format!("x{nth}: y")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(house.send("GET", "/-/healthy", &many, "").await.status, 431);
    assert_eq!(house.get("/-/healthy").await.status, 200);
}

#[tokio::test]
async fn one_connection_too_many_is_told_so() {
    let house = House::with(&Config {
        connections_max: 3,
        ..Config::default()
    });
    let mut guests = Vec::new();
    for _ in 0..3 {
        guests.push(TcpStream::connect(house.address).await.unwrap());
    }
    let answer = house.get("/-/healthy").await;
    assert_eq!(answer.status, 503);
    assert!(
        answer.body.starts_with("all 3 connections are in use"),
        "{}",
        answer.body
    );
    assert_eq!(
        house.metric("skopos_web_connections_refused_total", &[("reason", "full")]),
        1.0
    );
    assert_eq!(house.metric("skopos_web_connections", &[]), 3.0);
    drop(guests);
    let free = async {
        while house.get("/-/healthy").await.status != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(SOON, free).await.unwrap();
}

/// A request under way: the server has its headers and has asked for its body.
async fn half_asked(house: &House) -> TcpStream {
    let mut stream = TcpStream::connect(house.address).await.unwrap();
    let head =
        "POST /-/reload HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream
}

#[tokio::test]
async fn stopping_finishes_what_is_under_way() {
    let house = House::open();
    let mut idle = TcpStream::connect(house.address).await.unwrap();
    idle.write_all(b"GET /-/healthy HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await
        .unwrap();
    let mut some = [0; 1024];
    assert!(idle.read(&mut some).await.unwrap() > 0);

    let mut asking = half_asked(&house).await;
    house.stop.cancel();
    assert_eq!(
        timeout(SOON, idle.read(&mut some)).await.unwrap().unwrap(),
        0,
        "idle ones are closed"
    );
    asking.write_all(b"a=b").await.unwrap();
    assert_eq!(Answer::read(&mut asking).await.status, 200);
    timeout(SOON, house.running).await.unwrap().unwrap().unwrap();
    assert!(TcpStream::connect(house.address).await.is_err());
}

#[tokio::test]
async fn stopping_waits_no_longer_than_the_grace_time() {
    let house = House::with(&Config {
        grace: Duration::from_millis(200),
        ..Config::default()
    });
    let _stuck = half_asked(&house).await;
    house.stop.cancel();
    let began = Instant::now();
    timeout(SOON, house.running).await.unwrap().unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}
