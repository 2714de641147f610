//! What a message shows beside the alert: its log lines and its value, from the files and samples of a running process.

use std::fs;
use std::time::Duration;

use crate::fakes::slack::{self, Slack};
use crate::harness::Skopos;

/// Starts with one log file, an alert about it and one about another file.
async fn alerted(folder: &std::path::Path, slack: &str, evidence: &str) -> Skopos {
    let file = folder.join("app.log");
    let rules = format!(
        "groups:
  - name: evidence
    interval: 1s
    rules:
      - alert: AppFails
        expr: vector(time()) > 0
        for: 5s
        labels: {{ filename: '{}' }}
      - alert: OtherFails
        expr: node_load1 > -1
        for: 5s
        labels: {{ filename: '{}' }}
",
        file.display(),
        folder.join("elsewhere/app.log").display()
    );
    fs::write(folder.join("evidence.yaml"), rules).unwrap();
    fs::write(&file, "").unwrap();
    let config = format!(
        "node: {{ interval: 1s }}
rule_files: [evidence.yaml]
rules: {{ shipped: false }}
logs: {{ files: ['{}'], read_from: beginning }}
notifier: {{ group_wait: 0s, group_interval: 1s, evidence: {evidence}, slack: {{ {slack} }} }}
",
        file.display()
    );
    let skopos = Skopos::start(folder, &config);
    let lines: String = (1..=6)
        .map(|nth| format!("ERROR order {nth} <lost> `for ever`\n"))
        .collect();
    fs::write(&file, lines).unwrap();
    skopos
}

#[tokio::test]
async fn a_card_shows_the_last_lines_of_the_alerts_file_and_the_course_of_its_value() {
    let (folder, slack) = (tempfile::tempdir().unwrap(), Slack::start().await.unwrap());
    let skopos = alerted(
        folder.path(),
        &format!("webhook_url: '{}'", slack.url()),
        "{ lines: 4 }",
    )
    .await;
    skopos
        .wait_for("both cards", Duration::from_secs(40), async |_| {
            slack.posted().len() >= 2
        })
        .await;
    let posted = slack.posted();
    let card = |name: &str| {
        let card = posted.iter().find(|posted| posted.text().contains(name)).unwrap();
        card.lines().join("\n")
    };
    let app = card("AppFails");
    assert!(
        app.contains("Last 4 log lines of app.log, in UTC\n```\n"),
        "{app}"
    );
    for nth in 1..=6 {
        let line = format!("ERROR ERROR order {nth} &lt;lost&gt; 'for ever'");
        assert_eq!(app.contains(&line), nth > 2, "{app}");
    }
    // The clock rises in each of the thirty steps.
    let course = "*Value, last 1h*\n▁▁▁▁▂▂▂▂▃▃▃▄▄▄▄▅▅▅▅▆▆▆▇▇▇▇████ last 1";
    assert!(app.contains(course), "{app}");
    // Of this value there are only the first samples yet.
    let other = card("OtherFails");
    assert!(!other.contains("log line") && !other.contains("order"), "{other}");
    assert!(!other.contains("Value, last"), "{other}");
    assert!(slack.refused().is_empty(), "{:?}", slack.refused());
    let asked = skopos
        .page("/metrics")
        .await
        .lines()
        .any(|line| line.starts_with("skopos_notifier_evidence_total{outcome=\"in_time\"} "));
    assert!(asked);
    skopos.assert_accounts().await;
    assert_eq!(skopos.stop().await, 0);
}

#[tokio::test]
async fn an_app_replies_with_the_lines_and_none_are_sent_where_they_are_not_wanted() {
    for (lines, messages) in [(4, 3), (0, 2)] {
        let (folder, slack) = (tempfile::tempdir().unwrap(), Slack::start().await.unwrap());
        let reached = format!(
            "bot_token: {}, channel: '{}', api_url: '{}'",
            slack::TOKEN,
            slack::CHANNEL,
            slack.method()
        );
        let skopos = alerted(
            folder.path(),
            &reached,
            &format!("{{ lines: {lines}, picture: {} }}", lines > 0),
        )
        .await;
        skopos
            .wait_for("cards and replies", Duration::from_secs(40), async |_| {
                slack.kept().len() >= messages
            })
            .await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let kept = slack.kept();
        let with_lines: Vec<_> = kept
            .iter()
            .filter(|kept| kept.payload.to_string().contains("order 6"))
            .collect();
        assert_eq!(
            (kept.len(), with_lines.len()),
            (messages, messages - 2),
            "{kept:?}"
        );
        assert!(with_lines.iter().all(|kept| kept.thread_ts.is_some()), "{kept:?}");
        assert!(slack.refused().is_empty(), "{:?}", slack.refused());
        skopos.assert_accounts().await;
        assert_eq!(skopos.stop().await, 0);
    }
}
