//! The same behind a real Prometheus.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use model::outside::{Client, ClientError, Request, Response};
use model::{BoxFuture, Select, TimeRange, Timestamp};
use programs::write::Written;
use programs::{Prometheus, find_kept};
use promql::script::Memory;

use super::{at, compare, generate, history, kept, settings, through};
use crate::backtest::Remote;

/// Speaks as much HTTP as this needs.
struct Plain;

impl Client for Plain {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, ClientError>> {
        let answer = ask(&request).map_err(|error| ClientError::Broken(error.to_string()));
        Box::pin(std::future::ready(answer))
    }
}

fn ask(request: &Request) -> std::io::Result<Response> {
    let (address, path) = request.url["http://".len()..].split_once('/').unwrap();
    let mut stream = TcpStream::connect(address)?;
    let length = request.body.len();
    let (name, kind) = &request.headers[0];
    write!(
        stream,
        "POST /{path} HTTP/1.0\r\n{name}: {kind}\r\ncontent-length: {length}\r\n\r\n"
    )?;
    stream.write_all(&request.body)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    Ok(Response {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: body.as_bytes().to_vec(),
    })
}

/// Half an hour at a time: whatever is an hour older than the newest sample is too old for it.
fn feed(prometheus: &Prometheus, memory: &Memory) {
    let all = memory.select(&[], TimeRange::ALL, usize::MAX).unwrap();
    for part in 0..6 {
        let (from, until) = (at(part * 30), at(part * 30 + 30));
        let written = all.iter().map(|series| {
            let samples = series.times.iter().copied().zip(series.values.iter().copied());
            Written {
                labels: &series.labels,
                samples: samples
                    .filter(|(time, _): &(Timestamp, f64)| from <= *time && *time < until)
                    .collect(),
            }
        });
        prometheus.write(&written.filter(|one| !one.samples.is_empty()).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn the_report_is_the_same_behind_a_real_prometheus() {
    let Some(program) = find_kept("prometheus") else {
        return;
    };
    let memory = Memory::shared();
    history(&memory, &mut Rng::with_seed(11));
    let folder = tempfile::tempdir().unwrap();
    let args = ["--web.enable-remote-write-receiver"];
    let prometheus = Prometheus::start(&program, folder.path(), "global: {}\n", &args);
    feed(&prometheus, &memory);
    let cases = std::env::var_os("SKOPOS_TEST_LONG").map_or(8, |_| 150);
    let mut episodes = 0;
    for seed in 0..cases {
        let rules = generate::rules(&mut Rng::with_seed(seed), false);
        let settings = settings(at(0), at(180));
        let near = through(&rules, kept(&memory), &settings).await.unwrap();
        let far = Remote::new(
            Arc::new(Plain),
            &prometheus.url(),
            Duration::from_secs(60),
            1 << 20,
        );
        let far = through(&rules, Arc::new(far), &settings).await.unwrap();
        compare(&far, &near, &format!("seed {seed}:\n{rules}"));
        episodes += near
            .alerts
            .iter()
            .map(|alert| alert.episodes.len())
            .sum::<usize>();
    }
    assert!(episodes > 200, "{episodes}");
}
