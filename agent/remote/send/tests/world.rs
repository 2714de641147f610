//! A store that feeds and describes, receivers that misbehave as told, and a sender between them on virtual time.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::outside::{Client, ClientError, Files, Request, Response};
use model::{
    BoxFuture, Clock, Describe, Fed, Feed, Kind, Labels, SeriesDesc, SeriesRef, TargetRef, Timestamp, view,
};
use parking_lot::Mutex;
use prometheus::Registry;
use telemetry::clock::RuntimeClock;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::queue::fake::Memory;
use crate::send::{Config, Destination, Limits, Sender, SenderHandle};
use crate::wire::encode_plain::{PlainMetadata, PlainSeries, plain_one, plain_two};

pub(super) const START: Timestamp = Timestamp(1_790_000_000_000);

/// Series by number: `metric_<nth>{instance, job}`.
pub(super) struct Catalogue;

pub(super) const FORGOTTEN: u64 = 1 << 40;

/// A series whose labels alone are longer than others with everything.
pub(super) const LONG: u64 = 1_000_007;

pub(super) fn desc(nth: u64) -> SeriesDesc {
    let instance = match nth {
        LONG => (0..500u32)
            .map(|nth| nth.wrapping_mul(2_654_435_761).to_string())
            .collect(),
        _ => "machine".to_owned(),
    };
    SeriesDesc {
        labels: Labels::from_pairs([
            ("__name__", format!("metric_{nth}_total")),
            ("instance", instance),
            ("job", "node".to_owned()),
        ]),
        kind: Kind::Counter,
        family: format!("metric_{nth}_total").into(),
        help: "What is counted.".into(),
        unit: "".into(),
    }
}

impl Describe for Catalogue {
    fn describe(&self, series: &[SeriesRef]) -> Vec<Option<SeriesDesc>> {
        let known = |series: &SeriesRef| (series.0 < FORGOTTEN).then(|| desc(series.0));
        series.iter().map(known).collect()
    }
}

/// What a receiver does with one request.
#[derive(Clone, Debug)]
pub(super) enum Does {
    /// Takes it, as its version says.
    Takes,
    Says(u16, Vec<(&'static str, String)>, &'static str),
    Refuses,
    /// Never answers.
    Hangs,
    /// Takes it, and the answer is lost.
    TakesInSilence,
    /// Answers after a while.
    Slow(Duration),
}

pub(super) type Samples = BTreeMap<String, Vec<(i64, u64)>>;

#[derive(Default)]
pub(super) struct Receiver {
    /// What it does next; then `always`.
    pub(super) next: VecDeque<Does>,
    pub(super) always: Option<Does>,
    /// It reads 1.0 only: 2.0 is 415, or taken without a word.
    pub(super) old: Option<bool>,
    /// Longer bodies are refused, as a proxy before it may do.
    pub(super) bytes_max: Option<usize>,
    pub(super) taken: Samples,
    pub(super) metadata: Vec<PlainMetadata>,
    pub(super) series: Vec<PlainSeries>,
    pub(super) requests: Vec<Request>,
    pub(super) times: Vec<Duration>,
}

#[derive(Default)]
pub(super) struct Receivers {
    all: Mutex<BTreeMap<String, Receiver>>,
    clock: Mutex<Option<Arc<RuntimeClock>>>,
}

impl Receivers {
    pub(super) fn with<T>(&self, host: &str, look: impl FnOnce(&mut Receiver) -> T) -> T {
        look(self.all.lock().entry(format!("http://{host}/write")).or_default())
    }

    pub(super) fn always(&self, host: &str, does: Does) {
        self.with(host, |receiver| receiver.always = Some(does));
    }
}

pub(super) fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let mut headers = request.headers.iter();
    let found = headers.find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}

fn answer(status: u16, headers: Vec<(&str, String)>, body: &str) -> Response {
    let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value));
    Response {
        status,
        headers: headers.collect(),
        body: body.into(),
    }
}

