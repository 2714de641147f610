//! Alertmanager's configuration file, as it is: receivers, routes, inhibition, times.
//!
//! A file that Alertmanager refuses is refused here. What it accepts and Skopos has no use for is named in a note;
//! a kind of receiver that Skopos does not have is a mistake, because alerts would go nowhere.

mod email;
mod file;
mod http;
mod looks;
mod node;
mod original;
mod plan;
mod receivers;
mod secrets;
#[cfg(test)]
pub(crate) mod tests;
mod tls;

pub(crate) use original::of_config;

use std::path::Path;

use model::Complaint;

use crate::config::Files;
use crate::plan::Plan;
use crate::route::Timing;

/// What a file comes to.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) plan: Plan,
    /// What is read and has no effect, each with its place.
    pub(crate) notes: Vec<Complaint>,
}

/// `name` is the file as the person gave it; paths in it are meant from `base`. Of `timing` what Alertmanager does not
/// know is taken, the rest where the file does not say.
///
/// # Errors
/// Every mistake, with its place.
pub(crate) fn read(
    name: &str,
    text: &str,
    base: &Path,
    timing: Timing,
    files: &Files<'_>,
) -> Result<Read, Vec<Complaint>> {
    let (shown, secrets) = original::of_file(text);
    let hide = |complaints: Vec<Complaint>| -> Vec<Complaint> {
        let own = |complaint: &Complaint| complaint.file == name;
        let hidden = complaints.into_iter().map(|complaint| match own(&complaint) {
            true => secrets.hide_in(complaint, text),
            // Of a file of templates.
            false => complaint,
        });
        hidden.collect()
    };
    let file: file::File = yaml::read(name, text).map_err(|complaint| hide(vec![explained(complaint)]))?;
    let mut reader = plan::Reader::new(name, text, base, timing);
    let plan = reader.read(&file, files);
    match plan {
        Some(mut plan) if reader.mistakes.is_empty() => {
            plan.original = shown.into();
            let mut notes = hide(reader.notes);
            if !secrets.places.is_empty() {
                notes.push(Complaint::about(name, in_the_open(&secrets.places)));
            }
            Ok(Read { plan, notes })
        }
        _ => Err(hide(reader.mistakes)),
    }
}

/// A warning of secrets in the file itself.
fn in_the_open(places: &[String]) -> String {
    const NAMED: usize = 5;
    let named: Vec<&str> = places.iter().take(NAMED).map(String::as_str).collect();
    let more = match places.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "secrets are written here, and whoever may read this file has them: {}{more}; their keys that end in _file \
         name a file instead",
        named.join(", ")
    )
}

/// Keys that Alertmanager knows and that are of no use without what Skopos lacks.
fn explained(complaint: Complaint) -> Complaint {
    const TOKENS_BY_CERTIFICATE: [&str; 7] = [
        "client_certificate_key",
        "client_certificate_key_file",
        "client_certificate_key_id",
        "signature_algorithm",
        "iss",
        "audience",
        "claims",
    ];
    let key = complaint
        .message
        .strip_prefix("unknown key ")
        .map(|key| key.trim_matches('"'));
    let suggestion = match key {
        Some(key) if TOKENS_BY_CERTIFICATE.contains(&key) => {
            "of oauth2 only grant_type client_credentials is supported, with client_secret or client_secret_file"
        }
        Some(key) if key.ends_with("_ref") => {
            "there is no store of secrets to refer to; name a file by the key that ends in _file"
        }
        _ => return complaint,
    };
    complaint.suggest(suggestion)
}
