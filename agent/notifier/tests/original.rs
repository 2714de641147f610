//! What is shown of the configuration in force holds no secret, and Alertmanager's own tool reads it.

use std::path::Path;
use std::process::Command;

use super::world::config;
use crate::alertmanager::tests::no_files;
use crate::config::Config;
use crate::plan::Plan;

/// Every secret has `s3cret` in it.
const WHOLE: &str = r##"
global:
  resolve_timeout: 7m
  slack_api_url: https://hooks.slack.com/services/T0/s3cret/a
  smtp_smarthost: mail.example.org:587
  smtp_from: a@example.org
  smtp_auth_username: us
  smtp_auth_password: s3cret-b
  opsgenie_api_key: s3cret-c
  telegram_bot_token: "s3cret-d"
  http_config:
    proxy_url: http://us:s3cret-e@proxy.example:3128
    proxy_connect_header: { X-Key: [ s3cret-f ] }
    http_headers:
      X-Team: { values: [ ops ], secrets: [ s3cret-g, 's3cret-h' ] }
# A comment.
route:
  receiver: all
  group_by: [ alertname, 'cluster' ]
  routes:
  - matchers: [ 'team="db"', 'severity=~"page|critical"' ]
    receiver: db
    group_by: [ '...' ]
    group_wait: 0s
    repeat_interval: 1d
    continue: true
    mute_time_intervals: [ night ]
    routes:
    - match: { password: 'yes' }
      receiver: all
  - match_re: { service: ^(foo|bar)$ }
    receiver: all
receivers:
- name: all
  slack_configs:
  - channel: '#alerts'
    title: '{{ .CommonLabels.alertname }}'
    text: |
      many
        lines: {{ .Status }}
    actions: [ { type: button, text: look, url: 'https://x.example' } ]
  webhook_configs:
  - url: https://s3cret-i.example/hook
    max_alerts: 3
    http_config:
      tls_config:
        cert: |
          -----BEGIN CERTIFICATE-----
        key: |
          s3cret-j
          s3cret-k
      oauth2: { client_id: me, client_secret: s3cret-l, token_url: 'https://us:s3cret-m@id.example/token' }
  - url: http://localhost:5001/s3cret
    http_config: { basic_auth: { username: me, password: s3cret-n } }
  email_configs:
  - { to: ops@example.org, auth_password: s3cret-o, headers: { password: shown } }
- name: db
  pagerduty_configs:
  - { routing_key: s3cret-p, details: { key: shown, url: shown } }
  - routing_key_file: key
    http_config: { authorization: { credentials: s3cret-q } }
time_intervals:
- name: night
  time_intervals:
  - times: [ { start_time: '22:00', end_time: '24:00' } ]
    weekdays: [ 'monday:friday' ]
inhibit_rules:
- source_matchers: [ severity=critical ]
  target_match: { severity: warning }
  equal: [ alertname ]
tracing: { endpoint: 'x:1', headers: { x-key: { values: [ s3cret-r ] } } }
"##;

fn read(text: &str) -> Result<Config, String> {
    // A certificate is looked at before it is needed, and what stands there is none.
    let mut config = Config::default();
    let read = config.read_file("alertmanager.yml", text, Path::new("/etc"), &no_files);
    read.map_err(|mistakes| mistakes.iter().map(|one| format!("{one}\n")).collect::<String>())?;
    Ok(config)
}

/// Without the certificate, which is none.
fn whole() -> String {
    let from = WHOLE.find("      tls_config:").unwrap();
    let to = WHOLE.find("      oauth2:").unwrap();
    format!("{}{}", &WHOLE[..from], &WHOLE[to..])
}

fn original(config: &Config) -> String {
    Plan::of(config).original.to_string()
}

/// What Alertmanager's tool says of a file, or nothing where it is not there.
fn amtool(text: &str, arguments: &[&str]) -> Option<String> {
    let tool = programs::find("amtool")?;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("alertmanager.yml");
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new(tool);
    if arguments.is_empty() {
        command.arg("check-config").arg(&file);
    } else {
        command
            .args(arguments)
            .arg(format!("--config.file={}", file.display()));
    }
    let (code, said) = programs::run(&mut command);
    assert_eq!(code, 0, "{said}\n{text}");
    Some(said)
}

const ROUTES: [&[&str]; 4] = [
    &["config", "routes", "show"],
    &["config", "routes", "test", "team=db", "severity=page"],
    &[
        "config",
        "routes",
        "test",
        "team=db",
        "severity=page",
        "password=yes",
    ],
    &["config", "routes", "test", "service=foo"],
];

#[test]
fn a_file_is_shown_as_it_is_without_its_secrets() {
    let text = whole();
    let shown = original(&read(&text).unwrap());
    assert!(!shown.contains("s3cret"), "{shown}");
    for kept in [
        "slack_api_url: <secret>",
        "opsgenie_api_key: <secret>",
        "proxy_url: http://us:xxxxx@proxy.example:3128",
        "client_secret: <secret>",
        "url: <secret>",
        "https://x.example",
        "url: shown",
        "key: shown",
        "password: shown",
    ] {
        assert!(shown.contains(kept), "{kept}\nnot in\n{shown}");
    }
    assert!(!shown.contains("tracing"), "{shown}");
    let places = [
        "global:",
        "route:",
        "receivers:",
        "time_intervals:",
        "inhibit_rules:",
    ];
    let places: Vec<usize> = places
        .iter()
        .map(|key| shown.find(&format!("\n{key}")).unwrap_or(0))
        .collect();
    assert!(places.is_sorted(), "not in the file's order:\n{shown}");
}

