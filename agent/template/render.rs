//! A parsed template, and what it is expanded with.

use std::sync::Arc;

use model::{Labels, Point, Timestamp};

use crate::error::{ParseError, Problem, RenderError, line_column};
use crate::exec::Run;
use crate::html::Html;
use crate::language::Language;
use crate::parse::{Definition, Definitions, is_empty};
use crate::tree::Block;
use crate::value::Value;

/// Parsed once, rendered often, shared between threads.
#[derive(Clone, Debug)]
pub struct Template {
    main: Definition,
    defined: Arc<Definitions>,
    library: Arc<Definitions>,
}

/// Answers `query` in a template. `None`: not known yet, and rendering ends with
/// [`RenderError::Unanswered`], so that the caller can ask without a thread waiting here.
pub type Queries<'a> = dyn Fn(&str) -> Option<Result<Vec<Point>, String>> + 'a;

/// How much one rendering may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of the output, and of every text made on the way.
    pub bytes: usize,
    /// Parts executed, loops counted each time around.
    pub steps: usize,
    /// Blocks, brackets and templates within each other.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 64 * 1024,
            steps: 100_000,
            depth: 200,
        }
    }
}

/// What a template sees of the world.
pub struct Context<'a> {
    /// The dot, and `$`.
    pub data: Value,
    /// Those of the language, in its order, beginning with `$`.
    pub variables: Vec<(&'static str, Value)>,
    pub now: Timestamp,
    /// As the page is reached from outside, without a slash at the end.
    pub external_url: &'a str,
    pub queries: &'a Queries<'a>,
    pub limits: Limits,
}

impl<'a> Context<'a> {
    /// The data of a rule's annotation or label, under the names of Prometheus.
    #[must_use]
    pub fn alert(
        labels: &Labels,
        value: f64,
        external_labels: &Labels,
        external_url: &'a str,
        now: Timestamp,
        queries: &'a Queries<'a>,
    ) -> Self {
        let labels = Value::labels(labels);
        let external = Value::labels(external_labels);
        let (url, value) = (Value::text(external_url), Value::Float(value));
        let data = Value::record(
            "struct { Labels map[string]string; ExternalLabels map[string]string; ExternalURL string; Value interface {} }",
            vec![
                ("Labels", labels.clone()),
                ("ExternalLabels", external.clone()),
                ("ExternalURL", url.clone()),
                ("Value", value.clone()),
            ],
        );
        Self {
            data,
            variables: vec![
                ("$labels", labels),
                ("$externalLabels", external),
                ("$externalURL", url),
                ("$value", value),
            ],
            now,
            external_url,
            queries,
            limits: Limits::default(),
        }
    }
}

impl Template {
    /// In the language of Prometheus' rules; see [`Language`] for others.
    ///
    /// # Errors
    /// The first mistake, with its place.
    pub fn parse(name: &str, text: &str) -> Result<Self, ParseError> {
        Language::prometheus().parse(name, text)
    }

    pub(crate) fn new(main: Definition, defined: Definitions, library: Arc<Definitions>) -> Self {
        Self {
            main,
            defined: Arc::new(defined),
            library,
        }
    }

    /// As it was written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.main.source.text
    }

    pub(crate) fn body(&self) -> &Block {
        &self.main.body
    }

    pub(crate) fn main(&self) -> &Definition {
        &self.main
    }

    /// The template of this name that this one may call: its own before those of its language.
    pub(crate) fn called(&self, name: &str) -> Option<&Definition> {
        let own = self.defined.get(name).filter(|own| !is_empty(&own.body));
        own.or_else(|| self.library.get(name))
            .or_else(|| self.defined.get(name))
    }

    /// # Errors
    /// What failed and where, or a limit that was passed; nothing of the output is given then.
    pub fn render(&self, context: &Context<'_>) -> Result<String, RenderError> {
        self.run(context, None)
    }

    /// As [`Self::render`], as Go's `html/template` does it: what comes from data is escaped for the place where it
    /// stands.
    ///
    /// # Errors
    /// As [`Self::render`]; also where a value would become part of a script.
    pub fn render_html(&self, context: &Context<'_>) -> Result<String, RenderError> {
        self.run(context, Some(Html::new()))
    }

    fn run(&self, context: &Context<'_>, html: Option<Html>) -> Result<String, RenderError> {
        let mut run = Run::new(context, self, html);
        match run.main(&self.main.body) {
            Ok(()) => Ok(run.output),
            Err(Problem::Unanswered(expr)) => Err(RenderError::Unanswered(expr)),
            Err(Problem::Wrong(message)) => {
                let (line, column) = line_column(&run.source.text, run.at);
                Err(RenderError::Failed {
                    template: run.source.name.to_string(),
                    line,
                    column,
                    message,
                })
            }
        }
    }
}
