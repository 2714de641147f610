//! Which values of a file are secrets, and how they are kept from being seen: in what is shown of it, and in the lines that
//! mistakes quote.
//!
//! Where it is not certain, more is hidden than need be.

use model::Complaint;
use net::{Secret, without_password};

use super::node::Node;

/// Keys whose values are secrets wherever they stand.
const KEYS: [&str; 31] = [
    "alert_source_token",
    "api_key",
    "api_secret",
    "app_token",
    "auth_password",
    "auth_secret",
    "bearer_token",
    "bot_token",
    "client_certificate_key",
    "client_secret",
    "credentials",
    "mattermost_webhook_url",
    "opsgenie_api_key",
    "password",
    "proxy_connect_header",
    "rocketchat_token",
    "rocketchat_token_id",
    "routing_key",
    "secrets",
    "service_key",
    "slack_api_url",
    "slack_app_token",
    "smtp_auth_password",
    "smtp_auth_secret",
    "telegram_bot_token",
    "token",
    "token_id",
    "user_key",
    "victorops_api_key",
    "webhook_url",
    "wechat_api_secret",
];
/// Those that are secrets only within another key.
const KEYS_WITHIN: [(&str, &str); 4] = [
    ("slack_configs", "api_url"),
    ("webhook_configs", "url"),
    ("tls_config", "key"),
    ("smtp_tls_config", "key"),
];
/// Keys below which people give names of their own.
const FREE: [&str; 10] = [
    "details",
    "headers",
    "labels",
    "match",
    "match_re",
    "payload",
    "source_match",
    "source_match_re",
    "target_match",
    "target_match_re",
];
/// Sections that have no effect, and might say secrets in words that are not known here.
const WITHOUT_EFFECT: [&str; 2] = ["event_recorder", "tracing"];
/// A value that is shorter might be a part of any word.
const LETTERS_MIN: usize = 4;

/// What was found in a file.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    values: Vec<String>,
    /// Where each stands.
    pub(super) places: Vec<String>,
}

/// A document as it may be seen, and what was hidden in it.
pub(super) fn hidden(document: Node) -> (Node, Secrets) {
    let mut secrets = Secrets::default();
    let shown = match document {
        Node::Map(entries) => Node::Map(
            entries
                .into_iter()
                .filter_map(|(key, value)| {
                    if WITHOUT_EFFECT.contains(&key.as_str()) {
                        secrets.forget(value);
                        return None;
                    }
                    let value = secrets.walk(value, &key, &key, &key);
                    Some((key, value))
                })
                .collect(),
        ),
        other => other,
    };
    (shown, secrets)
}

impl Secrets {
    /// `within` is the key of the nearest list or map around it, `key` its own.
    fn walk(&mut self, node: Node, within: &str, key: &str, path: &str) -> Node {
        if is_secret(within, key) {
            return self.hide(node, path);
        }
        match node {
            Node::Text(text) => {
                let shown = without_password(&text);
                if shown != text {
                    self.values.push(text);
                    self.places.push(path.to_owned());
                }
                Node::Text(shown)
            }
            Node::List(all) => {
                let all = all.into_iter().enumerate();
                let shown = all.map(|(nth, one)| self.walk(one, key, "", &format!("{path}[{nth}]")));
                Node::List(shown.collect())
            }
            node if FREE.contains(&key) => node,
            Node::Map(entries) => {
                // Of an element of a list, the list's key is around its keys.
                let around = if key.is_empty() { within } else { key };
                let entries = entries.into_iter().map(|(name, value)| {
                    let path = format!("{path}.{name}");
                    let shown = match (around, value) {
                        // Names of headers are no keys.
                        ("http_headers", value) => self.walk(value, "", "", &path),
                        (_, value) => self.walk(value, around, &name, &path),
                    };
                    (name, shown)
                });
                Node::Map(entries.collect())
            }
            node => node,
        }
    }

    /// No text of it is shown.
    fn forget(&mut self, node: Node) {
        match node {
            Node::Text(text) => self.values.push(text),
            Node::List(all) => all.into_iter().for_each(|one| self.forget(one)),
            Node::Map(entries) => entries.into_iter().for_each(|(_, one)| self.forget(one)),
            Node::Null | Node::Flag(_) | Node::Whole(_) | Node::Number(_) => {}
        }
    }

