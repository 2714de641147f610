//! Reads a channel as a person does: what each message says of each group, and what is news in it.

use std::collections::BTreeMap;

use model::Timestamp;
use serde_json::Value;

use super::super::world::Attempt;

/// One group in one message.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Word {
    pub(super) at: Timestamp,
    pub(super) name: String,
    pub(super) fires: bool,
    /// Said as something that happened; else how it stands.
    pub(super) is_news: bool,
    pub(super) in_storm: bool,
    /// It says of itself that it may be a repeat.
    pub(super) is_marked: bool,
}

/// `header` of a card; empty for a reply.
pub(super) fn title(attempt: &Attempt) -> &str {
    let header = &attempt.body["blocks"][0];
    if header["type"] == "header" {
        header["text"]["text"].as_str().unwrap()
    } else {
        ""
    }
}

pub(super) fn is_storm(attempt: &Attempt) -> bool {
    title(attempt).contains("Storm")
}

pub(super) fn is_reply(attempt: &Attempt) -> bool {
    attempt.body["thread_ts"].is_string()
}

pub(super) fn is_edit(attempt: &Attempt) -> bool {
    attempt.url.ends_with("chat.update")
}

/// The lines of all blocks beside the title.
pub(super) fn lines(body: &Value) -> Vec<String> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut lines = Vec::new();
    let attached = list(&body["attachments"]).into_iter();
    let blocks = attached.flat_map(|attachment| list(&attachment["blocks"]));
    for block in list(&body["blocks"]).into_iter().chain(blocks) {
        if block["type"] == "header" {
            continue;
        }
        let parts = [list(&block["fields"]), list(&block["elements"])].concat();
        for text in std::iter::once(block["text"].clone()).chain(parts) {
            lines.extend(
                text["text"]
                    .as_str()
                    .unwrap_or_default()
                    .lines()
                    .map(str::to_owned),
            );
        }
    }
    lines
}

/// A fact of a card by its name.
pub(super) fn fact(attempt: &Attempt, name: &str) -> String {
    let lines = lines(&attempt.body);
    let place = lines.iter().position(|line| *line == format!("*{name}*"));
    place.map_or_else(String::new, |place| lines[place + 1].clone())
}

/// `Alert7` of `▲ *Alert7 on a* (…)`.
fn subject(line: &str) -> Option<(String, bool)> {
    let rest = line
        .strip_prefix("▲ ")
        .or_else(|| line.strip_prefix("○ "))
        .map(|rest| (rest, true));
    let (rest, fires) = rest.or_else(|| line.strip_prefix("● ").map(|rest| (rest, false)))?;
    let name = rest.trim_start_matches('*').split([' ', ':', '*']).next()?;
    Some((name.to_owned(), fires))
}

/// All that arrived, in order.
pub(super) fn words(attempts: &[Attempt]) -> Vec<Word> {
    let mut words = Vec::new();
    for attempt in attempts.iter().filter(|attempt| attempt.arrived) {
        let (title, is_marked) = (
            title(attempt),
            attempt.body.to_string().contains("possibly a repeat"),
        );
        let word = |name: &str, fires, is_news, in_storm| Word {
            at: attempt.at,
            name: name.to_owned(),
            fires,
            is_news,
            in_storm,
            is_marked,
        };
        let is_card_of_one = title.starts_with("▲ Firing") || title.starts_with("● Resolved");
        if is_card_of_one {
            let name = title.rsplit(' ').next().unwrap();
            words.push(word(name, title.starts_with('▲'), !is_edit(attempt), false));
            continue;
        }
        let in_storm = is_storm(attempt)
            || attempt.body["text"]
                .as_str()
                .unwrap_or_default()
                .contains("*Storm");
        if !in_storm {
            continue;
        }
        let mut is_news = !is_edit(attempt);
        for line in lines(&attempt.body) {
            is_news &= line != "*Unchanged*";
            if let Some((name, fires)) = subject(&line) {
                words.push(word(&name, fires, is_news, true));
            }
        }
    }
    words
}

/// What somebody who has read everything believes of each group.
pub(super) fn belief(words: &[Word]) -> BTreeMap<String, bool> {
    let words = words.iter();
    words.map(|word| (word.name.clone(), word.fires)).collect()
}

/// News that was told twice in a row without saying so.
pub(super) fn unmarked_repeats(words: &[Word]) -> Vec<Word> {
    let mut last: BTreeMap<&str, bool> = BTreeMap::new();
    let mut repeats = Vec::new();
    for word in words.iter().filter(|word| word.is_news) {
        let before = last.insert(&word.name, word.fires);
        if before == Some(word.fires) && !word.is_marked {
            repeats.push(word.clone());
        }
    }
    repeats
}
