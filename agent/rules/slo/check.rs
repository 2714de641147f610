//! Objectives as written into such that can be expanded. Every mistake is found, each with its place.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use model::Complaint;
use model::text::duration::short;
use promql::{Expr, Kind, Type};
use template::Template;
use yaml::{Spanned, complain_at};

use super::expand::{Objective, rounded};
use super::windows::{WINDOW_MAX, WINDOW_MIN};
use super::written::Slo;
use crate::file::Pairs;
use crate::place;

const PLACEHOLDER: &str = "$window";
/// As long as the placeholder, so that places stay what they are.
const EXAMPLE: &str = "000005m";
const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

pub(super) fn objectives(
    file: &str,
    text: &str,
    slos: &[Spanned<Slo>],
    names: &mut Names,
) -> Result<Vec<Objective>, Vec<Complaint>> {
    let mut checker = Checker {
        file,
        text,
        complaints: Vec::new(),
    };
    let objectives: Vec<Option<Objective>> = slos.iter().map(|slo| checker.slo(slo, names)).collect();
    if checker.complaints.is_empty() {
        Ok(objectives.into_iter().flatten().collect())
    } else {
        Err(checker.complaints)
    }
}

/// The names of objectives so far, each with its file.
pub(crate) type Names = HashMap<String, String>;

struct Checker<'a> {
    file: &'a str,
    text: &'a str,
    complaints: Vec<Complaint>,
}

/// An expression that was read.
struct Read {
    /// With the placeholder in it.
    text: String,
    expr: Expr,
}

