//! Files that Alertmanager takes are taken, what it refuses is refused, and `amtool` agrees (tests/routing.rs).

use std::path::Path;
use std::time::Duration;

use model::Labels;

use super::{Read, read};
use crate::Config;

/// The file names none.
pub(crate) fn no_files(_: &Path, pattern: &str) -> Result<Vec<(String, String)>, String> {
    Err(format!("{pattern:?} is not there"))
}

fn good(text: &str) -> Read {
    match read(
        "alertmanager.yml",
        text,
        Path::new("/etc"),
        Config::default().timing(),
        &no_files,
    ) {
        Ok(read) => read,
        Err(mistakes) => panic!("{}", lines(&mistakes)),
    }
}

fn bad(text: &str) -> String {
    let outcome = read(
        "alertmanager.yml",
        text,
        Path::new("/etc"),
        Config::default().timing(),
        &no_files,
    );
    lines(&outcome.expect_err(text))
}

fn lines(complaints: &[model::Complaint]) -> String {
    let lines: Vec<String> = complaints.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

const WHOLE: &str = r"
global:
  resolve_timeout: 5m
  slack_api_url: https://hooks.slack.com/services/T/B/x
  smtp_smarthost: localhost:25
route:
  receiver: everybody
  group_by: [alertname, cluster]
  routes:
  - matchers: [ team=db, 'severity=~page|critical' ]
    receiver: db
    group_by: ['...']
    group_wait: 0s
    mute_time_intervals: [night]
    continue: true
    routes:
    - match: { env: test }
      receiver: nobody
  - match_re: { service: ^(foo|bar)$ }
    receiver: db
receivers:
- name: everybody
  slack_configs:
  - channel: '#alerts'
    title: '{{ .CommonLabels.alertname }}'
  webhook_configs:
  - url: http://localhost:5001/
    max_alerts: 3
    http_config: { basic_auth: { username: me, password: $ecret } }
- name: db
  pagerduty_configs:
  - routing_key: 0123456789abcdef0123456789abcdef
  - routing_key_file: key
    send_resolved: false
- name: nobody
inhibit_rules:
- source_matchers: [ severity=critical ]
  target_match: { severity: warning }
  equal: [ alertname ]
time_intervals:
- name: night
  time_intervals:
  - times: [ { start_time: '22:00', end_time: '24:00' } ]
event_recorder: {}
";

#[test]
fn a_file_becomes_receivers_routes_and_rules() {
    let read = good(WHOLE);
    let names: Vec<&str> = read
        .plan
        .receivers
        .iter()
        .map(|receiver| &*receiver.name)
        .collect();
    assert_eq!(
        names,
        [
            "everybody/slack[0]",
            "everybody/webhook[0]",
            "db/pagerduty[0]",
            "db/pagerduty[1]"
        ]
    );
    let teams: Vec<&String> = read.plan.teams.keys().collect();
    assert_eq!(teams, ["db", "everybody", "nobody"]);
    let resolved: Vec<bool> = read
        .plan
        .receivers
        .iter()
        .map(|receiver| receiver.send_resolved)
        .collect();
    // As in Alertmanager, Slack is not told of ends unless it is asked for.
    assert_eq!(resolved, [false, true, true, false]);
    assert_eq!(read.plan.inhibitions.len(), 1);
    let routes = |pairs: &[(&str, &str)]| {
        let routes = read
            .plan
            .tree
            .routes_of(&Labels::from_pairs(pairs.iter().copied()));
        let routes = routes
            .iter()
            .map(|route| format!("{} {}", route.receiver, route.key));
        routes.collect::<Vec<_>>()
    };
    assert_eq!(routes(&[("a", "b")]), ["everybody {}"]);
    assert_eq!(
        routes(&[
            ("team", "db"),
            ("severity", "page"),
            ("env", "test"),
            ("service", "bar")
        ]),
        [
            "nobody {}/{severity=~\"page|critical\",team=\"db\"}/{env=\"test\"}",
            "db {}/{service=~\"^(foo|bar)$\"}"
        ]
    );
    let route = read.plan.tree.routes().nth(1).unwrap();
    assert_eq!(
        (route.group_by.as_ref(), route.timing.group_wait),
        (None, Duration::ZERO)
    );
    assert!(route.has_hours());
    // Hours are not handed down; waits and grouping are.
    let child = read.plan.tree.routes().nth(2).unwrap();
    assert_eq!(
        (child.group_by.as_ref(), child.timing.group_wait),
        (None, Duration::ZERO)
    );
    assert!(!child.has_hours());
    assert_eq!(
        lines(&read.notes),
        "alertmanager.yml:44:17: event_recorder has no effect here\n  \
         44 | event_recorder: {}\n     |                 ^\n\
         alertmanager.yml: secrets are written here, and whoever may read this file has them: global.slack_api_url, \
         receivers[0].webhook_configs[0].http_config.basic_auth.password, \
         receivers[1].pagerduty_configs[0].routing_key; their keys that end in _file name a file instead"
    );
    assert!(!format!("{read:?}").contains("$ecret"), "{read:?}");
}

#[test]
fn mistakes_are_named_with_their_place() {
    let base = "route: { receiver: a }\nreceivers: [ { name: a } ]\n";
    good(base);
    for (text, wrong) in [
        ("receivers: [ { name: a } ]", "no routes provided"),
        ("route: {}\n", ":1:8: root route must specify a default receiver"),
        (
            "route: { receiver: b }\n",
            ":1:20: undefined receiver \"b\" used in route",
        ),
        (
            "route: { receiver: a, matchers: [ a=b ] }\nreceivers: [ { name: a } ]",
            "root route must not have any matchers",
        ),
        (
            "route: { receiver: a, continue: true }\nreceivers: [ { name: a } ]",
            "cannot have continue in root route",
        ),
        (
            "route: { receiver: a, routes: [ { matchers: [ 'a=~(' ] } ] }\nreceivers: [ { name: a } ]",
            "invalid regular expression \"(\"",
        ),
        (
            "route: { receiver: a, routes: [ { matchers: [ 'a' ] } ] }\nreceivers: [ { name: a } ]",
            ":1:47: bad matcher format: a",
        ),
        (
            "route: { receiver: a, routes: [ { mute_time_intervals: [ x ] } ] }\nreceivers: [ { name: a } ]",
            "undefined time interval \"x\" used in route",
        ),
        (
            "route: { receiver: a, group_interval: 0s }\nreceivers: [ { name: a } ]",
            "group_interval cannot be zero",
        ),
        (
            "route: { receiver: a, group_by: [ a, a ] }\nreceivers: [ { name: a } ]",
            "duplicated label \"a\" in group_by",
        ),
        (
            "route: { receiver: a, group_by: [ a, '...' ] }\nreceivers: [ { name: a } ]",
            "cannot have wildcard group_by",
        ),
        (
            "route: { receiver: a }\nreceivers: [ { name: a }, { name: a } ]",
            "notification config name \"a\" is not unique",
        ),
        (
            "route: { receiver: a }\nreceivers: [ { name: a, opsgenie_configs: [ {} ] } ]",
            "Skopos has no receiver opsgenie",
        ),
        (
            "route: { receiver: a }\nreceivers: [ { name: a, slack_configs: [ {} ] } ]",
            "no Slack API URL nor App token set",
        ),
        (
            "route: { receiver: a }\nreceivers: [ { name: a, webhook_configs: [ { url: ftp://x } ] } ]",
            "begins with neither http:// nor https://",
        ),
        (
            "route: { receiver: a }\nreceivers: [ { name: a, webhook_confgs: [] } ]",
            "did you mean \"webhook_configs\"?",
        ),
    ] {
        let found = bad(text);
        assert!(found.contains(wrong), "{text}: {found}");
    }
}
