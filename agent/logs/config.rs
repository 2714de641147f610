//! What is read, from where, and how much of it is kept. Works when left empty.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

use crate::parse::{Parser, Pattern};

/// The section `logs:`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether log files are read at all.
    pub enabled: bool,
    /// Plain files, one record a line: globs with `*`, `?`, `[a-z]` and, for any depth of folders, `**`.
    pub files: Vec<String>,
    /// Where the kubelet puts container logs: `<root>/<namespace>_<pod>_<uid>/<container>/<n>.log`, CRI format.
    /// Need not exist; empty means that none are read.
    pub containers: PathBuf,
    /// Where Docker keeps its containers: `<root>/<id>/<id>-json.log` of the driver `json-file`, and beside it the
    /// container's name and labels. Need not exist; empty means that none are read.
    pub docker: PathBuf,
    /// What the kubelet keeps of each container: its `containerLogMaxSize` times `containerLogMaxFiles`. Only the
    /// forecast of losses needs it.
    #[serde(deserialize_with = "size")]
    pub containers_keep: u64, // containers_keep: 50MiB
    /// Deleted files that are not yet read to their end take no more room than this; beyond it the container that
    /// takes most loses its oldest file, and the bytes are counted. Nor does what is unread in a packed file, unpacked.
    #[serde(deserialize_with = "size")]
    pub pinned_bytes_max: u64, // pinned_bytes_max: 1GiB
    /// Globs of paths that are never read. The agent's own data and its own output never are anyway.
    pub exclude: Vec<String>,
    /// What is taken out of every line before it is kept or sent: `tokens`, `cards`, `emails`.
    pub redact: Vec<crate::redact::Shipped>,
    /// Likewise, by patterns of one's own.
    pub redact_patterns: Vec<crate::redact::Pattern>,
    /// Parsers of one's own, which filters and annotations may name.
    pub parsers: Vec<crate::parse::Config>,
    /// What is done with lines of some sources: which are left out, how they are read and joined. In their order; of two that
    /// say the same thing the later one counts.
    pub filters: Vec<crate::plan::Filter>,
    /// Series that lines make, on `/metrics`: for rules and dashboards like any other.
    pub metrics: Vec<crate::tally::Config>,
    /// Whether annotations of pods are followed, above all filters: `fluentbit.io/exclude`, `fluentbit.io/parser`,
    /// `skopos.io/log-exclude`, `-parser`, `-multiline`, `-sample` and `-rate`.
    pub annotations: bool,
    /// Longest line kept, in bytes; the rest is cut, marked with the line's length, and counted.
    #[serde(deserialize_with = "size")]
    pub line_bytes_max: usize, // line_bytes_max: 1MiB
    /// Where plain files that are older than the agent's first start are read from. Files that appear later, and
    /// all container logs, are read from their first byte.
    pub read_from: ReadFrom,
    /// How much is kept on disk, and for how long.
    pub retention: Retention,
    /// Size at which a segment is closed and the next one begun; retention drops whole segments.
    #[serde(deserialize_with = "size")]
    pub segment_bytes: u64, // segment_bytes: 16MiB
    /// Whether lines are kept on this host, in segments: what `skopos logs` and the page search.
    pub local: bool,
    /// OpenSearch clusters that lines are sent to, each line once to each.
    pub opensearch: Vec<crate::opensearch::Config>,
    /// Regions of CloudWatch Logs that lines are sent to, each line to each, at least once.
    pub cloudwatch: Vec<crate::cloudwatch::Config>,
    /// Every line to standard output, for debugging.
    pub stdout: Option<crate::written::Stdout>,
    /// Every line to a file, for debugging.
    pub file: Option<crate::written::File>,
    /// Log groups of CloudWatch Logs whose events are read, by the one process that reads them for all.
    pub cloudwatch_sources: Vec<crate::cloudwatch::SourceConfig>,
    /// Senders of Fluentd's and Fluent Bit's Forward protocol; without this section none is listened to.
    pub forward: Option<crate::forward::Config>,
    /// systemd's journal; without this section it is not read.
    pub journal: Option<crate::journald::Config>,
    /// Room for records of inputs that cannot be read again (`forward`, `journal`), until every sink has them. When it is full, those
    /// inputs take nothing more, and whoever sends keeps what he has.
    #[serde(deserialize_with = "size")]
    pub spool_bytes_max: u64, // spool_bytes_max: 1GiB
    /// Node roles that are asked for the last lines of a pod, for its page and its incidents.
    pub nodes: Vec<crate::nodes::Node>,
    /// Whether frames are compressed (deflate, level 1): about a fifth of the disk, four times the CPU.
    pub compress: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReadFrom {
    /// The last 1 MiB: enough to see what led here, without years of old logs.
    #[default]
    Recent,
    Beginning,
    /// Only what is written from now on.
    End,
}

