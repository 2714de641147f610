//! Sends one destination its blocks, in order, one at a time.
//!
//! One request in flight keeps every series in the order of time, whatever fails. A block is behind us only when its
//! receiver has answered for good; until then it is tried again, ever more slowly. What is too large for it (413) is
//! halved until it is not, down to a single series.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use model::outside::{Client, Method, Request};
use net::{Backoff, Reach};
use tokio_util::sync::CancellationToken;

use crate::queue::{Block, Take};
use crate::send::config::{Config, Destination as Whom, Message};
use crate::send::handle::Shared;
use crate::send::metrics::Metrics;
use crate::send::verdict::{Verdict, judge};
use crate::transcode::{Changes, Families, Rewritten, Transcoder};

const FIRST_PAUSE: Duration = Duration::from_millis(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// After this nobody is waiting for the next second.
const LONG_FAILING: Duration = Duration::from_secs(5 * 60);
const LONG_PAUSE: Duration = Duration::from_secs(30);
/// For how long a receiver is taken at its word that it speaks 1.0 only.
const ASK_AGAIN: Duration = Duration::from_secs(3600);
/// For how long requests are kept below the length that a receiver has refused, without trying one.
const ASK_LARGE_AGAIN: Duration = Duration::from_secs(60);
const DISK_PAUSE: Duration = Duration::from_secs(1);
/// Nothing in an answer is used but its first line; longer than this is no answer.
const ANSWER_BYTES_MAX: usize = 1 << 20;

pub(crate) struct Destination {
    nth: usize,
    name: String,
    config: Config,
    /// How it is reached, or why it cannot be.
    reach: Result<Reach, String>,
    changes: Changes,
    shared: Arc<Shared>,
    client: Arc<dyn Client>,
    metrics: Arc<Metrics>,
    is_instant: bool,
    speaks: Message,
    /// It has taken something of the version it speaks.
    has_spoken: bool,
    /// Running time at which 2.0 is tried again.
    ask_again: Duration,
    transcoder: Transcoder,
    families: Families,
    pauses: Pauses,
    too_large: Option<TooLarge>,
}

/// The shortest request that it found too large.
struct TooLarge {
    bytes: usize,
    /// Running time from which on it may have changed its mind.
    until: Duration,
    words: String,
}

/// Pauses between attempts.
struct Pauses {
    quick: Backoff,
    slow: Backoff,
}

impl Pauses {
    fn new() -> Self {
        Self {
            quick: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE),
            slow: Backoff::new(LONGEST_PAUSE, LONG_PAUSE),
        }
    }

    fn next(&mut self, is_slow: bool) -> Duration {
        if is_slow {
            self.slow.next()
        } else {
            self.quick.next()
        }
    }
}

/// A block as this destination wants it.
struct Prepared {
    message: Message,
    body: Vec<u8>,
    /// Samples that rules leave out.
    left_out: u64,
}

impl Destination {
    pub(crate) fn new(
        nth: usize,
        name: String,
        whom: Whom,
        shared: Arc<Shared>,
        client: Arc<dyn Client>,
        metrics: Arc<Metrics>,
        is_instant: bool,
    ) -> Self {
        Self {
            nth,
            name,
            reach: whom.config.reach(),
            speaks: whom.config.protobuf_message.unwrap_or(Message::Two),
            changes: Changes {
                external: whom.external_labels,
                // A configuration with others has been refused.
                rules: whom.config.rules().unwrap_or_default(),
            },
            config: whom.config,
            shared,
            client,
            metrics,
            is_instant,
            has_spoken: false,
            ask_again: Duration::ZERO,
            transcoder: Transcoder::new(),
            families: Families::default(),
            pauses: Pauses::new(),
            too_large: None,
        }
    }

    /// Until `drain` and nothing is left; or until it is dropped.
    pub(crate) async fn run(mut self, drain: CancellationToken) {
        let Some(mut end) = self.shared.queue.watch(self.nth) else {
            return;
        };
        loop {
            // What comes from here on wakes us again.
            end.borrow_and_update();
            match self.shared.queue.take(self.nth) {
                Take::Block(block) => self.deliver(&block).await,
                Take::Read(segment) => self.load(segment).await,
                Take::Nothing if drain.is_cancelled() => return,
                Take::Nothing => tokio::select! {
                    biased;
                    changed = end.changed() => if changed.is_err() { return },
                    () = drain.cancelled() => {}
                },
            }
        }
    }

    async fn load(&mut self, segment: u64) {
        let (shared, nth) = (Arc::clone(&self.shared), self.nth);
        let read = super::off(self.is_instant, move || shared.queue.load(nth, segment)).await;
        if let Err(error) = read {
            self.fails(format!("the queue cannot be read: {error}"), false);
            self.shared.clock.sleep(DISK_PAUSE).await;
        }
    }

