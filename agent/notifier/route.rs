//! The routing tree: which receivers are told of an alert, with whom it shares a message, and when.

use std::collections::HashSet;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use model::view::{RouteLine, Way};
use model::{Labels, Matcher, Timestamp};

use crate::group::Key;
use crate::interval::Interval;
use crate::matching::Tests;

/// The waits of a route, and what is told in the places where ways part.
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timing {
    pub(crate) group_wait: Duration,
    pub(crate) group_interval: Duration,
    pub(crate) repeat_interval: Duration,
    /// None: an end is told with the next tick.
    pub(crate) resolve_wait: Option<Duration>,
    /// What repeats waits for the next tick.
    pub(crate) repeats_on_tick: bool,
    /// What still fires when its silence is over is told again.
    pub(crate) tells_after_silence: bool,
    /// An end is told of what came and went between two messages, if the receiver believes that anything fires.
    pub(crate) tells_lone_ends: bool,
    /// An end is told although it is muted by then.
    pub(crate) tells_muted_ends: bool,
}

/// Who is told of the alerts that come this way.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    /// The matchers from the root to here, as Alertmanager writes them: `{}/{team="db"}`. No two routes' are alike.
    pub(crate) key: Box<str>,
    pub(crate) receiver: Arc<str>,
    /// None: by all labels.
    pub(crate) group_by: Option<Vec<String>>,
    pub(crate) timing: Timing,
    /// Its messages wait as long as a time is in one of these.
    pub(crate) mute: Vec<Arc<Hours>>,
    /// And as long as it is in none of these, if there are any.
    pub(crate) active: Vec<Arc<Hours>>,
}

/// Times that have a name.
#[derive(Debug)]
pub(crate) struct Hours {
    pub(crate) name: Box<str>,
    pub(crate) intervals: Vec<Interval>,
}

impl Hours {
    fn contain(&self, time: Timestamp) -> bool {
        self.intervals.iter().any(|interval| interval.contains(time))
    }
}

impl Route {
    pub(crate) fn group_of(&self, labels: &Labels) -> (Key, Labels) {
        let labels = match &self.group_by {
            Some(names) => labels.retain(|name| names.iter().any(|known| known == name)),
            None => labels.clone(),
        };
        (format!("{}:{labels}", self.key).into(), labels)
    }

    /// Whether nobody is told anything now.
    pub(crate) fn is_muted(&self, now: Timestamp) -> bool {
        let is_in = |hours: &[Arc<Hours>]| hours.iter().any(|hours| hours.contain(now));
        is_in(&self.mute) || !self.active.is_empty() && !is_in(&self.active)
    }

    /// The names of the hours that make it mute now.
    pub(crate) fn muted_by(&self, now: Timestamp) -> Vec<String> {
        let is_in = |hours: &&Arc<Hours>| hours.contain(now);
        let mut names: Vec<&Hours> = self.mute.iter().filter(is_in).map(|hours| &**hours).collect();
        if !self.active.iter().any(|hours| hours.contain(now)) {
            names.extend(self.active.iter().map(|hours| &**hours));
        }
        names.iter().map(|hours| hours.name.to_string()).collect()
    }

    pub(crate) fn has_hours(&self) -> bool {
        !self.mute.is_empty() || !self.active.is_empty()
    }
}

/// The tree. An alert goes to the first child that takes it, and on from there if that child says so.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    /// A parent comes before its children; the first is the root.
    nodes: Vec<Node>,
}

#[derive(Clone, Debug)]
struct Node {
    tests: Tests,
    /// Its own matchers, as Alertmanager writes them.
    written: String,
    goes_on: bool,
    route: Arc<Route>,
    children: Vec<usize>,
}

impl Node {
    fn line(&self, depth: usize, told: Vec<String>, now: Timestamp) -> RouteLine {
        let route = &*self.route;
        let Timing {
            group_wait,
            group_interval,
            repeat_interval,
            resolve_wait,
            ..
        } = route.timing;
        let hours = route.mute.iter().chain(&route.active);
        RouteLine {
            depth,
            matchers: self.written.clone(),
            receiver: route.receiver.to_string(),
            told,
            group_by: route.group_by.clone(),
            group_wait,
            group_interval,
            repeat_interval,
            resolve_wait,
            goes_on: self.goes_on,
            hours: hours.map(|hours| hours.name.to_string()).collect(),
            muted_by: if route.is_muted(now) {
                route.muted_by(now)
            } else {
                Vec::new()
            },
        }
    }
}