#[test]
fn amtool_finds_the_same_routes_in_what_is_shown() {
    let text = whole();
    let shown = original(&read(&text).unwrap());
    if amtool(&shown, &[]).is_none() {
        return;
    }
    for arguments in ROUTES {
        assert_eq!(
            amtool(&shown, arguments),
            amtool(&text, arguments),
            "{arguments:?}"
        );
    }
}

#[test]
fn our_own_configuration_is_shown_in_alertmanagers_words() {
    let text = "\
        slack: { bot_token: xoxb-s3cret, channel: '#ops', timeout: 20s }\n\
        pagerduty: { routing_key: s3cret6789abcdef0123456789abcdef }\n\
        email: { to: a@example.org, from: b@example.org, smarthost: 'mail.example.org:465', username: me, password: s3cret }\n\
        webhook:\n\
        - { url: 'https://hooks.example/s3cret', bearer_token: s3cret, max_alerts: 7 }\n\
        - { name: last, url_file: /run/url, http_config: { proxy_url: 'http://us:s3cret@proxy:1', http_headers: { A: { \
        secrets: [ s3cret ], values: [ 'yes' ] } } } }\n\
        http_config: { tls_config: { ca_file: /etc/ca.pem, min_version: TLS13 }, oauth2: { client_id: me, client_secret: \
        s3cret, token_url: 'https://id.example/token' } }\n\
        fallback: last\n\
        group_by: [ alertname, job ]\n\
        group_wait: 10s\n";
    let own = config(text);
    assert_eq!(own.complaints(), Vec::<String>::new());
    let shown = original(&own);
    assert!(!shown.contains("s3cret"), "{shown}");
    // We read it as it is meant; a secret that is not there is what it is called.
    let again = shown.replace("url: <secret>", "url: https://x.example");
    let again = read(&again).unwrap_or_else(|mistakes| panic!("{mistakes}{shown}"));
    let names: Vec<String> = Plan::of(&again)
        .receivers
        .iter()
        .map(|one| one.name.to_string())
        .collect();
    assert_eq!(
        names,
        [
            "default/slack[0]",
            "default/pagerduty[0]",
            "default/email[0]",
            "default/webhook[0]",
            "fallback/webhook[0]"
        ]
    );
    let route = Plan::of(&again).tree.routes().next().unwrap().clone();
    assert_eq!(
        route.group_by,
        Some(vec!["alertname".to_owned(), "job".to_owned()])
    );
    assert_eq!(route.timing.group_wait, std::time::Duration::from_secs(10));
    if amtool(&shown, &[]).is_none() {
        return;
    }
    let routes = amtool(&shown, &["config", "routes", "show"]).unwrap();
    assert!(routes.contains("receiver: default"), "{routes}");
    // Nothing configured at all is a file as well.
    amtool(&original(&Config::default()), &[]);
}

#[test]
fn no_mistake_quotes_a_secret() {
    for (from, to) in [
        // On the line of a secret, above and below one.
        (
            "{ routing_key: s3cret-p, details",
            "{ routing_key: s3cret-p, detials",
        ),
        ("max_alerts: 3", "max_alert: 3"),
        ("resolve_timeout: 7m", "resolve_timeot: 7m"),
        (
            "{ client_id: me, client_secret: s3cret-l",
            "{ client_d: me, client_secret: s3cret-l",
        ),
        (
            "smtp_auth_password: s3cret-b",
            "smtp_auth_passwrd: 1\n  smtp_auth_password: s3cret-b",
        ),
        (
            "auth_password: s3cret-o, headers: {",
            "auth_password: s3cret-o, headers: [ {",
        ),
        ("routing_key: s3cret-p,", "routing_key: [ s3cret-p ],"),
        ("password: s3cret-n", "password: { s3cret-n: s3cret-n }"),
        ("secrets: [ s3cret-g, 's3cret-h' ]", "secrets: { a: s3cret-g }"),
        (
            "telegram_bot_token: \"s3cret-d\"",
            "telegram_bot_token: \"s3cret-d",
        ),
        ("receiver: db", "receiver: nobody"),
        ("https://s3cret-i.example/hook", "ftp://s3cret-i.example/hook"),
    ] {
        for text in [whole(), WHOLE.to_owned()] {
            let wrong = text.replacen(from, to, 1);
            let found = read(&wrong).expect_err(to);
            assert!(!found.contains("s3cret"), "{to}: {found}");
        }
    }
    let found = read(&whole().replacen(
        "{ routing_key: s3cret-p, details",
        "{ routing_key: s3cret-p, detials",
        1,
    ))
    .unwrap_err();
    assert!(found.contains("- { routing_key: <secret>, detials:"), "{found}");
    // The mark still points to its place.
    let lines: Vec<&str> = found.lines().collect();
    let place = lines[1].find("detials").unwrap();
    assert_eq!(lines[2].chars().nth(place), Some('^'), "{found}");
}

#[test]
fn secrets_in_the_file_itself_are_warned_of_by_their_places() {
    let config = read(&whole()).unwrap();
    let notes: Vec<String> = config.notes().iter().map(ToString::to_string).collect();
    let last = notes.last().unwrap();
    assert!(
        last.starts_with("alertmanager.yml: secrets are written here, and whoever may read this file has them: global.slack_api_url, "),
        "{last}"
    );
    assert!(last.contains(" more; their keys that end in _file"), "{last}");
    assert!(!notes.concat().contains("s3cret"), "{notes:?}");
    let none = "route: { receiver: a }\nreceivers: [ { name: a, webhook_configs: [ { url: 'http://localhost:1/' }, { url_file: x } ] } ]";
    assert!(read(none).unwrap().notes().is_empty());
}
