//! What is told about the pair in the configuration file, and which keys of the journal both replicas share.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

/// The section `pair:`. Left empty there is no other replica, and this one does everything.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Name of this replica, different from the other's. Empty: the host's name.
    pub name: String,
    /// Where the other replica listens, for example `http://10.0.0.2:9464`. `{other}` in it is this replica's name with the 0 or 1
    /// at its end exchanged, so that both can have one file.
    pub peer: Option<String>,
    /// File that holds the token both replicas show each other; read again every few seconds.
    pub token_file: Option<PathBuf>,
    /// On plain hosts, and needed there by two replicas: begins the names of files that both see, which say who leads. In
    /// Kubernetes a Lease does.
    pub lease_file: Option<PathBuf>,
    /// How long a lease stands that nobody renews. A replica that hears nothing of the other for as long acts itself.
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    pub lease_duration: Duration, // lease_duration: 10s
    /// After how long without a renewal the holder stops doing what only the holder does.
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    pub renew_deadline: Duration, // renew_deadline: 7s
    /// Pause between looks at the lease.
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    pub retry: Duration, // retry: 2s
    /// Pause between heartbeats, when there is nothing to tell sooner.
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    pub beat: Duration, // beat: 500ms
    /// After how long without a heartbeat, or without the other having taken what it was told, the replicas are out
    /// of step: nobody waits for the other any more.
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    pub out_of_step_after: Duration, // out_of_step_after: 2s
    /// How long a replica without data copies from the other before it may lead all the same.
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    pub copy_patience: Duration, // copy_patience: 60s
    /// How long a replica that has just started waits to hear the other, or for the fuller one to lead.
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    pub lead_patience: Duration, // lead_patience: 10s
}

/// In `peer`: the other replica's name.
const OTHER: &str = "{other}";

impl Default for Config {
    fn default() -> Self {
        Self {
            name: String::new(),
            peer: None,
            token_file: None,
            lease_file: None,
            lease_duration: Duration::from_secs(10),
            renew_deadline: Duration::from_secs(7),
            retry: Duration::from_secs(2),
            beat: Duration::from_millis(500),
            out_of_step_after: Duration::from_secs(2),
            copy_patience: Duration::from_secs(60),
            lead_patience: Duration::from_secs(10),
        }
    }
}

impl Config {
    /// Fills in what depends on where it runs: the name, and in `peer` the other's.
    ///
    /// # Errors
    /// The name does not tell which of two this is.
    pub fn settle(&mut self, host: &str) -> Result<(), String> {
        if self.name.is_empty() {
            host.clone_into(&mut self.name);
        }
        let Some(peer) = self.peer.as_mut().filter(|peer| peer.contains(OTHER)) else {
            return Ok(());
        };
        let other = match self.name.split_at_checked(self.name.len().saturating_sub(1)) {
            Some((front, "0")) => format!("{front}1"),
            Some((front, "1")) => format!("{front}0"),
            _ => {
                return Err(format!(
                    "pair.peer: {OTHER} is the other of two whose names end with 0 and 1; this one is {:?}",
                    self.name
                ));
            }
        };
        *peer = peer.replace(OTHER, &other);
        Ok(())
    }

    /// What is wrong with it, each a sentence that begins with the path in the file. `has_arbiter`: there is
    /// something else to ask who leads, so that no file is needed.
    #[must_use]
    pub fn complaints(&self, has_arbiter: bool) -> Vec<String> {
        let mut wrong = Vec::new();
        if let Some(peer) = &self.peer {
            if !is_http(peer) {
                wrong.push(format!("pair.peer: not an http:// or https:// URL: {peer:?}"));
            }
            if self.lease_file.is_none() && !has_arbiter {
                wrong.push("pair.lease_file: two replicas need it to find out who leads".to_owned());
            }
        }
        for (name, value, least) in [
            ("beat", self.beat, Duration::from_millis(50)),
            ("retry", self.retry, Duration::from_millis(100)),
            ("out_of_step_after", self.out_of_step_after, self.beat * 2),
            ("renew_deadline", self.renew_deadline, self.retry * 2),
            (
                "lease_duration",
                self.lease_duration,
                self.renew_deadline + self.retry,
            ),
            ("lease_duration", self.lease_duration, self.out_of_step_after * 2),
        ] {
            if value < least {
                let least = model::text::duration::short(least);
                wrong.push(format!(
                    "pair.{name}: must be at least {least}, or others must be shorter"
                ));
            }
        }
        wrong
    }
}

