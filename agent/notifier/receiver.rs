//! One place where people are told: what a message looks like there and how it is handed over.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use model::mail::Mail;
use model::outside::{Client, Method, Request};
pub(crate) use net::Place;
use net::{Credential, HttpConfig, Reach, Secret, Via};

use serde_json::Value;
use template::Language;
use tracing::warn;

use crate::bucket::Bucket;
use crate::changes::{self, Changes};
use crate::config::{self, Config};
use crate::email::Email;
use crate::evidence::Interest;
use crate::look::structure::Structure;
use crate::look::{self, Seen, Text};
use crate::message::Message;
use crate::slack::upload::Files;
use crate::slack::{Said, talk};
use crate::verdict::{Tally, Verdict, judge, judge_mail, judge_slack, no_secret};
use crate::{pagerduty, slack, webhook};

/// Longest answer read; receivers say `ok` or a sentence.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// The ways out of the process.
#[derive(Clone)]
pub(crate) struct Ways {
    pub(crate) client: Arc<dyn Client>,
    pub(crate) mail: Arc<dyn Mail>,
}

#[derive(Clone, Debug)]
pub(crate) struct Receiver {
    /// Unique; a label in metrics and a part of journal keys.
    pub(crate) name: Arc<str>,
    /// As routes name it, with others perhaps that are told the same.
    pub(crate) team: Arc<str>,
    kind: Kind,
    url: Place,
    reach: Reach,
    pub(crate) send_resolved: bool,
    timeout: Duration,
    /// Groups newly due within a minute that make a storm; 0: it knows none.
    pub(crate) storm_groups: usize,
    files: Arc<Files>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Slack {
        channel: Option<Text>,
        look: Option<Box<look::slack::Look>>,
        /// An app may edit what it said, and reply to it.
        has_threads: bool,
    },
    PagerDuty {
        routing_key: Place,
        severity_label: String,
        look: Option<Box<look::pagerduty::Look>>,
        /// An incident for each alert, not for each group.
        is_by_alert: bool,
        /// Those that are no incidents.
        changes: Option<Changes>,
    },
    Webhook {
        max_alerts: usize,
        /// As its messages call it.
        called: Arc<str>,
        /// In place of Alertmanager's own.
        payload: Option<Structure>,
    },
    /// Its address is its server's, and it has no URL.
    Email(Box<Email>),
}

/// Two receivers are equal if the same message would go to the same place.
impl PartialEq for Receiver {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, &self.kind, &self.url, &self.reach)
            == (&other.name, &other.kind, &other.url, &other.reach)
    }
}

impl Receiver {
    pub(crate) fn new(name: Arc<str>, team: Arc<str>, kind: Kind, url: Place, reach: Reach) -> Self {
        Self {
            name,
            team,
            kind,
            url,
            reach,
            send_resolved: true,
            timeout: Duration::from_secs(10),
            storm_groups: 0,
            files: Arc::default(),
        }
    }

    pub(crate) fn with(self, send_resolved: bool, timeout: Duration) -> Self {
        Self {
            send_resolved,
            timeout,
            ..self
        }
    }

    pub(crate) fn files(&self) -> &Files {
        &self.files
    }

    pub(crate) fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Where it can tell of a storm, so many groups make one.
    pub(crate) fn with_storms(&self, groups: usize) -> Self {
        Self {
            storm_groups: if self.can_storm() { groups } else { 0 },
            ..self.clone()
        }
    }

    pub(crate) fn of_team(&self, team: &str) -> Self {
        Self {
            team: team.into(),
            ..self.clone()
        }
    }

    /// All that our own configuration names; one without an address was complained of and is left out.
    pub(crate) fn all(config: &Config, team: &str) -> Vec<Arc<Self>> {
        let team: Arc<str> = team.into();
        let http = |own: &Option<HttpConfig>| own.clone().or_else(|| config.http_config.clone());
        let slack = config.slack.iter();
        let slack = slack.filter_map(|slack| Self::slack(slack, http(&slack.http_config), &team));
        let pagerduty = config.pagerduty.iter();
        let pagerduty = pagerduty.filter_map(|pager| Self::pagerduty(pager, http(&pager.http_config), &team));
        let webhooks = config.webhook.iter().enumerate();
        let webhooks = webhooks.filter_map(|(nth, webhook)| {
            Self::webhook(webhook.name(nth), webhook, http(&webhook.http_config), &team)
        });
        let email = config.email.iter().filter_map(|email| Self::email(email, &team));
        let all = slack.chain(pagerduty).chain(email).chain(webhooks);
        all.map(Arc::new).collect()
    }

