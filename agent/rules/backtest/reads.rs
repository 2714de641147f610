//! Which samples an expression reads, when it is asked at some steps.

use std::time::Duration;

use model::time::millis;
use model::{Matcher, TimeRange, Timestamp};
use promql::{At, Edges, Expr, Kind, Selector, When};

use super::steps::Steps;
use crate::heard::LOOKBACK;

/// One selector's samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    pub matchers: Vec<Matcher>,
    pub range: TimeRange,
    /// Where an instant selector looks: a series may have ended just before. None within a subquery.
    pub looks: Option<Steps>,
}

/// What encloses a selector.
#[derive(Clone, Copy)]
struct Place {
    steps: Steps,
    /// So far behind its steps nothing is there yet.
    ahead: Duration,
    /// How far before its steps something is looked at.
    back: Duration,
    in_subquery: bool,
}

/// What an expression reads; `ahead` of the steps is now: nothing later is there.
#[must_use]
pub fn reads(expr: &Expr, steps: Steps, ahead: Duration) -> Vec<Read> {
    let mut found = Vec::new();
    let place = Place {
        steps,
        ahead,
        back: Duration::ZERO,
        in_subquery: false,
    };
    collect(expr, place, &mut found);
    found
}

fn collect(expr: &Expr, place: Place, found: &mut Vec<Read>) {
    match &expr.kind {
        Kind::Number(_) | Kind::Text(_) => {}
        Kind::Selector(selector) => {
            let place = place.when(&selector.when);
            let looks = (!place.in_subquery).then_some(place.steps);
            found.push(place.read(selector, LOOKBACK, looks));
        }
        Kind::Range { selector, range } => {
            let place = place.when(&selector.when);
            // The sample before the range may stand at its start.
            let before = if selector.edges == Edges::Plain {
                Duration::ZERO
            } else {
                LOOKBACK
            };
            found.push(place.read(selector, *range + before, None));
        }
        Kind::Subquery(subquery) => {
            let place = place.when(&subquery.when);
            let place = Place {
                back: place.back + subquery.range,
                in_subquery: true,
                ..place
            };
            collect(&subquery.expr, place, found);
        }
        Kind::Unary { expr, .. } | Kind::Paren(expr) => collect(expr, place, found),
        Kind::Binary(binary) => {
            collect(&binary.left, place, found);
            collect(&binary.right, place, found);
        }
        Kind::Aggregate(aggregate) => {
            aggregate
                .param
                .iter()
                .for_each(|param| collect(param, place, found));
            collect(&aggregate.expr, place, found);
        }
        Kind::Call { function, args } if function.name == "info" => {
            args.iter().take(1).for_each(|arg| collect(arg, place, found));
            let infos = promql::selectors(expr).pop();
            found.extend(infos.map(|(matchers, _)| Read {
                matchers,
                range: place.steps.seen(place.back + LOOKBACK),
                looks: (!place.in_subquery).then_some(place.steps),
            }));
        }
        Kind::Call { args, .. } => args.iter().for_each(|arg| collect(arg, place, found)),
    }
}

impl Place {
    fn when(self, when: &When) -> Self {
        let shift = |time: Timestamp| Timestamp(time.0.saturating_sub(when.offset));
        let steps = match when.at {
            Some(At::Time(time)) => Steps {
                first: shift(time),
                count: 1,
                ..self.steps
            },
            // Each step is a question of its own, of which it is start and end. Who looks ahead sees what is there now.
            Some(At::Start | At::End) | None => Steps {
                first: shift(self.steps.first).min(self.steps.first + self.ahead),
                ..self.steps
            },
        };
        Self {
            back: if when.at.is_some() {
                Duration::ZERO
            } else {
                self.back
            },
            steps,
            ..self
        }
    }

    fn read(self, selector: &Selector, back: Duration, looks: Option<Steps>) -> Read {
        let mut range = self.steps.seen(self.back + back);
        if selector.edges == Edges::Smoothed {
            range.until = Timestamp(range.until.0.saturating_add(millis(LOOKBACK)));
        }
        Read {
            matchers: selector.all_matchers(),
            range,
            looks,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name, seconds read, and where it looks, of each selector when asked at 1000 s, 1060 s and 1120 s.
    fn read(text: &str) -> Vec<String> {
        let steps = Steps {
            first: Timestamp(1_000_000),
            step: Duration::from_secs(60),
            count: 3,
        };
        let seconds = |time: Timestamp| time.0 / 1000;
        let found = reads(&promql::parse(text).unwrap(), steps, Duration::from_secs(30));
        let said = found.iter().map(|read| {
            let (after, until) = (seconds(read.range.after), seconds(read.range.until));
            let looks = read.looks.map_or("-".to_owned(), |looks| {
                format!("{}+{}", seconds(looks.first), looks.count)
            });
            format!("{} {after}..{until} {looks}", read.matchers[0].value)
        });
        said.collect()
    }

    #[test]
    fn ranges_offsets_and_subqueries_reach_back() {
        assert_eq!(read("a"), ["a 700..1120 1000+3"]);
        assert_eq!(
            read("rate(a[5m] offset 1m) > b offset -1m"),
            ["a 640..1060 -", "b 730..1150 1030+3"]
        );
        assert_eq!(read("max_over_time(sum(a)[10m:1m] offset 1m)"), ["a 40..1060 -"]);
        assert_eq!(
            read("a @ 500 + rate(b[1m] anchored)"),
            ["a 200..500 500+1", "b 640..1120 -"]
        );
        assert_eq!(
            read("info(a)"),
            ["a 700..1120 1000+3", "target_info 700..1120 1000+3"]
        );
    }
}
