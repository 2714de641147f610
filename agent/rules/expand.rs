//! Expands the labels and annotations of a rule. What cannot be expanded says so in its place, and the
//! alert fires all the same.

use std::collections::HashMap;

use model::{Ask, Labels, Point, Timestamp};
use template::{Context, RenderError, Template};

use crate::config::Options;

/// Different expressions that the templates of one rule may ask in one evaluation.
const QUERIES_MAX: usize = 100;

pub(crate) struct Expander<'a> {
    ask: &'a dyn Ask,
    options: &'a Options,
    at: Timestamp,
    answers: HashMap<String, Result<Vec<Point>, String>>,
    pub(crate) failures: u64,
    /// What went wrong last, to be said with the rule's name.
    pub(crate) failure: Option<String>,
}

impl<'a> Expander<'a> {
    pub(crate) fn new(ask: &'a dyn Ask, options: &'a Options, at: Timestamp) -> Self {
        Self {
            ask,
            options,
            at,
            answers: HashMap::new(),
            failures: 0,
            failure: None,
        }
    }

    pub(crate) async fn expand(&mut self, template: &Template, labels: &Labels, value: f64) -> String {
        loop {
            match self.render(template, labels, value) {
                Ok(text) => return text,
                Err(RenderError::Unanswered(expr)) if self.answers.len() < QUERIES_MAX => {
                    let answer = self.ask.ask(&expr, self.at).await;
                    let answer = answer
                        .map(|answer| answer.points)
                        .map_err(|error| error.to_string());
                    self.answers.insert(expr, answer);
                }
                Err(error) => {
                    self.failures += 1;
                    self.failure = Some(error.to_string());
                    return format!("<error expanding template: {error}>");
                }
            }
        }
    }

    fn render(&self, template: &Template, labels: &Labels, value: f64) -> Result<String, RenderError> {
        let known = |expr: &str| self.answers.get(expr).cloned();
        let options = self.options;
        let external = (&options.external_labels, options.external_url.as_str());
        template.render(&Context::alert(
            labels, value, external.0, external.1, self.at, &known,
        ))
    }
}
