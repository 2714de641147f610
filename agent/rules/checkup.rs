//! What `skopos doctor` is told of the rules: whether they are evaluated, in time, over something, and remembered.

use std::collections::BTreeSet;
use std::time::Duration;

use model::Timestamp;
use model::text::duration::{short, spoken};
use model::view::Checkup;

use crate::group::Kind;
use crate::lint::unseen;
use crate::manager::Manager;

const ROOM: &str = "rules";
/// Rounds that were missed are of interest for so long.
const RECENT: Duration = Duration::from_secs(3600);
/// Share of its interval from which on a group is nearly too slow.
const NEAR: f64 = 0.8;
/// A group that was not evaluated for so many intervals stands still, and for at least so long.
const INTERVALS: u32 = 3;
const STILL: Duration = Duration::from_secs(60);

/// What the rest of the house knows and the checks need.
pub struct Sight<'a> {
    /// Whether a series of this metric was ever seen, as far as samples are kept.
    pub was_seen: &'a dyn Fn(&str) -> bool,
    /// Metrics that there are now, for a suggestion.
    pub names: &'a BTreeSet<String>,
    /// Whether rules of this file come with Skopos: they are for all roles, and much that they read is elsewhere.
    pub is_shipped: &'a dyn Fn(&str) -> bool,
    /// Whom rules ask, if that is not this process.
    pub elsewhere: Option<&'a str>,
    /// Every target has been read at least once, so that what is there would have been seen.
    pub is_settled: bool,
}

/// A group as it stands.
#[derive(Default)]
struct Group {
    name: String,
    is_shipped: bool,
    interval: Duration,
    evaluated: Option<Timestamp>,
    took: Duration,
    /// Rounds left out since the start, and when the last one was.
    missed: (u64, Option<Timestamp>),
    rules: Vec<Rule>,
}

#[derive(Default)]
struct Rule {
    name: String,
    records: bool,
    expr: String,
    error: String,
}

/// What is held against the groups.
struct Around<'a> {
    sight: &'a Sight<'a>,
    now: Timestamp,
    up: Duration,
    not_durable: Option<String>,
}

impl Manager {
    /// `up` is how long the process has been running.
    #[must_use]
    pub fn checkups(&self, sight: &Sight<'_>, now: Timestamp, up: Duration) -> Vec<Checkup> {
        let groups = self.running().into_iter().map(|running| {
            let last = *running.last.lock();
            let rules = running.group.rules.iter().zip(&running.states);
            Group {
                name: running.group.name.to_string(),
                is_shipped: (sight.is_shipped)(&running.group.file),
                interval: running.interval,
                evaluated: last.evaluation,
                took: last.duration,
                missed: (last.missed, last.missed_at),
                rules: rules
                    .map(|(rule, state)| Rule {
                        name: rule.name.to_string(),
                        records: matches!(rule.kind, Kind::Record { .. }),
                        expr: rule.expr.written().to_owned(),
                        error: state.lock().last_error.clone(),
                    })
                    .collect(),
            }
        });
        let groups: Vec<Group> = groups.collect();
        let around = Around {
            sight,
            now,
            up,
            not_durable: self.not_durable(),
        };
        all(&groups, &around)
    }
}

fn all(groups: &[Group], around: &Around<'_>) -> Vec<Checkup> {
    let mut checkups = vec![
        input(groups, around),
        failing(groups),
        pace(groups, around),
        missed(groups, around),
        durable(around),
    ];
    if let Some(elsewhere) = around.sight.elsewhere {
        checkups.push(datasource(groups, elsewhere));
    }
    checkups
}

fn number(rules: usize) -> String {
    if rules == 1 {
        "1 rule".to_owned()
    } else {
        format!("{rules} rules")
    }
}

