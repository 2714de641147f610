//! What the notifier is told in the configuration file: whom to tell, how alerts are grouped, how often.
//!
//! Works when left empty: nobody is told, alerts are on the page and each change is a line in the log.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use model::mail::{Encryption, Trust};
use model::text::is_legacy_label_name;
use model::view::Routing;
use model::{Complaint, Labels, Timestamp};
use net::{HttpConfig, Secret};
use serde::Deserialize;

use template::Language;

use crate::alertmanager;
use crate::changes::{self, Changes};
use crate::email::{self, Server, Threads, Words};
use crate::evidence;
use crate::heartbeat;
use crate::look::Text;
use crate::plan::Plan;
use crate::receiver::place;
use crate::route::Timing;
use crate::slack::POST;

/// The port of mail by TLS from the first byte.
pub(crate) const IMPLICIT_TLS: u16 = 465;
/// Groups by every label: each alert is a group of its own.
pub(crate) const ALL_LABELS: &str = "...";

/// Whom to tell, and when: one route to the receivers named here, or those of an Alertmanager's file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Alertmanager's configuration file, in place of receivers, `group_by` and waits here; secrets in it are not shown.
    pub config_file: Option<PathBuf>,
    /// A Slack channel, by an app's bot token or by an incoming webhook.
    pub slack: Option<Slack>,
    /// A PagerDuty service, by the key of its Events API v2 integration.
    pub pagerduty: Option<PagerDuty>,
    /// People's mail, by a server that takes it.
    pub email: Option<Email>,
    /// Anything that takes Alertmanager's webhook format, version 4.
    pub webhook: Vec<Webhook>,
    /// How Slack, PagerDuty and webhooks are reached that do not say so themselves: proxy, certificates, headers.
    pub http_config: Option<HttpConfig>,
    /// Name of the receiver that is told of what another one refused, or did not take for `fallback_after`: `slack`,
    /// `pagerduty`, `email` or a webhook's name, which is then told of nothing else; with `config_file` a receiver of the file.
    pub fallback: Option<String>,
    /// How long a message may wait for its receiver before the fallback is told.
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    pub fallback_after: Duration,
    /// An address that is pinged as long as everything goes on, so that somebody outside notices when it does not.
    pub heartbeat: Option<heartbeat::Config>,
    /// So many groups newly due to one Slack receiver within a minute are a storm: they share one message, and only grave
    /// ones have their own. 0: never. Left out: 20, and with `config_file` 0.
    pub storm_groups: Option<usize>,
    /// What else a Slack card or an incident shows of an alert: its value over the last hour and its last log lines.
    pub evidence: evidence::Config,
    /// Alerts with the same values of these labels share one message; `['...']` gives each alert its own.
    pub group_by: Vec<String>,
    /// How long a new group waits for more alerts before its first message.
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    pub group_wait: Duration,
    /// How long a told group waits before it speaks of new alerts.
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    pub group_interval: Duration,
    /// How long until an unchanged group is told again, counted from its last message.
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    pub repeat_interval: Duration,
    /// How long after an alert resolved this is told; it does not wait for `group_interval`, unless this is `null`.
    #[serde(deserialize_with = "model::text::duration::deserialize_or_null")]
    pub resolve_wait: Option<Duration>,
    /// Whether what is told again waits for `group_interval` as well, as with Alertmanager.
    pub repeat_on_tick: bool,
    /// Whether an alert that still fires when its silence is over is told again; Alertmanager waits for the repeat.
    pub tell_after_silence: bool,
    /// Whether an end is told of an alert that came and went between two messages; Alertmanager tells it where its
    /// receiver believes that something of the group fires.
    pub tell_lone_ends: bool,
    /// Whether an end is told although the alert is silenced, inhibited or in mute hours by then; Alertmanager keeps it
    /// to itself, and takes the alert for told when it fires again.
    pub tell_muted_ends: bool,
    /// Where people reach the page, for links. Empty: the address that the page listens on.
    pub external_url: String,
    /// What `config_file` holds, once it has been read.
    #[serde(skip)]
    pub(crate) file: Option<Arc<alertmanager::Read>>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            config_file: None,
            slack: None,
            pagerduty: None,
            email: None,
            webhook: Vec::new(),
            http_config: None,
            fallback: None,
            fallback_after: Duration::from_secs(5 * 60),
            heartbeat: None,
            storm_groups: None,
            evidence: evidence::Config::default(),
            group_by: vec![model::labels::ALERT_NAME.to_owned()],
            group_wait: Duration::from_secs(30),
            group_interval: Duration::from_secs(5 * 60),
            repeat_interval: Duration::from_secs(4 * 3600),
            resolve_wait: Some(Duration::from_secs(15)),
            repeat_on_tick: false,
            tell_after_silence: true,
            tell_lone_ends: false,
            tell_muted_ends: true,
            external_url: String::new(),
            file: None,
        }
    }
}

