//! Messages by the templates of a file, beside a real Alertmanager under the same file: both write the same.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::alerting::Alertmanager;
use crate::fakes::mail::MailServer;
use crate::fakes::slack::{self, Slack};
use crate::harness::components::run;
use crate::harness::{Skopos, skopos::command};

const OUTSIDE: &str = "http://outside:9093";

const FILE: &str = r##"
templates: [ '*.tmpl' ]
route:
  receiver: everybody
  group_by: [ alertname ]
  group_wait: 3s
  group_interval: 2s
receivers:
- name: everybody
  slack_configs:
  - api_url: SINK/slack-whole
    send_resolved: true
    channel: '#{{ .CommonLabels.team }}-alerts'
    username: '{{ template "slack.default.username" . }}'
    title: '[{{ .Status | toUpper }}{{ if eq .Status "firing" }}:{{ .Alerts.Firing | len }}{{ end }}] {{ .CommonLabels.alertname }}'
    title_link: '{{ template "slack.default.titlelink" . }}&x={{ .GroupLabels.alertname | urlquery }}'
    color: '{{ template "color.of" . }}'
    icon_emoji: ':fire:'
    footer: '{{ len .Alerts }} alerts'
    text: >-
      {{ range .Alerts }}*{{ .Annotations.summary }}* `{{ .Labels.severity }}`
      {{ range .Labels.SortedPairs }}• *{{ .Name }}:* {{ .Value }}
      {{ end }}{{ if .Annotations.runbook_url }}<{{ .Annotations.runbook_url }}|runbook>{{ end }}
      {{ .StartsAt.Format "2006-01-02 15:04:05" }} {{ .EndsAt.IsZero }}{{ end }}
  - api_url: SINK/slack-parts
    send_resolved: true
    username: watch
    link_names: true
    short_fields: true
    message_text: '<!here> {{ .CommonAnnotations.summary }}'
    pretext: '{{ .CommonAnnotations.SortedPairs }}'
    mrkdwn_in: [ text ]
    image_url: 'http://x/{{ .GroupLabels.alertname }}.png'
    fields:
    - title: Severity
      value: '{{ .CommonLabels.severity }}'
    - title: '{{ .Receiver }}'
      value: '{{ .GroupLabels.Values | join "," }}'
      short: false
    actions:
    - type: button
      text: 'Runbook {{ .GroupLabels.alertname }}'
      url: '{{ (index .Alerts 0).Annotations.runbook_url }}'
      style: primary
      name: dropped
    - type: button
      text: Silence
      name: silence
      value: '{{ .CommonLabels.alertname }}'
      confirm: { text: 'Really?', ok_text: '{{ toUpper "yes" }}' }
  pagerduty_configs:
  - url: SINK/pagerduty
    routing_key: 0123456789abcdef0123456789abcdef
    description: '{{ .CommonLabels.alertname }}: {{ .CommonAnnotations.summary }}'
    client: watch
    client_url: '{{ .ExternalURL }}/here'
    source: '{{ .CommonLabels.team }}'
    severity: '{{ if eq (len .Alerts.Firing) 0 }}info{{ else }}critical{{ end }}'
    class: '{{ .CommonLabels.alertname }}'
    component: '{{ .CommonLabels.nothing }}c'
    group: g
    details:
      firing: '{{ template "pagerduty.default.instances" .Alerts.Firing }}'
      count: '{{ .Alerts.Firing | len }}'
      word: 'so {{ .Status }}'
      nested: { 'list of {{ .Status }}': [ '{{ .GroupLabels.alertname }}', 2, true ] }
    images:
    - { src: 'https://x/{{ .Status }}.png', alt: picture, href: 'https://x' }
    - { src: '', alt: none }
    links:
    - { href: 'https://x/{{ .GroupLabels.alertname }}', text: '{{ .Status }}' }
    - { href: '{{ .CommonLabels.nothing }}', text: none }
"##;

const TEMPLATES: &str = r##"
{{ define "color.of" }}{{ if eq .Status "firing" }}{{ if eq .CommonLabels.severity "page" }}#ff0000{{ else }}warning{{ end }}{{ else }}good{{ end }}{{ end }}
{{ define "slack.default.username" }}{{ .Receiver | title }}{{ end }}
"##;

