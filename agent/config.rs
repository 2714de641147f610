//! The configuration file, gathered from the rooms' own sections, and the rule files it names.
//!
//! Two shapes: [`Document`] is what a person wrote, [`Config`] is what runs: read, checked, rules loaded.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::Complaint;
use model::signature::Account;
use serde::Deserialize;

use crate::relay::Remote;
use crate::{glob, shipped};

/// Every section works when left out.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Document {
    /// Defaults for targets and rules, as in Prometheus.
    #[serde(deserialize_with = "yaml::null_default")]
    pub global: Global,
    /// What is scraped over HTTP, as in Prometheus.
    #[serde(deserialize_with = "yaml::null_default")]
    pub scrape_configs: Vec<scrape::ScrapeConfig>,
    /// Rule files, and files of objectives; `*` and `?` allowed in the last part; relative to this file. Shipped rules
    /// run beside them.
    #[serde(deserialize_with = "yaml::null_default")]
    pub rule_files: Vec<String>,
    #[serde(deserialize_with = "yaml::null_default")]
    pub rules: rules::Config,
    #[serde(deserialize_with = "yaml::null_default")]
    pub kubernetes: cluster::Config,
    #[serde(deserialize_with = "yaml::null_default")]
    pub kube_state: kubestate::Config,
    #[serde(deserialize_with = "yaml::null_default")]
    pub node: node::Config,
    #[serde(deserialize_with = "yaml::null_default")]
    pub store: store::Config,
    #[serde(deserialize_with = "yaml::null_default")]
    pub logs: logs::Config,
    #[serde(deserialize_with = "yaml::null_default")]
    pub notifier: notifier::Config,
    /// Who is sent all samples, as in Prometheus.
    #[serde(deserialize_with = "yaml::null_default")]
    pub remote_write: Vec<remote::Config>,
    #[serde(deserialize_with = "yaml::null_default")]
    pub remote: Remote,
    #[serde(deserialize_with = "yaml::null_default")]
    pub aws: aws::Config,
    #[serde(deserialize_with = "yaml::null_default")]
    pub cloudwatch: cloudwatch::Config,
    #[serde(deserialize_with = "yaml::null_default")]
    pub pair: pair::Config,
    #[serde(deserialize_with = "yaml::null_default")]
    pub web: web::Config,
    /// Time that everything together has to stop; what is not sent by then is kept on disk.
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    pub shutdown_grace: Duration, // shutdown_grace: 10s
}