/// Whichever is reached first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Bytes of all segments together.
    #[serde(deserialize_with = "size")]
    pub size: u64, // retention.size: 1GiB
    /// Age of the newest line of a segment.
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    pub time: Duration, // retention.time: 7d
}

impl Default for Config {
    fn default() -> Self {
        let files = ["/var/log/*.log", "/var/log/syslog", "/var/log/messages"];
        Self {
            enabled: true,
            files: files.map(str::to_owned).to_vec(),
            containers: PathBuf::from("/var/log/pods"),
            docker: PathBuf::from("/var/lib/docker/containers"),
            containers_keep: 50 << 20,
            pinned_bytes_max: 1 << 30,
            exclude: Vec::new(),
            redact: Vec::new(),
            redact_patterns: Vec::new(),
            parsers: Vec::new(),
            filters: Vec::new(),
            metrics: Vec::new(),
            annotations: true,
            line_bytes_max: 1 << 20,
            read_from: ReadFrom::default(),
            retention: Retention::default(),
            segment_bytes: 16 << 20,
            local: true,
            opensearch: Vec::new(),
            cloudwatch: Vec::new(),
            stdout: None,
            file: None,
            cloudwatch_sources: Vec::new(),
            forward: None,
            journal: None,
            spool_bytes_max: 1 << 30,
            nodes: Vec::new(),
            compress: false,
        }
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            size: 1 << 30,
            time: Duration::from_secs(7 * 86_400),
        }
    }
}

impl Config {
    /// # Errors
    /// A sentence naming the value that cannot work.
    pub fn check(&self) -> Result<(), String> {
        for glob in self.files.iter().chain(&self.exclude) {
            if !glob.starts_with('/') {
                return Err(format!("{glob:?} in logs is not an absolute path"));
            }
        }
        self.redaction().map(drop)?;
        if !(64..=64 << 20).contains(&self.line_bytes_max) {
            return Err("logs.line_bytes_max is not between 64 and 67108864".to_owned());
        }
        if !(64 << 10..=1 << 30).contains(&self.segment_bytes) {
            return Err("logs.segment_bytes is not between 65536 and 1073741824".to_owned());
        }
        if self.retention.size < 2 * self.segment_bytes {
            return Err("logs.retention.size is less than two segments".to_owned());
        }
        if let Some(forward) = &self.forward {
            forward.check()?;
        }
        // A record of the greatest length may take six times its length, with all its letters escaped.
        let spool_bytes_min = (64 << 20).max(8 * self.line_bytes_max as u64);
        if self.spool_bytes_max < spool_bytes_min {
            return Err(format!(
                "logs.spool_bytes_max is less than {spool_bytes_min}: 64 MiB, and 8 times logs.line_bytes_max"
            ));
        }
        if !self.local && !self.has_sinks_elsewhere() {
            return Err("logs.local is false and there is no logs.opensearch, logs.cloudwatch, logs.file or logs.stdout: lines would go nowhere; to read none, set logs.enabled to false".to_owned());
        }
        let mut wrong = self.sink_mistakes();
        wrong.extend(self.source_mistakes());
        wrong.extend(self.filter_mistakes());
        let journal = self.journal.iter().flat_map(crate::journald::Config::check);
        wrong.extend(journal.map(|sentence| format!("logs.journal.{sentence}")));
        wrong.extend(crate::nodes::mistakes(&self.nodes));
        match wrong.as_slice() {
            [] => Ok(()),
            wrong => Err(wrong.join("\n")),
        }
    }

