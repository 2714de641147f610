//! Which file, how long it may grow, and how lines are written.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::config::size;
use crate::sink::{Json, name_mistakes};

/// `logs.stdout`: every line to standard output, at least once. Our own log goes to standard error.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Stdout {
    /// Name on the page and in metrics, and of the place reached in each file.
    pub name: String,
    /// `json`: a document a line, as OpenSearch gets it. `text`: time, level, source and message.
    pub format: Format,
    /// Lines that are JSON objects, as for OpenSearch.
    pub json: Json,
}

/// `logs.file`: every line to a file, once, as JSON lines.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct File {
    /// The file; it is never read as a log. Its folder must be there.
    pub path: PathBuf,
    /// Name on the page and in metrics, and of the place reached in each file.
    pub name: String,
    /// Beyond this it becomes `<path>.1`, and that `<path>.2`.
    #[serde(deserialize_with = "size")]
    pub bytes_max: u64, // bytes_max: 64MiB
    /// How many such files stay beside it; the oldest goes.
    pub files: usize,
    /// Lines that are JSON objects, as for OpenSearch.
    pub json: Json,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    #[default]
    Json,
    Text,
}

/// How long a line waits for others to go with it.
pub(crate) const WAIT: Duration = Duration::from_millis(250);

impl Default for Stdout {
    fn default() -> Self {
        Self {
            name: "stdout".to_owned(),
            format: Format::default(),
            json: Json::default(),
        }
    }
}

impl Default for File {
    fn default() -> Self {
        Self {
            path: PathBuf::new(),
            name: "file".to_owned(),
            bytes_max: 64 << 20,
            files: 3,
            json: Json::default(),
        }
    }
}

impl Stdout {
    pub(crate) fn check(&self) -> Vec<String> {
        name_mistakes(&self.name)
    }
}

impl File {
    pub(crate) fn check(&self) -> Vec<String> {
        let mut wrong = name_mistakes(&self.name);
        let text = self.path.to_string_lossy();
        if text.is_empty() {
            wrong.push("path: missing; write for example /var/tmp/lines.ndjson".to_owned());
        } else if !self.path.is_absolute() || text.contains(['*', '?', '[', ']']) {
            wrong.push(format!("path: {text:?} is not an absolute path of one file"));
        }
        if self.bytes_max < 1 << 20 {
            wrong.push("bytes_max: less than 1MiB".to_owned());
        }
        if self.files > 100 {
            wrong.push("files: more than 100".to_owned());
        }
        wrong
    }

    /// Globs of what is written here.
    pub(crate) fn globs(&self) -> [String; 2] {
        let path = self.path.display();
        [path.to_string(), format!("{path}.*")]
    }

    /// The file itself, or an older one.
    pub(crate) fn nth(&self, nth: usize) -> PathBuf {
        match nth {
            0 => self.path.clone(),
            nth => PathBuf::from(format!("{}.{nth}", self.path.display())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_named_with_its_key() {
        let check = |json: &str| serde_json::from_str::<File>(json).unwrap().check();
        assert_eq!(check(r#"{"path": "/a/b"}"#), [""; 0]);
        for (json, sentence) in [
            ("{}", "path: missing"),
            (r#"{"path": "a"}"#, "path: \"a\" is not"),
            (r#"{"path": "/a*"}"#, "path: \"/a*\" is not"),
            (r#"{"path": "/a", "bytes_max": 1}"#, "bytes_max: less"),
            (r#"{"path": "/a", "files": 101}"#, "files: more"),
            (r#"{"path": "/a", "name": "spool"}"#, "name: \"spool\""),
        ] {
            let wrong = check(json);
            assert!(
                wrong.len() == 1 && wrong[0].starts_with(sentence),
                "{json}: {wrong:?}"
            );
        }
        assert_eq!(Stdout::default().check(), [""; 0]);
    }
}
