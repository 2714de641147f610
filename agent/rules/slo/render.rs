//! Groups as a rule file.

use std::fmt::Write;

use model::text::duration::short;

use super::expand::{Group, Rule};

pub(super) fn file(name: &str, groups: &[Group]) -> String {
    let mut text =
        format!("# Made from {name} by `skopos slo render`; change that file, not this one.\ngroups:\n");
    for group in groups {
        // Writing to a string cannot fail.
        _ = writeln!(text, "  - name: {}", quoted(&group.name));
        _ = writeln!(text, "    interval: {}", short(group.interval));
        text.push_str("    rules:\n");
        group.rules.iter().for_each(|one| rule(&mut text, one));
    }
    text
}

fn rule(text: &mut String, rule: &Rule) {
    let key = if rule.is_alert { "alert" } else { "record" };
    _ = writeln!(text, "      - {key}: {}", quoted(&rule.name));
    text.push_str("        expr: |\n");
    for line in rule.expr.trim().lines() {
        _ = writeln!(text, "          {line}");
    }
    for (key, pairs) in [("labels", &rule.labels), ("annotations", &rule.annotations)] {
        if pairs.is_empty() {
            continue;
        }
        _ = writeln!(text, "        {key}:");
        for (name, value) in pairs {
            _ = writeln!(text, "          {}: {}", quoted(name), quoted(value));
        }
    }
}

/// As it is where YAML takes it for nothing but that text, else in quotes.
fn quoted(text: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "_:-./".contains(letter);
    let begins = text.starts_with(|letter: char| letter.is_ascii_alphabetic());
    let ends = !text.ends_with(':');
    let is_word = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
        .iter()
        .any(|word| text.eq_ignore_ascii_case(word));
    if begins && ends && !is_word && text.chars().all(is_plain) {
        return text.to_owned();
    }
    // Every JSON text is one of YAML, too.
    serde_json::Value::from(text).to_string()
}
