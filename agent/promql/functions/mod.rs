//! Every function: its name, what it takes, what it gives and how it runs.

mod date;
mod each;
mod edges;
mod over_time;
mod rate;

use crate::ast::Type;
use crate::bounds::Bounds;
use crate::formula;
pub(crate) use date::Date;
pub(crate) use edges::{allowed, edged, extended, on_line};
pub(crate) use over_time::Window;

/// A function as the parser knows it.
pub struct Function {
    pub name: &'static str,
    pub args: &'static [Type],
    /// How many at the end of `args` may be left out.
    optional: usize,
    /// How many times more the last of `args` may come.
    repeats: usize,
    pub returns: Type,
    pub(crate) run: Run,
}

impl Function {
    /// How many arguments may be left out or added, as Prometheus counts it; -1 is any number.
    #[must_use]
    pub fn variadic(&self) -> i64 {
        i64::try_from(self.optional.saturating_add(self.repeats)).unwrap_or(-1)
    }

    /// Fewest and most arguments.
    #[must_use]
    pub fn arguments(&self) -> (usize, usize) {
        let most = self.args.len().saturating_add(self.repeats);
        (self.args.len() - self.optional, most)
    }
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// The value for one window of one series; the slice holds the scalar arguments of the step.
pub(crate) type OverTime = fn(&Window<'_>, &[f64]) -> Option<f64>;

#[derive(Clone, Copy)]
pub(crate) enum Run {
    /// A range vector, series by series, step by step.
    OverTime(OverTime, Kind),
    /// An instant vector, value by value.
    Each(fn(f64) -> f64),
    /// The same with scalars besides; `None` leaves the value out.
    EachWith(fn(f64, &[f64]) -> Option<f64>),
    /// Seconds since the epoch, of the argument or of the step.
    Date(fn(Date) -> f64),
    Absent,
    AbsentOverTime,
    HistogramFraction,
    HistogramQuantile,
    HistogramQuantiles,
    Info,
    LabelJoin,
    LabelReplace,
    /// Of native histograms or start timestamps, which there are none of here.
    Nothing,
    /// What the whole query spans.
    OfQuery(fn(Bounds) -> f64),
    /// Of two numbers.
    OfTwo(fn(f64, f64) -> f64),
    Pi,
    Scalar,
    Sort {
        descending: bool,
    },
    SortByLabel {
        descending: bool,
    },
    Time,
    Timestamp,
    Vector,
}

/// What else there is to a function of a range vector.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Plain,
    /// Keeps the metric's name: its values are the metric's own.
    KeepsName,
    /// Of counters only.
    Counter,
    /// The first argument is a quantile.
    Quantile,
    /// The scalars are factors between 0 and 1.
    Factors,
}

/// The names of all functions.
pub fn functions() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|function| function.name)
}

pub(crate) fn find(name: &str) -> Option<&'static Function> {
    TABLE.iter().find(|function| function.name == name)
}

const V: Type = Type::Vector;
const M: Type = Type::Matrix;
const S: Type = Type::Scalar;
const T: Type = Type::Text;

const fn vector(name: &'static str, args: &'static [Type], run: Run) -> Function {
    Function {
        name,
        args,
        optional: 0,
        repeats: 0,
        returns: V,
        run,
    }
}

const fn scalar(name: &'static str, args: &'static [Type], run: Run) -> Function {
    Function {
        returns: S,
        ..vector(name, args, run)
    }
}

const fn over_time(name: &'static str, run: OverTime) -> Function {
    vector(name, &[M], Run::OverTime(run, Kind::Plain))
}

const fn each(name: &'static str, run: fn(f64) -> f64) -> Function {
    vector(name, &[V], Run::Each(run))
}

const fn date(name: &'static str, run: fn(Date) -> f64) -> Function {
    Function {
        optional: 1,
        ..vector(name, &[V], Run::Date(run))
    }
}

const fn nothing(name: &'static str) -> Function {
    vector(name, &[V], Run::Nothing)
}

