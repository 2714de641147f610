//! What a silence that nobody has made yet would cover, for whoever wants to see that first.

use model::{Labels, Matcher};

use crate::matchers;
use crate::matching::{Test, Tests};

/// Matchers as people write them, with commas between, in braces or without.
///
/// # Errors
/// A sentence in Alertmanager's words.
pub fn read(text: &str) -> Result<Vec<Matcher>, String> {
    matchers::list(text)
}

/// Tells by an alert's labels whether a silence with these matchers would cover it.
///
/// # Errors
/// No silence may have these matchers; a sentence.
pub fn covering(matchers: &[Matcher]) -> Result<impl Fn(&Labels) -> bool + Send + Sync + 'static, String> {
    let mut is_bounded = false;
    for matcher in matchers {
        is_bounded |= !Test::new(matcher)?.accepts("");
    }
    if !is_bounded {
        return Err(
            "these matchers would silence every alert: name a label and the value it must have".to_owned(),
        );
    }
    let tests = Tests::new(matchers)?;
    Ok(move |labels: &Labels| tests.accept(labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_covered_is_known_beforehand() {
        let covers = covering(&read(r#"{job="shop", node=~"web-.*"}"#).unwrap()).unwrap();
        assert!(covers(&Labels::from_pairs([("job", "shop"), ("node", "web-1")])));
        assert!(!covers(&Labels::from_pairs([("job", "shop"), ("node", "db-1")])));
        assert!(!covers(&Labels::from_pairs([("node", "web-1")])));
    }

    #[test]
    fn a_silence_of_everything_is_none() {
        for text in ["", r#"job=~".*""#, r#"job!="shop""#] {
            let why = covering(&read(text).unwrap()).err().unwrap();
            assert!(why.contains("every alert"), "{text}: {why}");
        }
        assert!(covering(&read(r#"job=~"(""#).unwrap()).is_err());
    }
}