/// Slack: an app with a bot token, which keeps one message for each group and replies to it, or an incoming webhook,
/// which can only add messages.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Slack {
    /// File that holds the webhook's URL; read before each message, so that a new one needs no reload.
    pub webhook_file: Option<PathBuf>,
    /// The webhook's URL, for example `${SLACK_WEBHOOK}` from the environment.
    pub webhook_url: Option<Secret>,
    /// An app's bot token (`xoxb-…`) with the scope `chat:write`, `chat:write.public` for channels that it has not
    /// joined, and `files:write` for pictures; for example `${SLACK_TOKEN}` from the environment.
    pub bot_token: Option<Secret>,
    /// File that holds the bot token; read before each message.
    pub bot_token_file: Option<PathBuf>,
    /// Where a bot posts, for example `#ops`; may hold Alertmanager's templates. Of webhooks only old ones heed it: those
    /// of Slack apps are tied to their channel.
    pub channel: Option<String>,
    /// Slack's method for posting, used with a bot token; edits go to `chat.update` beside it.
    pub api_url: String,
    /// Whether to tell that alerts resolved.
    pub send_resolved: bool,
    /// Longest wait for an answer.
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    pub timeout: Duration,
    /// How it is reached: proxy, certificates, headers.
    pub http_config: Option<HttpConfig>,
}

impl Default for Slack {
    fn default() -> Self {
        Self {
            webhook_file: None,
            webhook_url: None,
            bot_token: None,
            bot_token_file: None,
            channel: None,
            api_url: "https://slack.com/api/chat.postMessage".to_owned(),
            send_resolved: true,
            timeout: Duration::from_secs(10),
            http_config: None,
        }
    }
}

/// A PagerDuty service: one incident for each group, which ends with the last of its alerts, or one for each alert.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PagerDuty {
    /// The integration's key, for example `${PAGERDUTY_KEY}` from the environment.
    pub routing_key: Option<Secret>,
    /// File that holds the key; read before each message.
    pub routing_key_file: Option<PathBuf>,
    /// Where events are sent; in Europe `https://events.eu.pagerduty.com/v2/enqueue`.
    pub url: String,
    /// Whether incidents end by themselves.
    pub send_resolved: bool,
    /// Longest wait for an answer.
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    pub timeout: Duration,
    /// The alerts' label that says how grave they are: `critical`, `error`, `warning` or `info`; other and missing
    /// words are errors. An incident is as grave as the gravest of its alerts.
    pub severity_label: String,
    /// What is one incident: a `group`, or each `alert` by itself.
    pub dedup: Dedup,
    /// Alerts that match all of these matchers are told as change events, which page nobody; the others as incidents.
    pub change_events: Vec<String>,
    /// How it is reached: proxy, certificates, headers.
    pub http_config: Option<HttpConfig>,
}

/// What makes one incident.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dedup {
    #[default]
    Group,
    Alert,
}

impl Default for PagerDuty {
    fn default() -> Self {
        Self {
            routing_key: None,
            routing_key_file: None,
            url: "https://events.pagerduty.com/v2/enqueue".to_owned(),
            send_resolved: true,
            timeout: Duration::from_secs(10),
            severity_label: "severity".to_owned(),
            dedup: Dedup::Group,
            change_events: Vec::new(),
            http_config: None,
        }
    }
}