    /// As it is for a process that reads no files, or no log groups.
    #[must_use]
    pub fn narrowed(&self, reads_files: bool, reads_groups: bool) -> Self {
        let mut config = self.clone();
        if !reads_files {
            config.files.clear();
            config.containers = PathBuf::new();
            config.docker = PathBuf::new();
            config.forward = None;
            config.journal = None;
        }
        if !reads_groups {
            config.cloudwatch_sources.clear();
        }
        config
    }

    /// Whether there is anything to read, or to keep for other rooms.
    #[must_use]
    pub fn reads(&self, reads_files: bool, reads_groups: bool, keeps_notes: bool) -> bool {
        let has_groups = reads_groups && !self.cloudwatch_sources.is_empty();
        self.enabled && (reads_files || has_groups || keeps_notes)
    }

    /// Whether lines go anywhere but to segments.
    pub(crate) fn has_sinks_elsewhere(&self) -> bool {
        !(self.opensearch.is_empty() && self.cloudwatch.is_empty())
            || self.stdout.is_some()
            || self.file.is_some()
    }

    /// As it is for a reader: what we write ourselves is no log to read, lines would go round for ever.
    pub(crate) fn without_own_output(&self) -> Self {
        let mut config = self.clone();
        config
            .exclude
            .extend(self.file.iter().flat_map(crate::written::File::globs));
        // In a cluster our standard output is a container's log.
        let pod = ["POD_NAME", "HOSTNAME"]
            .into_iter()
            .find_map(|name| std::env::var(name).ok());
        if self.stdout.is_some()
            && std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
            && let Some(pod) = pod
        {
            let root = self.containers.display();
            config.exclude.push(format!("{root}/*_{pod}_*/**"));
        }
        config
    }

