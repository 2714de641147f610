//! Brings a picture to Slack, so that a message can show it: asks where to put it, puts it there, says that it is there.
//!
//! It is in no channel until a message shows it. Whatever goes wrong, the message goes out without it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use model::outside::Response;
use serde::Deserialize;
use serde_json::{Value, json};
use tracing::warn;

use super::talk::{Answer, Line};
use crate::message::encode;

/// A picture is not worth more waiting, three times.
const TIMEOUT: Duration = Duration::from_secs(1);
const ASK: &str = "files.getUploadURLExternal";
const COMPLETE: &str = "files.completeUploadExternal";

/// A PNG, and the same in words.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    pub(crate) png: Vec<u8>,
    pub(crate) words: String,
}

/// What one app may do with files; it is found out once.
#[derive(Debug, Default)]
pub(crate) struct Files {
    are_refused: AtomicBool,
}

/// What became of a picture; the closed set of `pictures_total{outcome}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Shown,
    /// The app's token lacks the scope `files:write`.
    NotAllowed,
    Failed,
}

impl Fate {
    pub(crate) const ALL: [Self; 3] = [Self::Shown, Self::NotAllowed, Self::Failed];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Shown => "shown",
            Self::NotAllowed => "not_allowed",
            Self::Failed => "failed",
        }
    }
}

impl Files {
    pub(crate) fn may_be_sent(&self) -> bool {
        !self.are_refused.load(Ordering::Relaxed)
    }

    /// Says it once.
    fn refused(&self) {
        if !self.are_refused.swap(true, Ordering::Relaxed) {
            warn!("the Slack app lacks the scope files:write: values are shown as text, not as pictures");
        }
    }
}

#[derive(Deserialize)]
struct Place {
    upload_url: String,
    file_id: String,
}

#[derive(Deserialize)]
struct Said {
    ok: bool,
    #[serde(default)]
    error: String,
}

/// Slack's name of the picture once it is there.
pub(super) async fn upload<M: Fn() -> bool>(
    line: &Line<'_, M>,
    picture: &Picture,
    files: &Files,
) -> Result<String, Fate> {
    let asked = format!("filename=value.png&length={}", picture.png.len());
    let answer = taken(line.form(ASK, asked, TIMEOUT).await, files)?;
    let place: Place = serde_json::from_slice(&answer.body).map_err(|_| Fate::Failed)?;
    let answer = line.put(&place.upload_url, picture.png.clone(), TIMEOUT).await;
    if !matches!(answer, Some(Ok(answer)) if answer.status == 200) {
        return Err(Fate::Failed);
    }
    let file = json!([{ "id": place.file_id, "title": "value" }]).to_string();
    let form = format!("files={}", encode(&file));
    taken(line.form(COMPLETE, form, TIMEOUT).await, files)?;
    Ok(place.file_id)
}

fn taken(answer: Answer, files: &Files) -> Result<Response, Fate> {
    let Some(Ok(answer)) = answer else {
        return Err(Fate::Failed);
    };
    match serde_json::from_slice::<Said>(&answer.body) {
        Ok(said) if said.ok => Ok(answer),
        Ok(said) if said.error == "missing_scope" => {
            files.refused();
            Err(Fate::NotAllowed)
        }
        _ => Err(Fate::Failed),
    }
}

/// The block that shows it.
pub(super) fn block(file: &str, picture: &Picture) -> Value {
    json!({ "type": "image", "slack_file": { "id": file }, "alt_text": picture.words })
}