/// Whether every rule reads something that is, or was, there.
fn input(groups: &[Group], around: &Around<'_>) -> Checkup {
    const NAME: &str = "input";
    let sight = around.sight;
    if let Some(elsewhere) = sight.elsewhere {
        return Checkup::off(
            ROOM,
            NAME,
            format!("rules ask {elsewhere}; which series it has is not known here"),
        );
    }
    let all = || groups.iter().flat_map(|group| &group.rules);
    let recorded: BTreeSet<&str> = all()
        .filter(|rule| rule.records)
        .map(|rule| rule.name.as_str())
        .collect();
    let is_known = |name: &str| recorded.contains(name) || (sight.was_seen)(name);
    let (mut findings, mut shipped) = (Vec::new(), 0);
    for group in groups {
        for rule in &group.rules {
            let Ok(expr) = promql::parse(&rule.expr) else {
                continue;
            };
            let missing = unseen(&expr, &is_known);
            if missing.is_empty() {
                continue;
            }
            if group.is_shipped {
                shipped += 1;
                continue;
            }
            let near = missing
                .iter()
                .find_map(|name| model::complaint::nearest(name, sight.names.iter().map(String::as_str)));
            let advice = near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
            let missing: Vec<&str> = missing.iter().map(String::as_str).collect();
            findings.push(format!(
                "{} in {}: no series of {} was ever seen{advice}",
                rule.name,
                group.name,
                missing.join(", ")
            ));
        }
    }
    let elsewhere = match shipped {
        0 => String::new(),
        1 => "; 1 shipped rule is for what is not here".to_owned(),
        shipped => format!("; {shipped} shipped rules are for what is not here"),
    };
    if findings.is_empty() {
        return Checkup::ok(
            ROOM,
            NAME,
            format!(
                "every rule reads metrics that were seen, of {}{elsewhere}",
                number(all().count())
            ),
        );
    }
    let seen = format!(
        "{} over metrics that were never seen{elsewhere}",
        are(findings.len())
    );
    let advice = "mend the name, or scrape what has it; until then these rules cannot fire. skopos lint rules --url says more";
    if sight.is_settled {
        Checkup::fail(ROOM, NAME, seen).advise(advice).list(findings)
    } else {
        let seen = format!("{seen}, and not every target has been read yet");
        Checkup::warn(ROOM, NAME, seen).advise(advice).list(findings)
    }
}

fn are(rules: usize) -> String {
    if rules == 1 {
        "1 rule is".to_owned()
    } else {
        format!("{rules} rules are")
    }
}

fn failing(groups: &[Group]) -> Checkup {
    const NAME: &str = "evaluation";
    let all = || {
        groups
            .iter()
            .flat_map(|group| group.rules.iter().map(move |rule| (group, rule)))
    };
    let wrong: Vec<_> = all().filter(|(_, rule)| !rule.error.is_empty()).collect();
    match (wrong.len(), all().count()) {
        (0, 0) => Checkup::warn(ROOM, NAME, "there are no rules: nothing can fire")
            .advise("name rule_files, or set rules.shipped: true"),
        (0, count) => Checkup::ok(ROOM, NAME, format!("no rule fails, of {}", number(count))),
        (failed, count) => Checkup::fail(
            ROOM,
            NAME,
            format!("the last evaluation failed of {failed} of {}", number(count)),
        )
        .advise("mend the rule or what it asks; its alerts stay as they are, and new ones do not fire")
        .list(
            wrong
                .iter()
                .map(|(group, rule)| format!("{} in {}: {}", rule.name, group.name, rule.error)),
        ),
    }
}

/// Whether groups are evaluated at all, and take less than their interval.
fn pace(groups: &[Group], around: &Around<'_>) -> Checkup {
    const NAME: &str = "pace";
    let mut still = Vec::new();
    let mut slow = Vec::new();
    for group in groups {
        let patience = STILL.max(INTERVALS * group.interval);
        let late = group.evaluated.map_or(around.up, |last| around.now.since(last));
        if late > patience {
            still.push(format!(
                "{} has not been evaluated for {}",
                group.name,
                spoken(late)
            ));
        }
        let share = group.took.as_secs_f64() / group.interval.as_secs_f64().max(0.001);
        if share >= NEAR {
            slow.push(format!(
                "{} takes {} of its {}",
                group.name,
                short(Duration::from_millis(group.took.as_millis() as u64)),
                short(group.interval)
            ));
        }
    }
    let advice = "split the group, lengthen its interval, or record what several of its rules read";
    match (still.len(), slow.len()) {
        (0, 0) => {
            let slowest = groups.iter().map(|group| group.took).max().unwrap_or_default();
            Checkup::ok(
                ROOM,
                NAME,
                format!(
                    "the slowest group took {} ms in its last round",
                    slowest.as_millis().max(1)
                ),
            )
        }
        (0, count) => Checkup::warn(
            ROOM,
            NAME,
            format!("{count} groups take most of their interval, or more"),
        )
        .advise(advice)
        .list(slow),
        (count, _) => Checkup::fail(ROOM, NAME, format!("{count} groups are not evaluated"))
            .advise("look at the log for why; their alerts neither fire nor resolve")
            .list(still.into_iter().chain(slow)),
    }
}

