//! A fresh replica gets what its peer has, whatever happens on the way, and nothing that was only said provisionally.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use model::outside::{Client, ClientError, Request, Response};
use model::{BoxFuture, Clock, Select, TimeRange, Timestamp};
use parking_lot::Mutex;

use crate::copy::{Copied, CopyError, Limits, copy};
use crate::receive::fakes::{START, node, writer};
use crate::receive::tests::world::World;
use crate::wire::decode::written::{self, Native, Written};

/// The peer, over a line that may be disturbed: each trouble takes the place of one answer.
struct Line<'a> {
    peer: &'a World,
    troubles: Mutex<VecDeque<Result<Response, ClientError>>>,
    asked: AtomicUsize,
    limits: Limits,
}

impl<'a> Line<'a> {
    fn new(peer: &'a World, troubles: impl IntoIterator<Item = Result<Response, ClientError>>) -> Self {
        let troubles = Mutex::new(troubles.into_iter().collect());
        Self {
            peer,
            troubles,
            asked: AtomicUsize::new(0),
            limits: Limits {
                bytes: 1 << 20,
                samples: 1 << 16,
            },
        }
    }
}

impl Client for Line<'_> {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, ClientError>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        assert_eq!(
            request.headers,
            [("authorization".to_owned(), "Bearer secret".to_owned())]
        );
        let query = request.url.strip_prefix("http://peer/peer/v1/head?").unwrap();
        let trouble = self.troubles.lock().pop_front();
        let receiver = &self.peer.receiver;
        let answer = || receiver.head_within(&*self.peer.store, query, &self.limits);
        let answer = trouble.unwrap_or_else(|| Ok(answer()));
        Box::pin(std::future::ready(answer))
    }
}

async fn copied(line: &Line<'_>, fresh: &World, until: i64) -> Result<Copied, CopyError> {
    let times = (Timestamp(START - 1), Timestamp(until));
    copy(
        line,
        "http://peer",
        Some("secret"),
        &fresh.receiver,
        times,
        &|_| {},
    )
    .await
}

/// Everything, as text.
fn all(world: &World) -> Vec<String> {
    let found = world.store.select(&[], TimeRange::ALL, usize::MAX).unwrap();
    let line = |series: &model::Series| {
        let bits: Vec<u64> = series.values.iter().map(|value| value.to_bits()).collect();
        format!("{} {:?} {bits:x?}", series.labels, series.times)
    };
    let mut lines: Vec<String> = found.iter().map(line).collect();
    lines.extend(world.store.metadata().iter().map(|family| format!("{family:?}")));
    lines.retain(|line| !line.contains("skopos_sender"));
    lines
}

fn status(status: u16, body: &[u8]) -> Result<Response, ClientError> {
    Ok(Response {
        status,
        headers: Vec::new(),
        body: body.to_vec(),
    })
}

async fn filled(seconds: i64) -> World {
    let world = World::new();
    for nth in 0..seconds {
        let time = START + nth * 1_000;
        let series = [
            Written {
                metadata: Some((1, "How many.", "")),
                ..Written::new("requests_total job=shop instance=b", &[(time, nth as f64)])
            },
            Written {
                metadata: Some((3, "How long.", "seconds")),
                ..Written::new("x_bucket job=shop instance=b le=1", &[(time, 1.0)])
            },
            Written::new("ended", &[(time, if nth == 5 { model::STALE } else { 0.5 })]),
        ];
        assert_eq!(
            world.send(&node("w1"), &series[..if nth > 5 { 2 } else { 3 }]),
            204
        );
        assert_eq!(
            world.send(&writer(), &[Written::new("other", &[(time + 7, -1.0)])]),
            204
        );
    }
    world
}

#[tokio::test(start_paused = true)]
async fn a_fresh_replica_has_what_its_peer_has() {
    let peer = filled(600).await;
    let fresh = World::new();
    fresh.receiver.hold(true);
    let line = Line::new(&peer, []);
    let done = copied(&line, &fresh, START + 700_000).await.unwrap();
    assert_eq!(all(&fresh), all(&peer));
    let samples = 600 * 3 + 6;
    assert_eq!(
        done,
        Copied {
            until: Timestamp(START + 700_000),
            samples,
            duplicates: 0,
            refused: 0
        }
    );
    assert!(fresh.receiver.senders().is_empty());
    // Slices grow while they fit.
    assert!(line.asked.load(Ordering::Relaxed) <= 5);
    let again = copied(&line, &fresh, START + 700_000).await.unwrap();
    assert_eq!((again.samples, again.refused), (0, samples - 4));
    assert_eq!(all(&fresh), all(&peer));
}

