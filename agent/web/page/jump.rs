//! `/jump?q=`: leads to what the words name: a view, an alert, a rule, a target; otherwise looks for lines.

use super::frame::Place;
use super::link;
use super::visit::Visit;

/// Where the words lead.
pub(super) fn destination(visit: &Visit, words: &str) -> String {
    let words = words.trim();
    if words.is_empty() {
        return "/logs".to_owned();
    }
    let same = |name: &str| name.eq_ignore_ascii_case(words);
    if let Some(place) = Place::all(visit).find(|place| same(place.word())) {
        return place.path().to_owned();
    }
    if let Some((path, ..)) = super::bar::aside(visit).find(|(_, word, _)| same(word)) {
        return path.to_owned();
    }
    if same("graph") {
        return "/graph".to_owned();
    }
    if let Some((group, rule)) = visit.all_rules().find(|(_, rule)| same(&rule.name)) {
        // While it is true the alert is what one wants to see.
        return match rule.alerts.first() {
            Some(alert) => link::alert(&rule.name, alert),
            None => link::rule(group, rule),
        };
    }
    if visit.targets.iter().any(|target| same(&target.job)) {
        return "/targets".to_owned();
    }
    if is_expression(words) {
        return link::explore(words);
    }
    link::to("/logs", &[("q", words)])
}

/// Brackets and operators, or the name of something Skopos keeps; other words are looked for in lines.
fn is_expression(words: &str) -> bool {
    let asks = words.contains(['{', '[']) || (words.contains('(') && words.ends_with(')'));
    let prefixes = ["node_", "up", "skopos_", "scrape_", "ALERTS", "process_"];
    let named = !words.contains(' ')
        && words != "up"
        && prefixes
            .iter()
            .any(|prefix| words.starts_with(prefix) && words.contains('_'));
    asks || named || words == "up" || words.starts_with("ALERTS")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_looks_like_a_question_is_one() {
        for words in ["up", "up{job=\"node\"}", "rate(x[5m])", "node_load1", "ALERTS"] {
            assert!(is_expression(words), "{words}");
        }
        for words in ["update failed", "connection refused (again", "upstream", "oom"] {
            assert!(!is_expression(words), "{words}");
        }
    }
}
