//! `skopos doctor`: what the rooms of a running process say of themselves, and how it ends.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::fakes::slack::{Manner, Slack};
use crate::harness::components::free_port;
use crate::harness::{Skopos, skopos::command};

fn doctor(folder: &Path, url: &str, arguments: &[&str]) -> (i32, String, String) {
    let output = command(folder)
        .args(["doctor", "--url", url])
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// The check of this name, as JSON.
fn check(checks: &Value, room: &str, name: &str) -> Value {
    let all = checks["checks"].as_array().unwrap();
    let found = all
        .iter()
        .find(|check| check["room"] == room && check["name"] == name);
    found
        .unwrap_or_else(|| panic!("no {room} {name} in {checks}"))
        .clone()
}

const WELL: &str = "
groups:
  - name: well
    interval: 1s
    rules:
      - { record: 'load:max', expr: max(node_load1) }
      - { alert: Loaded, expr: 'load:max > -1' }
";

// The program is waited for while the fake answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_has_what_it_needs_ends_well() {
    let folder = tempfile::tempdir().unwrap();
    let slack = Slack::start().await.unwrap();
    let file = folder.path().join("app.log");
    fs::write(&file, "one line\n").unwrap();
    fs::write(folder.path().join("well.yaml"), WELL).unwrap();
    let config = format!(
        "node: {{ interval: 1s }}
global: {{ scrape_interval: 1s, scrape_timeout: 1s }}
rule_files: [well.yaml]
logs: {{ files: ['{}'] }}
notifier: {{ group_wait: 0s, slack: {{ webhook_url: '{}' }} }}
",
        file.display(),
        slack.url()
    );
    let skopos = Skopos::start(folder.path(), &config);
    skopos
        .wait_for(
            "a message is taken and the target is read",
            Duration::from_secs(40),
            async |skopos| {
                !slack.posted().is_empty() && skopos.value("up{job=\"skopos\"}").await == Some(1.0)
            },
        )
        .await;
    let url = skopos.url("");
    let (code, text, wrong) = doctor(folder.path(), &url, &["--live"]);
    assert_eq!((code, wrong.as_str()), (0, ""), "{text}");
    let first = text.lines().next().unwrap();
    assert!(!first.contains("fail") && first.contains(" ok"), "{text}");
    for words in [
        "every rule reads metrics that were seen",
        "1 receiver took the last message",
        "the webhook is there",
        "every target is read",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!text.contains('\u{1b}'), "colour, and no terminal: {text}");
    assert!(!text.contains("not-a-secret"), "{text}");
    let (code, text, _) = doctor(folder.path(), &url, &["--json"]);
    assert_eq!(code, 0);
    let told: Value = serde_json::from_str(&text).unwrap();
    let all = told["checks"].as_array().unwrap();
    let count = |verdict: &str| all.iter().filter(|check| check["verdict"] == verdict).count();
    for verdict in ["fail", "warn", "ok", "off"] {
        assert_eq!(told["counts"][verdict], count(verdict), "{text}");
    }
    assert!(count("ok") >= 14, "{text}");
    assert_eq!(skopos.stop().await, 0);
}

const BAD: &str = "
groups:
  - name: bad
    interval: 1s
    rules:
      - { alert: Loaded, expr: node_load1 > -1 }
      - { alert: Mistyped, expr: node_laod1 > 1 }
";

// The program is waited for while the fake answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_lacks_something_says_what_and_ends_badly() {
    let folder = tempfile::tempdir().unwrap();
    let slack = Slack::start().await.unwrap();
    slack.behave(Manner::Answer(404, "no_service"));
    fs::write(folder.path().join("bad.yaml"), BAD).unwrap();
    let nobody = free_port();
    let config = format!(
        "node: {{ interval: 1s }}
global: {{ scrape_interval: 1s, scrape_timeout: 1s }}
scrape_configs: [{{ job_name: shop, static_configs: [{{ targets: ['127.0.0.1:{nobody}'] }}] }}]
rule_files: [bad.yaml]
logs: {{ files: [] }}
notifier: {{ group_wait: 0s, slack: {{ webhook_url: '{}' }} }}
",
        slack.url()
    );
    let skopos = Skopos::start(folder.path(), &config);
    skopos
        .wait_for("all three are known", Duration::from_secs(40), async |skopos| {
            let told = skopos.api("/api/v1/doctor").await;
            told["counts"]["fail"].as_u64().unwrap() >= 4
        })
        .await;
    let url = skopos.url("");
    let (code, text, _) = doctor(folder.path(), &url, &["--json", "--live"]);
    assert_eq!(code, 1, "{text}");
    let told: Value = serde_json::from_str(&text).unwrap();
    let targets = check(&told, "scrape", "targets");
    assert_eq!(targets["verdict"], "fail");
    assert_eq!(targets["seen"], "1 of 2 targets is down");
    let finding = targets["findings"][0].as_str().unwrap();
    assert!(
        finding.starts_with(&format!("shop 127.0.0.1:{nobody}: cannot connect")),
        "{finding}"
    );
    let input = check(&told, "rules", "input");
    assert_eq!(input["verdict"], "fail");
    assert_eq!(
        input["findings"][0],
        "Mistyped in bad: no series of node_laod1 was ever seen; did you mean node_load1?"
    );
    let receivers = check(&told, "notifier", "receivers");
    assert_eq!(receivers["seen"], "no receiver takes messages: nobody is told");
    assert!(
        receivers["findings"][0].as_str().unwrap().contains("no_service"),
        "{receivers}"
    );
    assert_eq!(check(&told, "notifier", "lost messages")["verdict"], "fail");
    let asked = check(&told, "notifier", "receivers, asked now");
    assert_eq!(asked["verdict"], "fail");
    let finding = asked["findings"][0].as_str().unwrap();
    assert!(finding.contains("no_service"), "{finding}");
    let (code, text, _) = doctor(folder.path(), &url, &[]);
    assert_eq!(code, 1);
    assert!(text.starts_with("4 fail, "), "{text}");
    assert!(
        text.contains("▲ fail  targets") && text.contains("→ mend the name"),
        "{text}"
    );
    assert_eq!(skopos.stop().await, 0);
}

#[test]
fn where_nobody_answers_it_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (code, text, wrong) = doctor(folder.path(), "http://127.0.0.1:1", &[]);
    assert_eq!((code, text.as_str()), (2, ""));
    assert!(
        wrong
            .contains("nobody answers at http://127.0.0.1:1; start skopos, or name a running one with --url"),
        "{wrong}"
    );
}
