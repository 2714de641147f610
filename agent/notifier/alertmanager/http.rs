//! What a file says about how receivers are reached, and where its secrets are.

use std::path::Path;

use net::Reach;
use yaml::Spanned;

use super::file::{Http, Inline};
use crate::receiver::Place;

/// What is wrong, in words.
pub(super) type Wrong = String;

/// A value that may stand here or in a file.
pub(super) fn place(base: &Path, here: Option<&Inline>, file: Option<&String>) -> Option<Place> {
    let here = here.filter(|inline| !inline.0.is_empty());
    let file = file.filter(|path| !path.is_empty());
    here.map(|inline| Place::Here(inline.0.clone()))
        .or_else(|| file.map(|path| Place::File(base.join(path))))
}

/// At most one of both.
pub(super) fn one(keys: (&str, &str), here: Option<&Inline>, file: Option<&String>) -> Result<(), Wrong> {
    let is_here = here.is_some_and(|inline| !inline.0.is_empty());
    if is_here && file.is_some_and(|path| !path.is_empty()) {
        let (here, file) = keys;
        return Err(format!("at most one of {here} & {file} must be configured"));
    }
    Ok(())
}

/// The receiver's own settings stand in place of the file's for all.
pub(super) fn reach(
    base: &Path,
    own: Option<&Spanned<Http>>,
    all: Option<&Spanned<Http>>,
) -> Result<Reach, Wrong> {
    let Some(Spanned { value: http, .. }) = own.or(all) else {
        return Ok(Reach::default());
    };
    http.read(base).map_err(|why| format!("http_config.{why}"))
}
