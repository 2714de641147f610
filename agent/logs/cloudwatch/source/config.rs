//! Which log groups are read, and how often they are asked for.

use std::time::Duration;

use model::SigV4;
use net::SigV4Config;
use serde::Deserialize;

use crate::cloudwatch::who::Who;

/// Longest that late events are waited for.
const LATENESS_MAX: Duration = Duration::from_secs(3_600);
const READ_BACK_MAX: Duration = Duration::from_secs(30 * 86_400);

/// One entry of `logs.cloudwatch_sources`: log groups of an account and region of AWS.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Name on the page and in metrics, and of the place reached in each group.
    pub name: String,
    /// Left out: that of `AWS_REGION`, of the profile, or `aws.region`.
    pub region: String,
    /// As whom: the keys of `sigv4` elsewhere. Left out: whatever AWS' usual places hold.
    pub sigv4: SigV4Config,
    /// Where CloudWatch Logs answers instead of the region's own address, for example a VPC endpoint.
    pub endpoint: String,
    /// Names of log groups; `*` stands for any letters.
    pub groups: Vec<String>,
    /// How far back a group is read that is seen for the first time.
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    pub read_back: Duration, // read_back: 1h
    /// Events that AWS shows so much later than they happened are read all the same.
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    pub lateness: Duration, // lateness: 5m
    /// Between two looks at a group in which there was something; one that is quiet is looked at ever more seldom, down to
    /// twelve times that.
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    pub poll: Duration, // poll: 10s
    /// Of the 5 requests a second that AWS grants an account in a region for all that look for events.
    pub requests_per_second: u32, // requests_per_second: 2
    /// Longest wait for an answer.
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    pub timeout: Duration, // timeout: 30s
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: "cloudwatch".to_owned(),
            region: String::new(),
            sigv4: SigV4Config::default(),
            endpoint: String::new(),
            groups: Vec::new(),
            read_back: Duration::from_secs(3_600),
            lateness: Duration::from_secs(300),
            poll: Duration::from_secs(10),
            requests_per_second: 2,
            timeout: Duration::from_secs(30),
        }
    }
}

impl Config {
    /// What is wrong with it, each a sentence that begins with the key.
    #[must_use]
    pub fn check(&self) -> Vec<String> {
        let mut wrong = self.who().mistakes();
        let fit = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
        if self.name.is_empty() || self.name.len() > 64 || !self.name.chars().all(fit) {
            wrong.push(format!(
                "name: {:?} is not of letters, digits, '-', '_' and '.', 64 at most",
                self.name
            ));
        }
        if self.groups.is_empty() {
            wrong.push(
                "groups: missing; name log groups, for example /aws/rds/instance/*/postgresql".to_owned(),
            );
        }
        let fit = |letter: char| letter.is_ascii_alphanumeric() || "_-/.#*".contains(letter);
        for group in &self.groups {
            if group.is_empty() || group.len() > 512 || !group.chars().all(fit) {
                wrong.push(format!(
                    "groups: {group:?} is no name of a log group; it has letters, digits and _-/.#, and * stands for any of them"
                ));
            }
        }
        if self.read_back > READ_BACK_MAX {
            wrong.push("read_back: more than 30d".to_owned());
        }
        if !(Duration::from_secs(60)..=LATENESS_MAX).contains(&self.lateness) {
            wrong.push("lateness: not between 1m and 1h".to_owned());
        }
        if !(Duration::from_secs(1)..=Duration::from_secs(3_600)).contains(&self.poll) {
            wrong.push("poll: not between 1s and 1h".to_owned());
        }
        if !(1..=5).contains(&self.requests_per_second) {
            wrong.push("requests_per_second: not between 1 and 5, which is all that AWS grants".to_owned());
        }
        wrong
    }

    /// Account and region.
    ///
    /// # Errors
    /// The first mistake, which begins with its key.
    pub fn signed(&self) -> Result<SigV4, String> {
        self.who().signed()
    }

    pub(crate) fn who(&self) -> Who<'_> {
        Who {
            region: &self.region,
            sigv4: &self.sigv4,
            endpoint: &self.endpoint,
            timeout: self.timeout,
        }
    }
}

/// Whether a name is what `pattern` stands for.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let Some((front, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut name) = name.strip_prefix(front) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        match name.split_once(part) {
            Some((_, behind)) => name = behind,
            None => return false,
        }
    }
    name.ends_with(last)
}

/// The letters in front of the first `*`.
pub(crate) fn front(pattern: &str) -> &str {
    pattern.split('*').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_letters() {
        let pattern = "/aws/rds/instance/*/postgresql";
        assert!(matches(pattern, "/aws/rds/instance/shop-1/postgresql"));
        assert!(!matches(pattern, "/aws/rds/instance/shop-1/upgrade"));
        assert!(matches("*", "") && matches("*", "a") && matches("a*b*c", "axxbyyc"));
        assert!(!matches("a*b*c", "axxcyyb") && !matches("ab*ba", "aba"));
        assert!(matches("a", "a") && !matches("a", "ab"));
        assert_eq!((front(pattern), front("a")), ("/aws/rds/instance/", "a"));
    }

    #[test]
    fn what_cannot_work_is_named_with_its_key() {
        let check = |json: &str| serde_json::from_str::<Config>(json).unwrap().check();
        assert_eq!(check(r#"{"groups": ["/aws/eks/*/cluster"]}"#), [""; 0]);
        for (json, sentence) in [
            ("{}", "groups: missing"),
            (r#"{"groups": ["a b"]}"#, "groups: \"a b\" is no name"),
            (r#"{"groups": ["a"], "lateness": "1s"}"#, "lateness: not"),
            (r#"{"groups": ["a"], "poll": "1ms"}"#, "poll: not"),
            (
                r#"{"groups": ["a"], "requests_per_second": 6}"#,
                "requests_per_second: not",
            ),
            (r#"{"groups": ["a"], "name": ""}"#, "name: \"\""),
            (r#"{"groups": ["a"], "region": "a b"}"#, "region: \"a b\""),
        ] {
            let wrong = check(json);
            assert!(
                wrong.len() == 1 && wrong[0].starts_with(sentence),
                "{json}: {wrong:?}"
            );
        }
    }
}