/// Mail to one or more people.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Email {
    /// Whom it is for: addresses with commas between them; may hold Alertmanager's templates.
    pub to: String,
    /// Whom it is from.
    pub from: String,
    /// The server that takes it, with its port: `smtp.example.org:587`.
    pub smarthost: String,
    /// Who we say we are.
    pub hello: String,
    /// Whom to log in as; without it nobody.
    pub username: Option<String>,
    /// Its password, for example `${MAIL_PASSWORD}` from the environment.
    pub password: Option<Secret>,
    /// File that holds the password; read before each message.
    pub password_file: Option<PathBuf>,
    /// `tls` from the first byte, `starttls`, or `none`; by default `tls` on port 465 and `starttls` on others. A server
    /// that does not have it is sent nothing.
    pub encryption: Option<Hidden>,
    /// Certificates of the authority that has signed the server's, in place of the machine's.
    pub ca_file: Option<PathBuf>,
    /// What mail programs show as one conversation: a group's mails of one day (`daily`), all of a `group`, or `none`.
    pub threads: Threads,
    /// Whether to tell that alerts resolved.
    pub send_resolved: bool,
    /// Longest wait for a server to take a message.
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    pub timeout: Duration,
}

/// How mail is hidden on its way to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hidden {
    Tls,
    StartTls,
    None,
}

impl Default for Email {
    fn default() -> Self {
        Self {
            to: String::new(),
            from: String::new(),
            smarthost: String::new(),
            hello: "localhost".to_owned(),
            username: None,
            password: None,
            password_file: None,
            encryption: None,
            ca_file: None,
            threads: Threads::Daily,
            send_resolved: true,
            timeout: Duration::from_secs(30),
        }
    }
}

/// A generic webhook.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Webhook {
    /// Name on the page and in metrics; by default `webhook`, `webhook-2` and so on.
    pub name: Option<String>,
    /// Where to send; may hold `${NAME}` from the environment.
    pub url: Option<Secret>,
    /// File that holds the URL; read before each message.
    pub url_file: Option<PathBuf>,
    /// Sent as `Authorization: Bearer …`.
    pub bearer_token: Option<Secret>,
    /// File that holds the bearer token; read before each message.
    pub bearer_token_file: Option<PathBuf>,
    /// Most alerts in one message; 0 is as many as fit into 8 MiB. The rest is in `truncatedAlerts`.
    pub max_alerts: usize,
    /// Whether to tell that alerts resolved.
    pub send_resolved: bool,
    /// Longest wait for an answer.
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    pub timeout: Duration,
    /// How it is reached: proxy, certificates, headers.
    pub http_config: Option<HttpConfig>,
}

impl Default for Webhook {
    fn default() -> Self {
        Self {
            name: None,
            url: None,
            url_file: None,
            bearer_token: None,
            bearer_token_file: None,
            max_alerts: 0,
            send_resolved: true,
            timeout: Duration::from_secs(10),
            http_config: None,
        }
    }
}

/// Names and texts of the files that a pattern means, seen from a folder.
pub type Files<'a> = dyn Fn(&Path, &str) -> Result<Vec<(String, String)>, String> + 'a;

impl Config {
    /// Takes in the text of `config_file`; `name` is the file as the person gave it, and paths in it are meant from
    /// `base`. `files` reads those that a pattern in it means.
    ///
    /// # Errors
    /// Every mistake, with its place.
    pub fn read_file(
        &mut self,
        name: &str,
        text: &str,
        base: &Path,
        files: &Files<'_>,
    ) -> Result<(), Vec<Complaint>> {
        let read = alertmanager::read(name, text, base, self.timing(), files)?;
        self.file = Some(Arc::new(read));
        Ok(())
    }

