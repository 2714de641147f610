//! `skopos slo render`: objectives in short form, printed as plain Prometheus rules.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use crate::config;

const BAD_FILE: u8 = 64;

/// Ends with 0 when the rules were printed, and with 64 when the file has mistakes.
#[must_use]
pub fn render(path: &Path) -> ExitCode {
    let read = config::read(path).map_err(|complaint| vec![complaint]);
    match read.and_then(|text| rules::slo::render(&path.display().to_string(), &text)) {
        Ok(rules) => match io::stdout().write_all(rules.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Err(complaints) => {
            for complaint in complaints {
                _ = writeln!(io::stderr(), "{complaint}");
            }
            ExitCode::from(BAD_FILE)
        }
    }
}
