//! `skopos check FILE`: all that is wrong with a configuration or a rule file, or what it says in numbers.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use model::Complaint;

use crate::config::Config;

const BAD_CONFIGURATION: u8 = 64;

#[must_use]
pub fn run(files: &[PathBuf]) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for file in files {
        let verdict = if is_rule_file(file) {
            check_rules(file)
        } else {
            check_config(file)
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
    code
}

/// A rule file is known by its one top-level key.
fn is_rule_file(file: &Path) -> bool {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().any(|line| line.starts_with("groups:"))
}

fn check_config(file: &Path) -> Result<String, Vec<Complaint>> {
    let config = Config::load(Some(file), None)?;
    let sections = config
        .document
        .scrape_configs
        .iter()
        .flat_map(|section| &section.static_configs);
    let targets: usize = sections.map(|section| section.targets.len()).sum();
    let rules = count(&config.groups);
    let told = match config.document.receivers() {
        receivers if receivers.is_empty() => "nobody is told".to_owned(),
        receivers => format!("alerts go to {}", receivers.join(", ")),
    };
    Ok(format!(
        "ok, {targets} scrape targets, {rules} in {} groups, {told}",
        config.groups.len()
    ))
}

fn check_rules(file: &Path) -> Result<String, Vec<Complaint>> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file);
    let text = text.map_err(|error| vec![Complaint::about(&name, format!("cannot be read: {error}"))])?;
    let groups = rules::load(&[(name, text)])?;
    Ok(format!("ok, {} in {} groups", count(&groups), groups.len()))
}

fn count(groups: &[rules::Group]) -> String {
    let rules: usize = groups.iter().map(|group| group.rules.len()).sum();
    if rules == 1 {
        "1 rule".to_owned()
    } else {
        format!("{rules} rules")
    }
}
