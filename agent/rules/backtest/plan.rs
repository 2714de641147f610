//! In which order rules are gone through so that each sees what it would have seen.
//!
//! Alive, everything happens slot by slot. A rule that reads nothing of what other rules give can be asked about many
//! slots at once instead, and so can one that reads only what has been gone through already, as long as what is there at
//! each step is what was there then: given earlier in its own group, or by a group that is never later. All other rules,
//! and those that have to do with them, are gone through slot by slot, as alive.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::outputs::{Output, Outputs, Reading, back};
use crate::config::Options;
use crate::group::{Group, Kind, Rule};
use crate::schedule::Schedule;

/// A rule: which group, and which of its rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    pub(super) group: usize,
    pub(super) rule: usize,
}

pub(super) struct Plan {
    /// Asked about many slots at once, one rule after the other.
    pub(super) ahead: Vec<Place>,
    /// Slot by slot, in the order of groups and rules.
    pub(super) together: Vec<Place>,
    /// What is read of what rules give.
    pub(super) read: BTreeSet<Output>,
    pub(super) outputs: Arc<Outputs>,
    /// How long before a time everything that happens then may have begun.
    pub(super) warm_up: Duration,
    /// How far back what rules gave is looked at; none if there is no end to it.
    pub(super) own_back: Option<Duration>,
}

/// A rule and what it has to do with others.
struct Node<'g> {
    place: Place,
    rule: &'g Rule,
    gives: Output,
    reading: Reading,
    /// Which nodes it reads.
    reads: Vec<usize>,
}

/// Only what an alert that `is_wanted` needs; groups stay where they are, also those that are left without a rule.
pub(super) fn pruned(groups: &[Group], is_wanted: impl Fn(&str) -> bool) -> Vec<Group> {
    let nodes = nodes(groups);
    let mut needed: BTreeSet<usize> = BTreeSet::new();
    let wanted = nodes.iter().enumerate();
    let wanted = wanted.filter(|(_, node)| node.rule.alerting().is_some() && is_wanted(&node.rule.name));
    let mut left: Vec<usize> = wanted.map(|(nth, _)| nth).collect();
    while let Some(nth) = left.pop() {
        if needed.insert(nth) {
            left.extend(&nodes[nth].reads);
        }
    }
    let needed: BTreeSet<Place> = needed.into_iter().map(|nth| nodes[nth].place).collect();
    let keep = |(nth, group): (usize, &Group)| Group {
        rules: group
            .rules
            .iter()
            .enumerate()
            .filter(|(rule, _)| {
                needed.contains(&Place {
                    group: nth,
                    rule: *rule,
                })
            })
            .map(|(_, rule)| rule.clone())
            .collect(),
        ..group.clone()
    };
    groups.iter().enumerate().map(keep).collect()
}

impl Plan {
    pub(super) fn new(groups: &[Group], options: &Options, one_by_one: bool) -> Self {
        let nodes = nodes(groups);
        let mut together: BTreeSet<usize> = (0..nodes.len())
            .filter(|nth| one_by_one || has_to_wait(&nodes, *nth, groups, options))
            .collect();
        // Whoever has to do with one of them goes with it.
        loop {
            let before = together.len();
            for (nth, node) in nodes.iter().enumerate() {
                for read in &node.reads {
                    if together.contains(&nth) || together.contains(read) {
                        together.extend([nth, *read]);
                    }
                }
            }
            if together.len() == before {
                break;
            }
        }
        let ahead = in_order(&nodes, &mut together);
        let read: BTreeSet<Output> = nodes
            .iter()
            .flat_map(|node| node.reading.reads.iter().cloned())
            .collect();
        let readers = || nodes.iter().filter(|node| !node.reads.is_empty());
        let own_back = readers()
            .map(|node| back(&node.rule.expr))
            .max()
            .unwrap_or_default();
        Self {
            ahead: ahead.into_iter().map(|nth| nodes[nth].place).collect(),
            together: together.into_iter().map(|nth| nodes[nth].place).collect(),
            read,
            outputs: Arc::new(Outputs::new(
                nodes.iter().map(|node| node.gives.clone()).collect(),
            )),
            warm_up: warm_up(&nodes, groups, options),
            own_back: readers().all(|node| !node.reading.is_pinned).then_some(own_back),
        }
    }
}

fn nodes(groups: &[Group]) -> Vec<Node<'_>> {
    let mut all = Vec::new();
    for (group, of) in groups.iter().enumerate() {
        for (nth, rule) in of.rules.iter().enumerate() {
            all.push((Place { group, rule: nth }, rule));
        }
    }
    let mut givers: BTreeMap<Output, Vec<usize>> = BTreeMap::new();
    for (nth, (_, rule)) in all.iter().enumerate() {
        givers.entry(gives(rule)).or_default().push(nth);
    }
    let outputs = Outputs::new(givers.keys().cloned().collect());
    let nodes = all.into_iter().map(|(place, rule)| {
        let reading = reading(&outputs, rule, givers.keys());
        let reads = reading.reads.iter().filter_map(|output| givers.get(output));
        Node {
            place,
            rule,
            gives: gives(rule),
            reads: reads.flatten().copied().collect(),
            reading,
        }
    });
    nodes.collect()
}