    /// Every file that it names, for whoever knows where paths are meant from.
    pub fn files_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let slack = self.slack.iter_mut().flat_map(|slack| {
            let http = slack.http_config.iter_mut().flat_map(HttpConfig::files_mut);
            slack
                .webhook_file
                .iter_mut()
                .chain(&mut slack.bot_token_file)
                .chain(http)
        });
        let pagerduty = self.pagerduty.iter_mut().flat_map(|pagerduty| {
            let http = pagerduty.http_config.iter_mut().flat_map(HttpConfig::files_mut);
            pagerduty.routing_key_file.iter_mut().chain(http)
        });
        let email = self.email.iter_mut();
        let email = email.flat_map(|email| email.password_file.iter_mut().chain(&mut email.ca_file));
        let webhooks = self.webhook.iter_mut().flat_map(|webhook| {
            let http = webhook.http_config.iter_mut().flat_map(HttpConfig::files_mut);
            webhook
                .url_file
                .iter_mut()
                .chain(&mut webhook.bearer_token_file)
                .chain(http)
        });
        let heartbeat = self.heartbeat.iter_mut().flat_map(|heartbeat| {
            let http = heartbeat.http_config.iter_mut().flat_map(HttpConfig::files_mut);
            http.chain(&mut heartbeat.url_file)
        });
        let http = self.http_config.iter_mut().flat_map(HttpConfig::files_mut);
        let receivers = slack.chain(pagerduty).chain(email).chain(webhooks);
        receivers
            .chain(heartbeat)
            .chain(http)
            .chain(&mut self.config_file)
    }

    pub(crate) fn timing(&self) -> Timing {
        Timing {
            group_wait: self.group_wait,
            group_interval: self.group_interval,
            repeat_interval: self.repeat_interval,
            resolve_wait: self.resolve_wait,
            repeats_on_tick: self.repeat_on_tick,
            tells_after_silence: self.tell_after_silence,
            tells_lone_ends: self.tell_lone_ends,
            tells_muted_ends: self.tell_muted_ends,
        }
    }

    /// What the heartbeat is told to do; reached as all are where it says nothing itself.
    pub(crate) fn beats(&self) -> Option<heartbeat::Config> {
        let mut beats = self.heartbeat.clone()?;
        beats.http_config = beats.http_config.or_else(|| self.http_config.clone());
        Some(beats)
    }

    /// What of `config_file` has no effect, each with its place.
    #[must_use]
    pub fn notes(&self) -> &[Complaint] {
        self.file.as_ref().map_or(&[], |file| &file.notes)
    }

    /// Names of those who are told, as on the page.
    #[must_use]
    pub fn receivers(&self) -> Vec<String> {
        let receivers = Plan::of(self).receivers;
        receivers.iter().map(|receiver| receiver.title()).collect()
    }

    /// Where alerts go at this time; and one with these labels, if they are given.
    #[must_use]
    pub fn routing(&self, labels: Option<&Labels>, now: Timestamp) -> Routing {
        Plan::of(self).routing(labels, now, &[])
    }

    /// What is wrong with it, each a sentence that begins with the path in the file. Empty: nothing.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        self.complain_of_both(&mut wrong);
        if let Some(slack) = &self.slack {
            slack.complain(&mut wrong);
        }
        if let Some(pagerduty) = &self.pagerduty {
            pagerduty.complain(&mut wrong);
        }
        if let Some(email) = &self.email {
            email.complain(&mut wrong);
        }
        let mut names: Vec<String> = self.slack.iter().map(|_| "slack".to_owned()).collect();
        names.extend(self.pagerduty.iter().map(|_| "pagerduty".to_owned()));
        names.extend(self.email.iter().map(|_| "email".to_owned()));
        for (nth, webhook) in self.webhook.iter().enumerate() {
            let path = format!("notifier.webhook[{nth}]");
            webhook.complain(&path, &mut wrong);
            let name = webhook.name(nth);
            if names.contains(&name) {
                wrong.push(format!(
                    "{path}.name: {name:?} is the name of another receiver; give each its own"
                ));
            }
            names.push(name);
        }
        complain_of_http("notifier", self.http_config.as_ref(), None, &mut wrong);
        self.complain_of_fallback(&names, &mut wrong);
        if let Some(heartbeat) = &self.heartbeat {
            heartbeat.complain(&mut wrong);
        }
        if self.storm_groups == Some(1) {
            wrong.push(
                "notifier.storm_groups: one group is no storm; at least 2, or 0 for none at all".to_owned(),
            );
        }
        self.evidence.complain(&mut wrong);
        self.complain_of_grouping(&mut wrong);
        if !self.external_url.is_empty() && !is_http(&self.external_url) {
            wrong.push("notifier.external_url: not an http:// or https:// URL".to_owned());
        }
        wrong
    }

    /// What a file says stands nowhere else.
    fn complain_of_both(&self, wrong: &mut Vec<String>) {
        if self.config_file.is_none() {
            return;
        }
        let usual = Self::default();
        for (key, is_there) in [
            ("slack", self.slack.is_some()),
            ("pagerduty", self.pagerduty.is_some()),
            ("email", self.email.is_some()),
            ("webhook", !self.webhook.is_empty()),
            ("http_config", self.http_config.is_some()),
            ("group_by", self.group_by != usual.group_by),
            ("group_wait", self.group_wait != usual.group_wait),
            ("group_interval", self.group_interval != usual.group_interval),
            ("repeat_interval", self.repeat_interval != usual.repeat_interval),
        ] {
            if is_there {
                wrong.push(format!(
                    "notifier.{key}: notifier.config_file says this as well; keep one of them"
                ));
            }
        }
    }

    fn complain_of_fallback(&self, names: &[String], wrong: &mut Vec<String>) {
        let Some(fallback) = &self.fallback else {
            return;
        };
        let known: Vec<&str> = match &self.file {
            Some(file) => file.plan.teams.keys().map(String::as_str).collect(),
            None => names.iter().map(String::as_str).collect(),
        };
        if self.config_file.is_some() && self.file.is_none() {
            return;
        }
        if !known.contains(&fallback.as_str()) {
            let hint = match model::complaint::nearest(fallback, known.iter().copied()) {
                Some(near) => format!("; did you mean {near:?}?"),
                None => String::new(),
            };
            wrong.push(format!(
                "notifier.fallback: no receiver is called {fallback:?}{hint}"
            ));
        } else if known.len() == 1 {
            wrong.push("notifier.fallback: the only receiver cannot stand in for another one".to_owned());
        }
    }

    fn complain_of_grouping(&self, wrong: &mut Vec<String>) {
        for (nth, name) in self.group_by.iter().enumerate() {
            if name == ALL_LABELS && self.group_by.len() > 1 {
                wrong.push(format!(
                    "notifier.group_by[{nth}]: '...' means all labels and stands alone"
                ));
            } else if name != ALL_LABELS && !is_legacy_label_name(name) {
                wrong.push(format!("notifier.group_by[{nth}]: not a label name: {name:?}"));
            }
        }
        for (name, value) in [
            ("group_interval", self.group_interval),
            ("repeat_interval", self.repeat_interval),
        ] {
            if value < Duration::from_secs(1) {
                wrong.push(format!("notifier.{name}: must be at least 1s"));
            }
        }
    }
}