fn is_http(url: &str) -> bool {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
}

/// Which keys of the journal are shared, by their beginnings.
#[derive(Clone, Debug)]
pub struct Keys {
    /// One value for both replicas: the newest wins.
    pub common: Vec<String>,
    /// Each replica has its own; the other's are kept under `peer/`.
    pub own: Vec<String>,
}

/// Before the other replica's own keys, and never sent on.
pub(crate) const PEER: &str = "peer/";
/// Our own notes; nobody else may write them.
pub(crate) const PAIR: &str = "pair/";

impl Default for Keys {
    fn default() -> Self {
        Self {
            common: [
                "notifier/",
                "silences/",
                "remote/sender/",
                "logs/source/",
                "cluster/events",
            ]
            .map(str::to_owned)
            .to_vec(),
            own: vec!["rules/alert/".to_owned()],
        }
    }
}

impl Keys {
    pub(crate) fn is_shared(&self, key: &str) -> bool {
        let mut prefixes = self.common.iter().chain(&self.own);
        prefixes.any(|prefix| key.starts_with(prefix.as_str()))
    }

    /// Under which key something is kept that the other replica sent; none if it has no business here. What a newer
    /// one shares and this one does not know is kept as it is.
    pub(crate) fn kept_as(&self, key: &str) -> Option<String> {
        if key.starts_with(PEER) || key.starts_with(PAIR) {
            return None;
        }
        let own = self.own.iter().any(|prefix| key.starts_with(prefix.as_str()));
        Some(if own {
            format!("{PEER}{key}")
        } else {
            key.to_owned()
        })
    }

    /// Every beginning under which a removal has to be remembered.
    pub(crate) fn prefixes(&self) -> Vec<String> {
        self.common.iter().chain(&self.own).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_configuration_is_alone_and_right() {
        let config = Config::default();
        assert!(config.peer.is_none());
        assert_eq!(config.complaints(false), Vec::<String>::new());
    }

    #[test]
    fn mistakes_are_sentences_with_their_path() {
        let config = Config {
            peer: Some("10.0.0.2:9464".to_owned()),
            lease_duration: Duration::from_secs(8),
            beat: Duration::from_millis(1),
            ..Config::default()
        };
        let wrong = config.complaints(false);
        for path in [
            "pair.peer: ",
            "pair.lease_file: ",
            "pair.lease_duration: ",
            "pair.beat: ",
        ] {
            assert!(
                wrong.iter().any(|found| found.starts_with(path)),
                "{path} not in {wrong:#?}"
            );
        }
        assert_eq!(wrong.len(), 4, "{wrong:#?}");
        assert_eq!(config.complaints(true).len(), 3);
    }

    #[test]
    fn the_other_may_write_neither_our_notes_nor_what_we_keep_of_it() {
        let keys = Keys::default();
        assert_eq!(
            keys.kept_as("rules/alert/1").as_deref(),
            Some("peer/rules/alert/1")
        );
        assert_eq!(keys.kept_as("silences/1").as_deref(), Some("silences/1"));
        assert_eq!(
            keys.kept_as("of a later version").as_deref(),
            Some("of a later version")
        );
        assert_eq!((keys.kept_as("pair/epoch"), keys.kept_as("peer/x")), (None, None));
        assert!(!keys.is_shared("peer/rules/alert/1") && !keys.is_shared("pair/epoch"));
    }
}
