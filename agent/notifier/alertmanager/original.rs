//! The configuration in force as `GET /api/v2/status` shows it: in Alertmanager's words, so that `amtool config` works, and
//! without its secrets.

use std::path::{Path, PathBuf};
use std::time::Duration;

use model::mail::Encryption;
use model::text::duration::short;
use net::{HttpConfig, Secret};

use super::node::Node;
use super::secrets::{Secrets, hidden};
use crate::config::{Config, Email, PagerDuty, Slack, Webhook};
use crate::email::Threads;
use crate::plan::{EVERYBODY, FALLBACK, RESOLVE_TIMEOUT};

/// An Alertmanager's file as it may be seen, and what is hidden in it; nothing of both where the file is no YAML.
pub(super) fn of_file(text: &str) -> (String, Secrets) {
    match yaml::read::<Node>("", text) {
        Ok(document) => {
            let (shown, secrets) = hidden(document);
            (yaml::write(&shown), secrets)
        }
        Err(_) => (String::new(), Secrets::default()),
    }
}

/// What Alertmanager would be told in place of our own configuration.
pub(crate) fn of_config(config: &Config) -> String {
    let is_fallback = |name: &str| config.fallback.as_deref() == Some(name);
    let mut receivers = vec![receiver(config, EVERYBODY, |name| !is_fallback(name))];
    if config.fallback.is_some() {
        receivers.push(receiver(config, FALLBACK, is_fallback));
    }
    let times = [
        ("group_wait", config.group_wait),
        ("group_interval", config.group_interval),
        ("repeat_interval", config.repeat_interval),
    ];
    let group_by = config.group_by.iter().map(Node::text).collect();
    let mut route = vec![
        ("receiver".to_owned(), Node::text(EVERYBODY)),
        ("group_by".to_owned(), Node::List(group_by)),
    ];
    route.extend(times.map(|(key, length)| (key.to_owned(), Node::text(short(length)))));
    let document = Node::map([
        (
            "global",
            Some(Node::map([
                ("resolve_timeout", Some(Node::text(short(RESOLVE_TIMEOUT)))),
                ("http_config", config.http_config.as_ref().map(http)),
            ])),
        ),
        ("route", Some(Node::Map(route))),
        ("receivers", Some(Node::List(receivers))),
    ]);
    // Where something was forgotten above, its key is known here.
    yaml::write(&hidden(document).0)
}

/// All whose names are meant.
fn receiver(config: &Config, name: &str, is_meant: impl Fn(&str) -> bool) -> Node {
    let list = |all: Vec<Node>| (!all.is_empty()).then_some(Node::List(all));
    let one = |name: &str, node: Option<Node>| list(node.into_iter().filter(|_| is_meant(name)).collect());
    let all = config.http_config.as_ref();
    let webhooks = config.webhook.iter().enumerate();
    let webhooks = webhooks.filter(|(nth, webhook)| is_meant(&webhook.name(*nth)));
    Node::map([
        ("name", Some(Node::text(name))),
        ("slack_configs", one("slack", config.slack.as_ref().map(slack))),
        (
            "pagerduty_configs",
            one("pagerduty", config.pagerduty.as_ref().map(pagerduty)),
        ),
        (
            "email_configs",
            one("email", config.email.as_ref().and_then(email)),
        ),
        (
            "webhook_configs",
            list(webhooks.map(|(_, one)| webhook(one, all)).collect()),
        ),
    ])
}

fn slack(slack: &Slack) -> Node {
    let is_bot = slack.bot_token.is_some() || slack.bot_token_file.is_some();
    let for_bots = |node: Option<Node>| node.filter(|_| is_bot);
    Node::map([
        ("app_token", for_bots(secret(slack.bot_token.as_ref()))),
        ("app_token_file", for_bots(file(slack.bot_token_file.as_ref()))),
        ("app_url", for_bots(Some(Node::text(&slack.api_url)))),
        ("api_url", secret(slack.webhook_url.as_ref())),
        ("api_url_file", file(slack.webhook_file.as_ref())),
        ("channel", slack.channel.as_ref().map(Node::text)),
        ("send_resolved", Some(Node::Flag(slack.send_resolved))),
        ("timeout", time(slack.timeout)),
        ("http_config", slack.http_config.as_ref().map(http)),
    ])
}