    /// Beginnings of the names of log groups that lines are sent to.
    pub(crate) fn own_groups(&self) -> Vec<String> {
        let fronts = self.cloudwatch.iter().map(|sink| sink.group.front());
        fronts
            .filter(|front| !front.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// What is wrong with parsers, filters and metrics.
    fn filter_mistakes(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut parsers = BTreeMap::new();
        for (nth, parser) in self.parsers.iter().enumerate() {
            match Pattern::new(parser) {
                Ok(pattern) => {
                    let pattern = Parser::Pattern(Arc::new(pattern));
                    if parsers.insert(parser.name.clone(), pattern).is_some() {
                        wrong.push(format!(
                            "logs.parsers[{nth}].name: {:?} is also the name of another one",
                            parser.name
                        ));
                    }
                }
                Err(sentence) => wrong.push(format!("logs.parsers[{nth}].{sentence}")),
            }
        }
        for (nth, filter) in self.filters.iter().enumerate() {
            let sentences = filter.check(&parsers).into_iter();
            wrong.extend(sentences.map(|sentence| format!("logs.filters[{nth}].{sentence}")));
        }
        for (nth, metric) in self.metrics.iter().enumerate() {
            let sentences = metric.check().into_iter();
            wrong.extend(sentences.map(|sentence| format!("logs.metrics[{nth}].{sentence}")));
            if self
                .metrics
                .iter()
                .take(nth)
                .any(|other| other.name == metric.name)
            {
                wrong.push(format!(
                    "logs.metrics[{nth}].name: {:?} is also the name of another one",
                    metric.name
                ));
            }
        }
        wrong
    }

    /// What is wrong with log groups that are to be read.
    fn source_mistakes(&self) -> Vec<String> {
        let own = self.own_groups();
        let mut wrong = Vec::new();
        for (nth, source) in self.cloudwatch_sources.iter().enumerate() {
            let place = format!("logs.cloudwatch_sources[{nth}]");
            let sentences = source.check().into_iter();
            wrong.extend(sentences.map(|sentence| format!("{place}.{sentence}")));
            let mut earlier = self.cloudwatch_sources.iter().take(nth);
            if let Some(first) = earlier.position(|other| other.name == source.name) {
                wrong.push(format!(
                    "{place}.name: {:?} is also the name of logs.cloudwatch_sources[{first}]; give each its own",
                    source.name
                ));
            }
            // What is sent there would be read again, and sent again.
            let groups = source.groups.iter();
            let looped = groups.filter(|group| {
                own.iter()
                    .any(|own| crate::cloudwatch::source::front(group).starts_with(own))
            });
            wrong.extend(looped.map(|group| {
                format!("{place}.groups: {group:?} is where logs.cloudwatch sends lines: they would go round for ever; leave it out")
            }));
        }
        wrong
    }

    /// What is wrong with sinks elsewhere; no two may share a name.
    fn sink_mistakes(&self) -> Vec<String> {
        let searches = self.opensearch.iter().enumerate();
        let searches =
            searches.map(|(nth, sink)| (format!("logs.opensearch[{nth}]"), &sink.name, sink.check()));
        let regions = self.cloudwatch.iter().enumerate();
        let regions =
            regions.map(|(nth, sink)| (format!("logs.cloudwatch[{nth}]"), &sink.name, sink.check()));
        let printed = self.stdout.iter();
        let printed = printed.map(|sink| ("logs.stdout".to_owned(), &sink.name, sink.check()));
        let written = self.file.iter();
        let written = written.map(|sink| ("logs.file".to_owned(), &sink.name, sink.check()));
        let mut wrong = Vec::new();
        let mut names: Vec<(String, &String)> = Vec::new();
        for (place, name, mistakes) in searches.chain(regions).chain(printed).chain(written) {
            wrong.extend(mistakes.iter().map(|sentence| format!("{place}.{sentence}")));
            if let Some((first, _)) = names.iter().find(|(_, known)| *known == name) {
                wrong.push(format!(
                    "{place}.name: {name:?} is also the name of {first}; give each its own"
                ));
            }
            names.push((place, name));
        }
        wrong
    }
}

impl Config {
    /// # Errors
    /// A sentence that names the pattern that cannot work.
    pub(crate) fn redaction(&self) -> Result<crate::redact::Redaction, String> {
        crate::redact::Redaction::new(&self.redact, &self.redact_patterns)
    }
}

/// A number of bytes, or one with a unit as Prometheus has it: `512MB`, `1GiB`, all of them powers of 1024.
pub(crate) fn size<'de, D: Deserializer<'de>, N: TryFrom<u64>>(deserializer: D) -> Result<N, D::Error> {
    struct Size;
    impl Visitor<'_> for Size {
        type Value = u64;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a size such as 512MB or 1GiB")
        }
        fn visit_u64<E: Error>(self, bytes: u64) -> Result<u64, E> {
            Ok(bytes)
        }
        fn visit_i64<E: Error>(self, bytes: i64) -> Result<u64, E> {
            u64::try_from(bytes).map_err(|_| E::custom("a size cannot be negative"))
        }
        fn visit_str<E: Error>(self, text: &str) -> Result<u64, E> {
            bytes_of(text)
                .ok_or_else(|| E::custom(format!("not a size: {text:?}; write for example 512MB or 1GiB")))
        }
    }
    let bytes = deserializer.deserialize_any(Size)?;
    N::try_from(bytes).map_err(|_| D::Error::custom(format!("{bytes} bytes are too many")))
}