fn gives(rule: &Rule) -> Output {
    match rule.kind {
        Kind::Record { .. } => Output::Series(Arc::clone(&rule.name)),
        Kind::Alert(_) => Output::Alerts(Arc::clone(&rule.name)),
    }
}

fn reading<'o>(outputs: &Outputs, rule: &Rule, all: impl Iterator<Item = &'o Output>) -> Reading {
    let labels = rule
        .alerting()
        .map(|alerting| &*alerting.labels)
        .unwrap_or_default();
    let asks_more = labels.iter().any(|(_, text)| text.0.source().contains("query"));
    match promql::parse(rule.expr.written()) {
        Ok(expr) if !asks_more => outputs.reading(&expr),
        // What the templates of labels ask is only known when they are expanded: anything, at any time.
        _ => Reading {
            reads: all.cloned().collect(),
            looks_ahead: true,
            is_pinned: true,
        },
    }
}

/// Whether a rule has to be asked at each slot, because of itself or of what it reads.
fn has_to_wait(nodes: &[Node<'_>], nth: usize, groups: &[Group], options: &Options) -> bool {
    let Some(node) = nodes.get(nth) else { return false };
    // Of two rules that give the same series each may take the other's place.
    let rivals = |read: &usize| {
        let gives = nodes.get(*read).map(|node| &node.gives);
        nodes.iter().filter(|node| Some(&node.gives) == gives).count() > 1
    };
    let is_late = |read: &usize| {
        nodes
            .get(*read)
            .is_some_and(|read| is_late(read.place, node.place, groups, options))
    };
    node.reading.looks_ahead || node.reads.iter().any(|read| rivals(read) || is_late(read))
}

/// Whether `reader` may be evaluated before what `read` gave for that time, so that its sample was not there yet.
fn is_late(read: Place, reader: Place, groups: &[Group], options: &Options) -> bool {
    if read.group == reader.group {
        return read.rule >= reader.rule;
    }
    let (Some(theirs), Some(own)) = (groups.get(read.group), groups.get(reader.group)) else {
        return false;
    };
    let offset = |group: &Group| group.query_offset.unwrap_or(options.query_offset);
    match offset(theirs).cmp(&offset(own)) {
        Ordering::Less => false,
        Ordering::Greater => true,
        // In the same moment the groups take turns in their order.
        Ordering::Equal => {
            let schedule = |group: &Group| schedule(group, options);
            read.group > reader.group && schedule(theirs).meets(&schedule(own))
        }
    }
}

pub(super) fn schedule(group: &Group, options: &Options) -> Schedule {
    let interval = group.interval.unwrap_or(options.evaluation_interval);
    Schedule::new(interval, &group.file, &group.name)
}

/// All that need not wait, each after what it reads. Those in a circle wait, too, with all that read them.
fn in_order(nodes: &[Node<'_>], together: &mut BTreeSet<usize>) -> Vec<usize> {
    let mut ordered = Vec::new();
    let mut left: Vec<usize> = (0..nodes.len()).filter(|nth| !together.contains(nth)).collect();
    loop {
        let is_ready = |nth: &usize| {
            let reads = nodes.get(*nth).map(|node| &*node.reads).unwrap_or_default();
            reads.iter().all(|read| ordered.contains(read))
        };
        let (ready, later): (Vec<_>, Vec<_>) = left.into_iter().partition(is_ready);
        if ready.is_empty() {
            together.extend(later);
            return ordered;
        }
        ordered.extend(ready);
        left = later;
    }
}

/// How long before a slot the first thing lies that still has a say in its alerts: what they wait for, and the ranges
/// over what other rules give.
fn warm_up(nodes: &[Node<'_>], groups: &[Group], options: &Options) -> Duration {
    let mut reach = vec![Duration::ZERO; nodes.len()];
    // Chains of rules are short; of a circle there is no end.
    for _ in 0..nodes.len().min(16) {
        for (nth, node) in nodes.iter().enumerate() {
            let deepest = node
                .reads
                .iter()
                .filter_map(|read| reach.get(*read))
                .max()
                .copied();
            let own = deepest.map(|deepest| back(&node.rule.expr).saturating_add(deepest));
            if let Some(reach) = reach.get_mut(nth) {
                *reach = own.unwrap_or_default();
            }
        }
    }
    let alerts = nodes.iter().zip(reach).filter_map(|(node, reach)| {
        let alerting = node.rule.alerting()?;
        let interval = groups.get(node.place.group).and_then(|group| group.interval);
        let counted = alerting.datapoints.map_or(0, |datapoints| datapoints.n);
        let slots = interval
            .unwrap_or(options.evaluation_interval)
            .saturating_mul(2 + counted);
        Some(alerting.hold + alerting.keep_firing + reach + slots)
    });
    alerts.max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load;

    /// Names of the rules that are gone through ahead, and of those that are together.
    fn plan(text: &str) -> (Vec<String>, Vec<String>) {
        let groups = load(&[("a.yaml", text)]).unwrap();
        let plan = Plan::new(&groups, &Options::default(), false);
        let names = |places: &[Place]| {
            let names = places
                .iter()
                .map(|place| groups[place.group].rules[place.rule].name.to_string());
            names.collect()
        };
        (names(&plan.ahead), names(&plan.together))
    }

    #[track_caller]
    fn check(text: &str, ahead: &[&str], together: &[&str]) {
        let (found_ahead, found_together) = plan(text);
        assert_eq!(
            (&*found_ahead, &*found_together),
            (&*owned(ahead), &*owned(together))
        );
    }

    fn owned(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_rule_comes_after_what_it_reads() {
        let text = "groups:
- {name: b, rules: [{alert: A, expr: 'c > 1'}, {alert: B, expr: 'up == 0'}]}
- {name: a, rules: [{record: r, expr: up}, {record: c, expr: 'r + 1'}]}";
        check(text, &["B", "r", "c", "A"], &[]);
    }

    #[test]
    fn what_comes_later_in_its_group_is_read_slot_by_slot() {
        let text = "groups: [{name: a, rules: [{alert: A, expr: 'r > 1'}, {record: r, expr: up}, {alert: B, expr: up}]}]";
        check(text, &["B"], &["A", "r"]);
    }

    #[test]
    fn what_reads_itself_or_a_circle_goes_slot_by_slot() {
        check(
            "groups: [{name: a, rules: [{record: r, expr: 'r + 1 or up'}, {alert: B, expr: 'r > 3'}]}]",
            &[],
            &["r", "B"],
        );
        let circle = "groups:
- {name: a, rules: [{record: r, expr: 's'}, {alert: A, expr: 'r > 1'}]}
- {name: b, rules: [{record: s, expr: 'r or up'}]}";
        check(circle, &[], &["r", "A", "s"]);
    }

    #[test]
    fn who_looks_ahead_takes_what_it_reads_along() {
        let text =
            "groups: [{name: a, rules: [{record: r, expr: up}, {alert: A, expr: 'r offset -1m > 1'}]}]";
        check(text, &[], &["r", "A"]);
        let asks = "groups: [{name: a, rules: [{record: r, expr: up}, {alert: A, expr: 'r > 1', labels: {x: '{{ query \"up\" }}'}}]}]";
        check(&asks.replace("\\\"", "\""), &[], &["r", "A"]);
    }

    #[test]
    fn a_group_that_is_later_in_its_data_is_not_there_yet() {
        let text = "groups:
- {name: a, query_offset: 1m, rules: [{record: r, expr: up}]}
- {name: b, rules: [{alert: A, expr: 'r > 1'}]}";
        check(text, &[], &["r", "A"]);
        check(&text.replace("query_offset: 1m, ", ""), &["r", "A"], &[]);
    }

    #[test]
    fn what_no_wanted_alert_needs_is_left_out() {
        let text = "groups:
- {name: a, rules: [{record: r, expr: up}, {record: s, expr: r}, {record: t, expr: up}]}
- {name: b, rules: [{alert: A, expr: 's > 1'}, {alert: B, expr: up}]}";
        let groups = pruned(&load(&[("a.yaml", text)]).unwrap(), |name| name == "A");
        let names: Vec<Vec<&str>> = groups
            .iter()
            .map(|group| group.rules.iter().map(|rule| &*rule.name).collect())
            .collect();
        assert_eq!(names, [vec!["r", "s"], vec!["A"]]);
    }

    #[test]
    fn the_warm_up_reaches_through_what_is_recorded() {
        let text = "groups:
- name: a
  interval: 1m
  rules:
  - {record: r, expr: 'rate(x[5m])'}
  - {record: s, expr: 'avg_over_time(r[1h])'}
  - {alert: A, expr: 's > 1', for: 10m, keep_firing_for: 2m}";
        let groups = load(&[("a.yaml", text)]).unwrap();
        let plan = Plan::new(&groups, &Options::default(), false);
        // 12m of waiting, an hour, twice the lookback, two slots.
        assert_eq!(plan.warm_up, Duration::from_secs((12 + 60 + 10 + 2) * 60));
        assert_eq!(plan.own_back, Some(Duration::from_secs(65 * 60)));
    }
}
