//! How samples leave this process and come into it: the section `remote`, which rows go to whom, and the thread that
//! takes in what others send.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use model::outside::{Call, Client, Files, Response, Serve};
use model::{AlertEvent, Arbiter, BoxFuture, Clock, Fed, Feed, Labels};
use prometheus::Registry;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use serde::Deserialize;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use web::{Alerting, SilenceError, Silences};

use crate::config::Config;
use crate::history;
use crate::used::Used;

/// Where the other replica asks for samples.
const HEAD: &str = "/peer/v1/head";
/// How far back a replica without data copies: what a rule may look back on, and no more than is served in a moment.
const COPIED: Duration = Duration::from_hours(6);

/// Samples to others and from others; whom to send to is in `remote_write`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Remote {
    /// How much may wait to be sent.
    #[serde(deserialize_with = "yaml::null_default")]
    pub queue: remote::Limits,
    /// How samples that others send are received.
    #[serde(deserialize_with = "yaml::null_default")]
    pub receive: remote::receive::Config,
    /// What is sent: all, or only metrics that a rule, a shipped dashboard or `families` names.
    pub forward: Forward,
    /// More metrics to send with `forward: used`: names, or regular expressions for whole names.
    #[serde(deserialize_with = "yaml::null_default")]
    pub families: Vec<String>,
    /// Certificates to trust, and no others, when sending by https and when speaking to the other replica.
    pub ca_file: Option<PathBuf>,
}

/// Which series a process sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Forward {
    #[default]
    All,
    Used,
}

/// Hands every row to each of several.
pub(crate) struct Fork(pub(crate) Vec<Arc<dyn Feed>>);

impl Feed for Fork {
    fn fed(&self, fed: Fed) {
        for feed in &self.0 {
            feed.fed(fed.clone());
        }
    }
}

/// What this process itself has read or made; what others sent it, they send to whom they please.
pub(crate) struct Made(pub(crate) Arc<dyn Feed>);

impl Feed for Made {
    fn fed(&self, fed: Fed) {
        if !fed.name.starts_with("remote/") {
            self.0.fed(fed);
        }
    }
}

/// What only this process sees and the other replica cannot: the targets it scrapes, itself among them, and what it has bought of
/// AWS.
pub(crate) struct Seen(pub(crate) Arc<dyn Feed>);

impl Feed for Seen {
    fn fed(&self, fed: Fed) {
        if fed.name.starts_with("scrape/") || fed.name.starts_with("cloudwatch/") {
            self.0.fed(fed);
        }
    }
}

type Sent = Arc<dyn Fn() -> BoxFuture<'static, Result<String, String>> + Send + Sync>;

/// Sends a test message to every receiver.
pub(crate) fn send_test(handle: Option<notifier::Handle>, main: Handle) -> Sent {
    Arc::new(move || {
        let Some(handle) = &handle else {
            return Box::pin(async { Err("this role tells nobody; ask a cluster replica".to_owned()) });
        };
        // Connections belong to the runtime that opened them.
        let sent = main.spawn(handle.send_test());
        Box::pin(async move { sent.await.map_err(|error| error.to_string())? })
    })
}

/// A second registry whose metrics are gathered with the first one's: for a room that is there twice and has the same
/// names in each, told apart by their labels.
pub(crate) fn beside(registry: &Registry) -> prometheus::Result<Registry> {
    let second = Registry::new();
    let name = "skopos_beside";
    let desc = Desc::new(name.to_owned(), name.to_owned(), Vec::new(), HashMap::new())?;
    registry.register(Box::new(Beside {
        registry: second.clone(),
        desc,
    }))?;
    Ok(second)
}

struct Beside {
    registry: Registry,
    /// Never shown: a collector has to have one.
    desc: Desc,
}

impl Collector for Beside {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }
}

/// Takes requests in on threads that may be busy, never on the one that serves pages; answers once what was taken is
/// safe from the death of this process.
pub(crate) struct Intake {
    pub(crate) receiver: Arc<remote::receive::Receiver>,
    pub(crate) store: Arc<store::Store>,
    pub(crate) main: Handle,
}

impl Serve for Intake {
    fn serve(&self, call: Call) -> BoxFuture<'static, Response> {
        let (receiver, store) = (Arc::clone(&self.receiver), Arc::clone(&self.store));
        let taken = self.main.spawn_blocking(move || {
            let answer = receiver.write(&call);
            store.written();
            answer
        });
        Box::pin(async move {
            taken.await.unwrap_or_else(|error| Response {
                status: 500,
                headers: Vec::new(),
                body: error.to_string().into_bytes(),
            })
        })
    }
}

/// What the other replica may ask: heartbeats of the pair, samples of the store.
pub(crate) struct PeerDoor {
    pub(crate) pair: pair::Handle,
    pub(crate) receiver: Arc<remote::receive::Receiver>,
    pub(crate) store: Arc<store::Store>,
    pub(crate) main: Handle,
}

