//! The file's shape: every key of Alertmanager 0.34, also those that Skopos has no use for.

use std::collections::BTreeMap;
use std::time::Duration;

use net::Secret;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use yaml::Spanned;

use crate::interval::Interval;

/// A key whose value does nothing here; with its place, so that a note can name it.
pub(super) type Unused = Option<Spanned<IgnoredAny>>;

/// A text that may hold templates.
pub(super) type Written = Option<Spanned<String>>;

/// Those that are there.
fn named<'u>(
    keys: &[(&'static str, &'u Unused)],
) -> impl Iterator<Item = (&'static str, &'u Spanned<IgnoredAny>)> + use<'u> {
    let there: Vec<_> = keys
        .iter()
        .filter_map(|(key, found)| Some((*key, found.as_ref()?)))
        .collect();
    there.into_iter()
}

/// A secret as it is written, without the environment's names in it: Alertmanager knows none.
#[derive(Clone, Debug, Default)]
pub(super) struct Inline(pub(super) Secret);

impl AsRef<Secret> for Inline {
    fn as_ref(&self) -> &Secret {
        &self.0
    }
}

/// How receivers are reached; its paths are meant from the file.
pub(super) type Http = net::HttpConfig<Inline>;

impl<'de> Deserialize<'de> for Inline {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Secret::plain(&String::deserialize(deserializer)?)))
    }
}

