//! A file's receivers: one for each entry of each kind, named as Alertmanager counts them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use net::{Credential, Reach, Secret};
use template::Language;
use yaml::Spanned;

use super::file::{Global, Http, Inline, PagerDuty, Receiver as Written, Slack, Span, Webhook};
use super::http::{Wrong, one, place, reach};
use super::looks;
use crate::look::structure::Structure;
use crate::receiver::{Kind, Place, Receiver};
use crate::slack::POST;

const PAGERDUTY_URL: &str = "https://events.pagerduty.com/v2/enqueue";
const SLACK_APP_URL: &str = "https://slack.com/api/chat.postMessage";
/// Longest wait for an answer where the file does not say.
const PATIENCE: Duration = Duration::from_secs(10);
const PATIENCE_MOST: Duration = Duration::from_secs(300);

/// What is the same for all of a receiver.
pub(super) struct Common<'a> {
    pub(super) base: &'a Path,
    pub(super) language: &'a Language,
    pub(super) global: &'a Global,
    pub(super) receiver: &'a Written,
}

impl Common<'_> {
    pub(super) fn name(&self, kind: &str, nth: usize) -> Arc<str> {
        format!("{}/{kind}[{nth}]", self.receiver.name).into()
    }

    fn reach(&self, own: Option<&Spanned<Http>>) -> Result<Reach, Wrong> {
        reach(self.base, own, self.global.http_config.as_ref())
    }

    pub(super) fn build(&self, name: Arc<str>, kind: Kind, url: Place, reach: Reach) -> Receiver {
        Receiver::new(name, self.receiver.name.as_str().into(), kind, url, reach)
    }

    pub(super) fn slack(&self, nth: usize, slack: &Slack) -> Result<Receiver, Wrong> {
        let global = self.global;
        one(
            ("api_url", "api_url_file"),
            slack.api_url.as_ref(),
            slack.api_url_file.as_ref(),
        )?;
        one(
            ("app_token", "app_token_file"),
            slack.app_token.as_ref(),
            slack.app_token_file.as_ref(),
        )?;
        let of =
            |here: &Option<Inline>, file: &Option<String>| place(self.base, here.as_ref(), file.as_ref());
        let has_auth = slack
            .http_config
            .as_ref()
            .is_some_and(|http| http.value.authorization.is_some());
        let own_url = of(&slack.api_url, &slack.api_url_file);
        let own_token = of(&slack.app_token, &slack.app_token_file);
        let token = own_token.or_else(|| {
            let is_free = !has_auth && slack.api_url.is_none();
            of(&global.slack_app_token, &global.slack_app_token_file).filter(|_| is_free)
        });
        let webhook = own_url.or_else(|| of(&global.slack_api_url, &global.slack_api_url_file));
        let own_http = slack.http_config.as_ref().map(|http| &http.value);
        let mut reach = self.reach(slack.http_config.as_ref())?;
        let url = match (token, webhook) {
            (Some(_), _) if own_http.is_some_and(says_who) => {
                return Err(
                    "http authorization can't be set when using Slack App tokens, which say who we are"
                        .to_owned(),
                );
            }
            (Some(token), _) => {
                let url = slack.app_url.as_deref().or(global.slack_app_url.as_deref());
                let url = checked(url.unwrap_or(SLACK_APP_URL))?;
                reach.credential = Credential::bearer(token);
                Place::Here(url)
            }
            (None, Some(webhook)) => webhook,
            (None, None) => {
                return Err("no Slack API URL nor App token set either inline or in a file".to_owned());
            }
        };
        check_url(&url)?;
        let is_app =
            !reach.credential.is_none() && matches!(&url, Place::Here(url) if url.expose().ends_with(POST));
        if slack.update_message && !is_app {
            return Err(format!(
                "update_message needs a bot token: set app_token, or api_url to {SLACK_APP_URL} with \
                 http_config.authorization"
            ));
        }
        let look = looks::slack(self.language, slack)?.map(Box::new);
        // Who writes messages of their own has a new one each time, as with Alertmanager, unless they ask for edits.
        let is_own = look.as_ref().is_some_and(|look| look.is_whole);
        let kind = Kind::Slack {
            channel: looks::text(self.language, "channel", slack.channel.as_ref())?,
            has_threads: is_app && (slack.update_message || !is_own),
            look,
        };
        let receiver = self.build(self.name("slack", nth), kind, url, reach);
        Ok(receiver.with(slack.send_resolved, patience(slack.timeout)))
    }

    pub(super) fn pagerduty(&self, nth: usize, pagerduty: &PagerDuty) -> Result<Receiver, Wrong> {
        one(
            ("routing_key", "routing_key_file"),
            pagerduty.routing_key.as_ref(),
            pagerduty.routing_key_file.as_ref(),
        )?;
        let routing_key = place(
            self.base,
            pagerduty.routing_key.as_ref(),
            pagerduty.routing_key_file.as_ref(),
        );
        let service_key = place(
            self.base,
            pagerduty.service_key.as_ref(),
            pagerduty.service_key_file.as_ref(),
        );
        let routing_key = match (routing_key, service_key) {
            (Some(key), None) => key,
            (None, Some(_)) => {
                return Err(
                    "service_key is of PagerDuty's first events API; make an Events API v2 integration and write its \
                     key as routing_key"
                        .to_owned(),
                );
            }
            (Some(_), Some(_)) => {
                return Err("at most one of routing_key & service_key must be configured".to_owned());
            }
            (None, None) => return Err("missing service or routing key in PagerDuty config".to_owned()),
        };
        let url = pagerduty.url.as_deref().or(self.global.pagerduty_url.as_deref());
        let kind = Kind::PagerDuty {
            routing_key,
            severity_label: "severity".to_owned(),
            look: looks::pagerduty(self.language, pagerduty)?.map(Box::new),
            is_by_alert: false,
            changes: None,
        };
        let url = Place::Here(checked(url.unwrap_or(PAGERDUTY_URL))?);
        let reach = self.reach(pagerduty.http_config.as_ref())?;
        let receiver = self.build(self.name("pagerduty", nth), kind, url, reach);
        Ok(receiver.with(pagerduty.send_resolved, patience(pagerduty.timeout)))
    }

    pub(super) fn webhook(&self, nth: usize, webhook: &Webhook) -> Result<Receiver, Wrong> {
        one(
            ("url", "url_file"),
            webhook.url.as_ref(),
            webhook.url_file.as_ref(),
        )?;
        let payload = webhook.payload.as_ref();
        let payload = payload.map(|payload| Structure::new(self.language, "payload", &payload.value));
        let url = place(self.base, webhook.url.as_ref(), webhook.url_file.as_ref());
        let url = url.ok_or("one of url or url_file must be configured")?;
        check_url(&url)?;
        let kind = Kind::Webhook {
            max_alerts: webhook.max_alerts,
            called: self.receiver.name.as_str().into(),
            payload: payload.transpose()?,
        };
        let reach = self.reach(webhook.http_config.as_ref())?;
        let receiver = self.build(self.name("webhook", nth), kind, url, reach);
        Ok(receiver.with(webhook.send_resolved, patience(webhook.timeout)))
    }
}

/// Whether it says who we are, in any way.
fn says_who(http: &Http) -> bool {
    http.basic_auth.is_some()
        || http.authorization.is_some()
        || http.oauth2.is_some()
        || http.bearer_token.is_some()
        || http.bearer_token_file.is_some()
}

/// A zero is no limit there, and the longest wait here.
fn patience(written: Option<Span>) -> Duration {
    match written {
        None => PATIENCE,
        Some(Span(Duration::ZERO)) => PATIENCE_MOST,
        Some(Span(timeout)) => timeout.min(PATIENCE_MOST),
    }
}

fn checked(url: &str) -> Result<Secret, Wrong> {
    let secret = Secret::plain(url);
    check_url(&Place::Here(secret.clone()))?;
    Ok(secret)
}

/// A URL may hold a secret: it is not quoted.
fn check_url(url: &Place) -> Result<(), Wrong> {
    match url {
        Place::Here(url) if !crate::config::is_http(url.expose()) => {
            Err("the URL begins with neither http:// nor https://, or names no host".to_owned())
        }
        _ => Ok(()),
    }
}
