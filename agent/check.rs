//! `skopos check FILE`: all that is wrong with a configuration or a rule file, or what it says in numbers.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use model::outside::Client;
use model::{Ask, Clock, Complaint};
use tokio::runtime::Runtime;

use crate::config::{self, Config, Document};
use crate::{buying, routes, sizing, stock};

const BAD_CONFIGURATION: u8 = 64;
/// For a node's answer.
const NODE_PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

#[must_use]
pub fn run(files: &[PathBuf], data_dir: &Path, live: bool) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    let mut asks = Vec::new();
    for file in files {
        let verdict = match config::read(file) {
            Ok(text) if is_rules(&text) => check_rules(file, text),
            Ok(text) if routes::is_routing(&text) => check_routing(file),
            Ok(_) => check_config(file, data_dir)
                .inspect(|(_, config)| {
                    if live {
                        asks.push(config.clone());
                    }
                })
                .map(|(verdict, _)| verdict),
            Err(complaint) => Err(vec![complaint]),
        };
        match verdict {
            Ok(sentence) => _ = writeln!(std::io::stdout(), "{}: {sentence}", file.display()),
            Err(complaints) => {
                for complaint in complaints {
                    _ = writeln!(std::io::stderr(), "{complaint}");
                }
                code = ExitCode::from(BAD_CONFIGURATION);
            }
        }
    }
    for config in asks {
        let document = &config.document;
        let are_well = [
            ask_receivers(&document.notifier),
            ask_aws(document),
            ask_datasource(document),
            ask_opensearch(document),
            ask_journal(document),
            ask_cloudwatch(document),
            ask_metrics(&config),
            ask_nodes(document),
        ];
        if are_well.contains(&false) && code == ExitCode::SUCCESS {
            code = ExitCode::FAILURE;
        }
    }
    code
}

/// Says what each receiver answers; whether all is well.
fn ask_receivers(notifier: &notifier::Config) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let (runtime, client) = match (runtime, net::HttpClient::new()) {
        (Ok(runtime), Ok(client)) => (runtime, client),
        (Err(error), _) => return complain(&format!("no receiver was asked: {error}")),
        (_, Err(error)) => return complain(&format!("no receiver was asked: {error}")),
    };
    let mut is_well = true;
    for probed in runtime.block_on(notifier::probe(notifier, &*client, &net::Mailer)) {
        match probed.outcome {
            Ok(words) => _ = writeln!(std::io::stdout(), "  {}: {words}", probed.receiver),
            Err(words) => is_well = complain(&format!("{}: {words}", probed.receiver)),
        }
    }
    is_well
}

/// Says where credentials for AWS come from, if some are wanted; whether all are there.
fn ask_aws(document: &Document) -> bool {
    let accounts = document.accounts();
    if accounts.is_empty() {
        return true;
    }
    let Outside { runtime, aws, .. } = match outside(document) {
        Ok(outside) => outside,
        Err(error) => return complain(&format!("AWS was not asked: {error}")),
    };
    let mut is_well = true;
    for account in &accounts {
        match runtime.block_on(aws.look(account)) {
            Ok(words) => _ = writeln!(std::io::stdout(), "  aws: {words}"),
            Err(words) => is_well = complain(&format!("aws: {words}")),
        }
    }
    is_well
}

/// Says what the engine answers whom rules ask, if that is another; whether all is well.
fn ask_datasource(document: &Document) -> bool {
    let Some(elsewhere) = &document.rules.datasource else {
        return true;
    };
    let Outside { runtime, client, .. } = match outside(document) {
        Ok(outside) => outside,
        Err(error) => return complain(&format!("rules.datasource was not asked: {error}")),
    };
    let source = rules::Datasource::new(elsewhere.clone(), client, &prometheus::Registry::new());
    let now = telemetry::clock::RuntimeClock::system().now();
    match runtime.block_on(source.ask("vector(1)", now)) {
        Ok(_) => {
            _ = writeln!(
                std::io::stdout(),
                "  rules.datasource {}: it answers",
                elsewhere.shown()
            );
            true
        }
        Err(error) => complain(&format!("rules.datasource: {error}")),
    }
}

