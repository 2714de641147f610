//! `/api/v1/series`, `/labels` and `/label/<name>/values`: what there is.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use model::{Labels, MatchOp, Matcher, SelectError, TimeRange};

use super::answer::{Failure, Wrong, bad_data, bad_parameter, success_list};
use super::{matching, param};
use crate::desk::Desk;
use crate::form::Form;
use crate::{Rooms, json};

type Selectors = Vec<Vec<Matcher>>;

pub(super) async fn series(
    State(rooms): State<Rooms>,
    Extension(desk): Extension<Arc<Desk>>,
    form: Form,
) -> Result<Response, Failure> {
    if form.all("match[]").next().is_none() {
        return Err(bad_data("no match[] parameter provided"));
    }
    let limit = param::limit(&form)?;
    let range = param::range(&form)?;
    let selectors = matching::selectors(&form).map_err(|failure| bad_parameter("match[]", failure.text))?;
    let found = desk
        .ask(desk.patience(), move || found(&rooms, &selectors, range))
        .await??;
    Ok(success_list(found, limit, json::labels))
}

pub(super) async fn labels(
    State(rooms): State<Rooms>,
    Extension(desk): Extension<Arc<Desk>>,
    form: Form,
) -> Result<Response, Failure> {
    let limit = param::limit(&form)?;
    let range = param::range(&form)?;
    let selectors = matching::selectors(&form)?;
    let names = move || {
        let found = found(&rooms, &everything(selectors, None), range)?;
        let names: BTreeSet<&str> = found
            .iter()
            .flat_map(Labels::iter)
            .map(|(name, _)| name)
            .collect();
        Ok::<_, Failure>(names.into_iter().map(str::to_owned).collect::<Vec<_>>())
    };
    let names = desk.ask(desk.patience(), names).await??;
    Ok(success_list(names, limit, |text, name| json::string(text, name)))
}

pub(super) async fn values(
    State(rooms): State<Rooms>,
    Extension(desk): Extension<Arc<Desk>>,
    Path(name): Path<String>,
    form: Form,
) -> Result<Response, Failure> {
    let name = unescape_name(&name);
    let limit = param::limit(&form)?;
    let range = param::range(&form)?;
    let selectors = matching::selectors(&form)?;
    let values = move || {
        let found = found(&rooms, &everything(selectors, Some(&name)), range)?;
        let values: BTreeSet<&str> = found.iter().filter_map(|labels| labels.get(&name)).collect();
        Ok::<_, Failure>(values.into_iter().map(str::to_owned).collect::<Vec<_>>())
    };
    let values = desk.ask(desk.patience(), values).await??;
    Ok(success_list(values, limit, |text, value| {
        json::string(text, value)
    }))
}

/// No selector asks for everything; `label` narrows each to the series that have it.
fn everything(mut selectors: Selectors, label: Option<&str>) -> Selectors {
    if selectors.is_empty() {
        selectors.push(Vec::new());
    }
    if let Some(name) = label {
        for matchers in &mut selectors {
            matchers.push(Matcher::new(name, MatchOp::NotEqual, ""));
        }
    }
    selectors
}

/// Label sets that match any selector, sorted, each once.
fn found(rooms: &Rooms, selectors: &Selectors, range: TimeRange) -> Result<Vec<Labels>, Failure> {
    let mut found = Vec::new();
    for matchers in selectors {
        found.extend(rooms.select.labels(matchers, range).map_err(unreadable)?);
    }
    if selectors.len() > 1 {
        found.sort_unstable();
        found.dedup();
    }
    Ok(found)
}

pub(crate) fn unreadable(error: SelectError) -> Failure {
    let wrong = match error {
        SelectError::BadRegex { .. } => Wrong::BadData,
        SelectError::TooMany { .. } => Wrong::Execution,
        SelectError::Unreadable(_) => Wrong::Internal,
    };
    Failure {
        wrong,
        text: error.to_string(),
    }
}

/// `U__a_2e_b` is `a.b`: how names that are no words stand in a path. What is not well escaped stands as it is.
fn unescape_name(name: &str) -> String {
    name.strip_prefix("U__")
        .and_then(unescaped)
        .unwrap_or_else(|| name.to_owned())
}

fn unescaped(mut rest: &str) -> Option<String> {
    let mut name = String::with_capacity(rest.len());
    while let Some((plain, escape)) = rest.split_once('_') {
        name.push_str(plain);
        rest = match escape.strip_prefix('_') {
            Some(rest) => {
                name.push('_');
                rest
            }
            None => {
                let (digits, rest) = escape.split_once('_')?;
                let letter = (digits.len() <= 6).then(|| u32::from_str_radix(digits, 16).ok())??;
                name.push(char::from_u32(letter)?);
                rest
            }
        };
    }
    name.push_str(rest);
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_paths_are_unescaped() {
        for (escaped, name) in [
            ("job", "job"),
            ("U__a_2e_b", "a.b"),
            ("U__a__b", "a_b"),
            ("U__gr_fc__df_", "grüß"),
            ("U__a_zz_", "U__a_zz_"),
            ("U__a_", "U__a_"),
            ("U__a_d800_", "U__a_d800_"),
            ("U__", ""),
        ] {
            assert_eq!(unescape_name(escaped), name, "{escaped}");
        }
    }
}
