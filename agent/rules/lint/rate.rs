//! `promql/rate`, `promql/offset` and `promql/range_query`: how far back an expression looks, beside how often samples
//! come and how long they are kept.

use std::time::Duration;

use model::text::duration::short;
use model::{MatchOp, Matcher};
use promql::{Edges, Expr, Kind, Selector, Span, When};

use super::functions::{OF_CHANGE, selector};
use super::known::metric;
use super::report::Severity;
use super::{Desk, INTERVAL, Look, OFFSET, RANGE_QUERY, RATE, find, word};

pub(super) fn check(desk: &mut Desk<'_>, look: &Look<'_>) {
    walk(desk, look, &look.rule.expr, Duration::ZERO);
}

/// `behind`: how far back what stands around it looks already.
fn walk(desk: &mut Desk<'_>, look: &Look<'_>, expr: &Expr, behind: Duration) {
    match &expr.kind {
        Kind::Selector(selector) => offset(desk, look, expr, selector.when, behind),
        Kind::Range { selector, range } => offset(desk, look, expr, selector.when, behind + *range),
        Kind::Subquery(subquery) => {
            offset(desk, look, expr, subquery.when, behind + subquery.range);
            let back = u64::try_from(subquery.when.offset).unwrap_or(0);
            walk(
                desk,
                look,
                &subquery.expr,
                behind + subquery.range + Duration::from_millis(back),
            );
        }
        Kind::Call { function, args } => {
            for arg in args {
                of_range(desk, look, function.name, expr.span, arg);
                walk(desk, look, arg, behind);
            }
        }
        other => other.each_child(&mut |child| walk(desk, look, child, behind)),
    }
}

fn of_range(desk: &mut Desk<'_>, look: &Look<'_>, function: &str, call: Span, arg: &Expr) {
    let of_change = OF_CHANGE.contains(&function);
    let (range, between, source) = match &arg.bare().kind {
        Kind::Range { selector, range } if selector.edges == Edges::Plain => {
            let (between, source) = interval(desk, look, selector);
            (*range, between, source)
        }
        Kind::Subquery(subquery) => {
            let default = look.group.interval(desk.world.evaluation_interval);
            let step = subquery.step.unwrap_or(default);
            (subquery.range, step, "the step of the subquery".to_owned())
        }
        _ => return,
    };
    let place = arg.span;
    let needed = if of_change { 2 } else { 1 };
    if range < between * needed {
        let message = format!(
            "{function} over {} has fewer than {} in it: one comes every {} ({source})",
            short(range),
            if of_change { "two samples" } else { "one sample" },
            short(between),
        );
        let advice = format!("look back {} or more", short(between * 4));
        // Without a second sample these say 0, all others nothing.
        let lesser = !of_change || matches!(function, "changes" | "resets");
        let severity = if lesser { Severity::Warning } else { Severity::Bug };
        desk.say(look, look.at(place), word(RATE, severity, message, advice));
    } else if of_change && selector(arg).is_some() && range < between * 4 {
        let message = format!(
            "{function} over {} says nothing once a sample or two are late: one comes every {} ({source})",
            short(range),
            short(between),
        );
        let advice = format!("look back {} or more", short(between * 4));
        desk.say(look, look.at(place), word(RATE, Severity::Info, message, advice));
    }
    let evaluated = look.group.interval(desk.world.evaluation_interval);
    if range < evaluated && look.group.written.interval.is_some() && selector(arg).is_some() {
        let message = format!(
            "the group is evaluated every {}, and {function} looks back {}: what happens between is never seen",
            short(evaluated),
            short(range)
        );
        let advice = "look back as far as the interval, or evaluate more often";
        let span = if selector(arg).is_some() { arg.span } else { call };
        desk.say(
            look,
            look.at(span),
            word(INTERVAL, Severity::Warning, message, advice),
        );
    }
}

/// How often the selector's series get a sample, and who says so.
fn interval(desk: &Desk<'_>, look: &Look<'_>, selector: &Selector) -> (Duration, String) {
    let world = desk.world;
    let matchers = selector.all_matchers();
    if let Some(name) = metric(&matchers) {
        if let Some(recording) = desk.metrics.recording(name).first() {
            let group = recording.group;
            let every = group.interval(world.evaluation_interval);
            return (
                every,
                format!("the interval of group {}, which records it", group.name),
            );
        }
        // Alerts have a sample for each evaluation.
        if name.starts_with("ALERTS") {
            let every = look.group.interval(world.evaluation_interval);
            return (every, "the evaluation interval".to_owned());
        }
        if let Ok(live) = &world.live {
            let series = live.matching(name, &matchers).map(|(series, _)| series);
            let jobs = series
                .into_iter()
                .flatten()
                .filter_map(|labels| labels.get("job"));
            let known = jobs.filter_map(|job| world.scrape.jobs.get_key_value(job));
            if let Some((job, every)) = known.max_by_key(|(_, every)| **every) {
                return (*every, format!("job {job} of {}", world.scrape.source));
            }
        }
    }
    if let Some((job, every)) = job(&matchers).and_then(|job| world.scrape.jobs.get_key_value(job)) {
        return (*every, format!("job {job} of {}", world.scrape.source));
    }
    (world.scrape.default, world.scrape.source.clone())
}

fn job(matchers: &[Matcher]) -> Option<&str> {
    let mut jobs = matchers.iter().filter(|matcher| *matcher.name == *"job");
    let job = jobs.find(|matcher| matcher.op == MatchOp::Equal)?;
    Some(&job.value)
}

fn offset(desk: &mut Desk<'_>, look: &Look<'_>, expr: &Expr, when: When, behind: Duration) {
    // What is tied to a moment does not move with the evaluation.
    if when.at.is_some() {
        return;
    }
    let late = look
        .group
        .written
        .query_offset
        .map(|offset| offset.0)
        .unwrap_or_default();
    let ahead = Duration::from_millis(u64::try_from(when.offset.saturating_neg()).unwrap_or(0));
    let word_place = |what: &str| look.at(find::word(&look.rule.text, expr.span, &[], what));
    if ahead > late {
        let message = format!(
            "this looks {} into the future, where there are no samples",
            short(ahead - late)
        );
        let advice = "turn the sign of the offset, or give the group a query_offset";
        desk.say(
            look,
            word_place("offset"),
            word(OFFSET, Severity::Bug, message, advice),
        );
    }
    let Some((kept, source)) = &desk.world.retention else {
        return;
    };
    let back = Duration::from_millis(u64::try_from(when.offset).unwrap_or(0));
    let (kept, source) = (*kept, source.clone());
    if back > kept {
        let message = format!(
            "this looks back {}, and samples are kept for {} ({source})",
            short(back),
            short(kept)
        );
        let advice = "shorten the offset, or keep samples for longer";
        desk.say(
            look,
            word_place("offset"),
            word(OFFSET, Severity::Warning, message, advice),
        );
    } else if behind + back > kept {
        let message = format!(
            "this looks back {} in all, and samples are kept for {} ({source})",
            short(behind + back),
            short(kept)
        );
        let advice = "shorten the range, or keep samples for longer";
        desk.say(
            look,
            look.at(expr.span),
            word(RANGE_QUERY, Severity::Warning, message, advice),
        );
    }
}
