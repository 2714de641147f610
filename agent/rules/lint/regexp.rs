//! `promql/regexp`: regular expressions that are none, or that say what Prometheus says anyway.

use model::{MatchOp, Matcher};
use promql::{Kind, Span};

use super::report::Severity;
use super::{Desk, Look, REGEXP, find, word};

pub(super) fn check(desk: &mut Desk<'_>, look: &Look<'_>) {
    let mut found: Vec<(Matcher, Span)> = Vec::new();
    look.rule.expr.walk(&mut |part| {
        if let Kind::Selector(selector) | Kind::Range { selector, .. } = &part.kind {
            let regular = selector.matchers.iter().filter(|matcher| is_regular(matcher));
            found.extend(regular.map(|matcher| (matcher.clone(), part.span)));
        }
    });
    for (matcher, span) in found {
        if let Some((severity, message, advice)) = verdict(&matcher) {
            let place = find::word(&look.rule.text, span, &[], &matcher.name);
            desk.say(look, look.at(place), word(REGEXP, severity, message, advice));
        }
    }
}

fn is_regular(matcher: &Matcher) -> bool {
    matches!(matcher.op, MatchOp::Matches | MatchOp::NotMatches)
}

fn verdict(matcher: &Matcher) -> Option<(Severity, String, String)> {
    let (name, value) = (&matcher.name, &*matcher.value);
    let matches = matcher.op == MatchOp::Matches;
    let inner = anchored(value);
    if inner != value {
        let message = format!("{matcher} is anchored at both ends anyway");
        let plain = Matcher::new(name, matcher.op, inner);
        return Some((Severity::Warning, message, format!("write {plain}")));
    }
    match (value, matches) {
        (".*", true) => {
            let message = format!("{matcher} matches every series, with the label or without");
            let advice = format!("leave it out, or write {name}!=\"\" for those with the label");
            return Some((Severity::Warning, message, advice));
        }
        (".*", false) => {
            let message = format!("{matcher} matches no series at all");
            let advice = format!("write {name}=\"\" for series without the label");
            return Some((Severity::Bug, message, advice));
        }
        (".+", _) => {
            let op = if matches { "!=" } else { "=" };
            let message = format!("{matcher} only asks whether the label is there");
            return Some((Severity::Info, message, format!("write {name}{op}\"\"")));
        }
        _ => {}
    }
    if let Some(text) = literal(value) {
        let op = if matches {
            MatchOp::Equal
        } else {
            MatchOp::NotEqual
        };
        let message = format!("{matcher} matches one text only, and needs no regular expression");
        let plain = Matcher::new(name, op, &text);
        return Some((Severity::Warning, message, format!("write {plain}")));
    }
    if is_smelly(value) {
        let message = format!("{matcher} looks for a part of a value");
        let advice = "make the part a label of its own, where the metric comes from";
        return Some((Severity::Info, message, advice.to_owned()));
    }
    None
}

/// Without anchors at the ends of the whole.
fn anchored(value: &str) -> &str {
    if has_branches(value) {
        return value;
    }
    let inner = value.strip_prefix('^').unwrap_or(value);
    match inner.strip_suffix('$') {
        Some(rest) if !rest.ends_with('\\') => rest,
        _ => inner,
    }
}

/// `a|b`, outside of all brackets: an anchor belongs to one branch then.
fn has_branches(value: &str) -> bool {
    let mut depth = 0;
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => drop(letters.next()),
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            '|' if depth == 0 => return true,
            _ => {}
        }
    }
    false
}

/// The one text that is matched.
fn literal(value: &str) -> Option<String> {
    let mut text = String::new();
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        match letter {
            // An escaped sign stands for itself, an escaped letter for a class.
            '\\' => match letters.next() {
                Some(next) if next.is_ascii_punctuation() => text.push(next),
                _ => return None,
            },
            '.' | '*' | '+' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '|' | '^' | '$' => return None,
            other => text.push(other),
        }
    }
    Some(text)
}

/// `.*text.*`, or `text.*text` with a text on both sides of the wildcard.
fn is_smelly(value: &str) -> bool {
    let is_text = |part: &str| literal(part).is_some_and(|text| text.chars().any(char::is_alphabetic));
    let value = value.strip_prefix("(?i)").unwrap_or(value);
    let parts: Vec<&str> = value.split(".*").flat_map(|part| part.split(".+")).collect();
    match parts.as_slice() {
        ["", middle, ""] => is_text(middle),
        [first, .., last] => parts.iter().all(|part| is_text(part)) && !first.is_empty() && !last.is_empty(),
        _ => false,
    }
}
