//! Values with templates in their texts: PagerDuty's details, a webhook's own payload.

use std::sync::Arc;

use serde_json::{Map, Value};
use template::Language;

use super::{Text, View};

/// Values within each other.
const DEPTH_MAX: usize = 20;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Structure {
    Text(Arc<Text>),
    List(Vec<Self>),
    /// Keys are templates as well.
    Map(Vec<(Arc<Text>, Self)>),
    Plain(Value),
}

impl Structure {
    /// # Errors
    /// What is wrong with a template in it.
    pub(crate) fn new(language: &Language, key: &str, value: &Value) -> Result<Self, String> {
        Self::read(language, key, value, 0)
    }

    fn read(language: &Language, key: &str, value: &Value, depth: usize) -> Result<Self, String> {
        if depth > DEPTH_MAX {
            return Err(format!("{key}: nested more than {DEPTH_MAX} deep"));
        }
        let text = |text: &str| Text::new(language, key, text).map(Arc::new);
        Ok(match value {
            Value::String(found) => Self::Text(text(found)?),
            Value::Array(items) => {
                let items = items
                    .iter()
                    .map(|item| Self::read(language, key, item, depth + 1));
                Self::List(items.collect::<Result<_, _>>()?)
            }
            Value::Object(entries) => {
                let entries = entries
                    .iter()
                    .map(|(name, value)| Ok((text(name)?, Self::read(language, key, value, depth + 1)?)));
                Self::Map(entries.collect::<Result<_, String>>()?)
            }
            other => Self::Plain(other.clone()),
        })
    }

    /// A text that reads as something else than a text, once it has been filled in, becomes that: a number, a list.
    ///
    /// # Errors
    /// A template failed.
    pub(crate) fn fill(&self, view: &View<'_>) -> Result<Value, String> {
        Ok(match self {
            Self::Text(text) => meant(text.fill(view)?),
            Self::List(items) => {
                let items = items.iter().map(|item| item.fill(view));
                Value::Array(items.collect::<Result<_, _>>()?)
            }
            Self::Map(entries) => {
                let entries = entries
                    .iter()
                    .map(|(name, value)| Ok((name.fill(view)?, value.fill(view)?)));
                Value::Object(entries.collect::<Result<Map<_, _>, String>>()?)
            }
            Self::Plain(value) => value.clone(),
        })
    }
}

fn meant(text: String) -> Value {
    if text.is_empty() {
        return Value::String(text);
    }
    match yaml::read::<Value>("", &text) {
        Ok(Value::String(_)) | Err(_) => Value::String(text),
        Ok(other) => other,
    }
}