impl Slack {
    fn complain(&self, wrong: &mut Vec<String>) {
        const PATH: &str = "notifier.slack";
        let is_bot = self.bot_token.is_some() || self.bot_token_file.is_some();
        let is_webhook = self.webhook_url.is_some() || self.webhook_file.is_some();
        match (is_bot, is_webhook) {
            (false, false) => wrong.push(format!(
                "{PATH}: set bot_token or bot_token_file, or else webhook_url or webhook_file"
            )),
            (true, true) => wrong.push(format!(
                "{PATH}: a bot token and a webhook are both set; keep one (the bot can edit and reply)"
            )),
            (false, true) => address(
                PATH,
                ("webhook_url", self.webhook_url.as_ref()),
                ("webhook_file", self.webhook_file.as_ref()),
                wrong,
            ),
            (true, false) => self.complain_of_bot(PATH, wrong),
        }
        let token = is_bot.then_some("the bot token");
        complain_of_http(PATH, self.http_config.as_ref(), token, wrong);
        let channel = self.channel.as_deref().unwrap_or_default();
        if let Err(why) = Text::new(&Language::alertmanager(), "channel", channel) {
            wrong.push(format!("{PATH}.{why}"));
        }
        patience(PATH, self.timeout, wrong);
    }
}

impl Slack {
    fn complain_of_bot(&self, path: &str, wrong: &mut Vec<String>) {
        if self.bot_token.is_some() && self.bot_token_file.is_some() {
            wrong.push(format!(
                "{path}: bot_token and bot_token_file are both set; keep one"
            ));
        }
        if self.channel.as_deref().unwrap_or_default().is_empty() {
            wrong.push(format!(
                "{path}.channel: a bot has to be told where to post, for example '#ops'"
            ));
        }
        if !is_http(&self.api_url) || !self.api_url.ends_with(POST) {
            wrong.push(format!(
                "{path}.api_url: not an http:// or https:// URL that ends in {POST}"
            ));
        }
    }
}