/// Says what each OpenSearch answers that lines are to be sent to; whether all is well.
fn ask_opensearch(document: &Document) -> bool {
    let sinks = &document.logs.opensearch;
    if sinks.is_empty() || !document.logs.enabled {
        return true;
    }
    let Outside { runtime, client, .. } = match outside(document) {
        Ok(outside) => outside,
        Err(error) => return complain(&format!("logs.opensearch was not asked: {error}")),
    };
    let mut is_well = true;
    for sink in sinks {
        match runtime.block_on(logs::ask_opensearch(sink, &*client)) {
            Ok(words) => _ = writeln!(std::io::stdout(), "  logs.opensearch {}: {words}", sink.name),
            Err(words) => is_well = complain(&format!("logs.opensearch {}: {words}", sink.name)),
        }
    }
    is_well
}

/// Says whether the journal can be read, where it is to be; whether all is well.
fn ask_journal(document: &Document) -> bool {
    let Some(journal) = document.logs.journal.as_ref().filter(|_| document.logs.enabled) else {
        return true;
    };
    let Outside { runtime, client, .. } = match outside(document) {
        Ok(outside) => outside,
        Err(error) => return complain(&format!("logs.journal was not asked: {error}")),
    };
    match runtime.block_on(logs::ask_journal(journal, &client)) {
        Ok(words) => _ = writeln!(std::io::stdout(), "  logs.journal: {words}"),
        Err(words) => return complain(&format!("logs.journal: {words}")),
    }
    true
}

/// Says what CloudWatch Logs answers wherever lines are to be sent to it or read from it; whether all is well.
fn ask_cloudwatch(document: &Document) -> bool {
    let (sinks, sources) = (&document.logs.cloudwatch, &document.logs.cloudwatch_sources);
    if (sinks.is_empty() && sources.is_empty()) || !document.logs.enabled {
        return true;
    }
    let Outside { runtime, aws, .. } = match outside(document) {
        Ok(outside) => outside,
        Err(error) => return complain(&format!("CloudWatch Logs was not asked: {error}")),
    };
    let sent = sinks.iter().map(|sink| {
        let answer = runtime.block_on(logs::ask_cloudwatch(sink, &aws));
        (format!("logs.cloudwatch {}", sink.name), answer)
    });
    let read = sources.iter().map(|source| {
        let answer = runtime.block_on(logs::ask_cloudwatch_source(source, &aws));
        (format!("logs.cloudwatch_sources {}", source.name), answer)
    });
    let mut is_well = true;
    for (whom, answer) in sent.chain(read) {
        match answer {
            Ok(words) => _ = writeln!(std::io::stdout(), "  {whom}: {words}"),
            Err(words) => is_well = complain(&format!("{whom}: {words}")),
        }
    }
    is_well
}

/// Says what metrics of AWS would cost, if they are to be bought; whether the budget is enough for what wakes people.
fn ask_metrics(config: &Config) -> bool {
    if !config.document.cloudwatch.enabled {
        return true;
    }
    match buying::ask(config) {
        Ok(words) => _ = writeln!(std::io::stdout(), "  cloudwatch: {words}"),
        Err(words) => return complain(&format!("cloudwatch: {words}")),
    }
    true
}

/// Says what each node answers that is asked for the last lines of its pods; whether all is well.
fn ask_nodes(document: &Document) -> bool {
    if document.logs.nodes.is_empty() {
        return true;
    }
    let Outside { runtime, client, .. } = match outside(document) {
        Ok(outside) => outside,
        Err(error) => return complain(&format!("logs.nodes was not asked: {error}")),
    };
    let nodes = logs::Nodes::new(&document.logs.nodes, logs::FoundNodes::nobody(), client);
    let mut is_well = true;
    for (node, said) in runtime.block_on(nodes.probe(NODE_PATIENCE)) {
        match said {
            Ok(words) => _ = writeln!(std::io::stdout(), "  logs.nodes {node}: {words}"),
            Err(words) => is_well = complain(&format!("logs.nodes {node}: {words}")),
        }
    }
    is_well
}