    /// Until all of it is answered for good, or there is no room for it any more.
    async fn deliver(&mut self, block: &Block) {
        let (mut given, mut too_large) = (0, 0);
        // What is still to be sent, the next part last; parts keep the order of series, and of nothing else is there
        // an order to keep, since a block has one time.
        let mut left: Vec<Range<usize>> = std::iter::once(0..block.samples as usize).collect();
        while let Some(part) = left.pop() {
            match self.send(block, &part).await {
                Sent::Given(samples) => given += samples,
                Sent::TooLarge(words) if part.len() <= 1 => {
                    self.refuses(words, part.len() as u64);
                    too_large += part.len() as u64;
                }
                Sent::TooLarge(_) => {
                    let middle = part.start + part.len() / 2;
                    left.extend([middle..part.end, part.start..middle]);
                }
                Sent::Lost => return,
            }
        }
        self.shared.queue.passed_but(self.nth, given, too_large);
        if given > 0 && self.has_spoken && self.speaks == Message::One {
            self.tell_metadata(block).await;
        }
    }

    /// One request, again and again until there is an answer to act on.
    async fn send(&mut self, block: &Block, part: &Range<usize>) -> Sent {
        let mut prepared: Option<Prepared> = None;
        loop {
            self.choose_version();
            let ready = match prepared.take().filter(|ready| ready.message == self.speaks) {
                Some(ready) => ready,
                None => match self.prepare(block, part) {
                    Some(ready) => ready,
                    None => return Sent::Given(0),
                },
            };
            let samples = (part.len() as u64).saturating_sub(ready.left_out);
            if samples == 0 {
                return self.passed(0, ready.left_out);
            }
            if let Some(words) = self.refused_shorter(ready.body.len()) {
                return Sent::TooLarge(words);
            }
            let verdict = match self.post(ready.message, ready.body.clone()).await {
                Ok(verdict) => verdict,
                Err(words) => Verdict::Later {
                    reason: "credentials",
                    words,
                    after: None,
                    is_refused: true,
                },
            };
            match self.settle(verdict, samples, ready.body.len()) {
                Settled::Done(Sent::Given(given)) => return self.passed(given, ready.left_out),
                Settled::Done(sent) => return sent,
                Settled::AtOnce => {}
                Settled::After(pause) => {
                    if !self.shared.queue.is_wanted(self.nth) {
                        return Sent::Lost;
                    }
                    self.shared.clock.sleep(pause).await;
                    if !self.shared.queue.is_wanted(self.nth) {
                        return Sent::Lost;
                    }
                }
            }
            prepared = Some(ready);
        }
    }

    /// What rules leave out is not wanted there, and behind us like what was given.
    fn passed(&self, given: u64, left_out: u64) -> Sent {
        if left_out > 0 {
            let relabelled = &self.metrics.relabelled;
            relabelled.with_label_values(&[&self.name]).inc_by(left_out);
        }
        Sent::Given(given + left_out)
    }

    /// What it said when it found a request too large that was no longer than this one, not long ago.
    fn refused_shorter(&self, bytes: usize) -> Option<String> {
        let refused = self.too_large.as_ref()?;
        let is_fresh = self.shared.clock.running() < refused.until;
        (is_fresh && bytes >= refused.bytes).then(|| refused.words.clone())
    }

    fn settle(&mut self, verdict: Verdict, samples: u64, bytes: usize) -> Settled {
        let now = self.shared.clock.running();
        match verdict {
            Verdict::Taken(written) => {
                let given = written.unwrap_or(samples).min(samples);
                self.answered(given, bytes);
                if given < samples {
                    self.refuses(
                        format!("it wrote {given} of {samples} samples and says no more"),
                        samples - given,
                    );
                } else if let Some(status) = self.shared.statuses.get(self.nth) {
                    status.lock().succeeds(self.shared.clock.now(), now);
                }
                Settled::Done(Sent::Given(given))
            }
            Verdict::Never { words, taken } => {
                let given = taken.min(samples);
                self.answered(given, bytes);
                self.refuses(words, samples - given);
                Settled::Done(Sent::Given(given))
            }
            Verdict::TooLarge { words } => {
                if samples > 1 {
                    self.count_retry("too_large");
                }
                self.too_large = Some(TooLarge {
                    bytes,
                    until: now + ASK_LARGE_AGAIN,
                    words: words.clone(),
                });
                Settled::Done(Sent::TooLarge(words))
            }
            Verdict::OtherVersion { .. }
                if self.config.protobuf_message.is_none() && self.speaks == Message::Two =>
            {
                tracing::info!(
                    destination = self.name,
                    "it does not understand remote write 2.0 and gets 1.0"
                );
                self.ask_again = now + ASK_AGAIN;
                self.speak(Message::One);
                Settled::AtOnce
            }
            Verdict::OtherVersion { words } => self.later("refused", words, None, true),
            Verdict::Later {
                reason,
                words,
                after,
                is_refused,
            } => self.later(reason, words, after, is_refused),
        }
    }