impl Receiver {
    fn take(&mut self, request: &Request) -> Response {
        if self.bytes_max.is_some_and(|most| request.body.len() > most) {
            return answer(413, vec![], "client intended to send too large body");
        }
        let content = header(request, "content-type").unwrap();
        let is_two = content == "application/x-protobuf;proto=io.prometheus.write.v2.Request";
        let version = header(request, "x-prometheus-remote-write-version").unwrap();
        assert_eq!(version, if is_two { "2.0.0" } else { "0.1.0" });
        assert_eq!(header(request, "content-encoding"), Some("snappy"));
        let raw = snap::raw::Decoder::new().decompress_vec(&request.body).unwrap();
        match (self.old, is_two) {
            (Some(true), true) => return answer(415, vec![], "unsupported"),
            (Some(false), true) => return answer(204, vec![], ""),
            _ => {}
        }
        let (series, metadata) = if is_two {
            (plain_two(&raw), vec![])
        } else {
            plain_one(&raw)
        };
        self.metadata.extend(metadata);
        let mut samples = 0;
        for one in &series {
            let labels = Labels::from_pairs(one.labels.iter().map(|(name, value)| (name, value)));
            let own = self.taken.entry(labels.to_string()).or_default();
            own.extend(one.samples.iter().map(|(bits, time)| (*time, *bits)));
            samples += one.samples.len();
        }
        self.series = series;
        if is_two {
            let written = "x-prometheus-remote-write-samples-written";
            answer(204, vec![(written, samples.to_string())], "")
        } else {
            answer(204, vec![], "")
        }
    }
}

impl Client for Receivers {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, ClientError>> {
        Box::pin(async move {
            let does = {
                let mut all = self.all.lock();
                let receiver = all.entry(request.url.clone()).or_default();
                receiver.requests.push(request.clone());
                let clock = self.clock.lock();
                receiver
                    .times
                    .push(clock.as_ref().map_or(Duration::ZERO, |clock| clock.running()));
                let always = receiver.always.clone().unwrap_or(Does::Takes);
                receiver.next.pop_front().unwrap_or(always)
            };
            let take = || self.all.lock().get_mut(&request.url).unwrap().take(&request);
            match does {
                Does::Takes => Ok(take()),
                Does::Says(status, headers, body) => Ok(answer(status, headers, body)),
                Does::Refuses => Err(ClientError::Connect("refused".to_owned())),
                Does::Hangs => {
                    tokio::time::sleep(request.timeout).await;
                    Err(ClientError::Timeout(request.timeout))
                }
                Does::TakesInSilence => {
                    take();
                    Err(ClientError::Broken("reset".to_owned()))
                }
                Does::Slow(after) => {
                    tokio::time::sleep(after).await;
                    Ok(take())
                }
            }
        })
    }
}

pub(super) struct World {
    pub(super) clock: Arc<RuntimeClock>,
    pub(super) memory: Arc<Memory>,
    pub(super) receivers: Arc<Receivers>,
    pub(super) handle: SenderHandle,
    pub(super) destinations: Vec<Destination>,
    pub(super) limits: Limits,
    stop: CancellationToken,
    task: JoinHandle<()>,
    /// What was fed, as each receiver should have it.
    pub(super) fed: Samples,
    pub(super) registry: Registry,
}

pub(super) fn to(host: &str) -> Destination {
    Destination {
        config: Config {
            url: format!("http://{host}/write"),
            ..Config::default()
        },
        external_labels: Labels::empty(),
    }
}

impl World {
    pub(super) fn new(hosts: &[&str]) -> Self {
        Self::with(hosts.iter().map(|host| to(host)).collect(), Limits::default())
    }

    pub(super) fn with(destinations: Vec<Destination>, limits: Limits) -> Self {
        let memory = Arc::<Memory>::default();
        let files = Arc::<Memory>::clone(&memory);
        Self::first(files, memory, destinations, limits)
    }

    pub(super) fn on_disk(files: Arc<dyn Files>, destinations: Vec<Destination>) -> Self {
        Self::first(files, Arc::default(), destinations, Limits::default())
    }

    fn first(
        files: Arc<dyn Files>,
        memory: Arc<Memory>,
        destinations: Vec<Destination>,
        limits: Limits,
    ) -> Self {
        let (clock, receivers) = (RuntimeClock::starting_at(START), Arc::<Receivers>::default());
        *receivers.clock.lock() = Some(Arc::clone(&clock));
        Self::on(
            files,
            memory,
            clock,
            receivers,
            destinations,
            limits,
            Samples::new(),
        )
    }