/// What came, by its path.
type Came = Arc<Mutex<BTreeMap<String, Vec<Value>>>>;

async fn sink() -> (String, Came) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let came = Came::default();
    let shared = Arc::clone(&came);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(take(stream, Arc::clone(&shared)));
        }
    });
    (url, came)
}

async fn take(mut stream: TcpStream, came: Came) {
    let mut bytes = Vec::new();
    loop {
        let head = memchr::memmem::find(&bytes, b"\r\n\r\n").map(|end| end + 4);
        let request = head.and_then(|end| {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let rest = head.split_once("content-length:").map_or("0", |(_, rest)| rest);
            let length = rest.lines().next()?.trim().parse::<usize>().ok()?;
            let body = bytes.get(end..end + length)?;
            let path = head.split(' ').nth(1)?.to_owned();
            // A GET has none.
            let body = serde_json::from_slice(body).unwrap_or_default();
            Some((path, body, end + length))
        });
        if let Some((path, body, length)) = request {
            came.lock().unwrap().entry(path).or_default().push(body);
            bytes.drain(..length);
            let answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok";
            if stream.write_all(answer).await.is_err() {
                return;
            }
        } else if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
    }
}

/// Without what is empty, and what each of them has its own of.
fn told(mut message: Value) -> Value {
    if let Some(map) = message.as_object_mut() {
        for key in ["dedup_key", "timestamp", "num_firing", "num_resolved"] {
            map.remove(key);
        }
        // PagerDuty needs neither for an end, and Skopos sends neither.
        if map.get("event_action") == Some(&json!("resolve")) {
            map.retain(|key, _| matches!(key.as_str(), "event_action" | "routing_key"));
        }
        // Said by default, in another form.
        if map.contains_key("nested") {
            map.remove("resolved");
        }
        map.retain(|_, value| *value != json!(""));
        for value in map.values_mut() {
            *value = told(value.take());
        }
    }
    if let Some(list) = message.as_array_mut() {
        for value in list {
            *value = told(value.take());
        }
    }
    message
}

