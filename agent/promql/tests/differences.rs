//! Where we answer otherwise than Prometheus 3.5.3, and mean to.

use std::collections::BTreeMap;
use std::fmt;

use promql::{Aggregation, Expr, Kind};

use crate::answer::Answer;

struct Known {
    reason: &'static str,
    is: fn(&Found<'_>) -> bool,
}

struct Found<'f> {
    expr: &'f str,
    /// What was found first.
    why: &'f str,
    ours: &'f Answer,
    theirs: &'f Answer,
}

const KNOWN: [Known; 20] = [
    Known {
        reason: "promtool holds ten thousand samples at most",
        is: |found| failed(found.theirs, "too many samples"),
    },
    Known {
        reason: "promtool reads series in a random order, as both do inside of a range query: of equals others are on top",
        is: |found| !found.in_ranges() && calls(found.expr, &["topk", "bottomk", "limitk"]),
    },
    Known {
        reason: "the same: sums go by the order of their parts, which huge numbers and labels show",
        is: |found| {
            (found.expr.contains("huge") || calls(found.expr, &["count_values"]))
                && calls(found.expr, &["sum", "avg", "stddev", "stdvar"])
        },
    },
    Known {
        reason: "inside of a range query 3.5.3 has series in a random order: of equals others are on top",
        is: |found| found.in_ranges() && ranks_of_computed(found.expr),
    },
    Known {
        reason: "3.5.3 has no warning of a sort in a range query, 3.14 has",
        is: |found| found.says("only we say: PromQL warning: sort is ineffective"),
    },
    Known {
        reason: "3.5.3 names a histogram that had to be made monotonic twice, once without its name",
        is: |found| {
            found.says("only they say: PromQL info: input to histogram_quantile needed")
                && found.why.contains("for metric name \"\";")
        },
    },
    Known {
        reason: "of equal notes Prometheus tells one place, we tell each",
        is: |found| found.says("one more place: "),
    },
    Known {
        reason: "Prometheus puts notes on a subquery at the start of the whole expression",
        is: |found| found.says("another place: ") && found.why.contains("(1:1);") && found.expr.contains("]"),
    },
    Known {
        reason: "3.14 looks whether a comparison's partners are unique before it compares, 3.5.3 among what remains",
        is: |found| found.says("we fail: multiple matches for labels"),
    },
    Known {
        reason: "3.14 refuses a number of series that is none even when there are no series",
        is: |found| {
            found.says("we fail: Parameter value is NaN")
                || found.says("we fail: Scalar value")
                || found.says("we fail: Ratio value is NaN")
        },
    },
    Known {
        reason: "3.5.3 forgets at comparisons and at last_over_time of a subquery that a name is to go",
        is: |found| {
            if found.says("we fail: vector cannot contain metrics with the same labelset") {
                return calls(found.expr, &["last_over_time"]);
            }
            let nameless = || Some((found.ours.without_names()?, found.theirs.without_names()?));
            nameless().is_some_and(|(ours, theirs)| ours.differs(&theirs).is_none())
        },
    },
    Known {
        reason: "3.5.3 fails when series that are never there at once become alike at the end, 3.14 makes them one",
        is: |found| {
            found.says("they fail: vector cannot contain metrics with the same labelset")
                && found.in_ranges()
                && (found.expr.contains("__name__=~") || calls(found.expr, &["or"]))
        },
    },
    Known {
        reason: "Prometheus forgets an offset beside an @ in timestamp()",
        is: |found| forgets_offset(found.expr),
    },
    Known {
        reason: "Prometheus has no last sample from before 1970: 0 is taken for later",
        is: |found| calls(found.expr, &["ts_of_last_over_time"]) && found.why.ends_with(", 0.0)))"),
    },
    Known {
        reason: "Prometheus asks for the parameter of an aggregation once when only what it aggregates is pinned by an @",
        is: |found| found.in_ranges() && pins_parameter(found.expr),
    },
    Known {
        reason: "3.14 counts a lowest bucket without a lower end, or from 0, where 3.5.3 has NaN",
        is: |found| calls(found.expr, &["histogram_fraction"]),
    },
    Known {
        reason: "the last digit of a logarithm or a sine is another in Go, and a remainder or a label shows it",
        is: |found| {
            let shows = found.expr.contains('%') || calls(found.expr, &["sin", "cos", "tan", "count_values"]);
            shows && (found.expr.contains('^') || calls(found.expr, &TRANSCENDENTAL))
        },
    },
    Known {
        reason: "the same: just below the largest number or just above it",
        is: |found| found.why.contains("e308), (0, inf)") && calls(found.expr, &["cosh", "sinh", "exp"]),
    },
    Known {
        reason: "3.14 has NaN for the deviation of what has a NaN in it",
        is: |found| calls(found.expr, &["mad_over_time"]),
    },
    Known {
        reason: "3.5.3's info takes series for others after gaps, and those it does not know; rewritten by 3.14",
        is: |found| calls(found.expr, &["info"]),
    },
];

