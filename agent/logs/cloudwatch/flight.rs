//! A batch on its way: cut into requests by stream, each sent until AWS has answered for all of its events.
//!
//! An event is settled when it is taken, or a dead letter on the disk. Nothing else ends a flight but the end of the process,
//! and then its records are read again.

use std::collections::HashMap;
use std::sync::Arc;

use aws::Aws;
use aws_sdk_cloudwatchlogs::types::{InputLogEvent, RejectedLogEventsInfo};
use futures_util::stream::{FuturesUnordered, StreamExt};
use model::BoxFuture;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::answer::{Failure, failure, left_out, sentence};
use super::config::Config;
use super::cut::{EVENT_BYTES, Item, cut};
use super::event::Events;
use super::name::From;
use super::setup::{self, Maker};
use super::who::Way;
use crate::batch::Batch;
use crate::sink::document::Style;
use crate::sink::letters::{Letter, Place};
use crate::sink::{self, Common, Json, Landed, Refusal, Silence, alone, aside};

/// Kinds of refusal that have a label of their own; the rest is `other`.
pub(crate) const REFUSALS: [&str; 7] = [
    "too_old",
    "expired",
    "too_new",
    "too_large",
    "InvalidParameterException",
    "SerializationException",
    "ValidationException",
];

/// Where batches fly to, and all that they share.
pub(crate) struct Destination {
    pub(crate) common: Common,
    config: Config,
    /// Names this machine in documents and ids, and in names of streams.
    host: String,
    aws: Arc<Aws>,
    way: OnceCell<Way>,
    maker: Maker,
}

/// Where an event goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Stream {
    pub(crate) group: String,
    pub(crate) stream: String,
}

/// Events that are sent together.
struct Put {
    stream: Arc<Stream>,
    /// Records of the batch, in the order of time.
    rows: Vec<usize>,
    silence: Silence,
    /// Whether its stream was made for it.
    is_made: bool,
}

impl Put {
    fn new(stream: &Arc<Stream>, rows: Vec<usize>) -> Self {
        Self {
            stream: Arc::clone(stream),
            rows,
            silence: Silence::default(),
            is_made: false,
        }
    }

    fn halves(mut self) -> [Self; 2] {
        let rest = self.rows.split_off(self.rows.len() / 2);
        [Self::new(&self.stream, rest), Self::new(&self.stream, self.rows)]
    }
}

/// What became of events.
#[derive(Clone, Copy, Default)]
struct Settled {
    stored: u64,
    letters: u64,
}

impl sink::Destination for Destination {
    fn common(&self) -> &Common {
        &self.common
    }

    fn target(&self) -> String {
        let group = self.config.group.text();
        let named = self.config.signed().ok().and_then(|signed| signed.region);
        match self.way.get().map(|way| way.region.clone()).or(named) {
            Some(region) => format!("{group} in {region}"),
            None => group.to_owned(),
        }
    }

    fn requests_max(&self) -> usize {
        self.config.requests_max
    }

    fn prepare(&self) -> BoxFuture<'_, ()> {
        Box::pin(setup::prepare(self))
    }

    fn fly(self: Arc<Self>, batch: Batch) -> BoxFuture<'static, Landed> {
        Box::pin(self.send(batch))
    }
}

impl Destination {
    pub(crate) fn new(common: Common, config: Config, host: String, aws: Arc<Aws>) -> Self {
        Self {
            common,
            config,
            host,
            aws,
            way: OnceCell::new(),
            maker: Maker::default(),
        }
    }

    pub(crate) async fn way(&self) -> Result<&Way, String> {
        let who = self.config.who();
        self.way.get_or_try_init(|| who.way(&self.aws)).await
    }

    async fn send(self: Arc<Self>, batch: Batch) -> Landed {
        let batch = Arc::new(batch);
        let puts = {
            let (us, batch) = (Arc::clone(&self), Arc::clone(&batch));
            aside(move || us.cut(&batch)).await
        };
        // As many of them at a time as the gate lets through.
        let puts = puts.into_iter().map(|put| self.settle(&batch, put));
        let mut puts: FuturesUnordered<_> = puts.collect();
        let mut all = Settled::default();
        while let Some(settled) = puts.next().await {
            all.stored += settled.stored;
            all.letters += settled.letters;
        }
        drop(puts);
        Landed {
            // Others hold it only while they encode.
            batch: alone(batch).await,
            stored: all.stored,
            letters: all.letters,
        }
    }