impl Serve for PeerDoor {
    fn serve(&self, call: Call) -> BoxFuture<'static, Response> {
        if ![HEAD, history::LIST, history::PIECE].contains(&&*call.path) {
            let (pair, main) = (self.pair.clone(), self.main.clone());
            let answered = main.spawn(async move { pair.serve(call).await });
            return Box::pin(async move { answered.await.unwrap_or_else(|error| broken(&error)) });
        }
        let (receiver, store) = (Arc::clone(&self.receiver), Arc::clone(&self.store));
        let answered = self.main.spawn_blocking(move || match call.path.as_str() {
            HEAD => receiver.head(&*store, &call.query),
            path => history::serve(&store, path, &call.query),
        });
        Box::pin(async move { answered.await.unwrap_or_else(|error| broken(&error)) })
    }
}

fn broken(error: &tokio::task::JoinError) -> Response {
    Response {
        status: 500,
        headers: Vec::new(),
        body: error.to_string().into_bytes(),
    }
}

/// The rooms around the pair.
pub struct Around {
    pub client: Arc<dyn Client>,
    pub arbiter: Option<Arc<dyn Arbiter>>,
    pub events: mpsc::Receiver<AlertEvent>,
    pub merged: mpsc::Sender<AlertEvent>,
    pub rules: rules::Manager,
    pub notifier: notifier::Handle,
    pub receiver: Arc<remote::receive::Receiver>,
    pub store: Arc<store::Store>,
    pub clock: Arc<dyn Clock>,
}

/// Introduces them.
pub fn neighbours(around: Around) -> pair::Neighbours {
    let Around {
        client,
        arbiter,
        events,
        merged,
        rules,
        notifier,
        receiver,
        store,
        clock,
    } = around;
    receiver.hold(true);
    pair::Neighbours {
        arbiter,
        events,
        merged,
        heard: {
            let receiver = Arc::clone(&receiver);
            Arc::new(move || receiver.heard())
        },
        heard_elsewhere: {
            let receiver = Arc::clone(&receiver);
            Arc::new(move |heard| receiver.heard_elsewhere(heard))
        },
        deaf: {
            let receiver = Arc::clone(&receiver);
            Arc::new(move || receiver.is_deaf())
        },
        hold: {
            let receiver = Arc::clone(&receiver);
            Arc::new(move |held| receiver.hold(held))
        },
        judge: {
            let receiver = Arc::clone(&receiver);
            Arc::new(move |may| receiver.judge(may))
        },
        fullness: {
            let (rules, store) = (rules.clone(), Arc::clone(&store));
            Arc::new(move || pair::Fullness {
                oldest: store.oldest(),
                series: store.series_count() as u64,
                alerts: rules
                    .view()
                    .iter()
                    .flat_map(|group| &group.rules)
                    .map(|rule| rule.alerts.len() as u64)
                    .sum(),
            })
        },
        inherit: Arc::new(move || rules.inherit()),
        copy: {
            let (client, kept) = (Arc::clone(&client), Arc::clone(&store));
            Arc::new(move |url, bearer, progress| {
                let (client, receiver, now) = (Arc::clone(&client), Arc::clone(&receiver), clock.now());
                let (kept, clock) = (Arc::clone(&kept), Arc::clone(&clock));
                Box::pin(async move {
                    let from = now - COPIED;
                    let share = move |copied: remote::Copied| {
                        progress(copied.until.since(from).as_secs_f64() / COPIED.as_secs_f64());
                    };
                    let copied =
                        remote::copy(&*client, &url, bearer.as_deref(), &receiver, (from, now), &share);
                    copied.await.map_err(|error| error.to_string())?;
                    // What is older may come while this replica works already.
                    let peer = history::Peer { client, url, bearer };
                    tokio::spawn(history::fetch_all(peer, kept, clock));
                    Ok(())
                })
            })
        },
        writes: Arc::new(Writes(notifier)),
        client,
    }
}

/// People's writes that the other replica passes on because it does not lead.
struct Writes(notifier::Handle);

impl Serve for Writes {
    fn serve(&self, call: Call) -> BoxFuture<'static, Response> {
        if (call.method.as_str(), call.path.as_str()) == ("POST", "/api/v2/alerts") {
            let done = self.0.post_alerts(call.body);
            return Box::pin(async move { spoken(done.await.map(|()| String::new())) });
        }
        let done = match (call.method.as_str(), call.path.as_str()) {
            ("POST", "/api/v2/silences") => {
                let id = self.0.put_silence(&call.body);
                id.map(|id| serde_json::json!({ "silenceID": id }).to_string())
            }
            ("DELETE", path) if path.starts_with("/api/v2/silence/") => {
                let id = path.trim_start_matches("/api/v2/silence/");
                self.0.delete_silence(id).map(|()| String::new())
            }
            _ => Err((404, "no such write is passed on".to_owned())),
        };
        Box::pin(std::future::ready(spoken(done)))
    }
}

