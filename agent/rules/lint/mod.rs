//! Reads rules as an experienced colleague would, and says what cannot be meant: metrics that nobody has seen, sides
//! that never match, counters without a rate, alerts that always fire.
//!
//! Pure: what is known of the world is given. Checks are named as in pint where they look for the same; see
//! `linting.md` for all of them.

mod alerts;
mod counter;
mod derive;
mod duplicate;
mod find;
mod fragile;
mod functions;
mod group;
mod known;
mod matchers;
mod nan;
mod quiet;
mod range;
mod rate;
mod read;
mod regexp;
mod report;
mod series;
mod shape;
mod templates;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use model::complaint::nearest;

use self::derive::{Derived, derive};
use self::known::Metrics;
use self::read::{Group, Place, Rule, Source};

pub use self::known::{Intervals, Live, NAMES_WINDOW, SERIES_MAX, SERIES_WINDOW, Sighting, World};
pub use self::read::Sources;
pub(crate) use self::series::unseen;

pub use self::report::{Finding, Report, Severity, Skipped};

const ABSENT: &str = "alerts/absent";
const ANNOTATION: &str = "alerts/annotation";
const COMPARISON: &str = "alerts/comparison";
const FOR: &str = "alerts/for";
const TEMPLATE: &str = "alerts/template";
const INTERVAL: &str = "group/interval";
const CONFLICT: &str = "labels/conflict";
const COMMENT: &str = "lint/comment";
const COUNTER: &str = "promql/counter";
const FRAGILE: &str = "promql/fragile";
const IMPOSSIBLE: &str = "promql/impossible";
const NAN: &str = "promql/nan";
const OFFSET: &str = "promql/offset";
const RANGE_QUERY: &str = "promql/range_query";
const RATE: &str = "promql/rate";
const REGEXP: &str = "promql/regexp";
const SERIES: &str = "promql/series";
const VECTOR_MATCHING: &str = "promql/vector_matching";
const DEPENDENCY: &str = "rule/dependency";
const DUPLICATE: &str = "rule/duplicate";
const NAME: &str = "rule/name";

/// The names of all checks.
pub const CHECKS: [&str; 21] = [
    ABSENT,
    ANNOTATION,
    COMPARISON,
    FOR,
    TEMPLATE,
    INTERVAL,
    CONFLICT,
    COMMENT,
    COUNTER,
    FRAGILE,
    IMPOSSIBLE,
    NAN,
    OFFSET,
    RANGE_QUERY,
    RATE,
    REGEXP,
    SERIES,
    VECTOR_MATCHING,
    DEPENDENCY,
    DUPLICATE,
    NAME,
];

/// Looks at all rules of all files together.
#[must_use]
pub fn lint(sources: &Sources, world: &World) -> Report {
    let metrics = Metrics::new(world, sources);
    let mut desk = Desk {
        world,
        sources,
        metrics: &metrics,
        findings: Vec::new(),
        silenced: 0,
    };
    for source in &sources.files {
        desk.comments(source);
        for group in &source.groups {
            group::check(&mut desk, source, group);
            for (nth, rule) in group.rules.iter().enumerate() {
                let derived = derive(&rule.text, &rule.expr, &metrics);
                let look = Look {
                    source,
                    group,
                    nth,
                    rule,
                    derived: &derived,
                };
                desk.rule(&look);
            }
        }
    }
    duplicate::check(&mut desk);
    desk.report()
}

/// A rule with what is known of it.
struct Look<'a> {
    source: &'a Source,
    group: &'a Group,
    /// Which rule of its group.
    nth: usize,
    rule: &'a Rule,
    derived: &'a Derived,
}

/// What all checks have at hand, and where they lay down what they find.
struct Desk<'a> {
    world: &'a World,
    sources: &'a Sources,
    metrics: &'a Metrics<'a>,
    findings: Vec<(usize, Finding)>,
    silenced: usize,
}

/// What is said of a place: how grave it is, a sentence, and what to do.
struct Word {
    check: &'static str,
    severity: Severity,
    message: String,
    advice: String,
}

fn word(
    check: &'static str,
    severity: Severity,
    message: impl Into<String>,
    advice: impl Into<String>,
) -> Word {
    Word {
        check,
        severity,
        message: message.into(),
        advice: advice.into(),
    }
}

