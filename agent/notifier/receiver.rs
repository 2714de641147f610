//! One place where people are told: what a message looks like there and how it is handed over.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use model::outside::{Client, Method, Request};
use net::Secret;

use crate::bucket::Bucket;
use crate::config::{self, Config};
use crate::message::Message;
use crate::verdict::{Verdict, judge, no_secret};
use crate::{pagerduty, slack, webhook};

/// Longest answer read; receivers say `ok` or a sentence.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

#[derive(Clone, Debug)]
pub(crate) struct Receiver {
    /// Unique; a label in metrics and a part of journal keys.
    pub(crate) name: Arc<str>,
    /// As routes name it, with others perhaps that are told the same.
    pub(crate) team: Arc<str>,
    kind: Kind,
    url: Place,
    auth: Option<Auth>,
    pub(crate) send_resolved: bool,
    timeout: Duration,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Slack {
        channel: Option<String>,
    },
    PagerDuty {
        routing_key: Place,
        severity_label: String,
    },
    Webhook {
        max_alerts: usize,
        /// As its messages call it.
        called: Arc<str>,
    },
}

/// Where a secret is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Place {
    Here(Secret),
    File(PathBuf),
}

impl Default for Place {
    fn default() -> Self {
        Self::Here(Secret::default())
    }
}

/// Who we say we are.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Auth {
    Token { scheme: String, credentials: Place },
    Basic { username: String, password: Place },
}

impl Auth {
    async fn header(&self) -> Result<String, String> {
        match self {
            Self::Token { scheme, credentials } => {
                let credentials = credentials.read().await?;
                Ok(format!("{scheme} {}", credentials.expose()))
            }
            Self::Basic { username, password } => {
                let password = password.read().await?;
                Ok(net::basic(username, password.expose()))
            }
        }
    }
}

/// Two receivers are equal if the same message would go to the same place.
impl PartialEq for Receiver {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, &self.kind, &self.url, &self.auth) == (&other.name, &other.kind, &other.url, &other.auth)
    }
}

impl Receiver {
    pub(crate) fn new(name: Arc<str>, team: Arc<str>, kind: Kind, url: Place, auth: Option<Auth>) -> Self {
        Self {
            name,
            team,
            kind,
            url,
            auth,
            send_resolved: true,
            timeout: Duration::from_secs(10),
        }
    }

    pub(crate) fn with(self, send_resolved: bool, timeout: Duration) -> Self {
        Self {
            send_resolved,
            timeout,
            ..self
        }
    }

    /// All that our own configuration names; one without an address was complained of and is left out.
    pub(crate) fn all(config: &Config, team: &str) -> Vec<Arc<Self>> {
        let team: Arc<str> = team.into();
        let slack = config.slack.iter().filter_map(|slack| Self::slack(slack, &team));
        let pagerduty = config.pagerduty.iter();
        let pagerduty = pagerduty.filter_map(|pagerduty| Self::pagerduty(pagerduty, &team));
        let webhooks = config.webhook.iter().enumerate();
        let webhooks = webhooks.filter_map(|(nth, webhook)| Self::webhook(webhook.name(nth), webhook, &team));
        slack.chain(pagerduty).chain(webhooks).map(Arc::new).collect()
    }

    fn slack(config: &config::Slack, team: &Arc<str>) -> Option<Self> {
        let channel = config.channel.clone();
        let url = place(config.webhook_url.as_ref(), config.webhook_file.as_ref())?;
        let slack = Self::new(
            "slack".into(),
            Arc::clone(team),
            Kind::Slack { channel },
            url,
            None,
        );
        Some(slack.with(config.send_resolved, config.timeout))
    }

    fn pagerduty(config: &config::PagerDuty, team: &Arc<str>) -> Option<Self> {
        let kind = Kind::PagerDuty {
            routing_key: place(config.routing_key.as_ref(), config.routing_key_file.as_ref())?,
            severity_label: config.severity_label.clone(),
        };
        let url = Place::Here(Secret::plain(&config.url));
        let pagerduty = Self::new("pagerduty".into(), Arc::clone(team), kind, url, None);
        Some(pagerduty.with(config.send_resolved, config.timeout))
    }

