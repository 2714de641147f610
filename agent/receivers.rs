//! `skopos test receivers`: sends each receiver a message that says that it is a test.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use model::Clock;

use crate::lines::printable;
use crate::routes;

/// Ends with 0 when all took it, with 1 when one did not or there is none, and with 64 when the file has mistakes.
#[must_use]
pub fn run(file: &Path, wanted: &[String]) -> ExitCode {
    let notifier = match routes::read(file) {
        Ok(notifier) => notifier,
        Err(complaints) => {
            for complaint in complaints {
                _ = writeln!(io::stderr(), "{complaint}");
            }
            return ExitCode::from(routes::BAD_FILE);
        }
    };
    match tell(&notifier, wanted) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            _ = writeln!(io::stderr(), "skopos: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all took it.
fn tell(notifier: &notifier::Config, wanted: &[String]) -> anyhow::Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting")?;
    let client = net::HttpClient::new().map_err(anyhow::Error::msg)?;
    let now = telemetry::clock::RuntimeClock::system().now();
    let (mut is_well, met) = (true, RefCell::new(BTreeSet::new()));
    let is_wanted = |name: &str| {
        let is_named = wanted.iter().any(|wanted| wanted == name);
        met.borrow_mut().extend(is_named.then(|| name.to_owned()));
        is_named || wanted.is_empty()
    };
    // Each as soon as it has answered: one that hangs must not hide the others.
    let answered = |probed: notifier::Probed| {
        let (Ok(words) | Err(words)) = &probed.outcome;
        let line = format!("{}: {}", probed.receiver, printable(words));
        if probed.outcome.is_ok() {
            _ = writeln!(io::stdout(), "{line}");
        } else {
            _ = writeln!(io::stderr(), "{line}");
            is_well = false;
        }
    };
    runtime.block_on(notifier::test(
        notifier,
        client,
        Arc::new(net::Mailer),
        now,
        is_wanted,
        answered,
    ));
    let (names, met) = (notifier.receivers(), met.into_inner());
    if names.is_empty() {
        bail!("no receiver is configured");
    }
    if let Some(stranger) = wanted.iter().find(|name| !met.contains(*name)) {
        bail!(
            "no receiver is called {stranger:?}; there are {}",
            names.join(", ")
        );
    }
    Ok(is_well)
}
