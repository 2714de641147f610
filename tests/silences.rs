//! amtool, as people have it: a silence is added, listed and ended by it, on one process and on a pair.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::harness::Skopos;
use crate::harness::components::{find, run};
use crate::harness::estate::Estate;

/// Runs `amtool silence …` against a process: what it prints, once it has ended well.
async fn silence(amtool: &std::path::Path, skopos: &Skopos, arguments: &[&str]) -> String {
    let mut command = Command::new(amtool);
    command
        .arg(format!("--alertmanager.url={}", skopos.url("/")))
        .arg("silence")
        .args(arguments);
    let shown = format!("{command:?}");
    // The fakes run in this thread.
    let (code, text) = tokio::task::spawn_blocking(move || run(&mut command))
        .await
        .unwrap();
    assert_eq!(code, 0, "{shown}: {text}\n{}", skopos.log());
    text.trim().to_owned()
}

async fn add(amtool: &std::path::Path, skopos: &Skopos, matchers: &[&str]) -> String {
    let mut arguments = vec!["add", "--author=ann", "--comment=a long sale", "--duration=1h"];
    arguments.extend(matchers);
    let printed = silence(amtool, skopos, &arguments).await;
    let id = regex::Regex::new("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$").unwrap();
    assert!(id.is_match(&printed), "not an id and nothing else: {printed:?}");
    printed
}

/// The ids that it lists.
async fn listed(amtool: &std::path::Path, skopos: &Skopos) -> Vec<String> {
    let printed = silence(amtool, skopos, &["query", "--quiet"]).await;
    printed.lines().map(str::to_owned).collect()
}

fn amtool() -> Option<PathBuf> {
    find("amtool")
}

#[tokio::test]
async fn amtool_adds_lists_and_ends_a_silence() {
    let Some(amtool) = amtool() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut skopos = Skopos::start(folder.path(), "logs: { enabled: false }\n");
    assert!(listed(&amtool, &skopos).await.is_empty());

    let id = add(&amtool, &skopos, &["alertname=QueueLong", "node=~web-.*"]).await;
    let other = add(&amtool, &skopos, &["alertname=\"Disk full\"", "device!=sda"]).await;
    let all = silence(&amtool, &skopos, &["query"]).await;
    for word in [
        &*id,
        &*other,
        "ann",
        "a long sale",
        "node=~\"web-.*\"",
        "device!=\"sda\"",
    ] {
        assert!(all.contains(word), "{word} is not in {all}");
    }
    // A filter means what it means there.
    let one = silence(&amtool, &skopos, &["query", "--quiet", "alertname=QueueLong"]).await;
    assert_eq!(one, id);
    let whole = silence(
        &amtool,
        &skopos,
        &["query", "--output=json", "alertname=QueueLong"],
    )
    .await;
    let whole: Value = serde_json::from_str(&whole).unwrap();
    assert_eq!(whole[0]["id"], id.as_str());
    assert_eq!(whole[0]["status"]["state"], "active");
    assert_eq!(whole[0]["createdBy"], "ann");

    skopos.kill_and_restart();
    let mut kept = listed(&amtool, &skopos).await;
    kept.sort();
    let mut both = vec![id.clone(), other.clone()];
    both.sort();
    assert_eq!(kept, both, "after kill -9");

    assert_eq!(silence(&amtool, &skopos, &["expire", &id]).await, "");
    assert_eq!(listed(&amtool, &skopos).await, [other]);
    let expired = silence(&amtool, &skopos, &["query", "--quiet", "--expired"]).await;
    assert_eq!(expired, id);
    assert_eq!(skopos.stop().await, 0);
}

/// What either receiver was told that names this node.
fn told(estate: &Estate, node: &str) -> usize {
    let slack = estate.slack.posted();
    let slack = slack
        .iter()
        .filter(|posted| posted.payload.to_string().contains(node))
        .count();
    let pagerduty = estate.pagerduty.incidents();
    let pagerduty = pagerduty
        .iter()
        .filter(|incident| incident.triggers[0].to_string().contains(node))
        .count();
    slack + pagerduty
}

#[tokio::test]
async fn a_silence_made_at_the_follower_holds_on_both_and_outlives_both() {
    let Some(amtool) = amtool() else { return };
    // web-0 is silenced; web-1 shows that what is not is told meanwhile.
    let mut estate = Estate::build(2).await;
    let (holder, _) = estate.wait_for_leader(None).await;
    let follower = 1 - holder;
    for replica in &estate.replicas {
        replica
            .wait_for(
                "both are heard, in step",
                Duration::from_secs(60),
                async |replica| {
                    replica.value("count(shop_queue_depth)").await == Some(2.0)
                        && replica.get("/metrics").await.1.contains("skopos_pair_in_step 1")
                },
            )
            .await;
    }
    let matchers = ["alertname=QueueLong", "node=web-0"];
    let id = add(&amtool, &estate.replicas[follower], &matchers).await;
    for replica in &estate.replicas {
        replica
            .wait_for("the silence on both", Duration::from_secs(10), async |replica| {
                listed(&amtool, replica).await == [id.as_str()]
            })
            .await;
    }

    let fires = |count: f64| {
        async move |replica: &Skopos| {
            let firing = "count(ALERTS{alertname=\"QueueLong\", alertstate=\"firing\"})";
            replica.value(firing).await == Some(count)
        }
    };
    estate.breach(0, true);
    estate.replicas[holder]
        .wait_for("web-0 fires", Duration::from_secs(60), fires(1.0))
        .await;
    estate.breach(1, true);
    estate.replicas[holder]
        .wait_for("web-1 is told", Duration::from_secs(60), async |_| {
            told(&estate, "web-1") == 2
        })
        .await;
    assert_eq!(told(&estate, "web-0"), 0, "silenced, and told all the same");

    for replica in &mut estate.replicas {
        replica.kill();
    }
    for replica in &mut estate.replicas {
        replica.kill_and_restart();
    }
    estate.wait_for_leader(None).await;
    for replica in &estate.replicas {
        assert_eq!(
            listed(&amtool, replica).await,
            [id.as_str()],
            "after kill -9 of both"
        );
        replica
            .wait_for("both fire on", Duration::from_secs(60), fires(2.0))
            .await;
    }
    let before = told(&estate, "web-1");
    estate.breach(1, false);
    estate.replicas[0]
        .wait_for("web-1's end is told", Duration::from_secs(60), async |_| {
            told(&estate, "web-1") > before
        })
        .await;
    assert_eq!(told(&estate, "web-0"), 0, "forgotten by the restart");

    // It was the silence, and nothing else, that kept it quiet.
    let (holder, _) = estate.wait_for_leader(None).await;
    silence(&amtool, &estate.replicas[1 - holder], &["expire", &id]).await;
    estate.replicas[holder]
        .wait_for("web-0 is told", Duration::from_secs(60), async |_| {
            told(&estate, "web-0") == 2
        })
        .await;

    // The form of the follower's page goes the same way.
    let form = "/silences?matcher=alertname%3D%22QueueLong%22&for=2h&because=a+sale&by=ann";
    let (status, page) = estate.replicas[1 - holder].post(form).await;
    assert_eq!(status, 200, "{page}");
    for replica in &estate.replicas {
        replica
            .wait_for(
                "the silence of the page on both",
                Duration::from_secs(10),
                async |replica| listed(&amtool, replica).await.len() == 1,
            )
            .await;
    }
    estate.stop().await;
}
