//! `skopos explain`: why an alert of a running Skopos fires, or why it does not.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use model::complaint::nearest;
use model::explanation::Explanation;
use model::outside::{Method, Request};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::cli::ExplainArgs;
use crate::explained::written;
use crate::lines::printable;
use crate::query::sent;
use crate::replay::{Group, Rule, made};

const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Ends with 1 when there is no such rule, no answer, or a test that does not come to what happened.
#[must_use]
pub fn run(arguments: &ExplainArgs) -> ExitCode {
    match explain(arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            _ = writeln!(io::stderr(), "skopos: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all is well.
fn explain(arguments: &ExplainArgs) -> anyhow::Result<bool> {
    let process = Process {
        base: arguments.url.trim_end_matches('/'),
        timeout: arguments.timeout,
    };
    let known: Groups = process.get("/api/v1/rules", &[("exclude_alerts", "true".to_owned())])?;
    let all = explanations(&process, arguments, &meant(&process, &known.groups, arguments)?)?;
    if arguments.as_test {
        return as_test(&process, arguments, &known.groups, &all);
    }
    let text = if arguments.json {
        serde_json::to_string_pretty(&all)? + "\n"
    } else {
        let all: Vec<String> = all.iter().map(|one| written(one, arguments.verbose)).collect();
        // What labels and answers say is somebody else's.
        let lines = all.join("\n");
        lines
            .lines()
            .map(|line| printable(line).into_owned() + "\n")
            .collect()
    };
    print(&text)?;
    Ok(true)
}

fn as_test(
    process: &Process<'_>,
    arguments: &ExplainArgs,
    groups: &[Group],
    all: &[Explanation],
) -> anyhow::Result<bool> {
    let rule_file = arguments
        .with_rules
        .as_ref()
        .map(|path| path.display().to_string());
    let made = made((process.base, process.timeout), all, groups, rule_file.as_deref())?;
    if let Some(path) = &arguments.with_rules {
        std::fs::write(path, &made.rules).with_context(|| format!("writing {}", path.display()))?;
    }
    print(&made.test)?;
    for doubt in &made.doubts {
        _ = writeln!(io::stderr(), "skopos: not the same as what happened: {doubt}");
    }
    Ok(made.doubts.is_empty())
}

fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        // The reader of our output has had enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

fn explanations(
    process: &Process<'_>,
    arguments: &ExplainArgs,
    ids: &[String],
) -> anyhow::Result<Vec<Explanation>> {
    let labels = arguments.labels.iter();
    let mut parameters = vec![
        ("evaluations", arguments.evaluations.to_string()),
        ("since", model::text::duration::short(arguments.since)),
    ];
    parameters.extend(labels.map(|(name, value)| ("label", format!("{name}={value}"))));
    let each = ids
        .iter()
        .map(|id| process.get(&format!("/api/v1/rules/{id}/explain"), &parameters));
    each.collect()
}

#[derive(Deserialize)]
struct Groups {
    groups: Vec<Group>,
}

/// Ids of the rules with this name and no other labels than those that are asked for.
fn meant(process: &Process<'_>, groups: &[Group], arguments: &ExplainArgs) -> anyhow::Result<Vec<String>> {
    let rules = groups.iter().flat_map(|group| &group.rules);
    let (named, others): (Vec<&Rule>, Vec<&Rule>) =
        rules.partition(|rule| rule.name == arguments.name || rule.id.as_deref() == Some(&arguments.name));
    if named.is_empty() {
        let advice = match nearest(&arguments.name, others.iter().map(|rule| rule.name.as_str())) {
            Some(near) => format!("; did you mean {near}?"),
            None => String::new(),
        };
        bail!("{} has no rule {:?}{advice}", process.base, arguments.name);
    }
    let fits = |rule: &&Rule| {
        arguments.labels.iter().all(|(name, value)| {
            let own = rule.labels.get(name);
            own.is_none_or(|own| own == value || own.contains("{{"))
        })
    };
    let fitting: Vec<&Rule> = named.into_iter().filter(fits).collect();
    if fitting.is_empty() {
        bail!("no rule {:?} has these labels", arguments.name);
    }
    let ids: Option<Vec<String>> = fitting.into_iter().map(|rule| rule.id.clone()).collect();
    ids.with_context(|| format!("{} does not know why: only a Skopos explains", process.base))
}

/// A process that answers.
struct Process<'a> {
    /// Without a slash at its end.
    base: &'a str,
    timeout: Duration,
}

impl Process<'_> {
    fn get<D: DeserializeOwned>(&self, path: &str, parameters: &[(&str, String)]) -> anyhow::Result<D> {
        #[derive(Deserialize)]
        struct Answer<D> {
            data: Option<D>,
            error: Option<String>,
        }
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(parameters)
            .finish();
        let request = Request {
            method: Method::Get,
            url: format!("{}{path}?{query}", self.base),
            headers: Vec::new(),
            body: Vec::new().into(),
            timeout: self.timeout,
            answer_bytes_max: ANSWER_BYTES_MAX,
        };
        let response = sent(request)
            .with_context(|| format!("asking {}; name a running Skopos with --url", self.base))?;
        let answer: Answer<D> = serde_json::from_slice(&response.body).with_context(|| {
            format!(
                "{}{path} answers {} and nothing that can be read",
                self.base, response.status
            )
        })?;
        match (answer.data, answer.error) {
            (_, Some(error)) => bail!("{error}"),
            (Some(data), None) => Ok(data),
            (None, None) => bail!("{}{path} answers {} and no data", self.base, response.status),
        }
    }
}
