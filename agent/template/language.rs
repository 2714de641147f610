//! Which functions and variables a template may use: Go's own, and those of whoever expands it.

use model::complaint::nearest;

use crate::error::{ParseError, Problem};
use crate::parse;
use crate::render::{Context, Template};
use crate::tree::{Call, Callee};
use crate::value::Value;
use crate::{builtin, functions};

/// A function of the language. It gets as many arguments as its [`Entry`] says.
pub type Function = fn(&Context<'_>, &[Value]) -> Result<Value, Problem>;

/// A function's name, the least and the most arguments it takes (`None`: any number), and itself.
pub type Entry = (&'static str, usize, Option<usize>, Function);

#[derive(Clone, Debug)]
pub struct Language {
    tables: Vec<&'static [Entry]>,
    variables: &'static [&'static str],
}

impl Language {
    /// Go's `text/template` with nothing added.
    #[must_use]
    pub fn go() -> Self {
        Self {
            tables: vec![builtin::TABLE],
            variables: &[],
        }
    }

    /// Annotations and labels of Prometheus' rules: its functions, and `$labels`, `$externalLabels`,
    /// `$externalURL` and `$value`.
    #[must_use]
    pub fn prometheus() -> Self {
        Self {
            tables: vec![builtin::TABLE, functions::TABLE],
            variables: &["labels", "externalLabels", "externalURL", "value"],
        }
    }

    /// Adds functions; of one name, those added last stand.
    #[must_use]
    pub fn with(mut self, table: &'static [Entry]) -> Self {
        self.tables.push(table);
        self
    }

    /// # Errors
    /// The first mistake, with its place.
    pub fn parse(&self, name: &str, text: &str) -> Result<Template, ParseError> {
        let (body, defined) = parse::parse(self, text).map_err(|mistake| mistake.into_error(text))?;
        Ok(Template::new(name, text, body, defined))
    }

    pub(crate) fn variables(&self) -> &'static [&'static str] {
        self.variables
    }

    pub(crate) fn function(&self, name: &str) -> Option<Callee> {
        let special = |name, call| Callee {
            name,
            least: 1,
            most: None,
            call,
        };
        match name {
            "and" => return Some(special("and", Call::And)),
            "or" => return Some(special("or", Call::Or)),
            _ => {}
        }
        let mut entries = self.tables.iter().rev().flat_map(|table| table.iter());
        let (name, least, most, function) = entries.find(|(known, ..)| *known == name)?;
        Some(Callee {
            name,
            least: *least,
            most: *most,
            call: Call::Function(*function),
        })
    }

    pub(crate) fn nearest_function(&self, name: &str) -> Option<&'static str> {
        let names = self
            .tables
            .iter()
            .flat_map(|table| table.iter().map(|(name, ..)| *name));
        nearest(name, names.chain(["and", "or"]))
    }
}