impl Checker<'_> {
    fn complain<T>(&mut self, place: &Spanned<T>, message: impl Into<String>, advice: &str) {
        let complaint = complain_at(self.file, self.text, place, message).suggest(advice);
        self.complaints.push(complaint);
    }

    fn complain_inside(
        &mut self,
        value: &Spanned<String>,
        inside: (usize, usize),
        message: String,
        advice: Option<String>,
    ) {
        let start = complain_at(self.file, self.text, value, "");
        let (line, column) = place::in_file(self.text, (start.line, start.column), &value.value, inside);
        let complaint = Complaint::at(self.file, self.text, line, column, message);
        self.complaints.push(Complaint {
            suggestion: advice,
            ..complaint
        });
    }

    fn slo(&mut self, slo: &Spanned<Slo>, names: &mut Names) -> Option<Objective> {
        let written = &slo.value;
        let name = self.name(slo, names);
        let budget = self.budget(slo);
        let window = self.window(written);
        let by: Vec<String> = written.by.iter().map(|label| label.value.clone()).collect();
        let total = match &written.total {
            Some(total) => self.expr(total, &by),
            None => {
                self.complain(
                    slo,
                    "the objective has no total",
                    "write which events are counted: total: requests_total",
                );
                None
            }
        };
        let errors = self.errors(slo, &by, total.as_ref());
        let min_traffic = written.min_traffic.as_ref();
        if let Some(least) = min_traffic.filter(|least| !(least.value.0 >= 0.0 && least.value.0.is_finite()))
        {
            self.complain(
                least,
                "min_traffic is a number of events",
                "write for example 100; 0 is no guard",
            );
        }
        let labels = self.pairs(&written.labels);
        let annotations = self.pairs(&written.annotations);
        Some(Objective {
            name: name?,
            budget: budget?,
            window: window?,
            total: total?.text,
            errors: errors?,
            min_traffic: min_traffic.map(|least| least.value.0),
            labels,
            annotations,
            fast: written.severities.fast.clone(),
            slow: written.severities.slow.clone(),
        })
    }

    fn name(&mut self, slo: &Spanned<Slo>, names: &mut Names) -> Option<String> {
        let Some(name) = &slo.value.name else {
            self.complain(
                slo,
                "the objective has no name",
                "it becomes the label slo of all that comes of it",
            );
            return None;
        };
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "_-.".contains(letter);
        if name.value.is_empty() || !name.value.chars().all(is_plain) {
            let message = format!("{:?} cannot be the name of an objective", name.value);
            self.complain(name, message, "use letters, digits, `-`, `_` and `.`");
            return None;
        }
        if let Some(other) = names.get(&name.value) {
            let message = format!("an objective {:?} is already in {other}", name.value);
            self.complain(name, message, "give it another name");
            return None;
        }
        names.insert(name.value.clone(), self.file.to_owned());
        Some(name.value.clone())
    }

    fn budget(&mut self, slo: &Spanned<Slo>) -> Option<f64> {
        let Some(objective) = &slo.value.objective else {
            self.complain(
                slo,
                "the objective is not said",
                "write how many of 100 have to be good: objective: 99.9",
            );
            return None;
        };
        let percent = objective.value.0;
        if !(percent > 0.0 && percent < 100.0) {
            let message = format!("{percent} is no objective: it is how many of 100 events have to be good");
            self.complain(
                objective,
                message,
                "write for example 99.9; of 100 nothing may fail, and no budget is left",
            );
            return None;
        }
        // Whoever means 99.9 % and writes 0.999 would allow nearly everything.
        if percent <= 1.0 {
            let message =
                format!("an objective of {percent} of 100 events allows nearly all of them to fail");
            let meant = rounded(percent * 100.0);
            self.complain(
                objective,
                message,
                &format!("it is written in percent; did you mean {meant}?"),
            );
            return None;
        }
        Some(rounded((100.0 - percent) / 100.0))
    }

    fn window(&mut self, written: &Slo) -> Option<Duration> {
        let Some(window) = &written.window else {
            return Some(MONTH);
        };
        let length = window.value.0;
        if (WINDOW_MIN..=WINDOW_MAX).contains(&length) {
            return Some(length);
        }
        let message = format!(
            "the window is {}; it is at least {} and at most {}",
            short(length),
            short(WINDOW_MIN),
            short(WINDOW_MAX)
        );
        self.complain(window, message, "write 28d or 30d");
        None
    }

    fn errors(&mut self, slo: &Spanned<Slo>, by: &[String], total: Option<&Read>) -> Option<String> {
        let (written, is_good) = match (&slo.value.good, &slo.value.errors) {
            (Some(good), None) => (good, true),
            (None, Some(errors)) => (errors, false),
            (Some(_), Some(errors)) => {
                self.complain(
                    errors,
                    "an objective has either good events or errors, this one has both",
                    "keep one",
                );
                return None;
            }
            (None, None) => {
                let advice = "write which events are good, or else which are errors: errors: requests_total{code=~\"5..\"}";
                self.complain(
                    slo,
                    "the objective says neither what is good nor what is an error",
                    advice,
                );
                return None;
            }
        };
        let read = self.expr(written, by)?;
        let total = total?;
        self.same_labels(written, &read, total);
        // Where nothing of the kind has happened yet there is no series of it, which is none of them.
        let (some, total) = (&read.text, &total.text);
        let some = format!("({some} or 0 * {total})");
        Some(match is_good {
            true => format!("clamp_min({total} - {some}, 0)"),
            false => some,
        })
    }

    /// A counter becomes the sum of its rates; anything else stays as it is, with the range in its place.
    fn expr(&mut self, written: &Spanned<String>, by: &[String]) -> Option<Read> {
        let text = written.value.trim();
        let example = text.replace(PLACEHOLDER, EXAMPLE);
        let expr = match promql::parse(&example) {
            Ok(expr) => expr,
            Err(mistake) => {
                let message = mistake.message.replace(EXAMPLE, PLACEHOLDER);
                self.complain_inside(
                    written,
                    (mistake.line, mistake.column),
                    message,
                    mistake.suggestion,
                );
                return None;
            }
        };
        if expr.returns() != Type::Vector {
            let message = format!(
                "an instant vector is needed here, and this is {}",
                expr.returns().words()
            );
            self.complain(
                written,
                message,
                "write a counter, or for example sum(rate(requests_total[$window]))",
            );
            return None;
        }
        if !matches!(expr.bare().kind, Kind::Selector(_)) {
            if !text.contains(PLACEHOLDER)
                && let Some((message, advice)) = without_range(&expr)
            {
                self.complain(written, message, advice);
                return None;
            }
            let text = if is_one(&expr) {
                text.to_owned()
            } else {
                format!("({text})")
            };
            return Some(Read { text, expr });
        }
        let grouping = match by {
            [] => String::new(),
            labels => format!(" by ({}) ", labels.join(", ")),
        };
        let text = format!("sum{grouping}(rate({text}[{PLACEHOLDER}]))");
        let expr = promql::parse(&text.replace(PLACEHOLDER, EXAMPLE));
        match expr {
            Ok(expr) => Some(Read { text, expr }),
            Err(mistake) => {
                let advice = "write a counter with its labels and nothing behind it, or the whole expression";
                self.complain(
                    written,
                    format!("no rate can be taken of this: {}", mistake.message),
                    advice,
                );
                None
            }
        }
    }

    /// They are held against each other label by label.
    fn same_labels(&mut self, written: &Spanned<String>, some: &Read, total: &Read) {
        let (Some(mine), Some(all)) = (labels(&some.expr), labels(&total.expr)) else {
            return;
        };
        if mine != all {
            let named = |labels: &BTreeSet<String>| match labels.is_empty() {
                true => "none".to_owned(),
                false => labels.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
            };
            let message = format!(
                "this is summed up by other labels than the total: {} and not {}",
                named(&mine),
                named(&all)
            );
            self.complain(written, message, "sum both up by the same labels");
        }
    }

    fn pairs(&mut self, pairs: &Pairs) -> Vec<(String, String)> {
        let mut all = Vec::new();
        for (name, value) in &pairs.0 {
            if let Err(mistake) = Template::parse(&name.value, &value.value) {
                let inside = (mistake.line, mistake.column);
                self.complain_inside(value, inside, mistake.message, mistake.suggestion);
            }
            if name.value.is_empty() || name.value == model::labels::METRIC_NAME {
                self.complain(
                    name,
                    format!("{:?} cannot be a name here", name.value),
                    "take another name",
                );
            }
            all.push((name.value.clone(), value.value.clone()));
        }
        all
    }
}

