//! From where the journal is read, and which of its entries are taken.

use std::path::Path;
use std::time::Duration;

use net::{HttpConfig, is_http, without_secrets};
use serde::Deserialize;

use super::export::Entry;
use crate::cloudwatch::source::matches;

net::http_keys! {
    /// `logs.journal`: systemd's journal as an input. Without the section it is not read. The keys of `http_config` stand
    /// beside these, for `url`.
    pub struct Config {
        /// The program that prints the journal, and what it is told first; the format, the place to go on at and
        /// `--follow` are added. For example `[journalctl, --directory=/host/var/log/journal]`.
        pub command: Vec<String>, // command: [journalctl]
        /// Where a systemd-journal-gatewayd answers, for example `http://127.0.0.1:19531`: it is asked in place of the
        /// command.
        pub url: String,
        /// Between two looks at a gateway that had nothing new.
        #[serde(deserialize_with = "model::text::duration::deserialize")]
        pub poll: Duration, // poll: 1s
        /// Longest wait for an answer of the gateway.
        #[serde(deserialize_with = "model::text::duration::deserialize")]
        pub timeout: Duration, // timeout: 30s
        /// Units whose entries are taken; `*` stands for any letters. Empty, and no `identifiers`: all.
        pub units: Vec<String>,
        /// Likewise `SYSLOG_IDENTIFIER`, for example `kernel` or `sshd`: what one of the two lists names is taken.
        pub identifiers: Vec<String>,
        /// Units whose entries are left out, whatever else names them.
        pub exclude_units: Vec<String>,
        pub exclude_identifiers: Vec<String>,
        /// The least grave entries taken.
        pub priority: Priority, // priority: debug
    }
}

/// As the journal has it: the lower the number, the graver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    Emerg,
    Alert,
    Crit,
    Err,
    Warning,
    Notice,
    Info,
    #[default]
    Debug,
}

impl Priority {
    const ALL: [Self; 8] = [
        Self::Emerg,
        Self::Alert,
        Self::Crit,
        Self::Err,
        Self::Warning,
        Self::Notice,
        Self::Info,
        Self::Debug,
    ];

    /// Of an entry; none when it says none.
    pub(crate) fn of(entry: &Entry) -> Option<Self> {
        let number: usize = entry.text("PRIORITY").parse().ok()?;
        Self::ALL.get(number).copied()
    }
}

impl PartialEq for Config {
    fn eq(&self, other: &Self) -> bool {
        let lists = |config: &Self| {
            [
                config.command.clone(),
                config.units.clone(),
                config.identifiers.clone(),
                config.exclude_units.clone(),
                config.exclude_identifiers.clone(),
            ]
        };
        let rest = |config: &Self| {
            (
                config.url.clone(),
                config.poll,
                config.timeout,
                config.priority,
                config.http.clone(),
            )
        };
        lists(self) == lists(other) && rest(self) == rest(other)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            command: vec!["journalctl".to_owned()],
            url: String::new(),
            poll: Duration::from_secs(1),
            timeout: Duration::from_secs(30),
            units: Vec::new(),
            identifiers: Vec::new(),
            exclude_units: Vec::new(),
            exclude_identifiers: Vec::new(),
            priority: Priority::default(),
            http: HttpConfig::default(),
        }
    }
}

impl Config {
    /// What is wrong with it, each a sentence that begins with the key.
    #[must_use]
    pub fn check(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.command.first().is_none_or(String::is_empty) {
            wrong.push("command: empty; write for example [journalctl]".to_owned());
        }
        if !self.url.is_empty() {
            if !is_http(&self.url) {
                wrong.push(format!(
                    "url: not an http:// or https:// URL: {:?}; write for example http://127.0.0.1:19531",
                    without_secrets(&self.url)
                ));
            } else if self.url.contains(['?', '#']) {
                wrong.push("url: has a query or fragment; give host and port".to_owned());
            }
            if self.command != Self::default().command {
                wrong.push("url: set it or command, not both".to_owned());
            }
        }
        if !(Duration::from_millis(100)..=Duration::from_secs(3_600)).contains(&self.poll) {
            wrong.push("poll: not between 100ms and 1h".to_owned());
        }
        if self.timeout < Duration::from_secs(1) {
            wrong.push("timeout: less than 1s; every request would fail".to_owned());
        }
        let lists = [
            ("units", &self.units),
            ("identifiers", &self.identifiers),
            ("exclude_units", &self.exclude_units),
            ("exclude_identifiers", &self.exclude_identifiers),
        ];
        for (key, list) in lists {
            if list.iter().any(String::is_empty) {
                wrong.push(format!("{key}: has an empty name, which no entry has"));
            }
        }
        match self.http.check() {
            mistakes if mistakes.is_empty() => wrong.extend(self.reach().err()),
            mistakes => wrong.extend(mistakes),
        }
        wrong
    }

