//! What somebody has typed into the form, right or wrong, and the silence that it says.

use std::time::Duration;

use model::{Labels, MatchOp, Matcher, Timestamp};
use serde_json::json;

use super::list::Kept;
use crate::api::moment;
use crate::page::visit::Visit;
use crate::page::when;

/// Lengths that are offered: as they stand in an address, and in words.
pub(super) const LENGTHS: [(&str, &str, Duration); 3] = [
    ("30m", "30 min", Duration::from_mins(30)),
    ("2h", "2 h", Duration::from_hours(2)),
    ("8h", "8 h", Duration::from_hours(8)),
];
/// In the place of a length: the time is typed.
pub(super) const UNTIL: &str = "until";
const NOW: &str = "now";
/// More matchers than these nobody has typed.
const MATCHERS_MAX: usize = 64;

#[derive(Clone, Debug, Default)]
pub(super) struct Typed {
    /// Of the silence that is to be changed.
    pub(super) id: String,
    pub(super) matchers: Vec<Matcher>,
    /// Matchers that are there to be chosen and are not.
    pub(super) offered: Vec<Matcher>,
    /// What was typed as a matcher and is none, and why.
    pub(super) wrong: Option<(String, String)>,
    pub(super) length: String,
    pub(super) begins: String,
    pub(super) until: String,
    pub(super) because: String,
    pub(super) by: String,
    /// Somebody has asked for it by an address.
    pub(super) is_asked: bool,
}

impl Typed {
    pub(super) fn empty() -> Self {
        Self {
            length: LENGTHS[1].0.to_owned(),
            begins: NOW.to_owned(),
            ..Self::default()
        }
    }

    /// Every label is a matcher, so that it silences this alert and no other until somebody lets one go.
    pub(super) fn of_labels(labels: &Labels) -> Self {
        let matchers = labels.iter().map(|(name, value)| Matcher::equal(name, value));
        Self {
            matchers: matchers.collect(),
            ..Self::empty()
        }
    }

    /// What the address asks for, if it asks for anything of a silence.
    pub(super) fn asked(visit: &Visit) -> Option<Self> {
        let pairs: Vec<(String, String)> = visit
            .pairs()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let of_form = ["matcher", "filter", "add", "offer", "id"];
        let is_asked = pairs.iter().any(|(name, _)| of_form.contains(&name.as_str()));
        is_asked.then(|| Self {
            is_asked: true,
            ..Self::read(visit, &pairs)
        })
    }

    pub(super) fn read(visit: &Visit, pairs: &[(String, String)]) -> Self {
        let first = |name: &str| {
            let pair = pairs.iter().find(|(known, _)| known == name);
            pair.map_or("", |(_, value)| value.trim()).to_owned()
        };
        let mut typed = Self::empty();
        let id = first("id");
        if let Some(kept) = Kept::of(visit, &id) {
            typed = kept.typed(visit);
        }
        let is_matcher = |name: &str| matches!(name, "matcher" | "filter" | "add");
        // An address may name a silence alone; as soon as it names matchers they stand in the place of its own.
        if pairs.iter().any(|(name, _)| is_matcher(name) || name == "offer") {
            typed.matchers.clear();
        }
        for (name, text) in pairs.iter().filter(|(_, text)| !text.trim().is_empty()) {
            match name.as_str() {
                name if is_matcher(name) => typed.take(visit, text),
                "offer" => typed.offer(visit, text),
                _ => {}
            }
        }
        typed.offered.retain(|offered| !typed.matchers.contains(offered));
        for (name, field) in [
            ("for", &mut typed.length),
            ("begins", &mut typed.begins),
            ("until", &mut typed.until),
            ("because", &mut typed.because),
            ("by", &mut typed.by),
        ] {
            if pairs.iter().any(|(known, _)| known == name) {
                *field = first(name);
            }
        }
        typed
    }