    fn hide(&mut self, node: Node, path: &str) -> Node {
        match node {
            Node::Null | Node::Flag(_) => node,
            Node::Text(text) if text.is_empty() => Node::Text(text),
            Node::Text(text) => {
                // What goes to this machine is seldom one, and a page of warnings is read by nobody.
                if !is_local(&text) {
                    self.places.push(path.to_owned());
                }
                self.values.push(text);
                Node::text(Secret::SHOWN)
            }
            Node::Whole(_) | Node::Number(_) => {
                self.places.push(path.to_owned());
                Node::text(Secret::SHOWN)
            }
            Node::List(all) => Node::List(all.into_iter().map(|one| self.hide(one, path)).collect()),
            Node::Map(entries) => {
                let entries = entries
                    .into_iter()
                    .map(|(name, value)| (name, self.hide(value, path)));
                Node::Map(entries.collect())
            }
        }
    }

    /// A mistake that quotes none of them; `text` is the file.
    pub(super) fn hide_in(&self, complaint: Complaint, text: &str) -> Complaint {
        let mut lines: Vec<&str> = self
            .values
            .iter()
            .flat_map(|value| value.lines())
            .map(str::trim)
            .collect();
        lines.retain(|line| line.chars().count() >= LETTERS_MIN);
        // The longest first: one may be a part of another.
        lines.sort_unstable_by_key(|line| std::cmp::Reverse(line.len()));
        lines.dedup();
        let without = |shown: String, keeps_width: bool| {
            lines.iter().fold(shown, |shown, line| {
                let instead = if keeps_width {
                    mask(line)
                } else {
                    Secret::SHOWN.to_owned()
                };
                shown.replace(line, &instead)
            })
        };
        let excerpt = complaint.excerpt.as_ref();
        Complaint {
            excerpt: excerpt.map(|_| without(line_without_secrets(text, complaint.line), true)),
            message: without(complaint.message, false),
            suggestion: complaint.suggestion.map(|suggestion| without(suggestion, false)),
            ..complaint
        }
    }
}

fn is_secret(within: &str, key: &str) -> bool {
    KEYS.contains(&key) || KEYS_WITHIN.contains(&(within, key))
}

fn is_local(text: &str) -> bool {
    let rest = text.strip_prefix("http://").unwrap_or_default();
    ["localhost", "127.0.0.1"].iter().any(|host| {
        rest.strip_prefix(host)
            .is_some_and(|rest| rest.starts_with([':', '/']) || rest.is_empty())
    })
}

/// As wide as what it stands for, so that a mark below a line still points to its place.
fn mask(hidden: &str) -> String {
    let width = hidden.chars().count();
    let shown: String = Secret::SHOWN.chars().take(width).collect();
    format!("{shown}{}", " ".repeat(width - shown.chars().count()))
}

/// One line of a text, which need not be YAML, with what stands after the keys of secrets hidden.
fn line_without_secrets(text: &str, number: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let nth = number.saturating_sub(1);
    let Some(line) = lines.get(nth) else {
        return String::new();
    };
    if is_below_a_secret(&lines, nth) {
        let content = line.trim_start();
        let indent = line.chars().count() - content.chars().count();
        return format!("{}{}", " ".repeat(indent), mask(content));
    }
    let mut shown = String::with_capacity(line.len());
    let mut rest = *line;
    while let Some((before, value, after)) = next_secret(rest) {
        shown.push_str(before);
        shown.push_str(&mask(value));
        rest = after;
    }
    shown.push_str(rest);
    shown
}

/// Where the text of a line begins, behind the dashes of lists.
fn column(line: &str) -> usize {
    line.find(|letter: char| letter != ' ' && letter != '-')
        .unwrap_or(line.len())
}