#[tokio::test(start_paused = true)]
async fn a_fresh_replica_has_the_histograms_of_its_peer() {
    let peer = World::new();
    for nth in 0..300 {
        let time = START + nth * 1_000;
        let series = |labels: &str, histogram: Native| Written {
            histograms: vec![histogram],
            ..Written::new(labels, &[])
        };
        let mut growing = Native::whole(time);
        growing.positive.deltas[2] += nth;
        growing.count = written::Number::Whole(12 + nth.unsigned_abs());
        let sent = [
            series("whole job=a", growing),
            series("float job=a", Native::float(time)),
            series("custom job=b", Native::custom(time)),
            // It is a number first, then a histogram, then it ends.
            match nth {
                0..90 => Written::new("turns job=b", &[(time, 0.5)]),
                90..200 => series("turns job=b", Native::whole(time)),
                _ => series("turns job=b", Native::end(time)),
            },
            Written::new("x job=b", &[(time, nth as f64)]),
        ];
        let sent = &sent[..if nth > 200 { 3 } else { 5 }];
        assert_eq!(peer.send(&node("w1"), sent), 204, "round {nth}");
    }
    let mixed = |world: &World| {
        let all = world.store.mixed(&[], TimeRange::ALL, usize::MAX).unwrap();
        let lines = all.into_iter().flat_map(|one| {
            let labels = one.labels.to_string();
            let samples = one.samples.into_iter();
            samples.map(move |(time, value)| format!("{labels} @{} {value:?}", time.0))
        });
        lines.collect::<Vec<String>>()
    };
    let peers = mixed(&peer);
    assert_eq!(peers.len(), 3 * 300 + 201);
    for limits in [(1 << 20, 1 << 16), (1 << 20, 2_000), (5_000, 1 << 16)] {
        let fresh = World::new();
        let mut line = Line::new(&peer, []);
        (line.limits.bytes, line.limits.samples) = limits;
        let done = copied(&line, &fresh, START + 300_000).await.unwrap();
        let copies = mixed(&fresh);
        let other = copies.iter().zip(&peers).find(|(copy, peer)| copy != peer);
        assert_eq!((other, copies.len()), (None, peers.len()));
        assert_eq!(all(&fresh), all(&peer));
        assert_eq!((done.samples, done.refused), (3 * 300 + 201 * 2, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_node_itself_sends_goes_on_behind_the_copy() {
    let peer = filled(20).await;
    let fresh = World::new();
    copied(&Line::new(&peer, []), &fresh, START + 30_000)
        .await
        .unwrap();
    let next = [Written {
        metadata: Some((1, "How many.", "")),
        ..Written::new("requests_total job=shop instance=b", &[(START + 20_000, 20.0)])
    }];
    for world in [&peer, &fresh] {
        assert_eq!(world.send(&node("w1"), &next), 204);
    }
    assert_eq!(all(&fresh), all(&peer));
    assert_eq!(fresh.store.series_count(), peer.store.series_count());
}

#[tokio::test(start_paused = true)]
async fn what_was_said_in_the_place_of_a_silent_node_is_not_copied() {
    let peer = filled(20).await;
    peer.wait(61).await;
    assert!(peer.shown("requests_total").ends_with("stale"));
    let fresh = World::at(peer.clock.clone());
    copied(&Line::new(&peer, []), &fresh, peer.clock.now().0)
        .await
        .unwrap();
    assert!(fresh.shown("requests_total").ends_with("19:19"));
    // So that the backlog leaves no hole in either.
    for seconds in 20..60 {
        let late = [Written::new(
            "requests_total job=shop instance=b",
            &[(START + seconds * 1_000, seconds as f64)],
        )];
        for world in [&peer, &fresh] {
            assert_eq!(world.send(&node("w1"), &late), 204);
        }
    }
    assert_eq!(peer.shown("requests_total"), fresh.shown("requests_total"));
    assert!(!peer.shown("requests_total").contains("stale"));
}

#[tokio::test(start_paused = true)]
async fn a_line_that_fails_now_and_then_does_not_end_it() {
    let peer = filled(20).await;
    let fresh = World::new();
    let timeout = || Err(ClientError::Timeout(std::time::Duration::from_secs(1)));
    let line = Line::new(
        &peer,
        [timeout(), status(503, b"wait"), timeout(), status(500, b"")],
    );
    copied(&line, &fresh, START + 30_000).await.unwrap();
    assert_eq!(all(&fresh), all(&peer));
    let line = Line::new(&peer, (0..5).map(|_| timeout()));
    let failed = copied(&line, &fresh, START + 30_000).await;
    assert!(matches!(failed, Err(CopyError::Ask { .. })));
    let failed = copied(&Line::new(&peer, [status(403, b"no")]), &fresh, START + 30_000).await;
    assert!(matches!(failed, Err(CopyError::Status { status: 403, .. })));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_none_is_refused() {
    let peer = filled(20).await;
    let query = format!("after={}&until={}", START - 1, START + 30_000);
    let whole = peer.receiver.head(&*peer.store, &query).body;
    let fresh = World::new();
    let mut newer = whole.clone();
    newer[8] = 9;
    let mut elsewhere = whole.clone();
    elsewhere[12..20].copy_from_slice(&(START - 1).to_le_bytes());
    let mut garbled = whole.clone();
    garbled.truncate(40);
    garbled[20..24].copy_from_slice(&16_u32.to_le_bytes());
    let cases: [(&[u8], &str); 6] = [
        (b"", "cut off"),
        (b"SKOPHEAX\x01\0\0\0\0\0\0\0\0\0\0\0", "begins otherwise"),
        (&newer, "format 9"),
        (&elsewhere, "another time"),
        (&whole[..whole.len() - 1], "cut off"),
        (&garbled, "refused"),
    ];
    for (body, why) in cases {
        let failed = copied(&Line::new(&peer, [status(200, body)]), &fresh, START + 30_000).await;
        assert!(
            failed
                .as_ref()
                .is_err_and(|error| error.to_string().contains(why)),
            "{why}: {failed:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_slice_that_is_too_much_is_cut_in_time() {
    let peer = World::new();
    for nth in 0..300 {
        let time = START + nth * 1_000;
        let series: Vec<Written> = (0..40)
            .map(|nth| {
                Written::new(
                    &format!("s{nth} job=j"),
                    &[(time, f64::from_bits((time * nth) as u64))],
                )
            })
            .collect();
        assert_eq!(peer.send(&node("w1"), &series), 204);
    }
    let query = format!("after={}&until={}", START - 1, START + 300_000);
    for (limits, seconds) in [
        (
            Limits {
                bytes: usize::MAX,
                samples: 3_999,
            },
            40..100,
        ),
        (
            Limits {
                bytes: 50_000,
                samples: usize::MAX,
            },
            20..200,
        ),
        // Every second alone is too much, and goes as it is.
        (
            Limits {
                bytes: usize::MAX,
                samples: 10,
            },
            0..2,
        ),
    ] {
        let mut line = Line::new(&peer, []);
        line.limits = limits;
        let answer = peer.receiver.head_within(&*peer.store, &query, &line.limits);
        let reached = i64::from_le_bytes(answer.body[12..20].try_into().unwrap());
        assert!(
            seconds.contains(&((reached - START) / 1_000)),
            "{}",
            reached - START
        );
        let fresh = World::new();
        let done = copied(&line, &fresh, START + 300_000).await.unwrap();
        assert_eq!((done.samples, done.duplicates, done.refused), (12_000, 0, 0));
        assert_eq!(all(&fresh), all(&peer));
    }
}

#[test]
fn a_question_that_is_none_is_refused() {
    let peer = World::new();
    let ask = |query: &str| peer.receiver.head(&*peer.store, query).status;
    assert_eq!(ask("after=5&until=6"), 200);
    for query in [
        "",
        "after=5",
        "after=x&until=6",
        "after=6&until=6",
        "after=7&until=6",
    ] {
        assert_eq!(ask(query), 400, "{query}");
    }
}