    /// A batch as requests, by stream.
    fn cut(&self, batch: &Batch) -> Vec<Put> {
        let streams = batch.marks.iter().map(|mark| {
            let from = From::of(mark, &self.host);
            Stream {
                group: self.config.group.of(&from),
                stream: self.config.stream.of(&from),
            }
        });
        let streams: Vec<Stream> = streams.collect();
        let mut events = self.events(batch);
        let mut message = Vec::new();
        let mut items: HashMap<&Stream, Vec<Item>> = HashMap::new();
        for nth in 0..batch.rows.len() {
            let Some((row, _)) = batch.record(nth) else {
                continue;
            };
            let Some(stream) = streams.get(usize::from(row.file)) else {
                continue;
            };
            if events.write(&mut message, nth) {
                self.common.account.cut.inc();
            }
            items.entry(stream).or_default().push(Item {
                row: nth,
                time: Events::time(&row),
                message_bytes: message.len(),
            });
        }
        let puts = items.into_iter().flat_map(|(stream, items)| {
            let stream = Arc::new(stream.clone());
            let requests = cut(items).into_iter();
            requests.map(move |rows| Put::new(&stream, rows))
        });
        puts.collect()
    }

    fn events<'a>(&'a self, batch: &'a Batch) -> Events<'a> {
        let style = Style {
            says_id: true,
            reads_fields: self.config.json == Json::Fields,
            says_place: self.config.place,
            host: &self.host,
        };
        Events::new(batch, style)
    }

    /// Sends a request until each of its events is settled.
    async fn settle(self: &Arc<Self>, batch: &Arc<Batch>, put: Put) -> Settled {
        let common = &self.common;
        let mut settled = Settled::default();
        let mut puts = vec![put];
        while let Some(mut put) = puts.pop() {
            let pass = common.gate.enter().await;
            let (events, bytes) = self.encoded(batch, &put.rows).await;
            let begun = Instant::now();
            let outcome = self.exchange(&put.stream, events).await;
            let took = begun.elapsed().as_secs_f64();
            let left = match &outcome {
                Ok(info) => left_out(info.as_ref(), put.rows.len()),
                Err(_) => Vec::new(),
            };
            common.counts.request(result(&outcome, &left), took, bytes);
            match outcome {
                Ok(_) => {
                    pass.went_well();
                    common.say_well();
                    settled.stored += (put.rows.len() - left.len()) as u64;
                    settled.letters += self.bury(batch, &put, &left).await;
                }
                Err(Failure::Missing(why)) if !self.config.create || put.is_made => {
                    pass.failed();
                    let Stream { group, stream } = &*put.stream;
                    let advice = match self.config.create {
                        true => "it was made, and AWS does not see it yet",
                        false => "make it, or set create to true",
                    };
                    common.say_trouble(
                        "not_found",
                        format!("{why} Group {group:?}, stream {stream:?}: {advice}"),
                    );
                    common.counts.again(put.rows.len());
                    put.is_made = false;
                    puts.push(put);
                }
                Err(Failure::Missing(_)) => {
                    match self.make(&put.stream, begun).await {
                        Ok(()) => {
                            pass.went_well();
                            put.is_made = true;
                        }
                        Err((reason, why)) => {
                            pass.failed();
                            common.say_trouble(reason, why);
                        }
                    }
                    puts.push(put);
                }
                Err(Failure::Invalid(_)) if put.rows.len() > 1 => {
                    pass.went_well();
                    common.counts.again(put.rows.len());
                    puts.extend(put.halves());
                }
                Err(Failure::Invalid(refusal)) => {
                    pass.went_well();
                    settled.letters += self.bury_for(batch, &put, &[(0, refusal)]).await;
                }
                Err(Failure::Exists) => {
                    pass.failed();
                    common.say_trouble("unexpected", "AWS says that it exists already".to_owned());
                    puts.push(put);
                }
                Err(Failure::Again { reason, why }) => {
                    match reason {
                        "pushed_back" => pass.was_pushed_back(),
                        _ => pass.failed(),
                    }
                    common.say_trouble(reason, why);
                    common.counts.again(put.rows.len());
                    let is_silent = matches!(reason, "timeout" | "broken");
                    if is_silent && put.silence.is_suspect(common.gate.good()) && put.rows.len() > 1 {
                        puts.extend(put.halves());
                    } else {
                        puts.push(put);
                    }
                }
            }
            common.counts.limit(common.gate.limit());
        }
        settled
    }

