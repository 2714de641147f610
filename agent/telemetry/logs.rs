//! Our own log: text or JSON lines on standard error.

use std::fmt;
use std::str::FromStr;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Text,
    Json,
}

impl FromStr for Format {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(format!("{other:?} is not a log format; use text or json")),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

/// Whoever fetches credentials from AWS says why there are none; its SDK would say so each time.
const USUAL: &str = "info,aws_config=error";

/// Starts logging, once per process. `SKOPOS_LOG` holds the filter (`info` by default; `debug`,
/// `notifier=trace,info` …).
///
/// # Errors
/// Logging was started before, or the filter cannot be read.
pub fn start(format: Format) -> Result<(), String> {
    let wanted = std::env::var("SKOPOS_LOG").unwrap_or_default();
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .parse(if wanted.is_empty() { USUAL } else { &wanted })
        .map_err(|error| format!("SKOPOS_LOG: {error}"))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let started = match format {
        Format::Text => lines.with_ansi(false).try_init(),
        Format::Json => lines.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| error.to_string())
}
