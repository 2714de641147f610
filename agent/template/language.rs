//! Which functions and variables a template may use: Go's own, and those of whoever expands it.

use std::path::Path;
use std::sync::Arc;

use model::complaint::nearest;

use crate::error::{ParseError, Problem};
use crate::parse::{self, Definition, Definitions, Source};
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
    /// What every template may call by name.
    library: Arc<Definitions>,
}

impl Language {
    /// Go's `text/template` with nothing added.
    #[must_use]
    pub fn go() -> Self {
        Self {
            tables: vec![builtin::TABLE],
            variables: &[],
            library: Arc::default(),
        }
    }

    /// Annotations and labels of Prometheus' rules: its functions, and `$labels`, `$externalLabels`,
    /// `$externalURL` and `$value`.
    #[must_use]
    pub fn prometheus() -> Self {
        Self {
            tables: vec![builtin::TABLE, functions::TABLE],
            variables: &["labels", "externalLabels", "externalURL", "value"],
            library: Arc::default(),
        }
    }

    /// Adds functions; of one name, those added last stand.
    #[must_use]
    pub fn with(mut self, table: &'static [Entry]) -> Self {
        self.tables.push(table);
        self
    }

    /// What a file defines may be called by every template parsed after this. Of one name, what was added last
    /// stands, unless it is empty. What the file says outside of definitions has the name of the file.
    ///
    /// # Errors
    /// The first mistake, with its place; nothing is added then.
    pub fn add(&mut self, name: &str, text: &str) -> Result<(), ParseError> {
        let (source, body, defined) = self.read(name, text)?;
        let library = Arc::make_mut(&mut self.library);
        for (name, definition) in defined {
            parse::define(library, name, definition);
        }
        if !parse::is_empty(&body) {
            let file = Path::new(name)
                .file_name()
                .map_or(name.into(), |file| file.to_string_lossy());
            parse::define(library, file.into(), Definition { body, source });
        }
        Ok(())
    }

    /// # Errors
    /// The first mistake, with its place.
    pub fn parse(&self, name: &str, text: &str) -> Result<Template, ParseError> {
        let (source, body, defined) = self.read(name, text)?;
        let main = Definition { body, source };
        Ok(Template::new(main, defined, Arc::clone(&self.library)))
    }

    fn read(
        &self,
        name: &str,
        text: &str,
    ) -> Result<(Arc<Source>, crate::tree::Block, Definitions), ParseError> {
        let source = Arc::new(Source {
            name: name.into(),
            text: text.into(),
        });
        let (body, defined) = parse::parse(self, &source).map_err(|mistake| mistake.into_error(text))?;
        Ok((source, body, defined))
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
