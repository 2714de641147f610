//! Questions about kept samples, in PromQL: parsed, evaluated, explained.
//!
//! Reads only through [`model::Select`]. Everything is bounded: text, nesting, time, samples held.

mod ast;
mod bounds;
mod cache;
mod constant;
mod engine;
mod error;
mod eval;
mod explain;
mod filter;
mod formula;
mod functions;
mod headroom;
mod lex;
mod literal;
mod lookup;
mod missing;
mod parse;
mod print;
pub mod script;
mod seen;
mod span;
mod statistics;
mod stats;
#[cfg(test)]
mod tests;
mod value;

pub use ast::{
    Aggregate, Aggregation, At, Binary, Edges, Expr, Fill, Group, Grouping, Kind, Matching, Op, Selector,
    Subquery, Type, When,
};
pub use engine::{Engine, Options, Stop};
pub use error::{ParseError, QueryError};
pub use explain::Examined;
pub use filter::Filter;
pub use formula::{Formula, Formulas};
pub use functions::{Function, functions};
pub use lookup::{differs_in_range, selectors};
pub use parse::{HEIGHT_MAX, NESTING_MAX, TEXT_BYTES_MAX, parse};
pub use span::Span;
pub use statistics::{Count, Statistics};
pub use value::{HistogramSeries, MatrixSeries, Outcome, Value, VectorPoint};