    fn webhook(name: String, config: &config::Webhook, team: &Arc<str>) -> Option<Self> {
        let name: Arc<str> = name.into();
        let kind = Kind::Webhook {
            max_alerts: config.max_alerts,
            called: Arc::clone(&name),
        };
        let url = place(config.url.as_ref(), config.url_file.as_ref())?;
        let bearer = place(config.bearer_token.as_ref(), config.bearer_token_file.as_ref());
        let auth = bearer.map(|credentials| Auth::Token {
            scheme: "Bearer".to_owned(),
            credentials,
        });
        let webhook = Self::new(name, Arc::clone(team), kind, url, auth);
        Some(webhook.with(config.send_resolved, config.timeout))
    }

    /// For people: `slack #ops`, `webhook ops`.
    pub(crate) fn title(&self) -> String {
        match &self.kind {
            Kind::Slack {
                channel: Some(channel),
            } => format!("{} {channel}", self.name),
            Kind::Webhook { .. } if !self.name.contains("webhook") => format!("webhook {}", self.name),
            _ => self.name.to_string(),
        }
    }

    /// Alertmanager's word for the kind.
    pub(crate) fn integration(&self) -> &'static str {
        match self.kind {
            Kind::Slack { .. } => "slack",
            Kind::PagerDuty { .. } => "pagerduty",
            Kind::Webhook { .. } => "webhook",
        }
    }

    /// Slack takes one message a second with short bursts; for the others this only stops a runaway.
    pub(crate) fn bucket(&self) -> Bucket {
        match self.kind {
            Kind::Slack { .. } => Bucket::new(Duration::from_secs(1), 3),
            Kind::PagerDuty { .. } => Bucket::new(Duration::from_millis(500), 10),
            Kind::Webhook { .. } => Bucket::new(Duration::from_millis(50), 20),
        }
    }

    /// Asks `may` in the last moment, when all secrets have been read.
    pub(crate) async fn send(
        &self,
        client: &dyn Client,
        message: &Message,
        may: impl Fn() -> bool,
    ) -> Verdict {
        match self.request(message).await {
            Ok(_) if !may() => Verdict::Held,
            Ok(request) => judge(&client.send(request).await),
            Err(words) => no_secret(words),
        }
    }

    async fn body(&self, message: &Message) -> Result<Vec<u8>, String> {
        Ok(match &self.kind {
            Kind::Slack { channel } => slack::payload(message, channel.as_deref()),
            Kind::PagerDuty {
                routing_key,
                severity_label,
            } => {
                let key = routing_key.read().await?;
                pagerduty::payload(message, key.expose(), severity_label)
            }
            Kind::Webhook { max_alerts, called } => webhook::payload(message, called, *max_alerts),
        })
    }

    async fn request(&self, message: &Message) -> Result<Request, String> {
        let mut headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        if let Some(auth) = &self.auth {
            headers.push(("authorization".to_owned(), auth.header().await?));
        }
        Ok(Request {
            method: Method::Post,
            url: self.url.read().await?.expose().to_owned(),
            headers,
            body: self.body(message).await?,
            timeout: self.timeout,
            answer_bytes_max: ANSWER_BYTES_MAX,
        })
    }
}

impl Place {
    /// Files are read each time, because mounted secrets are exchanged under a running process.
    async fn read(&self) -> Result<Secret, String> {
        match self {
            Self::Here(secret) => Ok(secret.clone()),
            Self::File(path) => {
                let text = tokio::fs::read_to_string(path).await;
                let text = text.map_err(|error| format!("reading {}: {error}", path.display()))?;
                match text.trim() {
                    "" => Err(format!("{} is empty", path.display())),
                    secret => Ok(Secret::plain(secret)),
                }
            }
        }
    }
}

fn place(here: Option<&Secret>, file: Option<&PathBuf>) -> Option<Place> {
    here.map(|secret| Place::Here(secret.clone()))
        .or_else(|| file.map(|path| Place::File(path.clone())))
}