/// What it takes to ask somebody.
pub(crate) struct Outside {
    pub(crate) runtime: Runtime,
    pub(crate) aws: Arc<aws::Aws>,
    /// Signs for AWS.
    pub(crate) client: Arc<dyn Client>,
}

pub(crate) fn outside(document: &Document) -> Result<Outside, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let plain = net::HttpClient::new()?;
    let clock = telemetry::clock::RuntimeClock::system();
    let aws = aws::Aws::new(
        document.aws.clone(),
        plain.clone(),
        clock,
        &prometheus::Registry::new(),
    )?;
    Ok(Outside {
        runtime,
        client: aws::Signing::new(plain, &aws),
        aws,
    })
}

/// Never well.
fn complain(words: &str) -> bool {
    _ = writeln!(std::io::stderr(), "skopos: {words}");
    false
}

/// A rule file is known by its top-level keys.
fn is_rules(text: &str) -> bool {
    text.lines()
        .any(|line| line.starts_with("groups:") || line.starts_with("slos:"))
}

/// Alertmanager's file by itself.
fn check_routing(file: &Path) -> Result<String, Vec<Complaint>> {
    let mut notifier = notifier::Config::default();
    config::read_routing(&mut notifier, file).0?;
    let receivers = number(notifier.receivers().len(), "receiver");
    let routes = notifier.routing(None, model::Timestamp::default()).routes;
    let mut verdict = format!("ok, {}, {receivers}", number(routes.len(), "route"));
    for note in notifier.notes() {
        verdict.push_str(&format!("\n  {}:{}: {}", note.file, note.line, note.message));
    }
    Ok(verdict)
}

fn check_config(file: &Path, data_dir: &Path) -> Result<(String, Config), Vec<Complaint>> {
    let config = Config::load(Some(file), None)?;
    let sections = config
        .document
        .scrape_configs
        .iter()
        .flat_map(|section| &section.static_configs);
    let targets: usize = sections.map(|section| section.targets.len()).sum();
    let told = match config.document.notifier.receivers() {
        receivers if receivers.is_empty() => "nobody is told".to_owned(),
        receivers => format!("alerts go to {}", receivers.join(", ")),
    };
    let mut verdict = format!(
        "ok, {}, {}, {told}",
        number(targets, "scrape target"),
        describe(&config.groups)
    );
    let kept = stock::lines(data_dir, &config.document.store);
    let notes = config.document.notifier.notes().iter();
    let notes = notes.chain(&config.notes).map(|note| match note.line {
        // Of the file as a whole.
        0 => format!("{}: {}", note.file, note.message),
        line => format!("{}:{line}: {}", note.file, note.message),
    });
    for line in sizing::lines(&config).into_iter().chain(kept).chain(notes) {
        verdict.push_str("\n  ");
        verdict.push_str(&line);
    }
    Ok((verdict, config))
}

fn check_rules(file: &Path, text: String) -> Result<String, Vec<Complaint>> {
    let groups = rules::load(&[(file.display().to_string(), text)])?;
    Ok(format!("ok, {}", describe(&groups)))
}

/// `46 rules in 12 groups`.
fn describe(groups: &[rules::Group]) -> String {
    let rules: usize = groups.iter().map(|group| group.rules.len()).sum();
    format!("{} in {}", number(rules, "rule"), number(groups.len(), "group"))
}

pub(crate) fn number(count: usize, one: &str) -> String {
    if count == 1 {
        format!("1 {one}")
    } else {
        format!("{count} {one}s")
    }
}