    fn on(
        files: Arc<dyn Files>,
        memory: Arc<Memory>,
        clock: Arc<RuntimeClock>,
        receivers: Arc<Receivers>,
        destinations: Vec<Destination>,
        limits: Limits,
        fed: Samples,
    ) -> Self {
        let client: Arc<dyn Client> = Arc::<Receivers>::clone(&receivers);
        let wall: Arc<dyn Clock> = Arc::<RuntimeClock>::clone(&clock);
        let registry = Registry::new();
        let folder = Path::new("data");
        let sender = Sender::open(&destinations, limits, files, folder, &client, wall, &registry).unwrap();
        let (handle, stop) = (sender.handle(), CancellationToken::new());
        let task = tokio::spawn(sender.run(Arc::new(Catalogue), stop.clone()));
        Self {
            clock,
            memory,
            receivers,
            handle,
            destinations,
            limits,
            stop,
            task,
            fed,
            registry,
        }
    }

    fn again(self, memory: Arc<Memory>) -> Self {
        let files = Arc::<Memory>::clone(&memory);
        self.again_on(files, memory)
    }

    fn again_on(self, files: Arc<dyn Files>, memory: Arc<Memory>) -> Self {
        let Self {
            clock,
            receivers,
            destinations,
            limits,
            fed,
            ..
        } = self;
        Self::on(files, memory, clock, receivers, destinations, limits, fed)
    }

    /// As `kill -9`: what the disk holds is all that is left.
    pub(super) async fn killed(self) -> Self {
        self.task.abort();
        let memory = self.memory.after_kill();
        tokio::task::yield_now().await;
        self.again(memory)
    }

    pub(super) async fn killed_on_disk(self, files: Arc<dyn Files>) -> Self {
        self.task.abort();
        tokio::task::yield_now().await;
        self.again_on(files, Arc::default())
    }

    pub(super) async fn restarted(mut self) -> Self {
        self.stop().await;
        self.restarted_after_stop()
    }

    /// Even the power may fail after a stop.
    pub(super) fn restarted_after_stop(self) -> Self {
        let memory = self.memory.after_power_failure();
        self.again(memory)
    }

    /// Returns how long it took.
    pub(super) async fn stop(&mut self) -> Duration {
        let before = self.clock.running();
        self.stop.cancel();
        (&mut self.task).await.unwrap();
        self.check();
        self.clock.running() - before
    }

    /// One row: all series of the range, at the clock's time.
    pub(super) fn feed(&mut self, series: std::ops::Range<u64>, value: f64) {
        let time = self.clock.now();
        let refs: Vec<SeriesRef> = series.clone().map(SeriesRef).collect();
        for nth in series.clone() {
            let labels = desc(nth).labels.to_string();
            self.fed
                .entry(labels)
                .or_default()
                .push((time.0, value.to_bits()));
        }
        self.handle.fed(Fed {
            name: "scrape/shop/a:1".into(),
            target: TargetRef(0),
            time,
            shape: series.start << 20 | series.end,
            values: vec![value; refs.len()].into(),
            series: refs.into(),
        });
    }

    pub(super) async fn wait(&self, seconds: f64) {
        self.clock.sleep(Duration::from_secs_f64(seconds)).await;
        self.check();
    }

    pub(super) fn check(&self) {
        let ledger = self.handle.ledger();
        assert!(ledger.balances(), "{ledger:?}");
    }

    pub(super) fn view(&self, nth: usize) -> view::Destination {
        self.handle.view()[nth].clone()
    }

    /// The receiver has every sample that was fed, in order, each once.
    pub(super) fn assert_exact(&self, host: &str) {
        self.receivers.with(host, |receiver| {
            assert!(
                receiver.taken == self.fed,
                "{host}: {:?}\n{:?}",
                receiver.taken,
                self.fed
            )
        });
    }

    /// The receiver has every sample that was fed, in order; exact repeats are allowed.
    pub(super) fn assert_has_all(&self, host: &str) {
        self.receivers.with(host, |receiver| {
            for (series, wanted) in &self.fed {
                let mut seen: Vec<(i64, u64)> = Vec::new();
                for sample in receiver.taken.get(series).into_iter().flatten() {
                    if !seen.contains(sample) {
                        seen.push(*sample);
                    }
                }
                assert_eq!(&seen, wanted, "{host}: {series}");
            }
        });
    }

    pub(super) fn requests(&self, host: &str) -> usize {
        self.receivers.with(host, |receiver| receiver.requests.len())
    }
}
