//! `skopos query`: a question in PromQL on a terminal, answered by a running Skopos, any Prometheus, or what lies on a
//! disk.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use model::outside::{Client, Method, Request, Response};
use model::text::duration;

use crate::answer::{Answer, show};
use crate::archive;
use crate::cli::QueryArgs;

/// Longer answers are for programs, not for eyes.
const ANSWER_BYTES_MAX: usize = 256 << 20;
/// Where a Skopos serves when nobody has said otherwise.
pub(crate) const URL: &str = "http://127.0.0.1:9464";
/// Steps of a range for which none is named.
const STEPS: u32 = 250;
const STEP_MIN: Duration = Duration::from_secs(1);

/// Ends with 1 when there is no answer, or when it is an error.
#[must_use]
pub fn run(arguments: &QueryArgs) -> ExitCode {
    match ask(arguments).and_then(|answer| show(&answer, arguments.output)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            _ = writeln!(io::stderr(), "skopos: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn ask(arguments: &QueryArgs) -> anyhow::Result<Answer> {
    let when = When::of(arguments)?;
    match &arguments.data_dir {
        Some(data_dir) => archive::ask(data_dir, arguments, &when),
        None => ask_process(arguments, &when),
    }
}

/// In seconds since 1970.
pub(crate) enum When {
    Now,
    At(f64),
    Range { start: f64, end: f64, step: Duration },
}

fn ask_process(arguments: &QueryArgs, when: &When) -> anyhow::Result<Answer> {
    let base = arguments.url.as_deref().unwrap_or(URL).trim_end_matches('/');
    let (path, parameters) = question(arguments, when);
    let form = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(parameters)
        .finish();
    let request = Request {
        method: Method::Post,
        url: format!("{base}{path}"),
        headers: vec![(
            "content-type".to_owned(),
            "application/x-www-form-urlencoded".to_owned(),
        )],
        body: form.into(),
        timeout: arguments.timeout,
        answer_bytes_max: ANSWER_BYTES_MAX,
    };
    let response = sent(request).with_context(|| {
        format!("asking {base}; name a running Skopos or a Prometheus with --url, or a data directory with --data-dir")
    })?;
    let answer: Answer = serde_json::from_slice(&response.body).with_context(|| {
        format!(
            "{base}{path} answers {} and no JSON of Prometheus' API",
            response.status
        )
    })?;
    match &answer.error {
        Some(error) => bail!("{error}"),
        None => Ok(answer),
    }
}

/// One request of a command that ends with its answer.
pub(crate) fn sent(request: Request) -> anyhow::Result<Response> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let client = net::HttpClient::new().map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(runtime.block_on(client.send(request))?)
}

/// The door, and what is asked there.
fn question(arguments: &QueryArgs, when: &When) -> (&'static str, Vec<(&'static str, String)>) {
    let mut parameters = vec![
        ("query", arguments.expr.clone()),
        ("timeout", duration::short(arguments.timeout)),
    ];
    let path = match when {
        When::Now => "/api/v1/query",
        When::At(time) => {
            parameters.push(("time", time.to_string()));
            "/api/v1/query"
        }
        When::Range { start, end, step } => {
            parameters.extend([
                ("start", start.to_string()),
                ("end", end.to_string()),
                ("step", step.as_secs_f64().to_string()),
            ]);
            "/api/v1/query_range"
        }
    };
    (path, parameters)
}

impl When {
    fn of(arguments: &QueryArgs) -> anyhow::Result<Self> {
        let is_range = arguments.since.is_some() || arguments.start.is_some();
        if !is_range {
            let time = arguments.time.as_deref().map(moment).transpose()?;
            return Ok(time.map_or(Self::Now, Self::At));
        }
        let end = match &arguments.end {
            Some(end) => moment(end)?,
            None => jiff::Timestamp::now().as_millisecond() as f64 / 1000.0,
        };
        let start = match (&arguments.start, arguments.since) {
            (Some(start), _) => moment(start)?,
            (None, since) => end - since.unwrap_or_default().as_secs_f64(),
        };
        let length = Duration::try_from_secs_f64(end - start).context("the range ends before it starts")?;
        let step = arguments
            .step
            .unwrap_or_else(|| whole_seconds(length / STEPS).max(STEP_MIN));
        Ok(Self::Range { start, end, step })
    }
}

fn whole_seconds(duration: Duration) -> Duration {
    Duration::from_secs(duration.as_secs())
}

/// Seconds since 1970, from such a number or from RFC 3339.
pub(crate) fn moment(text: &str) -> anyhow::Result<f64> {
    if let Some(seconds) = model::text::float::parse(text) {
        return Ok(seconds);
    }
    let time: jiff::Timestamp = text.parse().with_context(|| {
        format!("{text:?} is no time; write seconds since 1970, or for example 2026-05-01T03:00:00Z")
    })?;
    Ok(time.as_millisecond() as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_numbers_or_rfc_3339() {
        assert_eq!(moment("1.5").unwrap(), 1.5);
        assert_eq!(moment("1970-01-01T00:01:00Z").unwrap(), 60.0);
        assert!(
            moment("yesterday")
                .unwrap_err()
                .to_string()
                .contains("is no time")
        );
    }
}