impl PagerDuty {
    fn complain(&self, wrong: &mut Vec<String>) {
        const PATH: &str = "notifier.pagerduty";
        const KEY_LENGTH: usize = 32;
        match (&self.routing_key, &self.routing_key_file) {
            (None, None) => wrong.push(format!("{PATH}: set routing_key or routing_key_file")),
            (Some(_), Some(_)) => wrong.push(format!(
                "{PATH}: routing_key and routing_key_file are both set; keep one"
            )),
            (Some(key), None) if key.expose().chars().count() != KEY_LENGTH => {
                wrong.push(format!(
                    "{PATH}.routing_key: must be {KEY_LENGTH} characters long"
                ));
            }
            _ => {}
        }
        if !is_http(&self.url) {
            wrong.push(format!("{PATH}.url: not an http:// or https:// URL"));
        }
        if let Err(why) = Changes::new(&self.change_events) {
            wrong.push(format!("{PATH}.change_events: {why}"));
        }
        if !self.change_events.is_empty() && changes::address(&self.url).is_none() {
            wrong.push(format!(
                "{PATH}.url: must end in /enqueue, because changes go to /change/enqueue beside it"
            ));
        }
        if !is_legacy_label_name(&self.severity_label) {
            wrong.push(format!(
                "{PATH}.severity_label: not a label name: {:?}",
                self.severity_label
            ));
        }
        complain_of_http(PATH, self.http_config.as_ref(), None, wrong);
        patience(PATH, self.timeout, wrong);
    }
}

impl Email {
    /// # Errors
    /// The first mistake, which begins with its key.
    pub(crate) fn read(&self) -> Result<email::Email, String> {
        let language = Language::alertmanager();
        let text = |key: &str, text: &str| match text.trim() {
            "" => Err(format!("{key}: is not set")),
            text => Text::new(&language, key, text),
        };
        let (host, port) = email::host_and_port(&self.smarthost)
            .ok_or("smarthost: not a host and its port, such as smtp.example.org:587")?;
        let encryption = match self.encryption {
            Some(Hidden::Tls) => Encryption::Tls,
            Some(Hidden::StartTls) => Encryption::StartTls,
            Some(Hidden::None) => Encryption::None,
            None if port == IMPLICIT_TLS => Encryption::Tls,
            None => Encryption::StartTls,
        };
        let password = place(self.password.as_ref(), self.password_file.as_ref());
        let login = match (&self.username, password) {
            (Some(username), Some(password)) => Some((username.clone(), password)),
            (None, None) => None,
            (Some(_), None) => return Err("username: set password or password_file as well".to_owned()),
            (None, Some(_)) => return Err("password: set username as well".to_owned()),
        };
        let server = Server {
            host,
            port,
            hello: self.hello.clone(),
            encryption,
            trust: Trust {
                ca_file: self.ca_file.clone(),
                ..Trust::default()
            },
            login,
        };
        if server.tells_all() {
            return Err("encryption: without it the password would be readable on its way".to_owned());
        }
        email::read_addresses(&self.from).map_err(|why| format!("from: {why}"))?;
        // A template is an address only once it has been filled in.
        if !self.to.contains("{{") {
            email::read_addresses(&self.to).map_err(|why| format!("to: {why}"))?;
        }
        Ok(email::Email {
            server,
            from: text("from", &self.from)?,
            to: text("to", &self.to)?,
            subject: None,
            headers: Vec::new(),
            text: Words::Ours,
            html: Some(Text::new(&language, "html", email::PAGE)?),
            threads: self.threads,
        })
    }