fn pagerduty(pagerduty: &PagerDuty) -> Node {
    Node::map([
        ("routing_key", secret(pagerduty.routing_key.as_ref())),
        ("routing_key_file", file(pagerduty.routing_key_file.as_ref())),
        ("url", Some(Node::text(&pagerduty.url))),
        ("send_resolved", Some(Node::Flag(pagerduty.send_resolved))),
        ("timeout", time(pagerduty.timeout)),
        ("http_config", pagerduty.http_config.as_ref().map(http)),
    ])
}

fn email(email: &Email) -> Option<Node> {
    let server = email.read().ok()?.server;
    let threads = match email.threads {
        Threads::None => None,
        Threads::Daily => Some("daily"),
        Threads::Group => Some("none"),
    };
    let threading = threads.map(|by| {
        Node::map([
            ("enabled", Some(Node::Flag(true))),
            ("thread_by_date", Some(Node::text(by))),
        ])
    });
    Some(Node::map([
        ("to", Some(Node::text(&email.to))),
        ("from", Some(Node::text(&email.from))),
        ("smarthost", Some(Node::text(&email.smarthost))),
        ("hello", Some(Node::text(&email.hello))),
        ("auth_username", email.username.as_ref().map(Node::text)),
        ("auth_password", secret(email.password.as_ref())),
        ("auth_password_file", file(email.password_file.as_ref())),
        (
            "require_tls",
            Some(Node::Flag(server.encryption != Encryption::None)),
        ),
        (
            "force_implicit_tls",
            Some(Node::Flag(server.encryption == Encryption::Tls)),
        ),
        (
            "tls_config",
            email
                .ca_file
                .as_ref()
                .map(|path| Node::map([("ca_file", file(Some(path)))])),
        ),
        ("threading", threading),
        ("send_resolved", Some(Node::Flag(email.send_resolved))),
    ]))
}

fn webhook(webhook: &Webhook, all: Option<&HttpConfig>) -> Node {
    let has_token = webhook.bearer_token.is_some() || webhook.bearer_token_file.is_some();
    let mut reached = webhook.http_config.clone();
    if has_token {
        // Said for one, it stands in place of what is said for all.
        let said = reached.get_or_insert_with(|| all.cloned().unwrap_or_default());
        (said.basic_auth, said.authorization, said.oauth2) = (None, None, None);
        said.bearer_token.clone_from(&webhook.bearer_token);
        said.bearer_token_file.clone_from(&webhook.bearer_token_file);
    }
    let max_alerts = i64::try_from(webhook.max_alerts).unwrap_or(i64::MAX);
    Node::map([
        ("url", secret(webhook.url.as_ref())),
        ("url_file", file(webhook.url_file.as_ref())),
        ("max_alerts", Some(Node::Whole(max_alerts))),
        ("send_resolved", Some(Node::Flag(webhook.send_resolved))),
        ("timeout", time(webhook.timeout)),
        ("http_config", reached.as_ref().map(http)),
    ])
}

fn http(config: &HttpConfig) -> Node {
    // It has been written by the line before, and is read as it was written.
    let text = yaml::write(config);
    yaml::read("", &text).unwrap_or(Node::Map(Vec::new()))
}

fn secret(secret: Option<&Secret>) -> Option<Node> {
    let secret = secret.filter(|secret| !secret.is_empty());
    secret.map(|_| Node::text(Secret::SHOWN))
}

fn file(path: Option<&PathBuf>) -> Option<Node> {
    let path: &Path = path?;
    Some(Node::text(path.display().to_string()))
}

fn time(length: Duration) -> Option<Node> {
    Some(Node::text(short(length)))
}