/// Whether a line goes on with the value of a key above it that is a secret's.
fn is_below_a_secret(lines: &[&str], nth: usize) -> bool {
    let mut indent = lines.get(nth).map_or(0, |line| column(line));
    for line in lines.iter().take(nth).rev() {
        let (content, at) = (line.trim(), column(line));
        if content.is_empty() || content.starts_with('#') || at >= indent {
            continue;
        }
        let key = line
            .get(at..)
            .and_then(|rest| rest.split_once(':'))
            .map(|(key, _)| key.trim());
        if key.is_some_and(|key| may_be_secret(key.trim_matches(['"', '\'']))) {
            return true;
        }
        indent = at;
    }
    false
}

/// Within what it stands is not known here.
fn may_be_secret(key: &str) -> bool {
    KEYS.contains(&key) || KEYS_WITHIN.iter().any(|(_, known)| *known == key)
}

/// The next value of a secret's key: what is before it, itself, and what is after it.
fn next_secret(line: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    while let Some(found) = line.get(from..)?.find(':') {
        let colon = from + found;
        from = colon + 1;
        let key = line.get(..colon)?.trim_end().trim_end_matches(['"', '\'']);
        let key = key
            .rsplit(|letter: char| !letter.is_alphanumeric() && letter != '_')
            .next()?;
        let rest = line.get(from..)?;
        let value = rest.trim_start();
        if !may_be_secret(key)
            || value.is_empty()
            || value.len() == rest.len() && !rest.starts_with(['"', '\''])
        {
            continue;
        }
        let start = line.len() - value.len();
        let is_flow = line.get(..colon)?.contains('{');
        let length = match value.chars().next()? {
            quote @ ('"' | '\'') => closing(value, quote),
            '[' | '{' => None,
            _ if is_flow => value.find([',', '}', ']']),
            _ => None,
        };
        let length = length.unwrap_or(value.len());
        return Some((line.get(..start)?, value.get(..length)?, value.get(length..)?));
    }
    None
}

/// How long a quoted text is that a line begins with, if it ends there.
fn closing(value: &str, quote: char) -> Option<usize> {
    let mut letters = value.char_indices().skip(1).peekable();
    while let Some((at, letter)) = letters.next() {
        let is_doubled = || quote == '\'' && value.get(at + 1..).is_some_and(|rest| rest.starts_with(quote));
        if letter == '\\' && quote == '"' || letter == quote && is_doubled() {
            letters.next();
        } else if letter == quote {
            return Some(at + 1);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str, number: usize) -> String {
        line_without_secrets(text, number)
    }

    #[test]
    fn a_line_shows_no_value_of_a_secrets_key() {
        for (text, shown) in [
            ("  routing_key: abcdefgh # x", "  routing_key: <secret>    "),
            (
                "- { api_url: https://x/y, max: 3 }",
                "- { api_url: <secret>   , max: 3 }",
            ),
            ("password: 'it is' # x", "password: <secret # x"),
            (
                "\"password\": \"abcdefgh\", a: b",
                "\"password\": <secret>  , a: b",
            ),
            (r#"password: "a\"b\"", c: d"#, "password: <secret>, c: d"),
            ("password: 'a''b', c: d", "password: <secre, c: d"),
            ("password: 'a''b", "password: <secr"),
            ("secrets: [ a, b ]", "secrets: <secret>"),
            ("url:", "url:"),
            ("channel: 'a: b'", "channel: 'a: b'"),
            ("password_file: x", "password_file: x"),
        ] {
            assert_eq!(line(text, 1), shown, "{text}");
        }
    }

    #[test]
    fn a_line_that_goes_on_with_a_secret_is_hidden() {
        let text =
            "tls_config:\n  key: |\n    -----BEGIN\n    abc\n  ca_file: x\nsecrets:\n- one\n- two\nname: x\n";
        assert_eq!(line(text, 3), "    <secret>  ");
        assert_eq!(line(text, 4), "    <se");
        assert_eq!(line(text, 5), "  ca_file: x");
        assert_eq!(line(text, 7), "<secr");
        assert_eq!(line(text, 9), "name: x");
        let item = "webhook_configs:\n- url: https://x\n  max_alert: 3\n";
        assert_eq!(line(item, 3), "  max_alert: 3");
    }
}