async fn wait_for(came: &Came, count: usize) {
    let end = Instant::now() + Duration::from_secs(30);
    let paths = ["/slack-whole", "/slack-parts", "/pagerduty"];
    loop {
        let has = |path: &&str| came.lock().unwrap().get(*path).map_or(0, Vec::len) >= count;
        if paths.iter().all(has) {
            return;
        }
        assert!(Instant::now() < end, "{:#?}", came.lock().unwrap());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_real_alertmanager_writes_the_same_messages() {
    let folder = tempfile::tempdir().unwrap();
    let ((our_sink, ours_came), (their_sink, theirs_came)) = (sink().await, sink().await);
    let (our_file, their_file) = (folder.path().join("ours.yml"), folder.path().join("theirs.yml"));
    std::fs::write(&our_file, FILE.replace("SINK", &our_sink)).unwrap();
    std::fs::write(&their_file, FILE.replace("SINK", &their_sink)).unwrap();
    std::fs::write(folder.path().join("own.tmpl"), TEMPLATES).unwrap();
    let outside = format!("--web.external-url={OUTSIDE}");
    let theirs =
        Alertmanager::start_with(folder.path(), &their_file, &[&outside, "--web.route-prefix=/"]).await;
    let Some(theirs) = theirs else {
        return;
    };
    let config = format!(
        "logs: {{ enabled: false }}\nrules: {{ shipped: false }}\nnotifier: {{ config_file: ours.yml, external_url: \
         '{OUTSIDE}', resolve_wait: null, repeat_on_tick: true }}\n"
    );
    let skopos = Skopos::start(folder.path(), &config);
    let urls = [skopos.url(""), theirs.url.clone()];
    let now = jiff::Timestamp::now();
    let at = |seconds: i64| (now + jiff::SignedDuration::from_secs(seconds)).to_string();
    let alert = |name: &str, n: &str, severity: &str, summary: &str| {
        json!({
            "labels": { "alertname": name, "n": n, "severity": severity, "team": "shop" },
            "annotations": { "summary": summary, "runbook_url": "https://x/?a=1&b=<2>" },
            "generatorURL": "http://prometheus/graph?g0.expr=up",
            "startsAt": at(0),
        })
    };
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let post = async |alerts: &Value| {
        for url in &urls {
            let answer = client.post(format!("{url}/api/v2/alerts")).json(alerts);
            assert!(answer.send().await.unwrap().status().is_success());
        }
    };
    let mut alerts = json!([
        alert("Slow", "a", "page", "it is slow: \"é\" & <b>"),
        alert("Slow", "b", "page", "it is slow: \"é\" & <b>"),
    ]);
    post(&alerts).await;
    wait_for(&ours_came, 1).await;
    wait_for(&theirs_came, 1).await;
    alerts[0]["endsAt"] = json!(at(1));
    alerts
        .as_array_mut()
        .unwrap()
        .push(alert("Slow", "c", "warn", "another"));
    post(&alerts).await;
    wait_for(&ours_came, 2).await;
    wait_for(&theirs_came, 2).await;
    for nth in [1, 2] {
        alerts[nth]["endsAt"] = json!(at(2));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    // An end that is posted twice Alertmanager tells twice, and Skopos does not.
    alerts.as_array_mut().unwrap().remove(0);
    post(&alerts).await;
    wait_for(&ours_came, 3).await;
    wait_for(&theirs_came, 3).await;
    let (ours, theirs) = (
        ours_came.lock().unwrap().clone(),
        theirs_came.lock().unwrap().clone(),
    );
    for (path, theirs) in theirs {
        let ours = ours.get(&path).cloned().unwrap_or_default();
        for (nth, their) in theirs.into_iter().take(3).enumerate() {
            let (our, their) = (told(ours[nth].clone()), told(their));
            assert_eq!(our, their, "{path}, message {nth}");
        }
    }
    assert_eq!(skopos.stop().await, 0);
}

#[tokio::test]
async fn a_running_process_beats_and_a_check_asks_receivers_without_telling_them_anything() {
    let folder = tempfile::tempdir().unwrap();
    let (sink, came) = sink().await;
    let slack = Slack::start().await.unwrap();
    let config = format!(
        "logs: {{ enabled: false }}\nnotifier:\n  heartbeat: {{ url: '{sink}/beat', interval: 1s }}\n  \
         slack: {{ webhook_url: '{}' }}\n  webhook: [{{ url: '{sink}/hook' }}]\n",
        slack.url()
    );
    let skopos = Skopos::start(folder.path(), &config);
    let end = Instant::now() + Duration::from_secs(30);
    while came.lock().unwrap().get("/beat").map_or(0, Vec::len) < 3 {
        assert!(Instant::now() < end, "{:?}", came.lock().unwrap());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(skopos.stop().await, 0);
    let check = async |text: &str| {
        std::fs::write(folder.path().join("skopos.yaml"), text).unwrap();
        let mut command = command(folder.path());
        command.args(["check", "--live", "skopos.yaml"]);
        tokio::task::spawn_blocking(move || run(&mut command))
            .await
            .unwrap()
    };
    let (code, text) = check(&config).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("slack: the webhook is there"), "{text}");
    assert!(text.contains("webhook: answers (200 to a GET)"), "{text}");
    let app = format!(
        "logs: {{ enabled: false }}\nnotifier:\n  slack: {{ bot_token: TOKEN, channel: '#ops', api_url: '{}' }}\n",
        slack.method()
    );
    let (code, text) = check(&app.replace("TOKEN", slack::TOKEN)).await;
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("slack #ops: the token is that of skopos in"),
        "{text}"
    );
    let (code, text) = check(&app.replace("TOKEN", "xoxb-wrong")).await;
    assert!(code == 1 && text.contains("invalid_auth"), "{code}: {text}");
    let gone = config.replace(slack.url(), "http://127.0.0.1:1/services/x");
    let (code, text) = check(&gone).await;
    assert!(code == 1 && text.contains("slack: "), "{code}: {text}");
    assert_eq!((slack.posted().len(), slack.kept().len()), (0, 0));
    let test = async |text: &str, only: &[&str]| {
        std::fs::write(folder.path().join("skopos.yaml"), text).unwrap();
        let mut command = command(folder.path());
        command.args(["test", "receivers", "skopos.yaml"]).args(only);
        tokio::task::spawn_blocking(move || run(&mut command))
            .await
            .unwrap()
    };
    let (code, text) = test(&config, &[]).await;
    assert!(
        code == 0 && text.contains("slack: 200\n") && text.contains("webhook: 200\n"),
        "{text}"
    );
    assert_eq!(slack.posted().len(), 1);
    let (code, text) = test(&config, &["webhook"]).await;
    assert!(code == 0 && !text.contains("slack"), "{text}");
    assert_eq!(slack.posted().len(), 1);
    let (code, text) = test(&config, &["mail"]).await;
    assert!(
        code == 1 && text.contains("no receiver is called \"mail\""),
        "{text}"
    );
    let (code, text) = test(&app.replace("TOKEN", "xoxb-wrong"), &[]).await;
    assert!(code == 1 && text.contains("invalid_auth"), "{text}");
}

const MAIL_FILE: &str = r##"
global:
  smtp_smarthost: 'localhost:PORT'
  smtp_from: 'Watch <watch@example.org>'
  smtp_require_tls: false
  smtp_hello: here.example.org
route:
  receiver: everybody
  group_by: [ alertname ]
  group_wait: 3s
receivers:
- name: everybody
  email_configs:
  - to: '{{ .CommonLabels.team }}@example.org, Ann É <ann@example.org>'
    send_resolved: true
    headers:
      X-Team: '{{ .CommonLabels.team | toUpper }} é'
    text: |
      {{ range .Alerts }}{{ .Annotations.summary }} {{ .Labels.n }}
      {{ end }}. 
      a dot above, é and a very long line: {{ printf "%0200d" 7 }}
    html: >-
      <p>{{ .CommonAnnotations.summary }}</p>{{ range .Alerts }}<a href="{{ .Annotations.runbook_url }}"
      title="{{ .Annotations.summary }}">{{ .Labels.n }}</a>{{ end }}<a href="x?{{ .GroupLabels.alertname }} y">y</a>
"##;

#[tokio::test]
async fn a_real_alertmanager_writes_the_same_mail() {
    let folder = tempfile::tempdir().unwrap();
    let (Some(our_server), Some(their_server)) = (
        MailServer::start("plain", None).await,
        MailServer::start("plain", None).await,
    ) else {
        return;
    };
    let (our_file, their_file) = (folder.path().join("ours.yml"), folder.path().join("theirs.yml"));
    for (file, server) in [(&our_file, &our_server), (&their_file, &their_server)] {
        std::fs::write(file, MAIL_FILE.replace("PORT", &server.port.to_string())).unwrap();
    }
    let Some(theirs) = Alertmanager::start(folder.path(), &their_file).await else {
        return;
    };
    let config = "logs: { enabled: false }\nrules: { shipped: false }\nnotifier: { config_file: ours.yml }\n";
    let skopos = Skopos::start(folder.path(), config);
    let alerts = json!([
        { "labels": { "alertname": "Slow", "n": "a", "team": "shop" },
          "annotations": { "summary": "it is slow: \"é\" & <b>", "runbook_url": "https://x/?a=1&b=<2>" } },
        { "labels": { "alertname": "Slow", "n": "b", "team": "shop" },
          "annotations": { "summary": "it is slow: \"é\" & <b>", "runbook_url": "javascript:alert(1)" } },
    ]);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for url in [skopos.url(""), theirs.url.clone()] {
        let answer = client.post(format!("{url}/api/v2/alerts")).json(&alerts);
        assert!(answer.send().await.unwrap().status().is_success());
    }
    let ours = our_server.taken(1).await.remove(0);
    let theirs = their_server.taken(1).await.remove(0);
    for key in ["from", "to", "type", "parts", "hello", "tls"] {
        assert_eq!(ours[key], theirs[key], "{key}\n{ours:#}\n{theirs:#}");
    }
    for name in ["Subject", "From", "X-Team"] {
        assert_eq!(ours["headers"][name], theirs["headers"][name], "{name}");
    }
    assert_eq!(ours["defects"], json!([]), "{ours:#}");
    assert_eq!(skopos.stop().await, 0);
}