fn spoken(done: Result<String, (u16, String)>) -> Response {
    let (status, body) = match done {
        Ok(body) => (200, body),
        Err((status, sentence)) => (status, serde_json::Value::String(sentence).to_string()),
    };
    Response {
        status,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: body.into_bytes(),
    }
}

/// Passes a person's write on where the other replica leads; none is: do it here.
pub(crate) fn forward(
    pair: Option<pair::Handle>,
    main: &Handle,
    call: Call,
) -> BoxFuture<'static, Option<Response>> {
    match pair.filter(|pair| !pair.takes_writes()) {
        Some(pair) => {
            let passed = main.spawn(pair.forward(call));
            Box::pin(async move { Some(passed.await.unwrap_or_else(|error| broken(&error))) })
        }
        None => Box::pin(std::future::ready(None)),
    }
}

/// What the notifier is about to tell, in the form the server wants it.
pub(crate) fn alerting(notifier: &notifier::Handle) -> Alerting {
    let [list, original, post] = [notifier; 3].map(Clone::clone);
    Alerting {
        original: Arc::new(move || original.original()),
        list: Arc::new(move |name, parameters| list.alerting_json(name, parameters)),
        post: Arc::new(move |body| post.post_alerts(body)),
    }
}

/// The notifier's silences in the form the server wants them. Alerts reach the notifier with `external_labels`, where
/// they have none of that name.
pub(crate) fn silences(notifier: &notifier::Handle, external_labels: &Labels) -> Silences {
    let external_labels = external_labels.clone();
    let [list, get, put, delete] = [notifier; 4].map(Clone::clone);
    Silences {
        list: Arc::new(move |filter| list.silences_json(filter).map_err(|(_, sentence)| sentence)),
        get: Arc::new(move |id| get.get_silence(id).ok()),
        put: Arc::new(move |body| {
            let id = put.put_silence(body.as_bytes()).map_err(refusal);
            Box::pin(std::future::ready(id))
        }),
        delete: Arc::new(move |id| Box::pin(std::future::ready(delete.delete_silence(&id).map_err(refusal)))),
        read: Arc::new(notifier::read_matchers),
        covering: Arc::new(move |matchers| {
            let (covers, external_labels) = (notifier::covering(matchers)?, external_labels.clone());
            Ok(Arc::new(move |labels: &Labels| {
                if external_labels.is_empty() {
                    return covers(labels);
                }
                let mut all = external_labels.to_builder();
                labels.iter().for_each(|(name, value)| _ = all.set(name, value));
                covers(&all.build())
            }))
        }),
    }
}

fn refusal((status, sentence): (u16, String)) -> SilenceError {
    match status {
        404 => SilenceError::Unknown,
        400..500 => SilenceError::Bad(sentence),
        _ => SilenceError::Failed(sentence),
    }
}

/// A destination in the form of the configuration.
pub(crate) fn replica(url: &str, token_file: Option<&PathBuf>) -> remote::Destination {
    remote::Destination {
        config: remote::Config {
            url: format!("{}/api/v1/write", url.trim_end_matches('/')),
            name: "peer".to_owned(),
            protobuf_message: Some(remote::Message::Two),
            http: net::HttpConfig {
                bearer_token_file: token_file.cloned(),
                ..net::HttpConfig::default()
            },
            ..remote::Config::default()
        },
        external_labels: Labels::empty(),
    }
}

/// Everybody whom the configuration names in `remote_write`; none is nobody.
pub(crate) fn sender(
    config: &Config,
    files: Arc<dyn Files>,
    folder: &Path,
    client: Arc<dyn Client>,
    clock: Arc<dyn Clock>,
    registry: &Registry,
) -> anyhow::Result<Option<remote::Sender>> {
    let document = &config.document;
    if document.remote_write.is_empty() {
        return Ok(None);
    }
    let whom = document.remote_write.iter().map(|entry| remote::Destination {
        config: entry.clone(),
        external_labels: document.global.external_labels.clone(),
    });
    let whom: Vec<remote::Destination> = whom.collect();
    let sender = remote::Sender::open(
        &whom,
        document.remote.queue,
        files,
        folder,
        &client,
        clock,
        registry,
    )
    .context("opening the queue of samples to send")?;
    if document.remote.forward == Forward::Used {
        let used = Used::gather(&config.groups, &document.remote.families);
        sender
            .handle()
            .set_forward(Some(Arc::new(move |metric| used.has(metric))));
    }
    Ok(Some(sender))
}