    fn answered(&mut self, given: u64, bytes: usize) {
        self.has_spoken = true;
        self.pauses = Pauses::new();
        self.metrics.sent.with_label_values(&[&self.name]).inc_by(given);
        self.metrics
            .sent_bytes
            .with_label_values(&[&self.name])
            .inc_by(bytes as u64);
    }

    fn count_retry(&self, reason: &str) {
        self.metrics
            .retries
            .with_label_values(&[self.name.as_str(), reason])
            .inc();
    }

    fn refuses(&self, words: String, samples: u64) {
        if let Some(status) = self.shared.statuses.get(self.nth) {
            status.lock().refuses(words, samples);
        }
    }

    fn later(&mut self, reason: &str, words: String, after: Option<Duration>, is_refused: bool) -> Settled {
        self.count_retry(reason);
        let failing = self.fails(words, is_refused);
        let pause = self.pauses.next(is_refused || failing > LONG_FAILING);
        Settled::After(after.map_or(pause, |after| after.max(pause)))
    }

    /// Returns for how long it has been failing.
    fn fails(&self, words: String, is_refused: bool) -> Duration {
        let now = self.shared.clock.running();
        let status = self.shared.statuses.get(self.nth);
        status.map_or(Duration::ZERO, |status| {
            status.lock().fails(words, is_refused, now)
        })
    }

    fn choose_version(&mut self) {
        let is_due = self.shared.clock.running() >= self.ask_again;
        if self.config.protobuf_message.is_none() && self.speaks == Message::One && is_due {
            self.speak(Message::Two);
        }
    }

    fn speak(&mut self, message: Message) {
        self.speaks = message;
        self.has_spoken = false;
        if let Some(status) = self.shared.statuses.get(self.nth) {
            status.lock().speaks = message;
        }
    }

    /// Our own replicas are sent the bytes of the queue as they are.
    fn prepare(&mut self, block: &Block, part: &Range<usize>) -> Option<Prepared> {
        let part = (part.len() < block.samples as usize).then_some(part);
        let made = match self.speaks {
            Message::Two if self.changes.is_none() && part.is_none() => Ok(Rewritten {
                body: block.bytes.to_vec(),
                left_out: 0,
            }),
            Message::Two => self.transcoder.two(&block.bytes, &self.changes, part),
            Message::One => self.transcoder.one(&block.bytes, &self.changes, part),
        };
        match made {
            Ok(Rewritten { body, left_out }) => Some(Prepared {
                message: self.speaks,
                body,
                left_out: left_out as u64,
            }),
            Err(error) => {
                let samples = part.map_or(block.samples as usize, Range::len);
                self.refuses(
                    format!("a block of the queue cannot be read: {error}"),
                    samples as u64,
                );
                None
            }
        }
    }

    /// 1.0 has metadata in messages of their own. Losing one costs a line of help until the next.
    async fn tell_metadata(&mut self, block: &Block) {
        let now = self.shared.clock.running();
        if let Some(body) = self.transcoder.metadata(&block.bytes, &mut self.families, now)
            && let Ok(Verdict::Later { words, .. } | Verdict::Never { words, .. }) =
                self.post(Message::One, body).await
        {
            tracing::debug!(destination = self.name, answer = words, "metadata was not taken");
        }
    }

    async fn post(&self, message: Message, body: Vec<u8>) -> Result<Verdict, String> {
        let (content, version) = match message {
            Message::Two => (
                "application/x-protobuf;proto=io.prometheus.write.v2.Request",
                "2.0.0",
            ),
            Message::One => ("application/x-protobuf", "0.1.0"),
        };
        let mut headers = vec![
            ("Content-Encoding".to_owned(), "snappy".to_owned()),
            ("Content-Type".to_owned(), content.to_owned()),
            ("X-Prometheus-Remote-Write-Version".to_owned(), version.to_owned()),
        ];
        for (name, value) in &self.config.headers {
            headers.push((name.clone(), value.expose().to_owned()));
        }
        let request = Request {
            method: Method::Post,
            url: self.config.url.clone(),
            headers,
            body: body.into(),
            timeout: self.config.remote_timeout,
            answer_bytes_max: ANSWER_BYTES_MAX,
        };
        // Files are read each time, so that a new token is used as soon as it is there.
        let reach = self.reach.as_ref().map_err(Clone::clone)?;
        let via = reach.open(&*self.client, &|| true).await?;
        let outcome = via.send(request).await;
        Ok(judge(&outcome, message, self.has_spoken, self.shared.clock.now()))
    }
}

/// How it went with one request.
enum Sent {
    /// Answered for good: as many samples were taken or are not wanted there, the others never will be.
    Given(u64),
    /// Nothing of it was taken, and less at once may be.
    TooLarge(String),
    /// The queue has no room for the block any more.
    Lost,
}

enum Settled {
    Done(Sent),
    AtOnce,
    After(Duration),
}
