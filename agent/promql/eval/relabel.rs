//! `label_replace` and `label_join`: series get other labels, values stay.

use model::labels::METRIC_NAME;

use super::Eval;
use super::grid::{Grid, Head, Names};
use super::merge::{Meeting, merged};
use crate::error::QueryError;
use crate::filter;

impl Eval<'_> {
    pub(super) fn label_replace(self, grid: Grid, texts: &[&str]) -> Result<Grid, QueryError> {
        let &[target, replacement, source, pattern] = texts else {
            return Err(QueryError::Execution(
                "label_replace needs four strings".to_owned(),
            ));
        };
        let regex = filter::anchored(pattern).map_err(|_| {
            QueryError::Execution(format!(
                "invalid regular expression in label_replace(): {pattern}"
            ))
        })?;
        if target.is_empty() {
            return Err(invalid("destination", "label_replace", target));
        }
        self.relabelled(grid, target, |names, head| {
            let found = regex.captures(names.value(head, source))?;
            let mut text = String::new();
            found.expand(replacement, &mut text);
            Some(text)
        })
    }

    pub(super) fn label_join(self, grid: Grid, texts: &[&str]) -> Result<Grid, QueryError> {
        let [target, separator, sources @ ..] = texts else {
            return Err(QueryError::Execution("label_join needs two strings".to_owned()));
        };
        if let Some(source) = sources.iter().find(|source| source.is_empty()) {
            return Err(invalid("source", "label_join", source));
        }
        if target.is_empty() {
            return Err(invalid("destination", "label_join", target));
        }
        self.relabelled(grid, target, |names, head| {
            let values: Vec<&str> = sources.iter().map(|source| names.value(head, source)).collect();
            Some(values.join(separator))
        })
    }

    /// Sets `target` to what `text` makes of a row's labels; `None` leaves them alone.
    fn relabelled(
        self,
        mut grid: Grid,
        target: &str,
        text: impl Fn(Names, &Head) -> Option<String>,
    ) -> Result<Grid, QueryError> {
        let names = self.query.names();
        for head in grid.heads_mut() {
            self.query.worked(head.labels.len())?;
            let Some(text) = text(names, head) else {
                continue;
            };
            let mut labels = names.labels(head).to_builder();
            labels.set(target, &text);
            head.labels = labels.build();
            head.nameless &= names.delayed && target != METRIC_NAME;
        }
        grid.one_name = false;
        merged(grid, names, Meeting::Allowed)
    }
}

fn invalid(role: &str, function: &str, label: &str) -> QueryError {
    QueryError::Execution(format!("invalid {role} label name in {function}(): {label}"))
}
