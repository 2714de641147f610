//! What a file says of how messages look, as templates that can be read.

use serde_json::Value;
use template::Language;
use yaml::Spanned;

use super::file::{PagerDuty, Slack, SlackAction, Written};
use super::http::Wrong;
use crate::look::Text;
use crate::look::pagerduty::Look as PagerDutyLook;
use crate::look::slack::{Action, Field, Look as SlackLook};
use crate::look::structure::Structure;

/// None where nothing is said.
pub(super) fn text(
    language: &Language,
    key: &str,
    written: Option<&Spanned<String>>,
) -> Result<Option<Text>, Wrong> {
    let written = written.filter(|written| !written.value.is_empty());
    written
        .map(|written| Text::new(language, key, &written.value))
        .transpose()
}

fn needed(language: &Language, key: &str, written: &Written, missing: &str) -> Result<Text, Wrong> {
    text(language, key, written.as_ref())?.ok_or_else(|| missing.to_owned())
}

/// None where the file says nothing: the card is ours.
pub(super) fn slack(language: &Language, slack: &Slack) -> Result<Option<SlackLook>, Wrong> {
    let one = |key: &str, written: &Written| text(language, key, written.as_ref());
    // What stands there even if it is empty is meant to be so.
    let or_usual = |key: &'static str, written: &Written| match written {
        Some(written) => Text::new(language, key, &written.value),
        None => SlackLook::usual(language, key),
    };
    let is_whole = [
        &slack.color,
        &slack.title,
        &slack.title_link,
        &slack.pretext,
        &slack.text,
        &slack.message_text,
        &slack.footer,
        &slack.fallback,
        &slack.callback_id,
        &slack.image_url,
        &slack.thumb_url,
    ];
    let is_whole = is_whole.iter().any(|written| written.is_some())
        || !slack.fields.is_empty()
        || !slack.actions.is_empty();
    let is_said = is_whole
        || slack.link_names
        || [&slack.username, &slack.icon_emoji, &slack.icon_url]
            .iter()
            .any(|written| written.is_some());
    let fields = slack.fields.iter().map(|field| {
        let field = &field.value;
        Ok(Field {
            title: needed(
                language,
                "fields.title",
                &field.title,
                "missing title in Slack field configuration",
            )?,
            value: needed(
                language,
                "fields.value",
                &field.value,
                "missing value in Slack field configuration",
            )?,
            short: field.short.unwrap_or(slack.short_fields),
        })
    });
    let actions = slack.actions.iter().map(|one| action(language, &one.value));
    let mrkdwn_in = slack.mrkdwn_in.clone().filter(|keys| !keys.is_empty());
    let look = SlackLook {
        is_whole,
        username: one("username", &slack.username)?,
        icon_emoji: one("icon_emoji", &slack.icon_emoji)?,
        icon_url: one("icon_url", &slack.icon_url)?,
        message_text: one("message_text", &slack.message_text)?,
        link_names: slack.link_names,
        title: or_usual("title", &slack.title)?,
        title_link: or_usual("title_link", &slack.title_link)?,
        pretext: or_usual("pretext", &slack.pretext)?,
        text: or_usual("text", &slack.text)?,
        fallback: or_usual("fallback", &slack.fallback)?,
        callback_id: or_usual("callback_id", &slack.callback_id)?,
        footer: or_usual("footer", &slack.footer)?,
        color: or_usual("color", &slack.color)?,
        image_url: one("image_url", &slack.image_url)?,
        thumb_url: one("thumb_url", &slack.thumb_url)?,
        fields: fields.collect::<Result<_, Wrong>>()?,
        actions: actions.collect::<Result<_, Wrong>>()?,
        mrkdwn_in: mrkdwn_in.unwrap_or_else(|| ["fallback", "pretext", "text"].map(str::to_owned).to_vec()),
    };
    Ok(is_said.then_some(look))
}

fn action(language: &Language, written: &SlackAction) -> Result<Action, Wrong> {
    let one = |key: &'static str, written: &Written| {
        let found = text(language, key, written.as_ref())?;
        Ok::<_, Wrong>(found.map(|text| (key, text)))
    };
    let missing = |what: &str| format!("missing {what} in Slack action configuration");
    let url = one("url", &written.url)?;
    let name = one("name", &written.name)?;
    let is_link = url.is_some();
    if !is_link && name.is_none() {
        return Err(missing("name or url"));
    }
    let mut texts = vec![
        ("type", needed(language, "type", &written.kind, &missing("type"))?),
        ("text", needed(language, "text", &written.text, &missing("text"))?),
    ];
    texts.extend(one("style", &written.style)?);
    let mut confirm = Vec::new();
    if is_link {
        texts.extend(url);
    } else {
        texts.extend(name);
        texts.extend(one("value", &written.value)?);
        if let Some(Spanned { value: asked, .. }) = &written.confirm {
            let missing = "missing text in Slack confirmation configuration";
            confirm.push(("text", needed(language, "confirm.text", &asked.text, missing)?));
            confirm.extend(one("title", &asked.title)?);
            confirm.extend(one("ok_text", &asked.ok_text)?);
            confirm.extend(one("dismiss_text", &asked.dismiss_text)?);
        }
    }
    Ok(Action { texts, confirm })
}

/// None where the file says nothing: the incident is described by us.
pub(super) fn pagerduty(language: &Language, written: &PagerDuty) -> Result<Option<PagerDutyLook>, Wrong> {
    let one = |key: &str, written: &Written| text(language, key, written.as_ref());
    let part = |key: &'static str, written: &Written| {
        let written = written.as_ref().map_or("", |written| written.value.as_str());
        Ok::<_, Wrong>((key, Text::new(language, key, written)?))
    };
    let details = written
        .details
        .iter()
        .map(|(key, value): (&String, &Spanned<Value>)| {
            let structure = Structure::new(language, &format!("details.{key}"), &value.value)?;
            Ok((key.clone(), structure))
        });
    let images = written.images.iter().map(|image| {
        Ok([
            part("src", &image.src)?,
            part("alt", &image.alt)?,
            part("href", &image.href)?,
        ])
    });
    let links = written
        .links
        .iter()
        .map(|link| Ok([part("href", &link.href)?, part("text", &link.text)?]));
    let look = PagerDutyLook {
        client: one("client", &written.client)?,
        client_url: one("client_url", &written.client_url)?,
        description: one("description", &written.description)?,
        source: one("source", &written.source)?,
        severity: one("severity", &written.severity)?,
        class: one("class", &written.class)?,
        component: one("component", &written.component)?,
        group: one("group", &written.group)?,
        details: details.collect::<Result<_, Wrong>>()?,
        images: images.collect::<Result<_, Wrong>>()?,
        links: links.collect::<Result<_, Wrong>>()?,
    };
    Ok((look != PagerDutyLook::default()).then_some(look))
}