    fn slack(config: &config::Slack, http_config: Option<HttpConfig>, team: &Arc<str>) -> Option<Self> {
        let channel = config.channel.as_deref().filter(|channel| !channel.is_empty());
        // One that cannot be read was complained of.
        let channel = channel.and_then(|text| Text::new(&Language::alertmanager(), "channel", text).ok());
        let token = place(config.bot_token.as_ref(), config.bot_token_file.as_ref());
        let kind = Kind::Slack {
            channel,
            look: None,
            has_threads: token.is_some(),
        };
        let url = if token.is_some() {
            Place::Here(Secret::plain(&config.api_url))
        } else {
            place(config.webhook_url.as_ref(), config.webhook_file.as_ref())?
        };
        let reach = reach(http_config, token)?;
        let slack = Self::new("slack".into(), Arc::clone(team), kind, url, reach);
        Some(slack.with(config.send_resolved, config.timeout))
    }

    fn pagerduty(
        config: &config::PagerDuty,
        http_config: Option<HttpConfig>,
        team: &Arc<str>,
    ) -> Option<Self> {
        let kind = Kind::PagerDuty {
            routing_key: place(config.routing_key.as_ref(), config.routing_key_file.as_ref())?,
            severity_label: config.severity_label.clone(),
            look: None,
            is_by_alert: config.dedup == config::Dedup::Alert,
            // One that cannot be read was complained of.
            changes: Changes::new(&config.change_events).ok().flatten(),
        };
        let url = Place::Here(Secret::plain(&config.url));
        let reach = reach(http_config, None)?;
        let pagerduty = Self::new("pagerduty".into(), Arc::clone(team), kind, url, reach);
        Some(pagerduty.with(config.send_resolved, config.timeout))
    }

    fn email(config: &config::Email, team: &Arc<str>) -> Option<Self> {
        let kind = Kind::Email(Box::new(config.read().ok()?));
        let reach = Reach::default();
        let email = Self::new("email".into(), Arc::clone(team), kind, Place::default(), reach);
        Some(email.with(config.send_resolved, config.timeout))
    }

    fn webhook(
        name: String,
        config: &config::Webhook,
        http_config: Option<HttpConfig>,
        team: &Arc<str>,
    ) -> Option<Self> {
        let name: Arc<str> = name.into();
        let kind = Kind::Webhook {
            max_alerts: config.max_alerts,
            called: Arc::clone(&name),
            payload: None,
        };
        let url = place(config.url.as_ref(), config.url_file.as_ref())?;
        let bearer = place(config.bearer_token.as_ref(), config.bearer_token_file.as_ref());
        let reach = reach(http_config, bearer)?;
        let webhook = Self::new(name, Arc::clone(team), kind, url, reach);
        Some(webhook.with(config.send_resolved, config.timeout))
    }

    /// For people: `slack #ops`, `webhook ops`.
    pub(crate) fn title(&self) -> String {
        match &self.kind {
            Kind::Slack {
                channel: Some(channel),
                ..
            } => format!("{} {}", self.name, channel.source()),
            Kind::Email(email) => format!("{} {}", self.name, email.to.source()),
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
            Kind::Email(_) => "email",
        }
    }

    /// Slack takes one message a second with short bursts; for the others this only stops a runaway. A webhook has one
    /// message under way at a time, and so says itself how many it can take.
    pub(crate) fn bucket(&self) -> Bucket {
        match self.kind {
            Kind::Slack { .. } => Bucket::new(Duration::from_secs(1), 3),
            Kind::Email(_) => Bucket::new(Duration::from_secs(1), 10),
            Kind::PagerDuty { .. } => Bucket::new(Duration::from_millis(500), 10),
            Kind::Webhook { .. } => Bucket::new(Duration::from_millis(5), 200),
        }
    }

