//! Which log groups and streams lines go to, as whom, and how much may be on the way.

use std::time::Duration;

use model::SigV4;
use net::SigV4Config;
use serde::Deserialize;

use super::name::{GroupName, StreamName};
use super::who::Who;
use crate::sink::{Json, name_mistakes};

/// Days that AWS takes.
const RETENTIONS: [u32; 22] = [
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
];

/// One entry of `logs.cloudwatch`: an account and region of AWS that all lines are sent to.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Name on the page and in metrics, and of the place reached in each file: who keeps the name goes on where it was.
    /// By default `cloudwatch`.
    pub name: String,
    /// Left out: that of `AWS_REGION`, of the profile, or `aws.region`.
    pub region: String,
    /// As whom: the keys of `sigv4` elsewhere. Left out: whatever AWS' usual places hold.
    pub sigv4: SigV4Config,
    /// Where CloudWatch Logs answers instead of the region's own address, for example a VPC endpoint.
    pub endpoint: String,
    /// The log group of a line. `{namespace}`, `{pod}`, `{container}` and `{host}` are filled in; for lines of files these are
    /// `host`, the host's name, the file's name, and the host's name.
    pub group: GroupName, // group: /skopos/{namespace}
    /// Likewise the stream in it.
    pub stream: StreamName, // stream: '{pod}/{container}'
    /// Whether groups and streams that are not there are made.
    pub create: bool,
    /// After how many days AWS deletes what is in the groups that are made here. Left out: never.
    pub retention_days: Option<u32>,
    /// Lines that are JSON objects with a `message`, `msg` or `log`: `fields` stores that as the message and the rest under
    /// `fields`, `text` the line as it is.
    pub json: Json,
    /// Whether an event says its file, pod and host. Without, group and stream say it, and 300 bytes less are paid for.
    pub place: bool,
    /// Longest wait for an answer.
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    pub timeout: Duration, // timeout: 30s
    /// How long a line waits for others to go with it. Each stream that has some is a request.
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    pub wait: Duration, // wait: 5s
    /// Requests under way at the same time, at most. Fewer while AWS pushes back.
    pub requests_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: "cloudwatch".to_owned(),
            region: String::new(),
            sigv4: SigV4Config::default(),
            endpoint: String::new(),
            group: GroupName::default(),
            stream: StreamName::default(),
            create: true,
            retention_days: None,
            json: Json::default(),
            place: true,
            timeout: Duration::from_secs(30),
            wait: Duration::from_secs(5),
            requests_max: 4,
        }
    }
}

impl Config {
    /// What is wrong with it, each a sentence that begins with the key.
    #[must_use]
    pub fn check(&self) -> Vec<String> {
        let mut wrong = name_mistakes(&self.name);
        wrong.extend(self.who().mistakes());
        if let Some(days) = self.retention_days.filter(|days| !RETENTIONS.contains(days)) {
            wrong.push(format!(
                "retention_days: AWS keeps logs for {} days, and not for {days}; take one of these",
                RETENTIONS.map(|days| days.to_string()).join(", ")
            ));
        }
        if self.retention_days.is_some() && !self.create {
            wrong.push(
                "retention_days: is for groups that are made here, and create is false; set it on the groups themselves"
                    .to_owned(),
            );
        }
        if !(Duration::from_millis(10)..=Duration::from_secs(60)).contains(&self.wait) {
            wrong.push("wait: not between 10ms and 1m".to_owned());
        }
        if !(1..=64).contains(&self.requests_max) {
            wrong.push("requests_max: not between 1 and 64".to_owned());
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Config {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn an_empty_entry_is_right_and_the_region_has_one_place() {
        assert_eq!(read("{}").check(), [""; 0]);
        assert_eq!(read("{}").signed().unwrap().region, None);
        for json in [
            r#"{"region": "eu-west-1"}"#,
            r#"{"sigv4": {"region": "eu-west-1"}}"#,
            r#"{"region": "eu-west-1", "sigv4": {"region": "eu-west-1"}}"#,
        ] {
            assert_eq!(read(json).check(), [""; 0], "{json}");
            assert_eq!(
                read(json).signed().unwrap().region.as_deref(),
                Some("eu-west-1"),
                "{json}"
            );
        }
    }

    #[test]
    fn what_cannot_work_is_named_with_its_key_and_what_to_do() {
        for (json, sentence) in [
            (
                r#"{"retention_days": 31}"#,
                "retention_days: AWS keeps logs for 1, 3, 5",
            ),
            (
                r#"{"retention_days": 30, "create": false}"#,
                "retention_days: is for groups that are made here",
            ),
            (r#"{"endpoint": "vpce-1"}"#, "endpoint: not an http://"),
            (r#"{"region": "eu west"}"#, "region: \"eu west\""),
            (r#"{"sigv4": {"region": "eu west"}}"#, "sigv4.region: \"eu west\""),
            (
                r#"{"region": "a", "sigv4": {"region": "b"}}"#,
                "sigv4.region: \"b\" is another",
            ),
            (r#"{"sigv4": {"access_key": "a"}}"#, "sigv4.secret_key: missing"),
            (
                r#"{"sigv4": {"service_name": "es"}}"#,
                "sigv4.service_name: is always logs",
            ),
            (
                r#"{"name": "segments"}"#,
                "name: \"segments\" is a folder of ours",
            ),
            (r#"{"name": "spool"}"#, "name: \"spool\" is a folder of ours"),
            (r#"{"name": "a/b"}"#, "name: \"a/b\" is not of"),
            (r#"{"wait": "2m"}"#, "wait: not between"),
            (r#"{"timeout": "10ms"}"#, "timeout: less than"),
            (r#"{"requests_max": 0}"#, "requests_max: not between"),
        ] {
            let wrong = read(json).check();
            assert!(
                wrong.len() == 1 && wrong[0].starts_with(sentence),
                "{json}: {wrong:?}"
            );
        }
    }
}