/// A duration as Prometheus writes it: `5m`.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Span(#[serde(deserialize_with = "model::text::duration::deserialize")] pub(super) Duration);

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    #[serde(deserialize_with = "yaml::null_default")]
    pub(super) global: Global,
    pub(super) route: Option<Spanned<Route>>,
    #[serde(deserialize_with = "yaml::null_default")]
    pub(super) inhibit_rules: Vec<Spanned<Inhibit>>,
    #[serde(deserialize_with = "yaml::null_default")]
    pub(super) receivers: Vec<Spanned<Receiver>>,
    #[serde(deserialize_with = "yaml::null_default")]
    pub(super) templates: Vec<Spanned<String>>,
    #[serde(deserialize_with = "yaml::null_default")]
    pub(super) mute_time_intervals: Vec<Spanned<Named>>,
    #[serde(deserialize_with = "yaml::null_default")]
    pub(super) time_intervals: Vec<Spanned<Named>>,
    pub(super) tracing: Unused,
    pub(super) event_recorder: Unused,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Global {
    pub(super) resolve_timeout: Option<Span>,
    pub(super) http_config: Option<Spanned<Http>>,
    pub(super) slack_api_url: Option<Inline>,
    pub(super) slack_api_url_file: Option<String>,
    pub(super) slack_app_token: Option<Inline>,
    pub(super) slack_app_token_file: Option<String>,
    pub(super) slack_app_url: Option<String>,
    pub(super) pagerduty_url: Option<String>,
    jira_api_url: Unused,
    pub(super) smtp_from: Written,
    pub(super) smtp_hello: Option<String>,
    pub(super) smtp_smarthost: Option<String>,
    pub(super) smtp_auth_username: Option<String>,
    pub(super) smtp_auth_password: Option<Inline>,
    pub(super) smtp_auth_password_file: Option<String>,
    pub(super) smtp_auth_secret: Option<Inline>,
    pub(super) smtp_auth_secret_file: Option<String>,
    pub(super) smtp_auth_identity: Option<String>,
    pub(super) smtp_require_tls: Option<bool>,
    pub(super) smtp_tls_config: Option<Tls>,
    pub(super) smtp_force_implicit_tls: Option<bool>,
    opsgenie_api_url: Unused,
    opsgenie_api_key: Unused,
    opsgenie_api_key_file: Unused,
    wechat_api_url: Unused,
    wechat_api_secret: Unused,
    wechat_api_secret_file: Unused,
    wechat_api_corp_id: Unused,
    victorops_api_url: Unused,
    victorops_api_key: Unused,
    victorops_api_key_file: Unused,
    telegram_api_url: Unused,
    telegram_bot_token: Unused,
    telegram_bot_token_file: Unused,
    webex_api_url: Unused,
    rocketchat_api_url: Unused,
    rocketchat_token: Unused,
    rocketchat_token_file: Unused,
    rocketchat_token_id: Unused,
    rocketchat_token_id_file: Unused,
    mattermost_webhook_url: Unused,
    mattermost_webhook_url_file: Unused,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Route {
    pub(super) receiver: Option<Spanned<String>>,
    pub(super) group_by: Option<Vec<Spanned<String>>>,
    #[serde(rename = "match", deserialize_with = "yaml::null_default")]
    pub(super) equal: BTreeMap<String, Spanned<String>>,
    #[serde(deserialize_with = "yaml::null_default")]
    pub(super) match_re: BTreeMap<String, Spanned<String>>,
    #[serde(deserialize_with = "yaml::null_default")]
    pub(super) matchers: Vec<Spanned<String>>,
    #[serde(deserialize_with = "yaml::null_default")]
    pub(super) mute_time_intervals: Vec<Spanned<String>>,
    #[serde(deserialize_with = "yaml::null_default")]
    pub(super) active_time_intervals: Vec<Spanned<String>>,
    #[serde(rename = "continue")]
    pub(super) goes_on: bool,
    #[serde(deserialize_with = "yaml::null_default")]
    pub(super) routes: Vec<Spanned<Route>>,
    pub(super) group_wait: Option<Spanned<Span>>,
    pub(super) group_interval: Option<Spanned<Span>>,
    pub(super) repeat_interval: Option<Spanned<Span>>,
    pub(super) labels: Unused,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Inhibit {
    name: Option<String>,
    #[serde(deserialize_with = "yaml::null_default")]
    pub(super) source_match: BTreeMap<String, Spanned<String>>,
    #[serde(deserialize_with = "yaml::null_default")]
    pub(super) source_match_re: BTreeMap<String, Spanned<String>>,
    #[serde(deserialize_with = "yaml::null_default")]
    pub(super) source_matchers: Vec<Spanned<String>>,
    #[serde(deserialize_with = "yaml::null_default")]
    pub(super) target_match: BTreeMap<String, Spanned<String>>,
    #[serde(deserialize_with = "yaml::null_default")]
    pub(super) target_match_re: BTreeMap<String, Spanned<String>>,
    #[serde(deserialize_with = "yaml::null_default")]
    pub(super) target_matchers: Vec<Spanned<String>>,
    #[serde(deserialize_with = "yaml::null_default")]
    pub(super) equal: Vec<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Named {
    pub(super) name: String,
    #[serde(deserialize_with = "yaml::null_default")]
    pub(super) time_intervals: Vec<Interval>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Receiver {
    pub(super) name: String,
    #[serde(deserialize_with = "yaml::null_default")]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "yaml::null_default")]
    pub(super) slack_configs: Vec<Spanned<Slack>>,
    #[serde(deserialize_with = "yaml::null_default")]
    pub(super) pagerduty_configs: Vec<Spanned<PagerDuty>>,
    #[serde(deserialize_with = "yaml::null_default")]
    pub(super) webhook_configs: Vec<Spanned<Webhook>>,
    #[serde(deserialize_with = "yaml::null_default")]
    pub(super) email_configs: Vec<Spanned<Email>>,
    pub(super) discord_configs: Unused,
    pub(super) incidentio_configs: Unused,
    pub(super) opsgenie_configs: Unused,
    pub(super) wechat_configs: Unused,
    pub(super) pushover_configs: Unused,
    pub(super) victorops_configs: Unused,
    pub(super) sns_configs: Unused,
    pub(super) telegram_configs: Unused,
    pub(super) webex_configs: Unused,
    pub(super) msteams_configs: Unused,
    pub(super) msteamsv2_configs: Unused,
    pub(super) jira_configs: Unused,
    pub(super) rocketchat_configs: Unused,
    pub(super) mattermost_configs: Unused,
}

impl Receiver {
    /// Kinds that Skopos does not have.
    pub(super) fn foreign(&self) -> impl Iterator<Item = (&'static str, &Spanned<IgnoredAny>)> {
        named(&[
            ("discord_configs", &self.discord_configs),
            ("incidentio_configs", &self.incidentio_configs),
            ("opsgenie_configs", &self.opsgenie_configs),
            ("wechat_configs", &self.wechat_configs),
            ("pushover_configs", &self.pushover_configs),
            ("victorops_configs", &self.victorops_configs),
            ("sns_configs", &self.sns_configs),
            ("telegram_configs", &self.telegram_configs),
            ("webex_configs", &self.webex_configs),
            ("msteams_configs", &self.msteams_configs),
            ("msteamsv2_configs", &self.msteamsv2_configs),
            ("jira_configs", &self.jira_configs),
            ("rocketchat_configs", &self.rocketchat_configs),
            ("mattermost_configs", &self.mattermost_configs),
        ])
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Slack {
    pub(super) send_resolved: bool,
    pub(super) http_config: Option<Spanned<Http>>,
    pub(super) api_url: Option<Inline>,
    pub(super) api_url_file: Option<String>,
    pub(super) app_token: Option<Inline>,
    pub(super) app_token_file: Option<String>,
    pub(super) app_url: Option<String>,
    pub(super) channel: Written,
    pub(super) timeout: Option<Span>,
    pub(super) username: Written,
    pub(super) color: Written,
    pub(super) title: Written,
    pub(super) title_link: Written,
    pub(super) pretext: Written,
    pub(super) text: Written,
    pub(super) message_text: Written,
    #[serde(deserialize_with = "yaml::null_default")]
    pub(super) fields: Vec<Spanned<SlackField>>,
    pub(super) short_fields: bool,
    pub(super) footer: Written,
    pub(super) fallback: Written,
    pub(super) callback_id: Written,
    pub(super) icon_emoji: Written,
    pub(super) icon_url: Written,
    pub(super) image_url: Written,
    pub(super) thumb_url: Written,
    pub(super) link_names: bool,
    pub(super) mrkdwn_in: Option<Vec<String>>,
    #[serde(deserialize_with = "yaml::null_default")]
    pub(super) actions: Vec<Spanned<SlackAction>>,
    pub(super) update_message: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SlackField {
    pub(super) title: Written,
    pub(super) value: Written,
    pub(super) short: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SlackAction {
    #[serde(rename = "type")]
    pub(super) kind: Written,
    pub(super) text: Written,
    pub(super) url: Written,
    pub(super) style: Written,
    pub(super) name: Written,
    pub(super) value: Written,
    pub(super) confirm: Option<Spanned<SlackConfirm>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SlackConfirm {
    pub(super) text: Written,
    pub(super) title: Written,
    pub(super) ok_text: Written,
    pub(super) dismiss_text: Written,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PagerDuty {
    pub(super) send_resolved: bool,
    pub(super) http_config: Option<Spanned<Http>>,
    pub(super) service_key: Option<Inline>,
    pub(super) service_key_file: Option<String>,
    pub(super) routing_key: Option<Inline>,
    pub(super) routing_key_file: Option<String>,
    pub(super) url: Option<String>,
    pub(super) timeout: Option<Span>,
    pub(super) client: Written,
    pub(super) client_url: Written,
    pub(super) description: Written,
    #[serde(deserialize_with = "yaml::null_default")]
    pub(super) details: BTreeMap<String, Spanned<serde_json::Value>>,
    #[serde(deserialize_with = "yaml::null_default")]
    pub(super) images: Vec<PagerDutyImage>,
    #[serde(deserialize_with = "yaml::null_default")]
    pub(super) links: Vec<PagerDutyLink>,
    pub(super) source: Written,
    pub(super) severity: Written,
    pub(super) class: Written,
    pub(super) component: Written,
    pub(super) group: Written,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PagerDutyImage {
    pub(super) src: Written,
    pub(super) alt: Written,
    pub(super) href: Written,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PagerDutyLink {
    pub(super) href: Written,
    pub(super) text: Written,
}

impl Default for PagerDuty {
    fn default() -> Self {
        Self {
            send_resolved: true,
            http_config: None,
            service_key: None,
            service_key_file: None,
            routing_key: None,
            routing_key_file: None,
            url: None,
            timeout: None,
            client: None,
            client_url: None,
            description: None,
            details: BTreeMap::new(),
            images: Vec::new(),
            links: Vec::new(),
            source: None,
            severity: None,
            class: None,
            component: None,
            group: None,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Webhook {
    pub(super) send_resolved: bool,
    pub(super) http_config: Option<Spanned<Http>>,
    pub(super) url: Option<Inline>,
    pub(super) url_file: Option<String>,
    pub(super) max_alerts: usize,
    pub(super) timeout: Option<Span>,
    pub(super) payload: Option<Spanned<serde_json::Value>>,
}

impl Default for Webhook {
    fn default() -> Self {
        Self {
            send_resolved: true,
            http_config: None,
            url: None,
            url_file: None,
            max_alerts: 0,
            timeout: None,
            payload: None,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Email {
    pub(super) send_resolved: bool,
    pub(super) to: Written,
    pub(super) from: Written,
    pub(super) hello: Option<String>,
    pub(super) smarthost: Option<String>,
    pub(super) auth_username: Option<String>,
    pub(super) auth_password: Option<Inline>,
    pub(super) auth_password_file: Option<String>,
    pub(super) auth_secret: Option<Inline>,
    pub(super) auth_secret_file: Option<String>,
    pub(super) auth_identity: Option<String>,
    #[serde(deserialize_with = "yaml::null_default")]
    pub(super) headers: BTreeMap<String, Spanned<String>>,
    pub(super) html: Written,
    pub(super) text: Written,
    pub(super) require_tls: Option<bool>,
    pub(super) tls_config: Option<Tls>,
    pub(super) force_implicit_tls: Option<bool>,
    #[serde(deserialize_with = "yaml::null_default")]
    pub(super) threading: Threading,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Threading {
    pub(super) enabled: bool,
    pub(super) thread_by_date: String,
}

/// Whom is trusted, and who we say we are.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Tls {
    pub(super) ca: Option<IgnoredAny>,
    pub(super) cert: Option<IgnoredAny>,
    pub(super) key: Option<IgnoredAny>,
    pub(super) ca_file: Option<String>,
    pub(super) cert_file: Option<String>,
    pub(super) key_file: Option<String>,
    pub(super) server_name: Option<String>,
    pub(super) insecure_skip_verify: bool,
    pub(super) min_version: Option<String>,
    pub(super) max_version: Option<String>,
}