static TABLE: [Function; 90] = [
    each("abs", f64::abs),
    vector("absent", &[V], Run::Absent),
    vector("absent_over_time", &[M], Run::AbsentOverTime),
    each("acos", f64::acos),
    each("acosh", each::acosh),
    each("asin", f64::asin),
    each("asinh", each::asinh),
    each("atan", f64::atan),
    each("atanh", f64::atanh),
    over_time("avg_over_time", over_time::avg),
    each("ceil", f64::ceil),
    over_time("changes", over_time::changes),
    vector("clamp", &[V, S, S], Run::EachWith(each::clamp)),
    vector("clamp_max", &[V, S], Run::EachWith(each::clamp_max)),
    vector("clamp_min", &[V, S], Run::EachWith(each::clamp_min)),
    each("cos", f64::cos),
    each("cosh", f64::cosh),
    over_time("count_over_time", over_time::count),
    date("day_of_month", Date::day_of_month),
    date("day_of_week", Date::day_of_week),
    date("day_of_year", Date::day_of_year),
    date("days_in_month", Date::days_in_month),
    each("deg", each::deg),
    over_time("delta", rate::delta),
    over_time("deriv", over_time::deriv),
    vector(
        "double_exponential_smoothing",
        &[M, S, S],
        Run::OverTime(over_time::smoothed, Kind::Factors),
    ),
    scalar("end", &[], Run::OfQuery(Bounds::end_seconds)),
    each("exp", f64::exp),
    vector(
        "first_over_time",
        &[M],
        Run::OverTime(over_time::first, Kind::KeepsName),
    ),
    each("floor", f64::floor),
    nothing("histogram_avg"),
    nothing("histogram_count"),
    vector("histogram_fraction", &[S, S, V], Run::HistogramFraction),
    vector("histogram_quantile", &[S, V], Run::HistogramQuantile),
    Function {
        repeats: 9,
        ..vector("histogram_quantiles", &[V, T, S], Run::HistogramQuantiles)
    },
    nothing("histogram_stddev"),
    nothing("histogram_stdvar"),
    nothing("histogram_sum"),
    date("hour", Date::hour),
    over_time("idelta", rate::idelta),
    vector("increase", &[M], Run::OverTime(rate::increase, Kind::Counter)),
    Function {
        optional: 1,
        ..vector("info", &[V, V], Run::Info)
    },
    over_time("irate", rate::irate),
    Function {
        repeats: usize::MAX,
        optional: 1,
        ..vector("label_join", &[V, T, T, T], Run::LabelJoin)
    },
    vector("label_replace", &[V, T, T, T, T], Run::LabelReplace),
    vector(
        "last_over_time",
        &[M],
        Run::OverTime(over_time::last, Kind::KeepsName),
    ),
    each("ln", f64::ln),
    each("log10", f64::log10),
    each("log2", f64::log2),
    over_time("mad_over_time", over_time::mad),
    scalar("max_of", &[S, S], Run::OfTwo(formula::most)),
    over_time("max_over_time", over_time::max),
    scalar("min_of", &[S, S], Run::OfTwo(formula::least)),
    over_time("min_over_time", over_time::min),
    date("minute", Date::minute),
    date("month", Date::month),
    scalar("pi", &[], Run::Pi),
    vector(
        "predict_linear",
        &[M, S],
        Run::OverTime(over_time::predict, Kind::Plain),
    ),
    over_time("present_over_time", over_time::present),
    vector(
        "quantile_over_time",
        &[S, M],
        Run::OverTime(over_time::quantile, Kind::Quantile),
    ),
    each("rad", each::rad),
    scalar("range", &[], Run::OfQuery(Bounds::range_seconds)),
    vector("rate", &[M], Run::OverTime(rate::rate, Kind::Counter)),
    over_time("resets", over_time::resets),
    Function {
        optional: 1,
        ..vector("round", &[V, S], Run::EachWith(each::round))
    },
    scalar("scalar", &[V], Run::Scalar),
    each("sgn", each::sgn),
    each("sin", f64::sin),
    each("sinh", f64::sinh),
    vector("sort", &[V], Run::Sort { descending: false }),
    Function {
        optional: 1,
        repeats: usize::MAX,
        ..vector("sort_by_label", &[V, T], Run::SortByLabel { descending: false })
    },
    Function {
        optional: 1,
        repeats: usize::MAX,
        ..vector(
            "sort_by_label_desc",
            &[V, T],
            Run::SortByLabel { descending: true },
        )
    },
    vector("sort_desc", &[V], Run::Sort { descending: true }),
    each("sqrt", f64::sqrt),
    scalar("start", &[], Run::OfQuery(Bounds::start_seconds)),
    nothing("start_timestamp"),
    over_time("stddev_over_time", over_time::stddev),
    over_time("stdvar_over_time", over_time::stdvar),
    scalar("step", &[], Run::OfQuery(Bounds::step_seconds)),
    over_time("sum_over_time", over_time::sum),
    each("tan", f64::tan),
    each("tanh", f64::tanh),
    scalar("time", &[], Run::Time),
    vector("timestamp", &[V], Run::Timestamp),
    over_time("ts_of_first_over_time", over_time::time_of_first),
    over_time("ts_of_last_over_time", over_time::time_of_last),
    over_time("ts_of_max_over_time", over_time::time_of_max),
    over_time("ts_of_min_over_time", over_time::time_of_min),
    vector("vector", &[S], Run::Vector),
    date("year", Date::year),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_unique() {
        let names: Vec<_> = functions().collect();
        assert!(names.is_sorted_by(|one, two| one < two), "{names:?}");
    }

    #[test]
    fn argument_counts_are_those_of_the_manual() {
        let arguments = |name| find(name).map(Function::arguments);
        assert_eq!(arguments("round"), Some((1, 2)));
        assert_eq!(arguments("label_join"), Some((3, usize::MAX)));
        assert_eq!(arguments("hour"), Some((0, 1)));
        assert_eq!(arguments("time"), Some((0, 0)));
        assert_eq!(arguments("histogram_quantiles"), Some((3, 12)));
    }
}