fn bytes_of(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let power = match unit {
        "" | "B" => 0,
        "KB" | "KiB" => 1,
        "MB" | "MiB" => 2,
        "GB" | "GiB" => 3,
        "TB" | "TiB" => 4,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << (10 * power))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Config, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn an_empty_section_works_and_an_unknown_key_does_not() {
        assert_eq!(read("{}"), Ok(Config::default()));
        assert_eq!(Config::default().check(), Ok(()));
        assert!(read(r#"{"retention": {"siz": 1}}"#).unwrap_err().contains("siz"));
    }

    #[test]
    fn sizes_have_units_or_none() {
        let size = |text: &str| {
            read(&format!("{{\"retention\": {{\"size\": {text}}}}}")).map(|config| config.retention.size)
        };
        assert_eq!(size("1073741824"), Ok(1 << 30));
        assert_eq!(size("\"512MB\""), Ok(512 << 20));
        assert_eq!(size("\"2GiB\""), Ok(2 << 30));
        for wrong in ["-1", "\"1 GB\"", "\"GB\"", "\"1XB\"", "\"99999999999TB\"", "true"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn no_two_sinks_share_a_name_whatever_kind_they_are() {
        let search = r#"{"url": "http://a", "name": "a"}"#;
        let config = |list: &str| read(list).unwrap().check();
        assert_eq!(
            config(&format!(r#"{{"opensearch": [{search}], "cloudwatch": [{{}}]}}"#)),
            Ok(())
        );
        let told = config(&format!(
            r#"{{"opensearch": [{search}], "cloudwatch": [{{"name": "a"}}, {{}}, {{"wait": "2m"}}]}}"#
        ))
        .unwrap_err();
        let told: Vec<&str> = told.lines().collect();
        assert_eq!(
            told,
            [
                "logs.cloudwatch[0].name: \"a\" is also the name of logs.opensearch[0]; give each its own",
                "logs.cloudwatch[2].wait: not between 10ms and 1m",
                "logs.cloudwatch[2].name: \"cloudwatch\" is also the name of logs.cloudwatch[1]; give each its own",
            ]
        );
        assert!(config(r#"{"local": false}"#).unwrap_err().contains("go nowhere"));
        assert_eq!(config(r#"{"local": false, "cloudwatch": [{}]}"#), Ok(()));
    }

    #[test]
    fn what_is_sent_to_cloudwatch_is_not_read_from_there_again() {
        let check = |group: &str| {
            let json =
                format!(r#"{{"cloudwatch": [{{}}], "cloudwatch_sources": [{{"groups": ["{group}"]}}]}}"#);
            read(&json).unwrap().check()
        };
        assert_eq!(check("/aws/eks/*/cluster"), Ok(()));
        assert_eq!(check("*"), Ok(()), "ours are left out when they are found");
        for group in ["/skopos/shop", "/skopos/*"] {
            assert!(check(group).unwrap_err().contains("go round for ever"), "{group}");
        }
    }

    #[test]
    fn a_process_reads_what_is_for_its_role() {
        let config = read(r#"{"cloudwatch_sources": [{"groups": ["a"]}], "forward": {}}"#).unwrap();
        assert!(config.reads(true, false, false) && config.reads(false, true, false));
        let usual = Config::default();
        assert!(!usual.reads(false, true, false) && usual.reads(false, true, true));
        let node = config.narrowed(true, false);
        assert!(node.cloudwatch_sources.is_empty() && !node.files.is_empty() && node.forward.is_some());
        let cluster = config.narrowed(false, true);
        assert!(
            cluster.files.is_empty() && cluster.forward.is_none() && cluster.containers == PathBuf::new()
        );
        assert_eq!(cluster.cloudwatch_sources.len(), 1);
    }

    #[test]
    fn values_that_cannot_work_are_named() {
        let check = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            config.check().unwrap_err()
        };
        assert!(check(|config| config.files.push("x.log".to_owned())).contains("x.log"));
        assert!(check(|config| config.line_bytes_max = 1).contains("line_bytes_max"));
        assert!(check(|config| config.segment_bytes = 1).contains("segment_bytes"));
        assert!(check(|config| config.retention.size = 1).contains("retention.size"));
    }
}