    /// Events of these records, and what AWS counts of them.
    async fn encoded(
        self: &Arc<Self>,
        batch: &Arc<Batch>,
        rows: &[usize],
    ) -> (Result<Vec<InputLogEvent>, String>, usize) {
        let (us, batch, rows) = (Arc::clone(self), Arc::clone(batch), rows.to_vec());
        aside(move || {
            let mut bytes = 0;
            let mut events = us.events(&batch);
            let made = rows.iter().map(|nth| {
                let time = batch.record(*nth).map_or(0, |(row, _)| Events::time(&row));
                let mut message = Vec::new();
                events.write(&mut message, *nth);
                bytes += message.len() + EVENT_BYTES;
                let message = String::from_utf8(message)
                    .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
                let event = InputLogEvent::builder().timestamp(time).message(message);
                event.build().map_err(|error| error.to_string())
            });
            let made = made.collect();
            (made, bytes)
        })
        .await
    }

    async fn exchange(
        &self,
        Stream { group, stream }: &Stream,
        events: Result<Vec<InputLogEvent>, String>,
    ) -> Result<Option<RejectedLogEventsInfo>, Failure> {
        let again = |reason, why| Failure::Again { reason, why };
        let events = events.map_err(|why| again("unexpected", why))?;
        let way = self.way().await.map_err(|why| again("setup", why))?;
        let asked = way.client.put_log_events();
        let asked = asked.log_group_name(group).log_stream_name(stream);
        let answer = asked.set_log_events(Some(events)).send().await;
        let answer = answer.map_err(|error| failure(&error))?;
        Ok(answer.rejected_log_events_info)
    }

    /// Makes the stream that a request has missed. The error is a reason and a sentence.
    async fn make(&self, stream: &Stream, missed: Instant) -> Result<(), (&'static str, String)> {
        let way = self.way().await.map_err(|why| ("setup", why))?;
        let days = self.config.retention_days;
        let made = self.maker.make(way, stream, missed, days, &self.common.name);
        made.await.map_err(|failure| {
            let Stream { group, stream } = stream;
            let (reason, why) = match failure {
                Failure::Again { reason, why } => (reason, why),
                Failure::Missing(why) => ("not_found", why),
                Failure::Invalid(refusal) => ("refused", refusal.why),
                Failure::Exists => ("unexpected", "it exists already".to_owned()),
            };
            (
                reason,
                format!("making stream {stream:?} in group {group:?}: {why}"),
            )
        })
    }

    /// Keeps events that AWS has left out of a request.
    async fn bury(&self, batch: &Batch, put: &Put, left: &[(usize, &'static str)]) -> u64 {
        let refused = left.iter().map(|(nth, kind)| {
            let refusal = Refusal {
                status: 200,
                kind: (*kind).to_owned(),
                why: sentence(kind).to_owned(),
            };
            (*nth, refusal)
        });
        self.bury_for(batch, put, &refused.collect::<Vec<_>>()).await
    }

    /// Keeps events of a request, by their places in it, that AWS never takes.
    async fn bury_for(&self, batch: &Batch, put: &Put, refused: &[(usize, Refusal)]) -> u64 {
        if refused.is_empty() {
            return 0;
        }
        let mut events = self.events(batch);
        let Stream { group, stream } = &*put.stream;
        let letters = refused.iter().filter_map(|(nth, refusal)| {
            let row = *put.rows.get(*nth)?;
            let (record, _) = batch.record(row)?;
            let place = Place::Stream {
                group: group.clone(),
                stream: stream.clone(),
            };
            Some(Letter::new(
                place,
                events.id(&record),
                refusal,
                events.document(row),
            ))
        });
        let letters = letters.collect();
        self.common.bury(letters).await
    }
}

/// Fit for a label.
fn result(
    outcome: &Result<Option<RejectedLogEventsInfo>, Failure>,
    left: &[(usize, &'static str)],
) -> &'static str {
    match outcome {
        Ok(_) if left.is_empty() => "ok",
        Ok(_) => "partial",
        Err(Failure::Missing(_)) => "not_found",
        Err(Failure::Invalid(_)) => "refused",
        Err(Failure::Exists) => "unexpected",
        Err(Failure::Again { reason, .. }) => reason,
    }
}