fn missed(groups: &[Group], around: &Around<'_>) -> Checkup {
    const NAME: &str = "missed rounds";
    let recent = groups.iter().filter_map(|group| {
        let (count, last) = group.missed;
        let ago = around.now.since(last?);
        (ago < RECENT).then(|| {
            format!(
                "{}: {count} since the start, the last {} ago",
                group.name,
                spoken(ago)
            )
        })
    });
    let recent: Vec<String> = recent.collect();
    if recent.is_empty() {
        return Checkup::ok(ROOM, NAME, "no round was left out within an hour");
    }
    Checkup::warn(ROOM, NAME, format!("{} groups left rounds out within an hour", recent.len()))
        .advise("their alerts come late: split the group or lengthen its interval; one at a start or behind a pause is none")
        .list(recent)
}

fn durable(around: &Around<'_>) -> Checkup {
    const NAME: &str = "state on disk";
    match &around.not_durable {
        None => Checkup::ok(ROOM, NAME, "alert state is on the disk"),
        Some(error) => Checkup::fail(
            ROOM,
            NAME,
            format!("alert state cannot be written, and would begin anew after a restart: {error}"),
        )
        .advise("make room on the disk of the data directory, or make it writable"),
    }
}

/// The engine elsewhere that rules ask.
fn datasource(groups: &[Group], elsewhere: &str) -> Checkup {
    const NAME: &str = "data source";
    let asking = format!("asking {elsewhere}");
    let all = || groups.iter().flat_map(|group| &group.rules);
    let unanswered: Vec<&Rule> = all().filter(|rule| rule.error.starts_with(&asking)).collect();
    match unanswered.first() {
        None => Checkup::ok(ROOM, NAME, format!("{elsewhere} answers")),
        Some(first) => Checkup::fail(
            ROOM,
            NAME,
            format!("{} of {} had no answer: {}", unanswered.len(), number(all().count()), first.error),
        )
        .advise("see whether rules.datasource.url is right and its engine runs; alerts stay as they are meanwhile"),
    }
}

#[cfg(test)]
mod tests {
    use model::view::Verdict;

    use super::*;

    const NOW: Timestamp = Timestamp(10_000_000);

    fn rule(name: &str, expr: &str) -> Rule {
        Rule {
            name: name.to_owned(),
            expr: expr.to_owned(),
            ..Rule::default()
        }
    }

    fn group(rules: Vec<Rule>) -> Group {
        Group {
            name: "shop".to_owned(),
            interval: Duration::from_secs(15),
            evaluated: Some(NOW - Duration::from_secs(5)),
            took: Duration::from_millis(20),
            rules,
            ..Group::default()
        }
    }

