//! The whole path, as its user lives it: a disk fills, somebody is told once, it is freed, somebody is told once.

use std::time::Duration;

use serde_json::Value;

use crate::abuse::Tmpfs;
use crate::fakes::slack::{Manner, Slack};
use crate::harness::Skopos;

async fn alert(skopos: &Skopos) -> Option<Value> {
    skopos.api("/api/v1/alerts").await["alerts"]
        .as_array()
        .and_then(|alerts| alerts.first().cloned())
}

async fn state(skopos: &Skopos) -> String {
    alert(skopos).await.map_or("none".to_owned(), |alert| {
        alert["state"].as_str().unwrap().to_owned()
    })
}

#[tokio::test]
async fn a_disk_fills_and_is_freed_with_kill_9_in_the_middle_and_one_message_each() {
    let Some(disk) = Tmpfs::mount("8m") else { return };
    let slack = Slack::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mountpoint = disk.0.path().display();
    std::fs::write(
        folder.path().join("story.yaml"),
        format!(
            "groups:
  - name: story
    interval: 1s
    rules:
      - alert: DiskFull
        expr: node_filesystem_avail_bytes{{mountpoint=\"{mountpoint}\"}} / node_filesystem_size_bytes < 0.2
        for: 10s
        labels: {{ severity: critical }}
        annotations:
          summary: 'only {{{{ $value | humanizePercentage }}}} of {{{{ $labels.mountpoint }}}} is left'
"
        ),
    )
    .unwrap();
    let config = format!(
        "node: {{ interval: 1s }}
rule_files: ['story.yaml']
rules: {{ shipped: false }}
logs: {{ files: [] }}
notifier:
  group_wait: 0s
  group_interval: 1s
  resolve_wait: 0s
  slack: {{ webhook_url: '{}' }}
",
        slack.url()
    );
    let mut skopos = Skopos::start(folder.path(), &config);
    skopos
        .wait_for(
            "the file system is seen",
            Duration::from_secs(15),
            async |skopos| {
                skopos
                    .value(&format!(
                        "node_filesystem_size_bytes{{mountpoint=\"{mountpoint}\"}}"
                    ))
                    .await
                    .is_some()
            },
        )
        .await;
    assert_eq!(state(&skopos).await, "none");

    // It fills: pending, on the API and on the page, and nobody is told yet.
    let filler = disk.0.path().join("filler");
    std::fs::write(&filler, vec![1u8; 7 << 20]).unwrap();
    skopos
        .wait_for("pending", Duration::from_secs(10), async |skopos| {
            state(skopos).await == "pending"
        })
        .await;
    let pending = alert(&skopos).await.unwrap();
    assert!(
        skopos
            .page("/")
            .await
            .contains("Nothing fires yet; DiskFull will at"),
        "not pending on the page"
    );
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(slack.posted().is_empty());

    // Killed while pending: it goes on where it was.
    skopos.kill_and_restart();
    skopos
        .wait_for("firing", Duration::from_secs(20), async |skopos| {
            state(skopos).await == "firing"
        })
        .await;
    let firing = alert(&skopos).await.unwrap();
    assert_eq!(
        firing["activeAt"], pending["activeAt"],
        "`for` began anew after the kill"
    );
    skopos
        .wait_for("the message", Duration::from_secs(10), async |_| {
            slack.posted().len() == 1
        })
        .await;
    let message = slack.posted().remove(0);
    let text = message.lines().join("\n");
    assert!(
        text.contains("DiskFull") && text.contains("% of") && text.contains("is left"),
        "{text}"
    );
    assert!(
        skopos.page("/").await.contains("DiskFull is firing"),
        "not firing on the page"
    );
    assert_eq!(
        skopos
            .value("ALERTS{alertname=\"DiskFull\",alertstate=\"firing\"}")
            .await,
        Some(1.0)
    );

    // Killed while firing: nobody is told again.
    skopos.kill_and_restart();
    assert_eq!(
        state(&skopos).await,
        "firing",
        "restored before the first evaluation"
    );
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(slack.posted().len(), 1, "told twice");

    // Freed while Slack does not answer: told once it does.
    slack.behave(Manner::Answer(503, "service_unavailable"));
    std::fs::remove_file(&filler).unwrap();
    skopos
        .wait_for("resolved", Duration::from_secs(15), async |skopos| {
            state(skopos).await == "none"
        })
        .await;
    skopos
        .wait_for("a refused try", Duration::from_secs(15), async |_| {
            !slack.refused().is_empty()
        })
        .await;
    slack.behave(Manner::Well);
    skopos
        .wait_for("the second message", Duration::from_secs(30), async |_| {
            slack.posted().len() == 2
        })
        .await;
    let text = slack.posted()[1].lines().join("\n");
    assert!(text.to_lowercase().contains("resolved"), "{text}");
    let alerts = skopos.page("/alerts").await;
    for told in ["new message, 1 alert", "resolved"] {
        assert!(
            alerts.contains(told),
            "the page does not say that somebody was told: {told}
{alerts}"
        );
    }
    assert!(skopos.page("/").await.contains("Nothing is wrong"));
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(slack.posted().len(), 2);
    assert!(
        slack.refused().iter().all(|refused| refused.status == 503),
        "a payload Slack would refuse: {:?}",
        slack.refused()
    );
    assert_eq!(skopos.stop().await, 0);
}
