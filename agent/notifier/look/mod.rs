//! How a message looks where Alertmanager's file says so: its templates in place of our own words.
//!
//! A template that fails costs nobody a page: the message goes out as Skopos writes it, and says what failed.

pub(crate) mod pagerduty;
pub(crate) mod slack;
pub(crate) mod structure;

use model::Labels;
use template::{Alerted, Context, Language, Template, Told};

use crate::message::{Message, common};

/// A text with templates in it. Two are equal if they were written alike.
#[derive(Clone, Debug)]
pub(crate) struct Text(Template);

impl Text {
    /// # Errors
    /// What is wrong with it, and where in it.
    pub(crate) fn new(language: &Language, key: &str, text: &str) -> Result<Self, String> {
        match language.parse(key, text) {
            Ok(template) => Ok(Self(template)),
            Err(error) => Err(format!("{key}: the template cannot be read: {error}")),
        }
    }

    pub(crate) fn fill(&self, view: &View<'_>) -> Result<String, String> {
        self.0.render(&view.0).map_err(|error| error.to_string())
    }

    /// What comes from alerts cannot become markup in it.
    pub(crate) fn fill_html(&self, view: &View<'_>) -> Result<String, String> {
        self.0.render_html(&view.0).map_err(|error| error.to_string())
    }

    /// As it was written.
    pub(crate) fn source(&self) -> &str {
        self.0.source()
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.source() == other.source()
    }
}

/// A message as templates see it.
pub(crate) struct View<'a>(Context<'a>);

/// What of a message templates see and the message itself does not have.
pub(crate) struct Seen<'a> {
    message: &'a Message,
    receiver: &'a str,
    labels: Labels,
    annotations: Labels,
    route_labels: Labels,
}

impl<'a> Seen<'a> {
    pub(crate) fn new(message: &'a Message, receiver: &'a str) -> Self {
        let alerts = message.alerts.iter();
        Self {
            labels: common(alerts.clone().map(|alert| &alert.labels)),
            annotations: common(alerts.map(|alert| &alert.annotations)),
            route_labels: Labels::empty(),
            message,
            receiver,
        }
    }

    pub(crate) fn view(&'a self) -> View<'a> {
        let alerts = self.message.alerts.iter().map(|alert| Alerted {
            labels: &alert.labels,
            annotations: &alert.annotations,
            starts_at: alert.starts_at,
            ended_at: alert.resolved_at,
            generator_url: &alert.generator_url,
            fingerprint: alert.fingerprint,
        });
        let told = Told {
            receiver: self.receiver,
            reason: self.message.reason.text(),
            alerts: alerts.collect(),
            group_labels: &self.message.group_labels,
            common_labels: &self.labels,
            common_annotations: &self.annotations,
            route_labels: &self.route_labels,
            external_url: &self.message.external_url,
        };
        View(Context::message(&told, self.message.time))
    }
}

/// At most `most` characters, as Alertmanager cuts.
pub(crate) fn cut(text: String, most: usize) -> String {
    if text.chars().count() <= most {
        return text;
    }
    let mut short: String = text.chars().take(most.saturating_sub(1)).collect();
    short.push('…');
    short
}
