//! A template as it is executed. Every part knows its byte in the source, for errors.

use std::sync::Arc;

use crate::language::Function;
use crate::value::Value;

pub(crate) type Block = Arc<[Node]>;

#[derive(Clone, Debug)]
pub(crate) enum Node {
    Text(Arc<str>),
    Print(Pipeline),
    If(Branch),
    With(Branch),
    Range(Branch),
    /// `{{template "name" pipeline}}`
    Template {
        at: usize,
        name: Arc<str>,
        dot: Option<Pipeline>,
    },
    Break,
    Continue,
}

#[derive(Clone, Debug)]
pub(crate) struct Branch {
    pub(crate) pipeline: Pipeline,
    pub(crate) then: Block,
    pub(crate) otherwise: Block,
}

/// `$a, $b := one | two`
#[derive(Clone, Debug)]
pub(crate) struct Pipeline {
    pub(crate) at: usize,
    /// Set by the pipeline; two in a range only.
    pub(crate) variables: Vec<Arc<str>>,
    /// `=`, which changes variables, instead of `:=`, which makes them.
    pub(crate) assigns: bool,
    pub(crate) commands: Vec<Command>,
}

/// What is called, and its arguments; never empty.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    pub(crate) head: Operand,
    pub(crate) arguments: Vec<Operand>,
}

#[derive(Clone, Debug)]
pub(crate) struct Operand {
    pub(crate) at: usize,
    pub(crate) term: Term,
}

#[derive(Clone, Debug)]
pub(crate) enum Term {
    Literal(Value),
    Nil,
    Dot,
    /// `.a.b`
    Fields(Vec<Arc<str>>),
    /// `$a.b`
    Variable(Arc<str>, Vec<Arc<str>>),
    Function(Callee),
    /// `(…)`
    Pipeline(Box<Pipeline>),
    /// `(…).a.b`, or a function's result and its fields
    Chain(Box<Operand>, Vec<Arc<str>>),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Callee {
    pub(crate) name: &'static str,
    pub(crate) least: usize,
    /// None: any number.
    pub(crate) most: Option<usize>,
    pub(crate) call: Call,
}

/// `and` and `or` look at their arguments one by one; all others get values.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Call {
    And,
    Or,
    Function(Function),
}