    fn complain(&self, wrong: &mut Vec<String>) {
        const PATH: &str = "notifier.email";
        if self.password.is_some() && self.password_file.is_some() {
            wrong.push(format!(
                "{PATH}: password and password_file are both set; keep one"
            ));
        }
        if let Err(why) = self.read() {
            wrong.push(format!("{PATH}.{why}"));
        }
        patience(PATH, self.timeout, wrong);
    }
}

impl Webhook {
    pub(crate) fn name(&self, nth: usize) -> String {
        match &self.name {
            Some(name) => name.clone(),
            None if nth == 0 => "webhook".to_owned(),
            None => format!("webhook-{}", nth + 1),
        }
    }

    fn complain(&self, path: &str, wrong: &mut Vec<String>) {
        address(
            path,
            ("url", self.url.as_ref()),
            ("url_file", self.url_file.as_ref()),
            wrong,
        );
        patience(path, self.timeout, wrong);
        if self.bearer_token.is_some() && self.bearer_token_file.is_some() {
            wrong.push(format!(
                "{path}: bearer_token and bearer_token_file are both set; keep one"
            ));
        }
        let has_token = self.bearer_token.is_some() || self.bearer_token_file.is_some();
        let token = has_token.then_some("bearer_token");
        complain_of_http(path, self.http_config.as_ref(), token, wrong);
        let name_length = self.name.as_ref().map_or(1, |name| name.chars().count());
        if !(1..=64).contains(&name_length) {
            wrong.push(format!("{path}.name: must be 1 to 64 characters long"));
        }
    }
}

/// `token` is what says who we are already, if anything does.
pub(crate) fn complain_of_http(
    path: &str,
    http_config: Option<&HttpConfig>,
    token: Option<&str>,
    wrong: &mut Vec<String>,
) {
    let Some(http_config) = http_config else {
        return;
    };
    match (http_config.read(Path::new("")), token) {
        (Err(why), _) => wrong.push(format!("{path}.http_config.{why}")),
        (Ok(reach), Some(token)) if !reach.credential.is_none() => wrong.push(format!(
            "{path}.http_config: {token} says who we are, and only one of them can be sent; keep one"
        )),
        _ => {}
    }
}

/// Exactly one of URL and file; a URL is never quoted, it is a secret.
pub(crate) fn address(
    path: &str,
    url: (&str, Option<&Secret>),
    file: (&str, Option<&PathBuf>),
    wrong: &mut Vec<String>,
) {
    let (url_key, file_key) = (url.0, file.0);
    match (url.1, file.1) {
        (None, None) => wrong.push(format!("{path}: set {url_key} or {file_key}")),
        (Some(_), Some(_)) => wrong.push(format!("{path}: {url_key} and {file_key} are both set; keep one")),
        (Some(url), None) if !is_http(url.expose()) => {
            wrong.push(format!("{path}.{url_key}: not an http:// or https:// URL"));
        }
        _ => {}
    }
}

pub(crate) fn patience(path: &str, timeout: Duration, wrong: &mut Vec<String>) {
    if timeout < Duration::from_millis(100) || timeout > Duration::from_secs(300) {
        wrong.push(format!("{path}.timeout: must be between 100ms and 5m"));
    }
}