impl Default for Document {
    fn default() -> Self {
        Self {
            global: Global::default(),
            scrape_configs: Vec::new(),
            rule_files: Vec::new(),
            rules: rules::Config::default(),
            kubernetes: cluster::Config::default(),
            kube_state: kubestate::Config::default(),
            node: node::Config::default(),
            store: store::Config::default(),
            logs: logs::Config::default(),
            notifier: notifier::Config::default(),
            remote_write: Vec::new(),
            remote: Remote::default(),
            aws: aws::Config::default(),
            cloudwatch: cloudwatch::Config::default(),
            pair: pair::Config::default(),
            web: web::Config::default(),
            shutdown_grace: Duration::from_secs(10),
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Global {
    /// Time between two scrapes of a target.
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    pub scrape_interval: Duration, // scrape_interval: 15s
    /// Time a target has to answer.
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    pub scrape_timeout: Duration, // scrape_timeout: 10s
    /// Time between two evaluations of a rule group.
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    pub evaluation_interval: Duration, // evaluation_interval: 15s
    /// Labels added to every alert that is sent.
    #[serde(deserialize_with = "yaml::null_default")]
    pub external_labels: model::Labels,
}

impl Default for Global {
    fn default() -> Self {
        let interval = Duration::from_secs(15);
        Self {
            scrape_interval: interval,
            scrape_timeout: Duration::from_secs(10),
            evaluation_interval: interval,
            external_labels: model::Labels::empty(),
        }
    }
}

/// What runs.
#[derive(Clone, Debug)]
pub struct Config {
    pub document: Document,
    /// The file, if there is one, as the person gave it.
    pub file: Option<PathBuf>,
    pub groups: Vec<rules::Group>,
    /// What is heeded and yet worth a word.
    pub notes: Vec<Complaint>,
    /// Everything that was read, watched for changes.
    pub read: Vec<PathBuf>,
    pub listen: SocketAddr,
}

impl Config {
    /// Reads the file (built-in defaults without one) and all rule files.
    ///
    /// # Errors
    /// Every mistake found, each with its place.
    pub fn load(file: Option<&Path>, listen: Option<SocketAddr>) -> Result<Self, Vec<Complaint>> {
        let Some(path) = file else {
            return Self::build(Document::default(), None, "", listen);
        };
        let name = path.display().to_string();
        let text = read(path).map_err(|complaint| vec![complaint])?;
        let document = yaml::read(&name, &text).map_err(|complaint| vec![complaint])?;
        Self::build(document, file, &text, listen)
    }

    fn build(
        document: Document,
        file: Option<&Path>,
        text: &str,
        listen: Option<SocketAddr>,
    ) -> Result<Self, Vec<Complaint>> {
        let base = file.and_then(Path::parent).unwrap_or(Path::new("")).to_owned();
        let name = file.map(|file| file.display().to_string()).unwrap_or_default();
        let mut document = document;
        document.relative_to(&base);
        let mut complaints: Vec<Complaint> = document
            .mistakes()
            .into_iter()
            .map(|mistake| place(&name, text, mistake))
            .collect();
        let notes = document.notes().into_iter();
        let notes = notes.map(|note| place(&name, text, note)).collect();
        let mut read_files: Vec<PathBuf> = file.map(Path::to_owned).into_iter().collect();
        if let Some(path) = document.notifier.config_file.clone() {
            let (taken, templates) = read_routing(&mut document.notifier, &path);
            complaints.extend(taken.err().into_iter().flatten());
            read_files.push(path);
            read_files.extend(templates);
        }
        let mut sources: Vec<(String, String)> = Vec::new();
        if document.rules.shipped {
            sources.extend(
                shipped::RULES
                    .iter()
                    .map(|(name, text)| ((*name).to_owned(), (*text).to_owned())),
            );
        }
        for pattern in &document.rule_files {
            match glob::files(&base, pattern) {
                Ok(files) => {
                    for path in files {
                        match read(&path) {
                            Ok(text) => sources.push((path.display().to_string(), text)),
                            Err(complaint) => complaints.push(complaint),
                        }
                        read_files.push(path);
                    }
                }
                Err(error) => complaints.push(Complaint::about(
                    &name,
                    format!("rule_files: {pattern:?}: {error}"),
                )),
            }
        }
        let groups = rules::load(&sources).unwrap_or_else(|found| {
            complaints.extend(found);
            Vec::new()
        });
        let listen = listen.unwrap_or(document.web.listen);
        if complaints.is_empty() {
            Ok(Self {
                document,
                file: file.map(Path::to_owned),
                groups,
                notes,
                read: read_files,
                listen,
            })
        } else {
            Err(complaints)
        }
    }

    /// How the page and the log name where the configuration comes from.
    #[must_use]
    pub fn name(&self) -> String {
        self.file.as_ref().map_or_else(
            || "built-in defaults".to_owned(),
            |file| file.display().to_string(),
        )
    }
}

impl Document {
    /// What cannot work although it reads: sentences that begin with the key's path.
    fn mistakes(&self) -> Vec<String> {
        let mut mistakes = scrape::check(&self.scrape_configs, &self.scrape_global());
        mistakes.extend(self.notifier.complaints());
        mistakes.extend(self.logs.check().err());
        let elsewhere = self
            .rules
            .datasource
            .iter()
            .flat_map(rules::DatasourceConfig::check);
        mistakes.extend(elsewhere.map(|mistake| format!("rules.datasource.{mistake}")));
        mistakes.extend(remote::Config::check_all(&self.remote_write));
        let limits = self.remote.queue.check().into_iter();
        mistakes.extend(limits.map(|mistake| format!("remote.queue.{mistake}")));
        let of_aws = self.aws.check().into_iter();
        mistakes.extend(of_aws.map(|mistake| format!("aws.{mistake}")));
        let of_metrics = self.cloudwatch.check().into_iter();
        mistakes.extend(of_metrics.map(|mistake| format!("cloudwatch.{mistake}")));
        mistakes.extend(self.kubernetes.complaints());
        mistakes.extend(self.kube_state.complaints());
        mistakes.extend(self.pair.complaints(self.kubernetes.is_wanted()));
        for (key, value) in [
            ("global.scrape_interval", self.global.scrape_interval),
            ("global.evaluation_interval", self.global.evaluation_interval),
            ("node.interval", self.node.interval),
            ("kube_state.interval", self.kube_state.interval),
        ] {
            if value < Duration::from_millis(100) {
                mistakes.push(format!("{key} is shorter than 100ms"));
            }
        }
        if self.global.scrape_timeout > self.global.scrape_interval {
            mistakes.push("global.scrape_timeout is longer than global.scrape_interval".to_owned());
        }
        mistakes
    }

    /// What is heeded and yet worth a word: sentences that begin with the key's path.
    fn notes(&self) -> Vec<String> {
        let mut notes = scrape::notes(&self.scrape_configs, &self.scrape_global());
        if !self.kubernetes.is_wanted() {
            let looking = self.scrape_configs.iter().enumerate();
            let looking = looking.filter(|(_, section)| !section.kubernetes_sd_configs.is_empty());
            notes.extend(looking.map(|(nth, _)| {
                format!(
                    "scrape_configs[{nth}].kubernetes_sd_configs: there is no cluster to look in here; in a pod there is, and where kubernetes.kubeconfig names a file"
                )
            }));
        }
        for (nth, entry) in self.remote_write.iter().enumerate() {
            let own = entry.http.notes().into_iter();
            notes.extend(own.map(|note| format!("remote_write[{nth}].{note}")));
        }
        if let Some(datasource) = &self.rules.datasource {
            let own = datasource.http.notes().into_iter();
            notes.extend(own.map(|note| format!("rules.datasource.{note}")));
        }
        notes
    }

    /// Paths in a file are meant from where the file lies.
    fn relative_to(&mut self, base: &Path) {
        let scraped = self.scrape_configs.iter_mut();
        let scraped = scraped.flat_map(|config| config.http.files_mut());
        let written = self.remote_write.iter_mut();
        let written = written.flat_map(|entry| entry.http.files_mut());
        let asked = self.rules.datasource.iter_mut();
        let asked = asked.flat_map(|datasource| datasource.http.files_mut());
        let tls = self.web.tls.iter_mut();
        let tls = tls.flat_map(|tls| [&mut tls.cert_file, &mut tls.key_file]);
        let own = self.pair.token_file.iter_mut();
        let own = own
            .chain(&mut self.pair.lease_file)
            .chain(self.kubernetes.files_mut())
            .chain(&mut self.remote.ca_file)
            .chain(&mut self.web.tokens_file);
        let sent = self.logs.forward.iter_mut().flat_map(logs::Forward::files_mut);
        let asked_for = self.logs.journal.iter_mut();
        let sent = sent.chain(asked_for.flat_map(|journal| journal.http.files_mut()));
        let nodes = self.logs.nodes.iter_mut().flat_map(|node| node.http.files_mut());
        let told = self.notifier.files_mut();
        for path in told
            .chain(scraped)
            .chain(sent)
            .chain(nodes)
            .chain(written)
            .chain(asked)
            .chain(tls)
            .chain(own)
        {
            *path = base.join(&*path);
        }
    }

    /// Everybody we are to AWS.
    #[must_use]
    pub fn accounts(&self) -> BTreeSet<Account> {
        let written = self.remote_write.iter().filter_map(|entry| entry.sigv4.as_ref());
        let asked = self.rules.datasource.iter();
        let asked = asked.filter_map(|datasource| datasource.sigv4.as_ref());
        let shipped = self.logs.opensearch.iter();
        let shipped = shipped.filter_map(|entry| entry.sigv4.as_ref());
        let signed = written.chain(asked).chain(shipped);
        let signed = signed.filter_map(|sigv4| sigv4.read().ok());
        let logged = self.logs.cloudwatch.iter();
        let logged = logged.filter_map(|entry| entry.signed().ok());
        let listened = self.logs.cloudwatch_sources.iter();
        let logged = logged.chain(listened.filter_map(|entry| entry.signed().ok()));
        signed.chain(logged).map(|signed| signed.account).collect()
    }

    #[must_use]
    pub fn scrape_global(&self) -> scrape::Global {
        scrape::Global {
            scrape_interval: self.global.scrape_interval,
            scrape_timeout: self.global.scrape_timeout,
        }
    }
}

/// Takes up a routing file in Alertmanager's form. Returns the templates that it names, too.
pub(crate) fn read_routing(
    notifier: &mut notifier::Config,
    path: &Path,
) -> (Result<(), Vec<Complaint>>, Vec<PathBuf>) {
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let templates = RefCell::new(Vec::new());
    let files = |folder: &Path, pattern: &str| {
        let paths = glob::files(folder, pattern).map_err(|error| format!("{pattern:?}: {error}"))?;
        let texts = paths.into_iter().map(|path| {
            let text = read(&path).map_err(|complaint| complaint.message)?;
            let name = path.display().to_string();
            templates.borrow_mut().push(path);
            Ok((name, text))
        });
        texts.collect::<Result<_, String>>()
    };
    let taken = read(path).map_err(|complaint| vec![complaint]).and_then(|text| {
        let name = path.display().to_string();
        notifier.read_file(&name, &text, &folder, &files)
    });
    (taken, templates.into_inner())
}

/// Longest file that is read as configuration or rules.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// # Errors
/// It is no file of a sensible size, or it cannot be read.
pub(crate) fn read(path: &Path) -> Result<String, Complaint> {
    let name = path.display().to_string();
    let unreadable = |error: io::Error| {
        let advice = match error.kind() {
            io::ErrorKind::InvalidData => "save it as UTF-8 text",
            _ => "check the path and that this user may read it",
        };
        Complaint::about(&name, format!("cannot be read: {error}")).suggest(advice)
    };
    let found = fs::metadata(path).map_err(unreadable)?;
    // A pipe or a device would be read for ever.
    if !found.is_file() {
        return Err(Complaint::about(&name, "is not a file"));
    }
    if found.len() > FILE_BYTES_MAX {
        return Err(Complaint::about(
            &name,
            format!("is longer than {FILE_BYTES_MAX} bytes"),
        ));
    }
    fs::read_to_string(path).map_err(unreadable)
}

/// Finds the line of the last key of the path that a mistake begins with: `notifier.slack.timeout …`.
fn place(file: &str, text: &str, mistake: String) -> Complaint {
    let path = mistake
        .split(' ')
        .next()
        .unwrap_or_default()
        .trim_end_matches(':')
        .to_owned();
    let mut line = 0;
    for key in path.split(['.', '[', ']']).filter(|key| !key.is_empty()) {
        let index = key.parse::<usize>().ok();
        let mut left = index.unwrap_or(0);
        let found = text.lines().enumerate().skip(line).find(|(_, candidate)| {
            let candidate = candidate.trim_start();
            match index {
                Some(_) if candidate.starts_with("- ") || candidate == "-" => {
                    let here = left == 0;
                    left = left.saturating_sub(1);
                    here
                }
                Some(_) => false,
                None => {
                    let bare = candidate
                        .trim_start_matches("- ")
                        .trim_start_matches('{')
                        .trim_start();
                    bare.strip_prefix(key)
                        .is_some_and(|rest| rest.trim_start().starts_with(':'))
                }
            }
        });
        match found {
            // A list item's first key stands on the item's own line, so the search goes on from there.
            Some((at, _)) => line = at,
            None => break,
        }
    }
    let known = text
        .lines()
        .nth(line)
        .is_some_and(|found| !found.trim().is_empty())
        && !text.is_empty();
    if known {
        let column = text
            .lines()
            .nth(line)
            .map_or(1, |found| found.len() - found.trim_start().len() + 1);
        Complaint::at(file, text, line + 1, column, mistake)
    } else {
        Complaint::about(file, mistake)
    }
}