impl Tree {
    /// A tree that has only its root.
    pub(crate) fn new(mut route: Route) -> Self {
        route.key = "{}".into();
        let root = Node {
            tests: Tests::default(),
            written: "{}".to_owned(),
            goes_on: false,
            route: Arc::new(route),
            children: Vec::new(),
        };
        Self { nodes: vec![root] }
    }

    /// Adds a child after those that the parent has, and returns its number. The root's is 0.
    ///
    /// # Errors
    /// A regular expression does not compile.
    pub(crate) fn add(
        &mut self,
        parent: usize,
        mut matchers: Vec<Matcher>,
        goes_on: bool,
        mut route: Route,
    ) -> Result<usize, String> {
        matchers.sort_by(|left, right| {
            let of = |matcher: &Matcher| (matcher.name.clone(), matcher.value.clone(), matcher.op as u8);
            of(left).cmp(&of(right))
        });
        let above = self.nodes.get(parent).map_or("", |node| &node.route.key);
        let written = written(&matchers);
        route.key = self.fresh_key(format!("{above}/{written}"));
        let number = self.nodes.len();
        self.nodes.push(Node {
            tests: Tests::new(&matchers)?,
            written,
            goes_on,
            route: Arc::new(route),
            children: Vec::new(),
        });
        if let Some(parent) = self.nodes.get_mut(parent) {
            parent.children.push(number);
        }
        Ok(number)
    }

    /// Alertmanager's keys need not be different; what is told of a group is kept by its key here.
    fn fresh_key(&self, key: String) -> Box<str> {
        let known: HashSet<&str> = self.nodes.iter().map(|node| &*node.route.key).collect();
        let mut fresh = key.clone();
        let mut count = 1;
        while known.contains(fresh.as_str()) {
            count += 1;
            fresh = format!("{key}#{count}");
        }
        fresh.into()
    }

    #[cfg(test)]
    pub(crate) fn routes(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.nodes.iter().map(|node| &node.route)
    }

    /// The tree for people, and by which of its routes an alert with these labels goes. `titles` names what a receiver is,
    /// `told_in` those that were told of a group within a storm.
    pub(crate) fn show(
        &self,
        labels: Option<&Labels>,
        titles: impl Fn(&str) -> Vec<String>,
        told_in: impl Fn(&Key) -> Vec<String>,
        now: Timestamp,
    ) -> (Vec<RouteLine>, Vec<Way>) {
        let mut lines = Vec::new();
        let mut places = Vec::new();
        let mut left = vec![(0, 0)];
        while let Some((number, depth)) = left.pop() {
            let Some(node) = self.nodes.get(number) else {
                continue;
            };
            places.push(&node.route);
            lines.push(node.line(depth, titles(&node.route.receiver), now));
            left.extend(node.children.iter().rev().map(|child| (*child, depth + 1)));
        }
        let taken = labels.map(|labels| self.routes_of(labels)).unwrap_or_default();
        let ways = taken.into_iter().filter_map(|route| {
            let place = places.iter().position(|known| Arc::ptr_eq(known, route))?;
            let (key, group) = route.group_of(labels?);
            Some(Way {
                route: place,
                group,
                storms: told_in(&key),
            })
        });
        let ways = ways.collect();
        (lines, ways)
    }

    /// Where an alert with these labels goes, in the tree's order; it always goes somewhere.
    pub(crate) fn routes_of(&self, labels: &Labels) -> Vec<&Arc<Route>> {
        let mut found = Vec::new();
        self.collect(0, labels, &mut found);
        found
    }

    /// Whether this one takes it.
    fn collect<'t>(&'t self, number: usize, labels: &Labels, found: &mut Vec<&'t Arc<Route>>) -> bool {
        let Some(node) = self.nodes.get(number).filter(|node| node.tests.accept(labels)) else {
            return false;
        };
        let before = found.len();
        for child in &node.children {
            let goes_on = self.nodes.get(*child).is_some_and(|child| child.goes_on);
            if self.collect(*child, labels, found) && !goes_on {
                break;
            }
        }
        if found.len() == before {
            found.push(&node.route);
        }
        true
    }
}

/// `{a="b",c=~"d"}`, as Alertmanager prints them.
fn written(matchers: &[Matcher]) -> String {
    let mut text = "{".to_owned();
    for (nth, Matcher { name, op, value }) in matchers.iter().enumerate() {
        let comma = if nth > 0 { "," } else { "" };
        let is_plain =
            !name.contains(|letter: char| letter.is_whitespace() || "{}!=~,\\\"'`".contains(letter));
        let name = if is_plain {
            name.to_string()
        } else {
            model::text::quote(name)
        };
        let value = value
            .replace('\\', "\\\\")
            .replace('\n', "\\n")
            .replace('"', "\\\"");
        // Writing to a string cannot fail.
        _ = write!(text, "{comma}{name}{}\"{value}\"", op.text());
    }
    text + "}"
}