    /// The most that may change in one message; the rest is told by the next ones.
    pub(crate) fn changes_most(&self) -> usize {
        const EVENTS_AT_ONCE: usize = 20;
        match self.kind {
            Kind::PagerDuty {
                is_by_alert: true, ..
            } => EVENTS_AT_ONCE,
            _ => usize::MAX,
        }
    }

    /// Which evidence it has a place for. What a file's templates make is Alertmanager's, and so are webhooks' bodies; names
    /// that Slack would link in a log line might call somebody.
    pub(crate) fn interest(&self) -> Interest {
        match &self.kind {
            Kind::Slack { look: Some(look), .. } if look.is_whole || look.link_names => Interest::None,
            Kind::Slack {
                has_threads: true, ..
            } => Interest::Kept,
            Kind::Slack { .. } | Kind::PagerDuty { look: None, .. } => Interest::News,
            Kind::PagerDuty { .. } | Kind::Webhook { .. } | Kind::Email(_) => Interest::None,
        }
    }

    /// Asks `may` in the last moment before each request, when all secrets have been read.
    pub(crate) async fn send(&self, ways: &Ways, message: &Message, may: impl Fn() -> bool + Sync) -> Said {
        let outcome = match &self.kind {
            Kind::Email(email) => self.mail(&*ways.mail, email, message, may).await,
            _ => match self.open(&*ways.client, &may).await {
                Ok(via) => self.try_send(&via, message, &may).await,
                Err(words) => Err(words),
            },
        };
        match outcome {
            Ok(said) => said,
            Err(words) => Said::only(no_secret(words)),
        }
    }

    async fn try_send(
        &self,
        client: &Via<'_>,
        message: &Message,
        may: impl Fn() -> bool,
    ) -> Result<Said, String> {
        let request = self.request().await?;
        match &self.kind {
            Kind::Slack {
                channel,
                look,
                has_threads,
            } => {
                let (card, channel) =
                    self.slack_card(message, channel.as_ref(), look.as_deref(), *has_threads);
                if *has_threads {
                    let channel = channel.unwrap_or_default();
                    let words = slack::words(message, card);
                    return Ok(talk(client, request, words, &channel, &self.files, may).await);
                }
                let card = match channel {
                    Some(channel) => slack::with(card, "channel", channel),
                    None => card,
                };
                let request = filled(request, card.to_string().into_bytes());
                Ok(Said::only(self.hand_over(client, request, may).await))
            }
            Kind::PagerDuty {
                routing_key,
                severity_label,
                look,
                is_by_alert,
                changes,
            } => {
                let key = routing_key.read().await?;
                let event = |message: &Message| {
                    let said = self.templated(message, |seen| {
                        look.as_ref().map(|look| look.fill(&seen.view())).transpose()
                    });
                    pagerduty::payload(
                        message,
                        key.expose(),
                        severity_label,
                        said.flatten().unwrap_or_default(),
                    )
                };
                if changes.is_none() && (!is_by_alert || message.is_test()) {
                    let request = filled(request, event(message));
                    return Ok(Said::only(self.hand_over(client, request, may).await));
                }
                let (incident, change) = match changes {
                    Some(changes) => changes.split(message),
                    None => (Some(Cow::Borrowed(message)), None),
                };
                let parts = |message: &Message| -> Vec<Message> {
                    if *is_by_alert && !message.is_test() {
                        message.each_changed(self.changes_most()).collect()
                    } else {
                        vec![message.clone()]
                    }
                };
                let mut requests = Vec::new();
                for part in incident.iter().flat_map(|incident| parts(incident)) {
                    requests.push(filled(request.clone(), event(&part)));
                }
                let beside = changes::address(&request.url).unwrap_or_default();
                for part in change.iter().flat_map(parts) {
                    requests.push(Request {
                        url: beside.clone(),
                        ..filled(request.clone(), changes::payload(&part, key.expose()))
                    });
                }
                let mut tally = Tally::default();
                for request in requests {
                    let verdict = self.hand_over(client, request, &may).await;
                    if !tally.goes_on(verdict) {
                        break;
                    }
                }
                Ok(Said::only(tally.verdict()))
            }
            Kind::Webhook {
                max_alerts,
                called,
                payload,
            } => {
                let own = payload
                    .as_ref()
                    .and_then(|payload| self.templated(message, |seen| payload.fill(&seen.view())));
                let body = match own {
                    Some(own) => own.to_string().into_bytes(),
                    None => webhook::payload(message, called, *max_alerts),
                };
                Ok(Said::only(
                    self.hand_over(client, filled(request, body), may).await,
                ))
            }
            Kind::Email(_) => Err("mail is not sent by HTTP".to_owned()),
        }
    }

