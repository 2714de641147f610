//! The card of a storm, and what a reply to it says: how much fires and where, then as many groups by name as fit.
//!
//! The headings tell apart what is news and what is not; of whatever is not named the number is there.

use model::text::duration::spoken;
use serde_json::{Value, json};

use super::text::{clip, date, link};
use super::{card, limits};
use crate::message::{length, one_line};
use crate::storm::{Digest, Line, Standing, groups};

/// Of what one group says.
const LINE: usize = 160;
/// Longest value of a fact.
const VALUE: usize = 60;
/// Values named of one label.
const VALUES: usize = 3;
/// Groups named in a reply.
const NAMED: usize = 20;
const _: () = assert!((NAMED + 3) * (LINE + 10) < 2 * limits::SECTION);

pub(crate) fn payload(digest: &Digest) -> Value {
    json!({
        "text": clip(&headline(digest), super::HEADLINE),
        "blocks": [card::header(&title(digest))],
        "attachments": [{ "color": colour(digest), "blocks": blocks(digest) }],
    })
}

/// A reply without its place. It is shown in the channel as well when the storm begins again, is told again, or grew worse.
pub(crate) fn reply(digest: &Digest) -> Value {
    let mut lines = vec![happened(digest)];
    let news = digest.lines.iter().filter(|line| line.standing != Standing::Same);
    lines.extend(news.clone().take(NAMED).map(text));
    let left_out = news.count().saturating_sub(NAMED);
    if left_out > 0 {
        lines.push(format!("and {left_out} more"));
    }
    if digest.may_repeat {
        lines.push(format!("_{MAY_REPEAT}_"));
    }
    let mut text = String::new();
    for line in lines {
        if length(&text) + length(&line) + 1 > limits::SECTION {
            break;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&line);
    }
    let block = json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } });
    let reply = json!({ "text": text, "blocks": [block] });
    if digest.rings {
        super::with(reply, "reply_broadcast", true)
    } else {
        reply
    }
}

const MAY_REPEAT: &str = "possibly a repeat: what became of an earlier attempt is not known";

fn title(digest: &Digest) -> String {
    if digest.firing == 0 {
        format!("● Storm over after {}", spoken(digest.lasted()))
    } else {
        format!("▲ Storm: {}", digest.extent())
    }
}

fn headline(digest: &Digest) -> String {
    let tail = if digest.firing == 0 {
        format!(": {} resolved", groups(digest.over()))
    } else {
        format!(" ({})", digest.severities())
    };
    format!("{}{tail}", title(digest))
}

fn happened(digest: &Digest) -> String {
    if digest.firing > 0 {
        return format!("*Storm: {}* ({})", digest.extent(), digest.difference());
    }
    let lasted = spoken(digest.lasted());
    format!("*Storm over* after {lasted}: {} resolved", groups(digest.over()))
}

fn colour(digest: &Digest) -> &'static str {
    super::shade((digest.firing > 0).then(|| digest.gravity()))
}

fn blocks(digest: &Digest) -> Vec<Value> {
    let mut head = vec![facts(digest)];
    if digest.firing > 0 {
        head.push(card::remark(
            "So many groups became due at once that they share this message. A group with a critical alert has one of \
             its own, up to a limit.",
        ));
    }
    let mut remarks = Vec::new();
    match digest.own {
        0 => {}
        1 => remarks.push("1 more group fires and has a message of its own".to_owned()),
        own => remarks.push(format!("{own} more groups fire and have messages of their own")),
    }
    if digest.may_repeat {
        remarks.push(MAY_REPEAT.to_owned());
    }
    let home = Some(&*digest.external_url).filter(|url| !url.is_empty());
    remarks.extend(home.and_then(|home| link(&format!("{home}/alerts"), "All alerts")));
    let tail: Vec<Value> = (!remarks.is_empty())
        .then(|| card::context(&remarks))
        .into_iter()
        .collect();
    // Kept free for the line that says how many are left out.
    const MORE: usize = 200;
    let mut room = limits::TOTAL - MORE;
    for block in head.iter().chain(&tail) {
        room = room.saturating_sub(length(&block.to_string()));
    }
    let (listed, named) = listing(digest, room);
    let left_out = digest.lines.len() - named;
    head.extend(listed);
    if left_out > 0 {
        let s = if left_out == 1 { "" } else { "s" };
        head.push(card::remark(&format!("and {left_out} more group{s}")));
    }
    head.extend(tail);
    head
}

fn facts(digest: &Digest) -> Value {
    let mut facts = vec![
        card::fact(
            "Since",
            &format!("{} ({})", date(digest.began), spoken(digest.lasted())),
        ),
        card::fact("Groups", &digest.difference()),
    ];
    if digest.firing > 0 {
        facts.push(card::fact("Alerts", &clip(&digest.severities(), 4 * VALUE)));
    }
    if digest.over() > 0 {
        facts.push(card::fact("Resolved so far", &groups(digest.over())));
    }
    for place in digest.places(VALUES) {
        let mut words: Vec<String> = place
            .values
            .iter()
            .map(|(value, count)| format!("{} {count}", clip(value, VALUE)))
            .collect();
        if place.left_out > 0 {
            words.push(format!("{} others", place.left_out));
        }
        facts.push(card::fact(place.name, &words.join(", ")));
    }
    json!({ "type": "section", "fields": facts })
}

/// As many groups as fit, and how many these are.
fn listing(digest: &Digest, mut room: usize) -> (Vec<Value>, usize) {
    // What a block has around its text.
    const FRAME: usize = 80;
    let (mut sections, mut text, mut named) = (Vec::new(), String::new(), 0);
    let mut last = None;
    for line in &digest.lines {
        let mut words = String::new();
        if last.replace(line.standing) != Some(line.standing) {
            words.push_str(heading(line.standing));
            words.push('\n');
        }
        words.push_str(&self::text(line));
        words.push('\n');
        let size = length(&Value::from(words.as_str()).to_string()) + if text.is_empty() { FRAME } else { 0 };
        if length(&text) + length(&words) > limits::SECTION {
            sections.push(section(&std::mem::take(&mut text)));
            room = room.saturating_sub(FRAME);
        }
        let Some(left) = room.checked_sub(size) else {
            break;
        };
        room = left;
        text.push_str(&words);
        named += 1;
    }
    if !text.is_empty() {
        sections.push(section(&text));
    }
    (sections, named)
}

fn section(text: &str) -> Value {
    json!({ "type": "section", "text": { "type": "mrkdwn", "text": text.trim_end() } })
}

fn heading(standing: Standing) -> &'static str {
    match standing {
        Standing::New => "*New*",
        Standing::Changed => "*Changed*",
        Standing::Again => "*Told again*",
        Standing::Over => "*Resolved*",
        Standing::Same => "*Unchanged*",
    }
}

/// `▲ *Disk of db-1 is full* (critical, namespace=shop)`.
fn text(line: &Line) -> String {
    let shape = match line.standing {
        Standing::Over => "●",
        _ if line.is_unknown => "○",
        _ => "▲",
    };
    let title = one_line(&line.title, LINE);
    let title = if title.is_empty() { "(no name)" } else { &title };
    let aside = [&line.severity, &line.place, &line.note];
    let aside: Vec<&str> = aside
        .into_iter()
        .map(String::as_str)
        .filter(|words| !words.is_empty())
        .collect();
    let aside = if aside.is_empty() {
        String::new()
    } else {
        format!(" ({})", clip(&one_line(&aside.join(", "), LINE), LINE / 2))
    };
    format!("{shape} *{}*{aside}", clip(title, LINE / 2))
}
