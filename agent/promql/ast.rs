//! What an expression is made of. Every node knows its place in the text; equality ignores places.

use std::time::Duration;

use model::labels::METRIC_NAME;
use model::{Matcher, Timestamp};

use crate::formula::Formulas;
use crate::functions::Function;
use crate::span::Span;

/// A parsed and type-checked expression.
#[derive(Clone, Debug)]
pub struct Expr {
    pub kind: Kind,
    pub span: Span,
    /// Levels of nodes from here down; bounded by the parser, so that recursion over a tree is safe.
    height: u16,
}

#[derive(Clone, Debug)]
pub enum Kind {
    Number(f64),
    Text(String),
    /// `name{matchers} @ at offset offset`: an instant vector.
    Selector(Box<Selector>),
    /// `selector[range]`: a range vector.
    Range {
        selector: Box<Selector>,
        range: Duration,
    },
    /// `expr[range:step]`: a range vector.
    Subquery(Box<Subquery>),
    /// `-expr`, or `+expr`, which does nothing.
    Unary {
        negative: bool,
        expr: Box<Expr>,
    },
    Binary(Box<Binary>),
    Aggregate(Box<Aggregate>),
    Call {
        function: &'static Function,
        args: Vec<Expr>,
    },
    Paren(Box<Expr>),
}

/// The type of what an expression gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    Scalar,
    Text,
    Vector,
    Matrix,
}

impl Type {
    /// As Prometheus' documentation calls it.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Text => "string",
            Self::Vector => "instant vector",
            Self::Matrix => "range vector",
        }
    }
}

/// When to look, by `@` and `offset`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct When {
    pub at: Option<At>,
    /// Milliseconds into the past; negative looks ahead.
    pub offset: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    Time(Timestamp),
    /// `start()` of the whole query.
    Start,
    /// `end()` of the whole query.
    End,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selector {
    pub name: Option<String>,
    /// As written in the braces.
    pub matchers: Vec<Matcher>,
    pub when: When,
    /// Where its range or offset is computed.
    pub formulas: Option<Box<Formulas>>,
    pub edges: Edges,
}

/// What stands at the edges of a range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Edges {
    /// Nothing that is not there.
    #[default]
    Plain,
    /// At the start, the last sample before it.
    Anchored,
    /// At both, a value on the line between the samples around it; so for an instant vector too.
    Smoothed,
}

impl Edges {
    /// The word behind the selector.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Anchored => "anchored",
            Self::Smoothed => "smoothed",
        }
    }
}

impl Selector {
    /// The matchers of the braces and one for the name.
    #[must_use]
    pub fn all_matchers(&self) -> Vec<Matcher> {
        self.name
            .iter()
            .map(|name| Matcher::equal(METRIC_NAME, name))
            .chain(self.matchers.iter().cloned())
            .collect()
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Subquery {
    pub expr: Expr,
    pub range: Duration,
    /// The engine's default when left out.
    pub step: Option<Duration>,
    pub when: When,
    /// Where its range, step or offset is computed.
    pub formulas: Option<Box<Formulas>>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Binary {
    pub op: Op,
    pub left: Expr,
    pub right: Expr,
    /// `bool`: 0 or 1 instead of leaving out.
    pub as_bool: bool,
    /// Between two vectors only.
    pub matching: Option<Matching>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Atan2,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    /// Cuts a native histogram above a value. Numbers have nothing to cut, and go.
    TrimUpper,
    /// Cuts one below a value.
    TrimLower,
    And,
    Or,
    Unless,
}

impl Op {
    pub(crate) const ALL: [Self; 18] = [
        Self::Add,
        Self::Sub,
        Self::Mul,
        Self::Div,
        Self::Mod,
        Self::Pow,
        Self::Atan2,
        Self::Eq,
        Self::Ne,
        Self::Lt,
        Self::Le,
        Self::Gt,
        Self::Ge,
        Self::TrimUpper,
        Self::TrimLower,
        Self::And,
        Self::Or,
        Self::Unless,
    ];

    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Mod => "%",
            Self::Pow => "^",
            Self::Atan2 => "atan2",
            Self::Eq => "==",
            Self::Ne => "!=",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
            Self::TrimUpper => "</",
            Self::TrimLower => ">/",
            Self::And => "and",
            Self::Or => "or",
            Self::Unless => "unless",
        }
    }

    #[must_use]
    pub fn is_comparison(self) -> bool {
        matches!(
            self,
            Self::Eq | Self::Ne | Self::Lt | Self::Le | Self::Gt | Self::Ge
        )
    }

    #[must_use]
    pub fn is_trim(self) -> bool {
        matches!(self, Self::TrimUpper | Self::TrimLower)
    }

    #[must_use]
    pub fn is_set(self) -> bool {
        matches!(self, Self::And | Self::Or | Self::Unless)
    }

    /// Higher binds tighter.
    pub(crate) fn binding(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And | Self::Unless => 2,
            _ if self.is_comparison() || self.is_trim() => 3,
            Self::Add | Self::Sub => 4,
            Self::Pow => 6,
            _ => 5,
        }
    }
}