    async fn mail(
        &self,
        mail: &dyn Mail,
        email: &Email,
        message: &Message,
        may: impl Fn() -> bool,
    ) -> Result<Said, String> {
        let server = email.server.read().await?;
        let letter = email.letter(message, &self.team, (server, self.timeout), |error| {
            self.template_failed(message, error);
        });
        let verdict = match letter {
            Err(words) => Verdict::Never {
                reason: "rejected",
                words,
            },
            Ok(_) if !may() => Verdict::Held,
            Ok(letter) => judge_mail(&mail.send(letter).await),
        };
        Ok(Said::only(verdict))
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    fn template_failed(&self, message: &Message, error: &str) {
        warn!(receiver = %self.name, group = %message.key, %error,
            "a template failed; the message goes out as Skopos writes it");
    }

    pub(crate) async fn hand_over(
        &self,
        client: &dyn Client,
        request: Request,
        may: impl Fn() -> bool,
    ) -> Verdict {
        if !may() {
            return Verdict::Held;
        }
        let answer = client.send(request).await;
        match self.kind {
            Kind::Slack { .. } => judge_slack(&answer),
            _ => judge(&answer),
        }
    }

    /// What the file's templates make of a message; none where one of them fails, so that the message goes out as we
    /// write it.
    fn templated<T>(
        &self,
        message: &Message,
        fill: impl FnOnce(&Seen<'_>) -> Result<T, String>,
    ) -> Option<T> {
        match fill(&Seen::new(message, &self.team)) {
            Ok(filled) => Some(filled),
            Err(error) => {
                self.template_failed(message, &error);
                None
            }
        }
    }

    /// The card, and the channel that it is for.
    fn slack_card(
        &self,
        message: &Message,
        channel: Option<&Text>,
        look: Option<&look::slack::Look>,
        has_threads: bool,
    ) -> (Value, Option<String>) {
        let ours = || {
            if has_threads {
                slack::payload_without_lines(message)
            } else {
                slack::payload(message)
            }
        };
        let card = match look {
            None => ours(),
            Some(look) => self
                .templated(message, |seen| look.card(&seen.view(), ours))
                .unwrap_or_else(|| slack::failed(ours())),
        };
        let asked = channel.map(|channel| {
            self.templated(message, |seen| channel.fill(&seen.view()))
                .unwrap_or_else(|| channel.source().to_owned())
        });
        (card, asked.filter(|channel| !channel.is_empty()))
    }

    /// The way to it, with all that says who we are. `may` is asked before each request that is made on its own accord, such
    /// as one that follows a redirect.
    pub(crate) async fn open<'a>(
        &'a self,
        client: &'a dyn Client,
        may: &'a (dyn Fn() -> bool + Sync),
    ) -> Result<Via<'a>, String> {
        self.reach.open(client, may).await
    }

    /// Without a body, and without what says who we are.
    pub(crate) async fn request(&self) -> Result<Request, String> {
        Ok(Request {
            method: Method::Post,
            url: self.url.read().await?.expose().to_owned(),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: Vec::new().into(),
            timeout: self.timeout,
            answer_bytes_max: ANSWER_BYTES_MAX,
        })
    }
}

/// A token of the receiver's own stands in place of what `http_config` says of who we are. None where that is wrong, which was
/// complained of.
fn reach(http_config: Option<HttpConfig>, token: Option<Place>) -> Option<Reach> {
    let mut reach = match http_config {
        Some(http_config) => http_config.read(Path::new("")).ok()?,
        None => Reach::default(),
    };
    if let Some(token) = token {
        reach.credential = Credential::bearer(token);
    }
    Some(reach)
}

fn filled(request: Request, body: Vec<u8>) -> Request {
    Request {
        body: body.into(),
        ..request
    }
}

pub(crate) fn place(here: Option<&Secret>, file: Option<&PathBuf>) -> Option<Place> {
    here.map(|secret| Place::Here(secret.clone()))
        .or_else(|| file.map(|path| Place::File(path.clone())))
}
