//! How a destination does, as shown.

use std::time::Duration;

use model::view::{self, Health};
use model::{Timestamp, text};

use crate::queue::Waiting;
use net::without_secrets;

use crate::send::config::{Config, Message};

/// Failing for longer is bad, and not only a hiccup.
const HICCUP: Duration = Duration::from_secs(60);

pub(crate) struct Status {
    name: String,
    url: String,
    pub(crate) speaks: Message,
    last_success: Option<Timestamp>,
    last_error: String,
    failing: Option<Failing>,
}

struct Failing {
    since: Duration,
    /// Nothing but somebody's change will mend it.
    is_refused: bool,
}

impl Status {
    pub(crate) fn new(name: String, config: &Config) -> Self {
        Self {
            name,
            url: without_secrets(&config.url),
            speaks: config.protobuf_message.unwrap_or(Message::Two),
            last_success: None,
            last_error: String::new(),
            failing: None,
        }
    }

    /// Says in the log when it is the first failure, or of another kind. Returns for how long it has been failing.
    pub(crate) fn fails(&mut self, words: String, is_refused: bool, now: Duration) -> Duration {
        let since = self.failing.as_ref().map_or(now, |failing| failing.since);
        let is_new = self
            .failing
            .as_ref()
            .is_none_or(|failing| failing.is_refused != is_refused);
        if is_new {
            tracing::warn!(
                destination = self.name,
                error = words,
                "samples cannot be sent and wait"
            );
        }
        self.last_error = words;
        self.failing = Some(Failing { since, is_refused });
        now.saturating_sub(since)
    }

    pub(crate) fn succeeds(&mut self, at: Timestamp, now: Duration) {
        if let Some(failing) = self.failing.take() {
            let after = text::duration::spoken(now.saturating_sub(failing.since));
            tracing::info!(destination = self.name, after, "samples are sent again");
        }
        self.last_success = Some(at);
        self.last_error.clear();
    }

    /// The receiver is there, and will never take some of what it was sent. Said once while its words are the same.
    pub(crate) fn refuses(&mut self, words: String, samples: u64) {
        self.failing = None;
        if self.last_error != words {
            tracing::warn!(
                destination = self.name,
                samples,
                answer = words,
                "the receiver refused samples; they are dropped"
            );
        }
        self.last_error = words;
    }

    pub(crate) fn view(&self, waiting: Waiting, now: Duration) -> view::Destination {
        let health = match &self.failing {
            Some(failing) if failing.is_refused || now.saturating_sub(failing.since) > HICCUP => Health::Bad,
            Some(_) => Health::Pending,
            None if !self.last_error.is_empty() => Health::Pending,
            None if self.last_success.is_some() => Health::Good,
            None => Health::Unknown,
        };
        view::Destination {
            name: self.name.clone(),
            url: self.url.clone(),
            protocol: match self.speaks {
                Message::Two => "2.0".to_owned(),
                Message::One => "1.0".to_owned(),
            },
            waiting_bytes: waiting.bytes,
            waiting_samples: waiting.samples,
            oldest: waiting.oldest,
            last_success: self.last_success,
            last_error: self.last_error.clone(),
            health,
        }
    }
}
