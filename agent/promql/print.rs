//! Writes an expression in its canonical form, which parses to the same expression.

use std::fmt::{self, Display, Write};
use std::time::Duration;

use model::text;

use crate::ast::{Aggregate, At, Binary, Edges, Expr, Fill, Group, Kind, Matching, Selector, Subquery, When};
use crate::formula::{Formula, Formulas};

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A chain of operators leans to the left and may be long: it is walked, not recursed into.
        let mut chain = Vec::new();
        let mut expr = self;
        while let Kind::Binary(binary) = &expr.kind {
            chain.push(binary);
            expr = &binary.left;
        }
        expr.operand(f)?;
        chain.into_iter().rev().try_for_each(|binary| {
            binary.operator(f)?;
            write!(f, " {}", binary.right)
        })
    }
}

impl Expr {
    fn operand(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Number(value) => f.write_str(&number(*value)),
            Kind::Text(value) => f.write_str(&text::quote(value)),
            Kind::Selector(selector) => {
                selector.bare(f)?;
                selector.modifiers(f)
            }
            Kind::Range { selector, range } => {
                selector.bare(f)?;
                let formulas = selector.formulas.as_deref();
                let computed = formulas.and_then(|all| all.range.as_ref());
                write!(f, "[{}]", length(*range, computed))?;
                selector.modifiers(f)
            }
            Kind::Subquery(subquery) => subquery.fmt(f),
            Kind::Unary { negative, expr } => {
                f.write_char(if *negative { '-' } else { '+' })?;
                expr.fmt(f)
            }
            Kind::Binary(_) => self.fmt(f),
            Kind::Aggregate(aggregate) => aggregate.fmt(f),
            Kind::Call { function, args } => {
                write!(f, "{}(", function.name)?;
                for (nth, arg) in args.iter().enumerate() {
                    write!(f, "{}{arg}", if nth == 0 { "" } else { ", " })?;
                }
                f.write_char(')')
            }
            Kind::Paren(inner) => write!(f, "({inner})"),
        }
    }
}

impl Binary {
    /// The operator and what belongs to it, with a space before.
    pub(crate) fn operator(&self, f: &mut impl Write) -> fmt::Result {
        write!(f, " {}", self.op.text())?;
        if self.as_bool {
            f.write_str(" bool")?;
        }
        match &self.matching {
            Some(matching) => matching.fmt(f),
            None => Ok(()),
        }
    }
}

impl Matching {
    /// Labels, group and fill, each with a space before.
    fn fmt(&self, f: &mut impl Write) -> fmt::Result {
        if self.on || !self.labels.is_empty() || self.group != Group::None {
            let word = if self.on { "on" } else { "ignoring" };
            write!(f, " {word} ({})", names(&self.labels))?;
        }
        match self.group {
            Group::None => {}
            Group::Left => write!(f, " group_left ({})", names(&self.include))?,
            Group::Right => write!(f, " group_right ({})", names(&self.include))?,
        }
        match self.fill {
            Fill {
                many: Some(one),
                one: Some(two),
            } if one.to_bits() == two.to_bits() => write!(f, " fill ({})", number(one)),
            Fill { many, one } => {
                for (word, value) in [("fill_left", many), ("fill_right", one)] {
                    if let Some(value) = value {
                        write!(f, " {word} ({})", number(value))?;
                    }
                }
                Ok(())
            }
        }
    }
}

impl Aggregate {
    /// The operator with its labels, without what is in the parentheses.
    pub(crate) fn head(&self) -> String {
        let (op, labels) = (self.op.text(), &self.grouping.labels);
        match self.grouping.without {
            true => format!("{op} without ({}) ", names(labels)),
            false if labels.is_empty() => op.to_owned(),
            false => format!("{op} by ({}) ", names(labels)),
        }
    }
}

impl fmt::Display for Aggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.head())?;
        if let Some(param) = &self.param {
            write!(f, "{param}, ")?;
        }
        write!(f, "{})", self.expr)
    }
}