/// Which series of two vectors belong together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matching {
    /// `on (labels)`; otherwise `ignoring (labels)`, also when nothing is written.
    pub on: bool,
    pub labels: Vec<String>,
    pub group: Group,
    /// Labels taken over from the side with one series.
    pub include: Vec<String>,
    pub fill: Fill,
}

/// Values for series that have no partner, which otherwise are left out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fill {
    /// `fill_left`. With `group_right` it stands on the right: Prometheus fills the side of many with it.
    pub many: Option<f64>,
    /// `fill_right`, likewise the side of one.
    pub one: Option<f64>,
}

impl Fill {
    pub(crate) fn is_set(self) -> bool {
        self.many.is_some() || self.one.is_some()
    }

    /// As it was written: two NaNs are the same.
    fn bits(self) -> [Option<u64>; 2] {
        [self.many, self.one].map(|value| value.map(f64::to_bits))
    }
}

impl PartialEq for Fill {
    fn eq(&self, other: &Self) -> bool {
        self.bits() == other.bits()
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Group {
    /// One to one; for set operators many to many.
    #[default]
    None,
    /// `group_left`: many on the left for one on the right.
    Left,
    /// `group_right`: one on the left for many on the right.
    Right,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    pub op: Aggregation,
    pub expr: Expr,
    /// `k` of `topk`, `φ` of `quantile`, the label of `count_values`.
    pub param: Option<Expr>,
    pub grouping: Grouping,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grouping {
    pub without: bool,
    pub labels: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Aggregation {
    Sum,
    Min,
    Max,
    Avg,
    Count,
    Group,
    Stddev,
    Stdvar,
    Quantile,
    Topk,
    Bottomk,
    Limitk,
    LimitRatio,
    CountValues,
}

impl Aggregation {
    pub(crate) const ALL: [Self; 14] = [
        Self::Sum,
        Self::Min,
        Self::Max,
        Self::Avg,
        Self::Count,
        Self::Group,
        Self::Stddev,
        Self::Stdvar,
        Self::Quantile,
        Self::Topk,
        Self::Bottomk,
        Self::Limitk,
        Self::LimitRatio,
        Self::CountValues,
    ];

    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Min => "min",
            Self::Max => "max",
            Self::Avg => "avg",
            Self::Count => "count",
            Self::Group => "group",
            Self::Stddev => "stddev",
            Self::Stdvar => "stdvar",
            Self::Quantile => "quantile",
            Self::Topk => "topk",
            Self::Bottomk => "bottomk",
            Self::Limitk => "limitk",
            Self::LimitRatio => "limit_ratio",
            Self::CountValues => "count_values",
        }
    }

    pub(crate) fn param(self) -> Option<Type> {
        match self {
            Self::Quantile | Self::Topk | Self::Bottomk | Self::Limitk | Self::LimitRatio => {
                Some(Type::Scalar)
            }
            Self::CountValues => Some(Type::Text),
            _ => None,
        }
    }
}

impl Expr {
    pub(crate) fn new(kind: Kind, span: Span) -> Self {
        let mut height = 0;
        kind.each_child(&mut |child| height = height.max(child.height));
        Self {
            kind,
            span,
            height: height.saturating_add(1),
        }
    }

    pub(crate) fn height(&self) -> u16 {
        self.height
    }

    #[must_use]
    pub fn returns(&self) -> Type {
        let mut expr = self;
        loop {
            match &expr.kind {
                Kind::Number(_) => return Type::Scalar,
                Kind::Text(_) => return Type::Text,
                Kind::Selector(_) | Kind::Aggregate(_) => return Type::Vector,
                Kind::Range { .. } | Kind::Subquery(_) => return Type::Matrix,
                Kind::Call { function, .. } => return function.returns,
                Kind::Binary(binary) if binary.right.returns() == Type::Vector => return Type::Vector,
                Kind::Binary(binary) => expr = &binary.left,
                Kind::Unary { expr: inner, .. } | Kind::Paren(inner) => expr = inner,
            }
        }
    }

    /// What is inside any parentheses around it.
    #[must_use]
    pub fn bare(&self) -> &Self {
        let mut expr = self;
        while let Kind::Paren(inner) = &expr.kind {
            expr = inner;
        }
        expr
    }

    /// Calls `visit` for every node, parents before children, in the order of the text.
    pub fn walk<'e>(&'e self, visit: &mut dyn FnMut(&'e Self)) {
        visit(self);
        self.kind.each_child(&mut |child| child.walk(visit));
    }
}

impl Kind {
    /// Operands and arguments, as they stand in the text.
    pub fn each_child<'e>(&'e self, visit: &mut dyn FnMut(&'e Expr)) {
        match self {
            Self::Number(_) | Self::Text(_) | Self::Selector(_) | Self::Range { .. } => {}
            Self::Unary { expr, .. } | Self::Paren(expr) => visit(expr),
            Self::Subquery(subquery) => visit(&subquery.expr),
            Self::Binary(binary) => {
                visit(&binary.left);
                visit(&binary.right);
            }
            Self::Aggregate(aggregate) => {
                aggregate.param.iter().for_each(&mut *visit);
                visit(&aggregate.expr);
            }
            Self::Call { args, .. } => args.iter().for_each(visit),
        }
    }
}

impl Kind {
    /// The same, to be changed. Heights do not follow: what is put in must not be taller.
    pub(crate) fn each_child_mut(&mut self, visit: &mut dyn FnMut(&mut Expr)) {
        match self {
            Self::Number(_) | Self::Text(_) | Self::Selector(_) | Self::Range { .. } => {}
            Self::Unary { expr, .. } | Self::Paren(expr) => visit(expr),
            Self::Subquery(subquery) => visit(&mut subquery.expr),
            Self::Binary(binary) => {
                visit(&mut binary.left);
                visit(&mut binary.right);
            }
            Self::Aggregate(aggregate) => {
                aggregate.param.iter_mut().for_each(&mut *visit);
                visit(&mut aggregate.expr);
            }
            Self::Call { args, .. } => args.iter_mut().for_each(visit),
        }
    }
}

impl PartialEq for Expr {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            // A NaN equals itself here: the question is whether the same was written.
            (Self::Number(one), Self::Number(two)) => one.to_bits() == two.to_bits(),
            (Self::Text(one), Self::Text(two)) => one == two,
            (Self::Selector(one), Self::Selector(two)) => one == two,
            (
                Self::Range { selector, range },
                Self::Range {
                    selector: other,
                    range: length,
                },
            ) => selector == other && range == length,
            (Self::Subquery(one), Self::Subquery(two)) => one == two,
            (
                Self::Unary { negative, expr },
                Self::Unary {
                    negative: sign,
                    expr: other,
                },
            ) => negative == sign && expr == other,
            (Self::Binary(one), Self::Binary(two)) => one == two,
            (Self::Aggregate(one), Self::Aggregate(two)) => one == two,
            (
                Self::Call { function, args },
                Self::Call {
                    function: other,
                    args: given,
                },
            ) => function.name == other.name && args == given,
            (Self::Paren(one), Self::Paren(two)) => one == two,
            _ => false,
        }
    }
}
