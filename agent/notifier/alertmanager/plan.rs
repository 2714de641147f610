//! From what is written to what is in force, and every mistake on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::{Complaint, MatchOp, Matcher};
use template::Language;
use yaml::{Spanned, complain_at};

use super::file::{File, Http, Inhibit, Named, Receiver as Written, Route as WrittenRoute, Span};
use super::receivers::Common;
use crate::config::{ALL_LABELS, Files};
use crate::inhibit::Inhibition;
use crate::matchers;
use crate::plan::{Plan, RESOLVE_TIMEOUT, named};
use crate::receiver::Receiver;
use crate::route::{Hours, Route, Timing, Tree};

pub(super) struct Reader<'a> {
    name: &'a str,
    text: &'a str,
    base: &'a Path,
    timing: Timing,
    pub(super) mistakes: Vec<Complaint>,
    pub(super) notes: Vec<Complaint>,
}

type HoursByName = BTreeMap<String, Arc<Hours>>;

impl<'a> Reader<'a> {
    pub(super) fn new(name: &'a str, text: &'a str, base: &'a Path, timing: Timing) -> Self {
        Self {
            name,
            text,
            base,
            timing,
            mistakes: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn wrong<T>(&mut self, place: &Spanned<T>, why: impl Into<String>) {
        self.mistakes.push(complain_at(self.name, self.text, place, why));
    }

    fn note<T>(&mut self, place: &Spanned<T>, what: impl Into<String>) {
        self.notes.push(complain_at(self.name, self.text, place, what));
    }

    /// None where something is wrong.
    pub(super) fn read(&mut self, file: &File, files: &Files<'_>) -> Option<Plan> {
        for (key, found) in [
            ("tracing", &file.tracing),
            ("event_recorder", &file.event_recorder),
        ] {
            if let Some(found) = found {
                self.note(found, format!("{key} has no effect here"));
            }
        }
        self.http_notes(file.global.http_config.as_ref());
        let language = self.language(file, files);
        let receivers = self.receivers(file, &language);
        let hours = self.hours(file);
        let inhibitions = file.inhibit_rules.iter();
        let inhibitions: Vec<_> = inhibitions.filter_map(|rule| self.inhibition(rule)).collect();
        let Some(root) = &file.route else {
            self.mistakes
                .push(Complaint::about(self.name, "no routes provided"));
            return None;
        };
        let names: BTreeSet<&str> = file
            .receivers
            .iter()
            .map(|receiver| receiver.value.name.as_str())
            .collect();
        let tree = self.tree(root, &names, &hours)?;
        let teams = file.receivers.iter().map(|receiver| {
            let Written { name, labels, .. } = &receiver.value;
            let mut labels = labels.clone();
            labels.extend(named(name));
            (name.clone(), labels)
        });
        let teams = teams.collect();
        Some(Plan {
            receivers,
            teams,
            tree,
            inhibitions,
            fallback: None,
            original: "".into(),
            resolve_timeout: file.global.resolve_timeout.map_or(RESOLVE_TIMEOUT, |span| span.0),
        })
    }

    /// What templates may call: Alertmanager's own, and those of the file's files.
    fn language(&mut self, file: &File, files: &Files<'_>) -> Language {
        let mut language = Language::alertmanager();
        for pattern in &file.templates {
            let found = match files(self.base, &pattern.value) {
                Ok(found) => found,
                Err(why) => {
                    self.wrong(pattern, format!("templates: {why}"));
                    continue;
                }
            };
            for (name, text) in found {
                if let Err(error) = language.add(&name, &text) {
                    let complaint = Complaint::at(&name, &text, error.line, error.column, error.message);
                    self.mistakes.push(match error.suggestion {
                        Some(suggestion) => complaint.suggest(suggestion),
                        None => complaint,
                    });
                }
            }
        }
        language
    }

    fn receivers(&mut self, file: &File, language: &Language) -> Vec<Arc<Receiver>> {
        let mut names = BTreeSet::new();
        let mut receivers = Vec::new();
        for written in &file.receivers {
            let name = written.value.name.as_str();
            if name.is_empty() {
                self.wrong(written, "missing name in receiver");
            } else if !names.insert(name) {
                self.wrong(
                    written,
                    format!("notification config name {name:?} is not unique"),
                );
            }
            if written
                .value
                .labels
                .get("name")
                .is_some_and(|label| label != name)
            {
                self.wrong(
                    written,
                    format!("receiver label \"name\" must match receiver name {name:?}"),
                );
            }
            for (kind, place) in written.value.foreign() {
                self.wrong(place, foreign(kind));
            }
            self.integrations(file, written, language, &mut receivers);
        }
        receivers
    }

    fn integrations(
        &mut self,
        file: &File,
        written: &Spanned<Written>,
        language: &Language,
        receivers: &mut Vec<Arc<Receiver>>,
    ) {
        let common = Common {
            base: self.base,
            language,
            global: &file.global,
            receiver: &written.value,
        };
        let receiver = &written.value;
        for (nth, slack) in receiver.slack_configs.iter().enumerate() {
            self.http_notes(slack.value.http_config.as_ref());
            self.keep(slack, common.slack(nth, &slack.value), receivers);
        }
        for (nth, pagerduty) in receiver.pagerduty_configs.iter().enumerate() {
            self.http_notes(pagerduty.value.http_config.as_ref());
            self.keep(pagerduty, common.pagerduty(nth, &pagerduty.value), receivers);
        }
        for (nth, email) in receiver.email_configs.iter().enumerate() {
            let read = common.email(nth, &email.value);
            if let Ok((_, notes)) = &read {
                for what in notes {
                    self.note(email, what.as_str());
                }
            }
            self.keep(email, read.map(|(receiver, _)| receiver), receivers);
        }
        for (nth, webhook) in receiver.webhook_configs.iter().enumerate() {
            self.http_notes(webhook.value.http_config.as_ref());
            self.keep(webhook, common.webhook(nth, &webhook.value), receivers);
        }
    }

    fn http_notes(&mut self, http: Option<&Spanned<Http>>) {
        let Some(http) = http else { return };
        for what in http.value.notes() {
            self.note(http, format!("http_config.{what}"));
        }
    }

    fn keep<T>(
        &mut self,
        place: &Spanned<T>,
        receiver: Result<Receiver, String>,
        receivers: &mut Vec<Arc<Receiver>>,
    ) {
        match receiver {
            Ok(receiver) => receivers.push(Arc::new(receiver)),
            Err(why) => self.wrong(place, why),
        }
    }

    fn hours(&mut self, file: &File) -> HoursByName {
        let mut hours = BTreeMap::new();
        let muting = file
            .mute_time_intervals
            .iter()
            .map(|named| (named, "mute time interval"));
        let others = file.time_intervals.iter().map(|named| (named, "time interval"));
        for (named, what) in muting.chain(others) {
            let Named { name, time_intervals } = &named.value;
            if name.is_empty() {
                self.wrong(named, format!("missing name in {what}"));
            }
            let known = Hours {
                name: name.as_str().into(),
                intervals: time_intervals.clone(),
            };
            if hours.insert(name.clone(), Arc::new(known)).is_some() {
                self.wrong(named, format!("{what} {name:?} is not unique"));
            }
        }
        hours
    }

    fn inhibition(&mut self, rule: &Spanned<Inhibit>) -> Option<Inhibition> {
        let written = &rule.value;
        let before = self.mistakes.len();
        let source = self.matchers(
            &written.source_match,
            &written.source_match_re,
            &written.source_matchers,
        );
        let target = self.matchers(
            &written.target_match,
            &written.target_match_re,
            &written.target_matchers,
        );
        for name in written.equal.iter().filter(|name| name.value.is_empty()) {
            self.wrong(name, "invalid label name \"\" in equal list");
        }
        let equal = written.equal.iter().map(|name| name.value.clone()).collect();
        // Its regular expressions were compiled above.
        let inhibition = Inhibition::new(&source, &target, equal).ok()?;
        (self.mistakes.len() == before).then_some(inhibition)
    }

    /// The two older ways to write them, and the newer one.
    fn matchers(
        &mut self,
        equal: &BTreeMap<String, Spanned<String>>,
        regexes: &BTreeMap<String, Spanned<String>>,
        newer: &[Spanned<String>],
    ) -> Vec<Matcher> {
        let mut found = Vec::new();
        let older = [(equal, MatchOp::Equal), (regexes, MatchOp::Matches)];
        for (pairs, op) in older {
            for (name, value) in pairs {
                if !model::text::is_legacy_label_name(name) {
                    self.wrong(value, format!("invalid label name {name:?}"));
                }
                self.keep_matcher(value, Matcher::new(name, op, &value.value), &mut found);
            }
        }
        for text in newer {
            match matchers::list(&text.value) {
                Ok(list) => list
                    .into_iter()
                    .for_each(|matcher| self.keep_matcher(text, matcher, &mut found)),
                Err(why) => self.wrong(text, why),
            }
        }
        found
    }

    fn keep_matcher(&mut self, place: &Spanned<String>, matcher: Matcher, found: &mut Vec<Matcher>) {
        match crate::matching::Test::new(&matcher) {
            Ok(_) => found.push(matcher),
            Err(why) => self.wrong(place, why),
        }
    }

    fn tree(
        &mut self,
        root: &Spanned<WrittenRoute>,
        receivers: &BTreeSet<&str>,
        hours: &HoursByName,
    ) -> Option<Tree> {
        let written = &root.value;
        if written.receiver.as_ref().is_none_or(|name| name.value.is_empty()) {
            self.wrong(root, "root route must specify a default receiver");
        }
        let matchers = [
            written.equal.len(),
            written.match_re.len(),
            written.matchers.len(),
        ];
        for (is_there, what) in [
            (matchers.iter().sum::<usize>() > 0, "matchers"),
            (!written.mute_time_intervals.is_empty(), "mute time intervals"),
            (!written.active_time_intervals.is_empty(), "active time intervals"),
        ] {
            if is_there {
                self.wrong(root, format!("root route must not have any {what}"));
            }
        }
        if written.goes_on {
            self.wrong(root, "cannot have continue in root route");
        }
        // Alertmanager's own defaults.
        let defaults = Route {
            key: "".into(),
            receiver: "".into(),
            group_by: Some(Vec::new()),
            timing: Timing {
                group_wait: Duration::from_secs(30),
                group_interval: Duration::from_secs(5 * 60),
                repeat_interval: Duration::from_secs(4 * 3600),
                ..self.timing
            },
            mute: Vec::new(),
            active: Vec::new(),
        };
        let route = self.route(root, &defaults, receivers, hours);
        let mut tree = Tree::new(route.clone());
        self.children(written, 0, &route, &mut tree, (receivers, hours));
        self.mistakes.is_empty().then_some(tree)
    }

    fn children(
        &mut self,
        written: &WrittenRoute,
        parent: usize,
        above: &Route,
        tree: &mut Tree,
        known: (&BTreeSet<&str>, &HoursByName),
    ) {
        for child in &written.routes {
            let route = self.route(child, above, known.0, known.1);
            let value = &child.value;
            let matchers = self.matchers(&value.equal, &value.match_re, &value.matchers);
            match tree.add(parent, matchers, value.goes_on, route.clone()) {
                Ok(number) => self.children(value, number, &route, tree, known),
                Err(why) => self.wrong(child, why),
            }
        }
    }

    /// What is not said is as above it, but for the hours.
    fn route(
        &mut self,
        place: &Spanned<WrittenRoute>,
        above: &Route,
        receivers: &BTreeSet<&str>,
        hours: &HoursByName,
    ) -> Route {
        let written = &place.value;
        if let Some(labels) = &written.labels {
            self.note(
                labels,
                "labels of routes have no effect here: neither templates nor webhooks see them",
            );
        }
        let mut route = above.clone();
        if let Some(name) = written.receiver.as_ref().filter(|name| !name.value.is_empty()) {
            if !receivers.contains(name.value.as_str()) {
                self.wrong(name, format!("undefined receiver {:?} used in route", name.value));
            }
            route.receiver = name.value.as_str().into();
        }
        self.grouping(written, &mut route);
        let timing = &mut route.timing;
        for (key, span, place, may_be_zero) in [
            (
                "group_wait",
                written.group_wait.as_ref(),
                &mut timing.group_wait,
                true,
            ),
            (
                "group_interval",
                written.group_interval.as_ref(),
                &mut timing.group_interval,
                false,
            ),
            (
                "repeat_interval",
                written.repeat_interval.as_ref(),
                &mut timing.repeat_interval,
                false,
            ),
        ] {
            let Some(written) = span else { continue };
            let Span(length) = written.value;
            if length.is_zero() && !may_be_zero {
                self.mistakes.push(complain_at(
                    self.name,
                    self.text,
                    written,
                    format!("{key} cannot be zero"),
                ));
            } else {
                *place = length;
            }
        }
        route.mute = self.named_hours(&written.mute_time_intervals, hours);
        route.active = self.named_hours(&written.active_time_intervals, hours);
        route
    }

    fn grouping(&mut self, written: &WrittenRoute, route: &mut Route) {
        let Some(group_by) = &written.group_by else {
            return;
        };
        let mut names: Vec<String> = Vec::new();
        for name in group_by.iter().filter(|name| name.value != ALL_LABELS) {
            if name.value.is_empty() {
                self.wrong(
                    name,
                    format!("invalid label name {:?} in group_by list", name.value),
                );
            } else if names.contains(&name.value) {
                self.wrong(name, format!("duplicated label {:?} in group_by", name.value));
            }
            names.push(name.value.clone());
        }
        let all = group_by.iter().find(|name| name.value == ALL_LABELS);
        match all {
            Some(all) if !names.is_empty() => {
                let why = "cannot have wildcard group_by (`...`) and other labels at the same time";
                self.wrong(all, why);
            }
            Some(_) => route.group_by = None,
            None => route.group_by = Some(names),
        }
    }

    fn named_hours(&mut self, names: &[Spanned<String>], hours: &HoursByName) -> Vec<Arc<Hours>> {
        let mut found = Vec::new();
        for name in names {
            match hours.get(&name.value) {
                Some(hours) => found.push(Arc::clone(hours)),
                None => self.wrong(
                    name,
                    format!("undefined time interval {:?} used in route", name.value),
                ),
            }
        }
        found
    }
}

fn foreign(key: &str) -> String {
    let kind = key.trim_end_matches("_configs");
    format!(
        "Skopos has no receiver {kind}: alerts for it would go nowhere; take it out, or send these alerts to an \
         Alertmanager by its webhook"
    )
}
