//! What the engine wants to have said about a query besides its answer.

use std::fmt::Display;

use crate::ast::Op;
use crate::span::Span;

/// Different sentences kept of each kind; more are counted.
const NOTES_MAX: usize = 32;

#[derive(Debug, Default)]
pub(crate) struct Notes {
    warnings: Kept,
    infos: Kept,
}

#[derive(Debug, Default)]
struct Kept {
    notes: Vec<String>,
    omitted: usize,
}

impl Notes {
    /// Something is most likely wrong.
    pub(crate) fn warn(&mut self, text: &str, span: Span, what: impl Display) {
        self.warnings.add("warning", text, span, &what);
    }

    /// Something may be meant otherwise.
    pub(crate) fn inform(&mut self, text: &str, span: Span, what: impl Display) {
        self.infos.add("info", text, span, &what);
    }

    /// What a selector has is not in the answer, wherever in the expression it stands.
    pub(crate) fn pass_over(&mut self, selector: &str) {
        self.infos.keep(format!(
            "PromQL info: native histograms of {selector} are passed over; only a selector alone gives them"
        ));
    }

    /// Warnings, then infos.
    pub(crate) fn into_sentences(self) -> (Vec<String>, Vec<String>) {
        (self.warnings.sentences("warning"), self.infos.sentences("info"))
    }
}

impl Kept {
    fn add(&mut self, kind: &str, text: &str, span: Span, what: &dyn Display) {
        let (line, column) = span.place(text);
        self.keep(format!("PromQL {kind}: {what} ({line}:{column})"));
    }

    fn keep(&mut self, note: String) {
        if self.notes.contains(&note) {
            return;
        }
        if self.notes.len() < NOTES_MAX {
            self.notes.push(note);
        } else {
            self.omitted += 1;
        }
    }

    fn sentences(mut self, kind: &str) -> Vec<String> {
        if self.omitted > 0 {
            self.notes
                .push(format!("{} more {kind} annotations omitted", self.omitted));
        }
        self.notes
    }
}

pub(crate) fn bad_quantile(q: f64) -> String {
    let q = model::text::float::go(q);
    format!("quantile value should be between 0 and 1, got {q}")
}

pub(crate) const IDLE_SORT: &str =
    "sort is ineffective for range queries since results are always ordered by labels";

pub(crate) fn nothing_to_trim(op: Op) -> String {
    let op = op.text();
    format!("incompatible sample types encountered for binary operator {op:?}: float {op} float")
}

pub(crate) fn bad_ratio(ratio: f64, capped: f64) -> String {
    let ratio = model::text::float::go(ratio);
    format!("ratio value should be between -1 and 1, got {ratio}, capping to {capped}")
}

pub(crate) fn not_a_counter(name: &str) -> Option<String> {
    let endings = ["_total", "_sum", "_count", "_bucket"];
    let doubtful = !name.is_empty() && !endings.iter().any(|ending| name.ends_with(ending));
    doubtful.then(|| {
        format!("metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {name:?}")
    })
}

pub(crate) fn bad_bucket(name: &str, le: &str) -> String {
    format!("bucket label \"le\" is missing or has a malformed value of {le:?} for metric name {name:?}")
}

pub(crate) fn forced_monotonicity(name: &str) -> String {
    format!(
        "input to histogram_quantile needed to be fixed for monotonicity (see \
         https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile) for metric name {name:?}"
    )
}