impl fmt::Display for Subquery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.expr, self.lengths())?;
        self.when.modifiers(self.formulas.as_deref(), Edges::Plain, f)
    }
}

impl Subquery {
    /// `range:step`.
    pub(crate) fn lengths(&self) -> String {
        let formulas = self.formulas.as_deref();
        let range = length(self.range, formulas.and_then(|all| all.range.as_ref()));
        let step = self
            .step
            .map(|step| length(step, formulas.and_then(|all| all.step.as_ref())));
        format!("{range}:{}", step.unwrap_or_default())
    }
}

/// A range or step as it was meant: computed, or just so long.
pub(crate) fn length(length: Duration, computed: Option<&Formula>) -> String {
    match computed {
        Some(formula) => formula.to_string(),
        None => text::duration::short(length),
    }
}

impl Selector {
    /// `anchored`, `@` and `offset`.
    fn modifiers(&self, f: &mut impl Write) -> fmt::Result {
        self.when.modifiers(self.formulas.as_deref(), self.edges, f)
    }

    /// Name and matchers, without `@` and `offset`.
    pub(crate) fn bare(&self, f: &mut impl Write) -> fmt::Result {
        let name = self.name.as_deref().unwrap_or_default();
        let plain = text::is_legacy_metric_name(name) && !needs_quotes(name);
        if plain {
            f.write_str(name)?;
            if self.matchers.is_empty() {
                return Ok(());
            }
        }
        f.write_char('{')?;
        let mut comma = "";
        if !plain && self.name.is_some() {
            f.write_str(&text::quote(name))?;
            comma = ", ";
        }
        for matcher in &self.matchers {
            write!(f, "{comma}{matcher}")?;
            comma = ", ";
        }
        f.write_char('}')
    }
}

/// Words that would be read as something else in a metric name's place.
fn needs_quotes(name: &str) -> bool {
    [
        "inf",
        "nan",
        "bool",
        "on",
        "ignoring",
        "group_left",
        "group_right",
    ]
    .iter()
    .any(|word| word.eq_ignore_ascii_case(name))
}

impl When {
    fn modifiers(&self, formulas: Option<&Formulas>, edges: Edges, f: &mut impl Write) -> fmt::Result {
        // Last in the text, a formula would take the operator behind it.
        let formula = formulas.and_then(|all| all.offset.as_ref());
        if let Some(formula) = formula {
            write!(f, " offset {formula}")?;
        }
        if edges != Edges::Plain {
            write!(f, " {}", edges.text())?;
        }
        self.pin(f)?;
        if formula.is_some() {
            return Ok(());
        }
        if self.offset == 0 {
            return Ok(());
        }
        let sign = if self.offset < 0 { "-" } else { "" };
        let length = Duration::from_millis(self.offset.unsigned_abs());
        write!(f, " offset {sign}{}", text::duration::short(length))
    }

    fn pin(&self, f: &mut impl Write) -> fmt::Result {
        match self.at {
            None => Ok(()),
            Some(At::Start) => f.write_str(" @ start()"),
            Some(At::End) => f.write_str(" @ end()"),
            Some(At::Time(time)) => {
                let sign = if time.0 < 0 { "-" } else { "" };
                let millis = time.0.unsigned_abs();
                write!(f, " @ {sign}{}.{:03}", millis / 1000, millis % 1000)
            }
        }
    }
}

fn names(labels: &[String]) -> String {
    let quoted = |label: &String| {
        if text::is_legacy_label_name(label) {
            label.clone()
        } else {
            text::quote(label)
        }
    };
    labels.iter().map(quoted).collect::<Vec<_>>().join(", ")
}

/// A number that reads back as the same bits, except for a NaN's.
fn number(value: f64) -> String {
    if value == f64::INFINITY {
        // `+Inf ^ 2` would be the sign of a power.
        return "Inf".to_owned();
    }
    text::float::api(value)
}