#[cfg(test)]
mod tests {
    use model::MatchOp;

    use super::*;

    pub(crate) fn route(receiver: &str) -> Route {
        Route {
            key: "".into(),
            receiver: receiver.into(),
            group_by: Some(vec!["alertname".to_owned()]),
            timing: Timing {
                group_wait: Duration::from_secs(30),
                group_interval: Duration::from_secs(300),
                repeat_interval: Duration::from_secs(14_400),
                resolve_wait: Some(Duration::from_secs(15)),
                repeats_on_tick: false,
                tells_after_silence: true,
                tells_lone_ends: false,
                tells_muted_ends: true,
            },
            mute: Vec::new(),
            active: Vec::new(),
        }
    }

    #[test]
    fn the_first_child_that_takes_an_alert_has_it_and_may_pass_it_on() {
        let mut tree = Tree::new(route("root"));
        let team = |team: &str| vec![Matcher::equal("team", team)];
        let db = tree.add(0, team("db"), true, route("db")).unwrap();
        let grave = vec![
            Matcher::new("severity", MatchOp::Matches, "page|critical"),
            Matcher::equal("env", "prod"),
        ];
        tree.add(db, grave, false, route("pager")).unwrap();
        tree.add(0, team("db"), false, route("audit")).unwrap();
        tree.add(0, team("web"), false, route("web")).unwrap();
        let of = |pairs: &[(&str, &str)]| {
            let labels = Labels::from_pairs(pairs.iter().copied());
            let routes = tree.routes_of(&labels);
            let names: Vec<&str> = routes.iter().map(|route| &*route.receiver).collect();
            names.join(",")
        };
        assert_eq!(of(&[]), "root");
        assert_eq!(of(&[("team", "web")]), "web");
        assert_eq!(of(&[("team", "db")]), "db,audit");
        assert_eq!(
            of(&[("team", "db"), ("severity", "page"), ("env", "prod")]),
            "pager,audit"
        );
        let keys: Vec<&str> = tree.routes().map(|route| &*route.key).collect();
        let labels = Labels::from_pairs([("team", "db"), ("alertname", "Down"), ("job", "x")]);
        let titles = |team: &str| vec![team.to_uppercase()];
        let (lines, ways) = tree.show(Some(&labels), titles, |_| Vec::new(), Timestamp(0));
        let shown: Vec<String> = lines
            .iter()
            .map(|line| {
                format!(
                    "{}{} {}",
                    " ".repeat(line.depth),
                    line.matchers,
                    line.told.join(",")
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                "{} ROOT",
                " {team=\"db\"} DB",
                "  {env=\"prod\",severity=~\"page|critical\"} PAGER",
                " {team=\"db\"} AUDIT",
                " {team=\"web\"} WEB"
            ]
        );
        let ways: Vec<(usize, String)> = ways
            .iter()
            .map(|way| (way.route, way.group.to_string()))
            .collect();
        assert_eq!(
            ways,
            [
                (1, "{alertname=\"Down\"}".to_owned()),
                (3, "{alertname=\"Down\"}".to_owned())
            ]
        );
        assert_eq!(
            keys,
            [
                "{}",
                "{}/{team=\"db\"}",
                "{}/{team=\"db\"}/{env=\"prod\",severity=~\"page|critical\"}",
                "{}/{team=\"db\"}#2",
                "{}/{team=\"web\"}",
            ]
        );
    }

    #[test]
    fn groups_are_named_as_alertmanager_names_them() {
        let labels = Labels::from_pairs([("alertname", "Down"), ("job", "a"), ("instance", "x")]);
        let key = |by: Option<&[&str]>| {
            let route = Route {
                group_by: by.map(|by| by.iter().map(|&name| name.to_owned()).collect()),
                ..route("root")
            };
            let tree = Tree::new(route);
            tree.routes_of(&labels)[0].group_of(&labels).0
        };
        assert_eq!(&*key(Some(&["alertname"])), r#"{}:{alertname="Down"}"#);
        assert_eq!(
            &*key(Some(&["job", "alertname", "absent"])),
            r#"{}:{alertname="Down", job="a"}"#
        );
        assert_eq!(&*key(Some(&[])), "{}:{}");
        assert_eq!(&*key(None), r#"{}:{alertname="Down", instance="x", job="a"}"#);
    }
}