    fn take(&mut self, visit: &Visit, text: &str) {
        match read(visit, text) {
            Ok(found) => {
                for one in found {
                    if !self.matchers.contains(&one) && self.matchers.len() < MATCHERS_MAX {
                        self.matchers.push(one);
                    }
                }
            }
            Err(why) => self.wrong = Some((text.to_owned(), why)),
        }
    }

    /// What is offered was drawn by this page, so that a mistake in it is nobody's.
    fn offer(&mut self, visit: &Visit, text: &str) {
        let room = MATCHERS_MAX.saturating_sub(self.offered.len());
        self.offered
            .extend(read(visit, text).unwrap_or_default().into_iter().take(room));
    }

    /// From when until when.
    pub(super) fn time(&self, visit: &Visit) -> Result<(Timestamp, Timestamp), String> {
        let (now, zone) = (visit.now, &visit.wall.zone);
        let no_time =
            |text: &str| format!("{text:?} is not a time; write for example 18:00, 3h or 2026-01-31T14:37");
        let before = Kept::of(visit, &self.id).filter(|kept| !kept.is_expired());
        let begins = match before {
            // What has begun has begun; and nobody types milliseconds.
            Some(kept) if kept.starts <= now || visit.wall.typed(kept.starts) == self.begins => kept.starts,
            _ if self.begins.is_empty() || self.begins == NOW => now,
            _ => when::coming(&self.begins, now, zone).ok_or_else(|| no_time(&self.begins))?,
        };
        let known = LENGTHS.iter().find(|(word, ..)| *word == self.length);
        let ends = match known {
            Some((.., length)) => begins.max(now) + *length,
            None if self.length != UNTIL => {
                let length = model::text::duration::parse(&self.length)
                    .map_err(|_| format!("{:?} is not a length; write for example 2h", self.length))?;
                begins.max(now) + length
            }
            None if self.until.is_empty() => {
                return Err(
                    "say until when: for example 18:00, 3h or 2026-01-31T14:37, or choose a length"
                        .to_owned(),
                );
            }
            None => when::coming(&self.until, now, zone).ok_or_else(|| no_time(&self.until))?,
        };
        if ends <= now {
            let ended = visit.wall.minute(ends);
            return Err(format!("it would end at {ended}, and that is over"));
        }
        if ends <= begins {
            let [begins, ends] = [begins, ends].map(|time| visit.wall.minute(time));
            return Err(format!("it would end at {ends}, before it begins at {begins}"));
        }
        Ok((begins, ends))
    }

    /// The body of `POST /api/v2/silences`, or the first thing that is wrong.
    pub(super) fn postable(&self, visit: &Visit) -> Result<String, String> {
        if let Some((text, why)) = &self.wrong {
            return Err(format!("{text:?} is no matcher: {why}"));
        }
        if let Some(silences) = &visit.rooms.silences {
            (silences.covering)(&self.matchers)?;
        }
        let (begins, ends) = self.time(visit)?;
        if self.because.is_empty() {
            return Err("say why, so that others know what it waits for".to_owned());
        }
        if self.by.is_empty() {
            return Err("say who you are, so that others know whom to ask".to_owned());
        }
        let matchers: Vec<_> = self
            .matchers
            .iter()
            .map(|matcher| {
                json!({
                    "name": &*matcher.name,
                    "value": &*matcher.value,
                    "isRegex": matches!(matcher.op, MatchOp::Matches | MatchOp::NotMatches),
                    "isEqual": matches!(matcher.op, MatchOp::Equal | MatchOp::Matches),
                })
            })
            .collect();
        let mut silence = json!({
            "matchers": matchers,
            "startsAt": moment(Some(begins)),
            "endsAt": moment(Some(ends)),
            "createdBy": self.by,
            "comment": self.because,
        });
        if let (false, Some(fields)) = (self.id.is_empty(), silence.as_object_mut()) {
            fields.insert("id".to_owned(), json!(self.id));
        }
        Ok(silence.to_string())
    }
}

fn read(visit: &Visit, text: &str) -> Result<Vec<Matcher>, String> {
    match &visit.rooms.silences {
        Some(silences) => (silences.read)(text),
        None => Err("no silences are kept here".to_owned()),
    }
}
