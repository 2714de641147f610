//! A Slack message by the file's templates: one legacy attachment, as Alertmanager sends it.

use serde_json::{Value, json};
use template::Language;

use super::{Text, View, cut};
use crate::slack::limits;

/// Characters of a title; Alertmanager cuts there too.
const TITLE: usize = 1_024;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Look {
    /// Whether anything is said of what a message says: else only of whom it comes from.
    pub(crate) is_whole: bool,
    pub(crate) username: Option<Text>,
    pub(crate) icon_emoji: Option<Text>,
    pub(crate) icon_url: Option<Text>,
    pub(crate) message_text: Option<Text>,
    pub(crate) link_names: bool,
    pub(crate) title: Text,
    pub(crate) title_link: Text,
    pub(crate) pretext: Text,
    pub(crate) text: Text,
    pub(crate) fallback: Text,
    pub(crate) callback_id: Text,
    pub(crate) footer: Text,
    pub(crate) color: Text,
    pub(crate) image_url: Option<Text>,
    pub(crate) thumb_url: Option<Text>,
    pub(crate) fields: Vec<Field>,
    pub(crate) actions: Vec<Action>,
    pub(crate) mrkdwn_in: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Field {
    pub(crate) title: Text,
    pub(crate) value: Text,
    pub(crate) short: bool,
}

/// Under the names of Slack.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Action {
    pub(crate) texts: Vec<(&'static str, Text)>,
    pub(crate) confirm: Vec<(&'static str, Text)>,
}

impl Look {
    /// What stands for a key that the file does not have.
    pub(crate) fn usual(language: &Language, key: &'static str) -> Result<Text, String> {
        let name = key.replace('_', "");
        Text::new(
            language,
            key,
            &format!("{{{{ template \"slack.default.{name}\" . }}}}"),
        )
    }

    /// A request but for its channel; `ours` where nothing is said of what it says.
    ///
    /// # Errors
    /// A template failed.
    pub(crate) fn card(&self, view: &View<'_>, ours: impl FnOnce() -> Value) -> Result<Value, String> {
        let mut card = if self.is_whole {
            self.payload(view)?
        } else {
            ours()
        };
        self.sender(view, &mut card)?;
        Ok(card)
    }

    /// Who speaks.
    fn sender(&self, view: &View<'_>, payload: &mut Value) -> Result<(), String> {
        for (key, text) in [
            ("username", &self.username),
            ("icon_emoji", &self.icon_emoji),
            ("icon_url", &self.icon_url),
        ] {
            if let Some(text) = text {
                put(payload, key, text.fill(view)?);
            }
        }
        if self.link_names
            && let Some(map) = payload.as_object_mut()
        {
            map.insert("link_names".to_owned(), true.into());
        }
        Ok(())
    }

    fn payload(&self, view: &View<'_>) -> Result<Value, String> {
        let mut attachment = json!({ "mrkdwn_in": self.mrkdwn_in });
        put(&mut attachment, "title", cut(self.title.fill(view)?, TITLE));
        for (key, text) in [
            ("title_link", &self.title_link),
            ("pretext", &self.pretext),
            ("text", &self.text),
            ("fallback", &self.fallback),
            ("callback_id", &self.callback_id),
            ("footer", &self.footer),
            ("color", &self.color),
        ] {
            put(&mut attachment, key, cut(text.fill(view)?, limits::TEXT));
        }
        for (key, text) in [("image_url", &self.image_url), ("thumb_url", &self.thumb_url)] {
            if let Some(text) = text {
                put(&mut attachment, key, text.fill(view)?);
            }
        }
        let fields = self.fields.iter().map(|field| {
            let (title, value) = (field.title.fill(view)?, field.value.fill(view)?);
            Ok(json!({ "title": title, "value": value, "short": field.short }))
        });
        let fields: Vec<Value> = fields.collect::<Result<_, String>>()?;
        let actions = self.actions.iter().map(|action| action.fill(view));
        let actions: Vec<Value> = actions.collect::<Result<_, String>>()?;
        if let Some(map) = attachment.as_object_mut() {
            for (key, parts) in [("fields", fields), ("actions", actions)] {
                if !parts.is_empty() {
                    map.insert(key.to_owned(), parts.into());
                }
            }
        }
        let mut payload = json!({ "attachments": [attachment] });
        if let Some(text) = &self.message_text {
            put(&mut payload, "text", cut(text.fill(view)?, limits::TEXT));
        }
        Ok(payload)
    }
}

impl Action {
    fn fill(&self, view: &View<'_>) -> Result<Value, String> {
        let mut action = filled(&self.texts, view)?;
        let confirm = filled(&self.confirm, view)?;
        if let Some(map) = action.as_object_mut()
            && !self.confirm.is_empty()
        {
            map.insert("confirm".to_owned(), confirm);
        }
        Ok(action)
    }
}

fn filled(texts: &[(&'static str, Text)], view: &View<'_>) -> Result<Value, String> {
    let mut value = json!({});
    for (key, text) in texts {
        put(&mut value, key, text.fill(view)?);
    }
    Ok(value)
}

/// What is empty is left out.
fn put(value: &mut Value, key: &str, text: String) {
    if let Some(map) = value.as_object_mut()
        && !text.is_empty()
    {
        map.insert(key.to_owned(), text.into());
    }
}
