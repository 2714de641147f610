//! The smallest script that still shows a difference.

use std::path::Path;

use promql::{Expr, Type};

use crate::answer::Answer;
use crate::differences::Tally;
use crate::promtool::{Case, Group, ask};
use crate::samples::Samples;

/// Parts of an expression that have an answer of their own, shortest first.
pub(crate) fn parts(expr: &str) -> Vec<String> {
    let Ok(parsed) = promql::parse(expr) else {
        return vec![expr.to_owned()];
    };
    let mut parts = vec![expr.to_owned()];
    parsed.walk(&mut |part: &Expr| {
        if matches!(part.returns(), Type::Vector | Type::Scalar) {
            parts.push(part.to_string());
        }
    });
    parts.sort_by(|one, two| one.len().cmp(&two.len()).then_with(|| one.cmp(two)));
    parts.dedup();
    parts
}

/// Only the series that an expression looks at.
pub(crate) fn seen(samples: &Samples, expr: &str) -> Samples {
    let Ok(parsed) = promql::parse(expr) else {
        return samples.clone();
    };
    // What `info` looks at is not written down.
    if expr.contains("info(") {
        return samples.clone();
    }
    let memory = samples.memory();
    let mut wanted = Vec::new();
    for (matchers, _) in promql::selectors(&parsed) {
        let all = model::Select::labels(&*memory, &matchers, model::TimeRange::ALL);
        wanted.extend(all.unwrap_or_default());
    }
    let mut fewer = samples.clone();
    fewer.series.retain(|(labels, _)| wanted.contains(labels));
    fewer
}

/// Whether each of them still differs.
fn differing(promtool: &Path, groups: &[Group]) -> Vec<Vec<Option<(Answer, Answer)>>> {
    let judge = |(group, theirs): (&Group, Vec<Answer>)| {
        let triples = group.cases.iter().zip(group.ours()).zip(theirs);
        let one = |((case, ours), theirs): ((&Case, Answer), Answer)| {
            Tally::default()
                .judge(&case.0, &ours, &theirs)
                .map(|_| (ours, theirs))
        };
        triples.map(one).collect()
    };
    groups.iter().zip(ask(promtool, groups)).map(judge).collect()
}

/// The shortest part of the expression with a difference, over as few series as show it.
pub(crate) fn instant(promtool: &Path, samples: &Samples, (expr, time): &Case) -> String {
    let group = |samples: Samples, exprs: &[String]| Group {
        seed: 0,
        samples,
        cases: exprs.iter().map(|expr| (expr.clone(), *time)).collect(),
    };
    let parts = parts(expr);
    let found = differing(promtool, &[group(samples.clone(), &parts)]).remove(0);
    let Some((part, mut pair)) = parts
        .iter()
        .zip(found)
        .find_map(|(part, pair)| Some((part, pair?)))
    else {
        return format!("{expr}: differs no more");
    };
    let exprs = std::slice::from_ref(part);
    let mut samples = samples.clone();
    let mut tries = vec![seen(&samples, part)];
    loop {
        let groups: Vec<Group> = tries.into_iter().map(|samples| group(samples, exprs)).collect();
        let found = differing(promtool, &groups);
        let fewer = groups
            .into_iter()
            .zip(found)
            .find_map(|(group, mut found)| Some((group.samples, found.remove(0)?)));
        let Some((fewer, answers)) = fewer else { break };
        (samples, pair) = (fewer, answers);
        if samples.series.is_empty() {
            break;
        }
        tries = (0..samples.series.len())
            .map(|nth| samples.without(nth))
            .collect();
    }
    let (ours, theirs) = pair;
    format!(
        "{}\n# Names go at the end. Ours: {}\neval instant at {}ms {part}\n{}",
        samples.script(),
        ours.differs(&theirs).unwrap_or_default(),
        time.0,
        theirs.script(0, 0, 0),
    )
}
