//! Patience with a client, in virtual time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::Instant;

use crate::line::{Line, Serving};

const HEADERS: Duration = Duration::from_secs(10);
const STALL: Duration = Duration::from_secs(30);

fn line() -> (Line<DuplexStream>, DuplexStream, Serving) {
    let (server, client) = duplex(16);
    let serving = Serving::default();
    (
        Line::new(server, Arc::clone(&serving), HEADERS, STALL),
        client,
        serving,
    )
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_asks_is_let_go() {
    let (mut line, _client, _) = line();
    let began = Instant::now();
    let error = line.read_u8().await.unwrap_err();
    assert_eq!(
        (error.kind(), began.elapsed()),
        (std::io::ErrorKind::TimedOut, HEADERS)
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_that_asks_a_byte_at_a_time_is_let_go() {
    let (mut line, mut client, _) = line();
    let began = Instant::now();
    let drip = async {
        loop {
            client.write_u8(b'x').await.unwrap();
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
    };
    let read = async { while line.read_u8().await.is_ok() {} };
    tokio::select! { () = read => {}, () = drip => {} }
    assert!(
        began.elapsed() <= HEADERS + Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn waiting_for_the_next_request_is_not_asking_slowly() {
    let (mut line, mut client, serving) = line();
    client.write_u8(b'1').await.unwrap();
    line.read_u8().await.unwrap();
    serving.store(true, Ordering::Relaxed);
    line.write_u8(b'a').await.unwrap();
    serving.store(false, Ordering::Relaxed);

    let idle = tokio::time::timeout(6 * HEADERS, line.read_u8()).await;
    assert!(idle.is_err(), "still open");

    let began = Instant::now();
    client.write_u8(b'2').await.unwrap();
    line.read_u8().await.unwrap();
    assert!(line.read_u8().await.is_err(), "its headers never end");
    assert_eq!(began.elapsed(), HEADERS);
}

#[tokio::test(start_paused = true)]
async fn a_long_answer_in_the_making_is_waited_for() {
    let (mut line, mut client, serving) = line();
    client.write_u8(b'1').await.unwrap();
    line.read_u8().await.unwrap();
    serving.store(true, Ordering::Relaxed);
    let silence = tokio::time::timeout(12 * HEADERS, line.read_u8()).await;
    assert!(silence.is_err(), "still open");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_let_go() {
    let (mut line, mut client, _) = line();
    let began = Instant::now();
    let error = line.write_all(&[b'x'; 100]).await.unwrap_err();
    assert_eq!(
        (error.kind(), began.elapsed()),
        (std::io::ErrorKind::TimedOut, STALL)
    );

    let mut some = [0; 16];
    client.read_exact(&mut some).await.unwrap();
    line.write_all(&[b'x'; 16]).await.unwrap();
}
