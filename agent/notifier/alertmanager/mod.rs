//! Alertmanager's configuration file, as it is: receivers, routes, inhibition, times.
//!
//! A file that Alertmanager refuses is refused here. What it accepts and Skopos has no use for is named in a note;
//! a kind of receiver that Skopos does not have is a mistake, because alerts would go nowhere.

mod email;
mod file;
mod http;
mod looks;
mod plan;
mod receivers;
#[cfg(test)]
pub(crate) mod tests;
mod tls;

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
    let file: file::File = yaml::read(name, text).map_err(|complaint| vec![complaint])?;
    let mut reader = plan::Reader::new(name, text, base, timing);
    let plan = reader.read(&file, files);
    match plan {
        Some(plan) if reader.mistakes.is_empty() => Ok(Read {
            plan,
            notes: reader.notes,
        }),
        _ => Err(reader.mistakes),
    }
}
