//! An incident by the file's templates, key by key: what it does not say is ours.

use serde_json::{Map, Value, json};

use super::structure::Structure;
use super::{Text, View};

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Look {
    pub(crate) client: Option<Text>,
    pub(crate) client_url: Option<Text>,
    pub(crate) description: Option<Text>,
    pub(crate) source: Option<Text>,
    pub(crate) severity: Option<Text>,
    pub(crate) class: Option<Text>,
    pub(crate) component: Option<Text>,
    pub(crate) group: Option<Text>,
    pub(crate) details: Vec<(String, Structure)>,
    /// Each part under PagerDuty's name; those without the first are left out.
    pub(crate) images: Vec<[(&'static str, Text); 3]>,
    pub(crate) links: Vec<[(&'static str, Text); 2]>,
}

/// The same, filled in; what is none was not said.
#[derive(Default)]
pub(crate) struct Filled {
    pub(crate) client: Option<String>,
    pub(crate) client_url: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) source: Option<String>,
    pub(crate) severity: Option<String>,
    pub(crate) class: Option<String>,
    pub(crate) component: Option<String>,
    pub(crate) group: Option<String>,
    pub(crate) details: Map<String, Value>,
    pub(crate) images: Vec<Value>,
    pub(crate) links: Vec<Value>,
}

impl Look {
    /// # Errors
    /// A template failed.
    pub(crate) fn fill(&self, view: &View<'_>) -> Result<Filled, String> {
        let one = |text: &Option<Text>| text.as_ref().map(|text| text.fill(view)).transpose();
        let details = self
            .details
            .iter()
            .map(|(key, value)| Ok((key.clone(), value.fill(view)?)));
        Ok(Filled {
            client: one(&self.client)?,
            client_url: one(&self.client_url)?,
            description: one(&self.description)?,
            source: one(&self.source)?,
            severity: one(&self.severity)?,
            class: one(&self.class)?,
            component: one(&self.component)?,
            group: one(&self.group)?,
            details: details.collect::<Result<_, String>>()?,
            images: parts(self.images.iter().map(<[_; 3]>::as_slice), view)?,
            links: parts(self.links.iter().map(<[_; 2]>::as_slice), view)?,
        })
    }
}

fn parts<'a>(
    written: impl Iterator<Item = &'a [(&'static str, Text)]>,
    view: &View<'_>,
) -> Result<Vec<Value>, String> {
    let mut filled = Vec::new();
    for texts in written {
        let mut part = json!({});
        for (key, text) in texts {
            let text = text.fill(view)?;
            if let Some(map) = part.as_object_mut().filter(|_| !text.is_empty()) {
                map.insert((*key).to_owned(), text.into());
            }
        }
        let first = texts.first().map_or("", |(key, _)| key);
        if part.get(first).is_some() {
            filled.push(part);
        }
    }
    Ok(filled)
}