const TRANSCENDENTAL: [&str; 18] = [
    "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cos", "cosh", "exp", "ln", "log10", "log2",
    "sin", "sinh", "sqrt", "tan", "tanh",
];

impl Found<'_> {
    fn says(&self, what: &str) -> bool {
        self.why.starts_with(what)
    }

    /// Only those of ranges have notes.
    fn in_ranges(&self) -> bool {
        let is_instant = |answer: &Answer| matches!(answer, Answer::Series { notes: None, .. });
        !is_instant(self.ours) && !is_instant(self.theirs)
    }
}

fn calls(expr: &str, names: &[&str]) -> bool {
    let words = expr.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
    words.into_iter().any(|word| names.contains(&word))
}

/// Whether some are picked of what is not as it was read.
fn ranks_of_computed(expr: &str) -> bool {
    let ranks = [Aggregation::Topk, Aggregation::Bottomk, Aggregation::Limitk];
    any(expr, |part| {
        let Kind::Aggregate(aggregate) = &part.kind else {
            return false;
        };
        let plain = match &aggregate.expr.bare().kind {
            Kind::Selector(_) => true,
            Kind::Call { args, .. } => args
                .iter()
                .any(|arg| matches!(arg.bare().kind, Kind::Range { .. })),
            _ => false,
        };
        ranks.contains(&aggregate.op) && !plain
    })
}

/// Whether an `@` and an offset are both in the selector of a `timestamp`.
pub(crate) fn forgets_offset(expr: &str) -> bool {
    any(expr, |part| {
        let Kind::Call { function, args } = &part.kind else {
            return false;
        };
        let moved = |arg: &Expr| match &arg.bare().kind {
            Kind::Selector(selector) => selector.when.at.is_some() && selector.when.offset != 0,
            _ => false,
        };
        function.name == "timestamp" && args.iter().any(moved)
    })
}

/// Whether what is aggregated is the same everywhere, and the aggregation's parameter is not.
pub(crate) fn pins_parameter(expr: &str) -> bool {
    any(expr, |part| {
        let Kind::Aggregate(aggregate) = &part.kind else {
            return false;
        };
        let Some(param) = &aggregate.param else {
            return false;
        };
        !is_pinned(param) && is_pinned(&aggregate.expr)
    })
}

/// Every selector has an `@`, and nothing asks for the time.
fn is_pinned(expr: &Expr) -> bool {
    let mut pinned = true;
    expr.walk(&mut |part| {
        pinned &= match &part.kind {
            Kind::Selector(selector) | Kind::Range { selector, .. } => selector.when.at.is_some(),
            Kind::Call { function, .. } => function.name != "time",
            _ => true,
        };
    });
    pinned
}

fn any(expr: &str, mut is: impl FnMut(&Expr) -> bool) -> bool {
    let Ok(parsed) = promql::parse(expr) else {
        return false;
    };
    let mut found = false;
    parsed.walk(&mut |part| found |= is(part));
    found
}

fn failed(answer: &Answer, how: &str) -> bool {
    matches!(answer, Answer::Error(error) if error.contains(how))
}

/// What was compared, and how it came out.
#[derive(Default)]
pub(crate) struct Tally {
    equal: usize,
    /// Of the equal ones: both failed; both had nothing.
    failed: usize,
    empty: usize,
    known: BTreeMap<&'static str, usize>,
    different: usize,
}

impl Tally {
    /// What differs and is not known, or none.
    pub(crate) fn judge(&mut self, expr: &str, ours: &Answer, theirs: &Answer) -> Option<String> {
        let Some(why) = ours.differs(theirs) else {
            self.equal += 1;
            self.failed += usize::from(matches!(ours, Answer::Error(_)));
            self.empty += usize::from(ours.is_empty());
            return None;
        };
        let found = Found {
            expr,
            why: &why,
            ours,
            theirs,
        };
        if let Some(known) = KNOWN.iter().find(|known| (known.is)(&found)) {
            *self.known.entry(known.reason).or_default() += 1;
            return None;
        }
        self.different += 1;
        Some(why)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            equal,
            failed,
            empty,
            known,
            different,
        } = self;
        let meant: usize = known.values().sum();
        write!(
            f,
            "{equal} equal ({failed} of them failures, {empty} empty), {meant} differ as meant, {different} differ"
        )?;
        for (reason, count) in known {
            write!(f, "\n  {count} as meant: {reason}")?;
        }
        Ok(())
    }
}