    /// What is said of these groups, where the metric `heat` was seen.
    fn said(groups: &[Group], change: impl FnOnce(&mut Sight<'_>)) -> Vec<Checkup> {
        let names = BTreeSet::from(["heat".to_owned()]);
        let mut sight = Sight {
            was_seen: &|name| name == "heat",
            names: &names,
            is_shipped: &|_| false,
            elsewhere: None,
            is_settled: true,
        };
        change(&mut sight);
        let around = Around {
            sight: &sight,
            now: NOW,
            up: Duration::from_secs(900),
            not_durable: None,
        };
        all(groups, &around)
    }

    fn named<'c>(all: &'c [Checkup], name: &str) -> &'c Checkup {
        all.iter().find(|one| one.name == name).unwrap()
    }

    #[test]
    fn rules_over_what_is_there_are_well() {
        let records = Rule {
            records: true,
            ..rule("heat:max", "max(heat)")
        };
        let groups = [group(vec![
            records,
            rule("Hot", "heat:max > 50 unless absent_ever"),
        ])];
        let all = said(&groups, |_| {});
        assert!(all.iter().all(|one| one.verdict == Verdict::Ok), "{all:?}");
    }

    #[test]
    fn a_rule_over_a_metric_that_nobody_has_fails_with_a_suggestion() {
        let groups = [group(vec![rule("Hot", "heta > 50")])];
        let all = said(&groups, |_| {});
        let input = named(&all, "input");
        assert_eq!(
            (input.verdict, input.seen.as_str()),
            (Verdict::Fail, "1 rule is over metrics that were never seen")
        );
        assert_eq!(
            input.findings,
            ["Hot in shop: no series of heta was ever seen; did you mean heat?"]
        );
        let early = said(&groups, |sight| sight.is_settled = false);
        assert_eq!(
            named(&early, "input").verdict,
            Verdict::Warn,
            "a target may have it"
        );
        let shipped = said(
            &[Group {
                is_shipped: true,
                ..group(vec![rule("Hot", "heta > 50")])
            }],
            |_| {},
        );
        assert_eq!(named(&shipped, "input").verdict, Verdict::Ok);
        assert!(named(&shipped, "input").seen.contains("1 shipped rule is for"));
        let asked = said(&groups, |sight| sight.elsewhere = Some("http://mimir"));
        assert_eq!(named(&asked, "input").verdict, Verdict::Off);
    }

    #[test]
    fn a_rule_that_fails_is_named_with_its_error() {
        let broken = Rule {
            error: "the query timed out".to_owned(),
            ..rule("Hot", "heat > 50")
        };
        let all = said(&[group(vec![broken, rule("Cold", "heat < 5")])], |_| {});
        let one = named(&all, "evaluation");
        assert_eq!(
            (one.verdict, one.findings.as_slice()),
            (
                Verdict::Fail,
                &["Hot in shop: the query timed out".to_owned()][..]
            )
        );
        assert!(one.seen.ends_with("1 of 2 rules"), "{}", one.seen);
        assert_eq!(named(&said(&[], |_| {}), "evaluation").verdict, Verdict::Warn);
    }

    #[test]
    fn a_group_may_take_less_than_its_interval_and_has_to_be_evaluated() {
        let mut slow = group(Vec::new());
        slow.took = Duration::from_secs(12);
        let all = said(std::slice::from_ref(&slow), |_| {});
        assert_eq!(named(&all, "pace").verdict, Verdict::Warn);
        assert_eq!(named(&all, "pace").findings, ["shop takes 12s of its 15s"]);
        slow.evaluated = Some(NOW - Duration::from_secs(61));
        let all = said(std::slice::from_ref(&slow), |_| {});
        assert_eq!(named(&all, "pace").verdict, Verdict::Fail);
        slow.evaluated = None;
        assert_eq!(
            named(&said(&[slow], |_| {}), "pace").verdict,
            Verdict::Fail,
            "never since the start"
        );
    }

    #[test]
    fn missed_rounds_are_of_interest_for_an_hour() {
        let with = |ago: u64| {
            let mut group = group(Vec::new());
            group.missed = (7, Some(NOW - Duration::from_secs(ago)));
            named(&said(&[group], |_| {}), "missed rounds").clone()
        };
        assert_eq!(with(3599).verdict, Verdict::Warn);
        assert!(with(60).findings[0].starts_with("shop: 7 since the start"));
        assert_eq!(with(3601).verdict, Verdict::Ok);
    }

    #[test]
    fn state_that_is_not_durable_fails() {
        let names = BTreeSet::new();
        let sight = Sight {
            was_seen: &|_| true,
            names: &names,
            is_shipped: &|_| false,
            elsewhere: None,
            is_settled: true,
        };
        let around = Around {
            sight: &sight,
            now: NOW,
            up: Duration::ZERO,
            not_durable: Some("no space left on device".to_owned()),
        };
        let one = durable(&around);
        assert_eq!(one.verdict, Verdict::Fail);
        assert!(one.seen.ends_with("no space left on device"));
    }

    #[test]
    fn an_engine_that_does_not_answer_is_not_the_rules_fault() {
        let unanswered = Rule {
            error: "asking http://mimir: cannot connect".to_owned(),
            ..rule("Hot", "heat > 50")
        };
        let groups = [group(vec![unanswered, rule("Cold", "heat < 5")])];
        let all = said(&groups, |sight| sight.elsewhere = Some("http://mimir"));
        let one = named(&all, "data source");
        assert_eq!(one.verdict, Verdict::Fail);
        assert_eq!(
            one.seen,
            "1 of 2 rules had no answer: asking http://mimir: cannot connect"
        );
        let all = said(&[group(vec![rule("Hot", "heat > 50")])], |sight| {
            sight.elsewhere = Some("http://mimir")
        });
        assert_eq!(named(&all, "data source").verdict, Verdict::Ok);
    }
}
