//! Objectives in short form: how many of 100 events have to be good becomes the recording rules and the multi-window,
//! multi-burn-rate alerts of the SRE workbook, with a guard against alarms over a handful of events.
//!
//! Nobody is locked in: [`render`] writes them as plain Prometheus rules.

mod check;
mod expand;
mod render;
#[cfg(test)]
mod tests;
mod windows;
mod written;

use model::Complaint;
use yaml::Spanned;

pub(crate) use self::check::Names;
pub(crate) use self::expand::{Group, Rule};
pub(crate) use self::written::Slo;
use crate::file::{File, first_document};

/// The rules of a file of objectives, as a file that every Prometheus reads.
///
/// # Errors
/// All mistakes, each with its place.
pub fn render(name: &str, text: &str) -> Result<String, Vec<Complaint>> {
    let (document, _) = first_document(text);
    let file: File = yaml::read(name, document).map_err(|complaint| vec![complaint])?;
    if file.slos.is_empty() {
        let advice = "write a list of objectives under the key slos";
        return Err(vec![
            Complaint::about(name, "there is no objective in this file").suggest(advice),
        ]);
    }
    Ok(render::file(
        name,
        &groups(name, text, &file.slos, &mut Names::new())?,
    ))
}

/// Objectives into groups of rules.
pub(crate) fn groups(
    name: &str,
    text: &str,
    slos: &[Spanned<Slo>],
    names: &mut Names,
) -> Result<Vec<Group>, Vec<Complaint>> {
    let objectives = check::objectives(name, text, slos, names)?;
    Ok(objectives.iter().flat_map(expand::groups).collect())
}