impl Look<'_> {
    /// How long it is true at least before the alert fires.
    fn hold(&self, desk: &Desk<'_>) -> std::time::Duration {
        self.rule
            .hold(self.group.interval(desk.world.evaluation_interval))
    }

    fn at(&self, span: promql::Span) -> Place {
        self.rule.place(self.source, span)
    }

    fn name(&self) -> Place {
        match self.rule.named() {
            Some(name) => self.source.at(name),
            None => Place {
                line: self.rule.line,
                column: 1,
            },
        }
    }
}

impl Desk<'_> {
    fn rule(&mut self, look: &Look<'_>) {
        for fault in &look.derived.faults {
            let said = word(fault.check, fault.severity, &fault.message, &fault.advice);
            self.say(look, look.at(fault.span), said);
        }
        series::check(self, look);
        rate::check(self, look);
        counter::check(self, look);
        nan::check(self, look);
        regexp::check(self, look);
        duplicate::dependencies(self, look);
        group::labels(self, look);
        if look.rule.is_alert {
            alerts::check(self, look);
            fragile::check(self, look);
            templates::check(self, look);
        }
    }

    fn say(&mut self, look: &Look<'_>, place: Place, said: Word) {
        let name = look.rule.name.clone();
        self.say_of(look.source, (look.group.line, look.rule.line), name, place, said);
    }

    fn say_of(&mut self, source: &Source, owners: (usize, usize), rule: String, place: Place, said: Word) {
        if source.quiet.silences(said.check, owners.0, owners.1) {
            self.silenced += 1;
            return;
        }
        let file = self
            .sources
            .files
            .iter()
            .position(|file| std::ptr::eq(file, source));
        let line = place
            .line
            .checked_sub(1)
            .and_then(|nth| source.text.lines().nth(nth));
        let finding = Finding {
            file: source.name.clone(),
            line: place.line,
            column: place.column,
            severity: said.severity,
            check: said.check,
            rule,
            message: said.message,
            advice: said.advice,
            excerpt: line.map(str::to_owned),
        };
        self.findings.push((file.unwrap_or_default(), finding));
    }

    /// Comments that silence nothing because of a slip.
    fn comments(&mut self, source: &Source) {
        for (place, checks) in &source.quiet.written {
            if checks.is_empty() {
                let advice = "write `# skopos: disable CHECK` or `# skopos: disable-file CHECK`";
                let said = word(
                    COMMENT,
                    Severity::Warning,
                    "this comment names no check to disable",
                    advice,
                );
                self.say_of(source, (0, 0), String::new(), *place, said);
            }
            for check in checks.iter().filter(|check| !CHECKS.contains(&check.as_str())) {
                let advice = match nearest(check, CHECKS) {
                    Some(near) => format!("did you mean {near}?"),
                    None => format!("the checks are {}", CHECKS.join(", ")),
                };
                let said = word(
                    COMMENT,
                    Severity::Warning,
                    format!("there is no check {check}"),
                    advice,
                );
                self.say_of(source, (0, 0), String::new(), *place, said);
            }
        }
    }

    fn report(mut self) -> Report {
        self.findings.sort_by(|(one, first), (two, second)| {
            let key = |file: &usize, finding: &Finding| {
                (
                    *file,
                    finding.line,
                    finding.column,
                    std::cmp::Reverse(finding.severity),
                    finding.check,
                )
            };
            key(one, first).cmp(&key(two, second))
        });
        let mut findings: Vec<Finding> = self.findings.into_iter().map(|(_, finding)| finding).collect();
        findings.dedup();
        let names = self.sources.files.iter().map(|file| file.name.as_str());
        let names: BTreeSet<&str> = names.collect();
        Report {
            findings,
            skipped: skipped(self.world),
            files: names.len(),
            rules: self.sources.rules().count(),
            silenced: self.silenced,
        }
    }
}

fn skipped(world: &World) -> Vec<Skipped> {
    let mut all = Vec::new();
    if let Err(why) = &world.live {
        all.extend([SERIES, VECTOR_MATCHING].map(|check| Skipped {
            check,
            why: why.clone(),
        }));
    }
    if world.external_labels.is_none() {
        all.push(Skipped {
            check: CONFLICT,
            why: "the external labels are not known; name the configuration with --config".to_owned(),
        });
    }
    if world.retention.is_none() {
        all.push(Skipped {
            check: RANGE_QUERY,
            why: "how long samples are kept is not known; name the configuration with --config".to_owned(),
        });
    }
    all
}