/// What is wrong with an expression that has no placeholder: something like `count(up)` needs none.
fn without_range(expr: &Expr) -> Option<(String, &'static str)> {
    let mut found = None;
    expr.walk(&mut |part| match &part.kind {
        Kind::Range { .. } | Kind::Subquery(_) => {
            let message = "this range is the same for all windows".to_owned();
            found = Some((message, "write [$window] in its place"));
        }
        Kind::Selector(selector) if found.is_none() => {
            let name = selector.name.as_deref().unwrap_or_default();
            if ["_total", "_count", "_bucket", "_sum"]
                .iter()
                .any(|end| name.ends_with(end))
            {
                let message = format!("{name} looks like a counter, and no rate of it is taken");
                found = Some((message, "write rate(…[$window]) around it, or the counter alone"));
            }
        }
        _ => {}
    });
    found
}

/// Whether it can stand beside an operator without brackets.
fn is_one(expr: &Expr) -> bool {
    !matches!(expr.kind, Kind::Binary(_) | Kind::Unary { .. })
}

/// The labels of an aggregation; `None` where they cannot be read off.
fn labels(expr: &Expr) -> Option<BTreeSet<String>> {
    match &expr.bare().kind {
        Kind::Aggregate(aggregate) if !aggregate.grouping.without => {
            Some(aggregate.grouping.labels.iter().cloned().collect())
        }
        _ => None,
    }
}
