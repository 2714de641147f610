//! Expands Go `text/template` as Prometheus writes annotations and labels in it, and Alertmanager its messages.
//!
//! A template is parsed once, with the place of every mistake, and rendered any number of times. Rendering
//! never panics and is bounded in output, steps and depth; a label that is not there is the empty string.
//! What Go prints is what is printed: `1e+06` for a million, `map[a:b]` for labels.

mod alerting;
#[cfg(test)]
mod amtool;
mod builtin;
mod compare;
mod error;
mod escape;
mod exec;
mod format;
mod functions;
mod html;
mod human;
mod json;
mod language;
mod lex;
mod parse;
mod render;
mod spec;
mod stamp;
#[cfg(test)]
mod tests;
mod time;
mod tree;
mod uses;
mod value;

pub use alerting::{Alerted, Told};
pub use error::{ParseError, Problem, RenderError};
pub use functions::table_link;
pub use language::{Entry, Function, Language};
pub use render::{Context, Limits, Queries, Template};
pub use time::Moment;
pub use uses::{Use, What};
pub use value::{List, Map, Methods, Record, Value};