pub(crate) fn is_http(url: &str) -> bool {
    url.strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))
        .is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Config {
        yaml::read("notifier.yaml", text).unwrap()
    }

    #[test]
    fn an_empty_configuration_tells_nobody_and_is_right() {
        let config = read("{}");
        assert!(config.slack.is_none() && config.webhook.is_empty());
        assert_eq!(config.group_by, ["alertname"]);
        assert_eq!(config.complaints(), Vec::<String>::new());
    }

    #[test]
    fn both_receivers_are_read() {
        let config = read(
            "slack: { webhook_file: /run/secrets/slack, channel: '#ops' }\n\
             webhook:\n  - { url: 'http://localhost:9000/hook', max_alerts: 50 }\n  \
             - { name: ops, url_file: /run/secrets/ops, send_resolved: false, timeout: 3s }\n\
             group_by: [alertname, instance]\nrepeat_interval: 1h\n",
        );
        assert_eq!(config.complaints(), Vec::<String>::new());
        assert_eq!(config.repeat_interval, Duration::from_secs(3600));
        let names: Vec<String> = (0..)
            .zip(&config.webhook)
            .map(|(nth, hook)| hook.name(nth))
            .collect();
        assert_eq!(names, ["webhook", "ops"]);
    }

    #[test]
    fn mistakes_are_sentences_with_their_path() {
        let config = read(
            "slack: {}\nexternal_url: example.org\ngroup_by: ['...', job]\ngroup_interval: 0s\n\
             webhook:\n  - { name: slack, url: 'ftp://x', timeout: 0s }\n  \
             - { url: 'http://a', url_file: b, bearer_token: c, bearer_token_file: d }\n",
        );
        let wrong = config.complaints();
        for sentence in [
            "notifier.slack: set bot_token or bot_token_file, or else webhook_url or webhook_file",
            "notifier.webhook[0].url: not an http:// or https:// URL",
            "notifier.webhook[0].timeout: must be between 100ms and 5m",
            "notifier.webhook[0].name: \"slack\" is the name of another receiver; give each its own",
            "notifier.webhook[1]: url and url_file are both set; keep one",
            "notifier.webhook[1]: bearer_token and bearer_token_file are both set; keep one",
            "notifier.group_by[0]: '...' means all labels and stands alone",
            "notifier.group_interval: must be at least 1s",
            "notifier.external_url: not an http:// or https:// URL",
        ] {
            assert!(
                wrong.iter().any(|found| found == sentence),
                "{sentence}\nnot in {wrong:#?}"
            );
        }
        assert_eq!(wrong.len(), 9, "{wrong:#?}");
    }

    #[test]
    fn a_pager_is_read_and_looked_at() {
        let config =
            read("pagerduty: { routing_key: 0123456789abcdef0123456789abcdef, severity_label: level }");
        assert_eq!(config.complaints(), Vec::<String>::new());
        let pagerduty = config.pagerduty.unwrap();
        assert_eq!(pagerduty.url, "https://events.pagerduty.com/v2/enqueue");
        assert!(pagerduty.send_resolved && pagerduty.timeout == Duration::from_secs(10));
        let wrong = read(
            "pagerduty: { routing_key: short, url: ftp://x, severity_label: a-b, timeout: 1h }\n\
             webhook: [{ name: pagerduty, url: 'http://a' }]",
        );
        assert_eq!(
            wrong.complaints(),
            [
                "notifier.pagerduty.routing_key: must be 32 characters long",
                "notifier.pagerduty.url: not an http:// or https:// URL",
                "notifier.pagerduty.severity_label: not a label name: \"a-b\"",
                "notifier.pagerduty.timeout: must be between 100ms and 5m",
                "notifier.webhook[0].name: \"pagerduty\" is the name of another receiver; give each its own",
            ]
        );
        assert_eq!(
            read("pagerduty: {}").complaints(),
            ["notifier.pagerduty: set routing_key or routing_key_file"]
        );
    }

    #[test]
    fn a_secret_is_not_printed() {
        let config = read(
            "{ slack: { webhook_url: 'https://hooks.slack.example/T0/B0/s3cret' }, pagerduty: { routing_key: s3cret } }",
        );
        assert!(!format!("{config:?}").contains("s3cret"));
    }
}