    /// # Errors
    /// A sentence that begins with the key.
    pub(crate) fn reach(&self) -> Result<net::Reach, String> {
        self.http.read(Path::new(""))
    }

    /// Whom is asked, for people.
    pub(crate) fn from(&self) -> String {
        match self.url.as_str() {
            "" => self.command.join(" "),
            url => without_secrets(url),
        }
    }

    /// Whether an entry is to be taken.
    pub(crate) fn wants(&self, entry: &Entry) -> bool {
        let one_of = |patterns: &[String], names: &[&str]| {
            patterns.iter().any(|pattern| {
                names
                    .iter()
                    .any(|name| !name.is_empty() && matches(pattern, name))
            })
        };
        // What systemd says of a unit is the unit's as well.
        let units = ["_SYSTEMD_UNIT", "_SYSTEMD_USER_UNIT", "UNIT", "USER_UNIT"].map(|name| entry.text(name));
        let identifiers = [entry.text("SYSLOG_IDENTIFIER")];
        let is_named = (self.units.is_empty() && self.identifiers.is_empty())
            || one_of(&self.units, &units)
            || one_of(&self.identifiers, &identifiers);
        is_named
            && !one_of(&self.exclude_units, &units)
            && !one_of(&self.exclude_identifiers, &identifiers)
            && Priority::of(entry).is_none_or(|priority| priority <= self.priority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journald::entry::tests::entry;

    fn config(json: &str) -> Config {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn an_entry_is_taken_when_a_list_names_it_and_none_leaves_it_out() {
        let kubelet = entry(&[("_SYSTEMD_UNIT", "kubelet.service"), ("PRIORITY", "6")]);
        let kernel = entry(&[("SYSLOG_IDENTIFIER", "kernel"), ("PRIORITY", "4")]);
        let started = entry(&[("_SYSTEMD_UNIT", "init.scope"), ("UNIT", "kubelet.service")]);
        for (json, taken) in [
            ("{}", [true, true, true]),
            (r#"{"units": ["kubelet.service"]}"#, [true, false, true]),
            (
                r#"{"units": ["kube*"], "identifiers": ["kernel"]}"#,
                [true, true, true],
            ),
            (r#"{"identifiers": ["ker*"]}"#, [false, true, false]),
            (r#"{"exclude_units": ["init.scope"]}"#, [true, true, false]),
            (r#"{"exclude_identifiers": ["kernel"]}"#, [true, false, true]),
            (r#"{"priority": "warning"}"#, [false, true, true]),
        ] {
            let config = config(json);
            let found = [&kubelet, &kernel, &started].map(|entry| config.wants(entry));
            assert_eq!(found, taken, "{json}");
        }
    }

    #[test]
    fn what_cannot_work_is_named_with_its_key() {
        assert_eq!(config("{}").check(), [""; 0]);
        assert_eq!(config(r#"{"url": "http://127.0.0.1:19531"}"#).check(), [""; 0]);
        for (json, sentence) in [
            (r#"{"command": []}"#, "command: empty"),
            (r#"{"url": "unix:/a"}"#, "url: not an http://"),
            (r#"{"url": "http://a/?b"}"#, "url: has a query"),
            (
                r#"{"url": "http://a", "command": ["x"]}"#,
                "url: set it or command",
            ),
            (r#"{"poll": "1ms"}"#, "poll: not between"),
            (r#"{"timeout": "1ms"}"#, "timeout: less"),
            (r#"{"units": [""]}"#, "units: has an empty name"),
        ] {
            let wrong = config(json).check();
            assert!(
                wrong.len() == 1 && wrong[0].starts_with(sentence),
                "{json}: {wrong:?}"
            );
        }
        assert!(serde_json::from_str::<Config>(r#"{"priority": "loud"}"#).is_err());
    }
}
