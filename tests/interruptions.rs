//! From a message of EventBridge in a queue to the alert that names the node, through a running process and the shipped rules.

use std::time::{Duration, Instant};

use fake_aws::{FakeAws, REGION, estate};
use serde_json::json;
use telemetry::clock::RuntimeClock;

use crate::aws_page::start;
use crate::fakes::peer::{Answer, Peer};

/// What EC2 gives before it takes an instance back.
const NOTICE: Duration = Duration::from_secs(120);
const NODES: &str = "kube_node_info{node=\"a\",provider_id=\"aws:///eu-west-1a/i-0a1\"} 1\n\
     kube_node_info{node=\"b\",provider_id=\"aws:///eu-west-1b/i-0b2\"} 1\n";

fn announced(id: &str, instance: &str) -> String {
    json!({
        "version": "0", "id": id, "detail-type": "EC2 Spot Instance Interruption Warning", "source": "aws.ec2",
        "account": fake_aws::ACCOUNT, "time": jiff::Timestamp::now().to_string(), "region": REGION, "resources": [],
        "detail": {"instance-id": instance, "instance-action": "terminate"},
    })
    .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spot_interruption_in_the_queue_is_an_alert_about_the_node_while_there_is_time() {
    let fake = FakeAws::start(RuntimeClock::system());
    let _users = estate::users(&fake);
    let nodes = Peer::start(Answer::Body(NODES.to_owned())).await;
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "node: {{ enabled: false }}\nlogs: {{ enabled: false }}\n\
         global: {{ scrape_interval: 5s, scrape_timeout: 2s, evaluation_interval: 5s }}\n\
         scrape_configs: [{{ job_name: kube-state-metrics, static_configs: [{{ targets: ['{}'] }}] }}]\n\
         cloudwatch:\n  enabled: true\n  max_usd_per_month: 40\n  \
         interruption_queue: https://sqs.{REGION}.amazonaws.com/{}/interruptions\n",
        nodes.address,
        fake_aws::ACCOUNT,
    );
    let skopos = start(&fake, folder.path(), &config);
    skopos
        .wait_for(
            "nodes and databases are known",
            Duration::from_secs(120),
            async |skopos| {
                skopos.value("count(kube_node_info)").await == Some(2.0)
                    && skopos.value("count(aws_rds_info)").await.is_some()
            },
        )
        .await;
    let now = RuntimeClock::system();
    fake.here(|place| {
        let queue = place.sqs.queues.get_mut("interruptions").unwrap();
        for (id, instance) in [("e-1", "i-0a1"), ("e-2", "i-0fff")] {
            queue.send(&announced(id, instance), model::Clock::now(&*now));
        }
    });
    let begun = Instant::now();
    let firing = "count(ALERTS{alertname=\"KubeNodeSpotInterruption\", alertstate=\"firing\", node=\"a\"})";
    skopos
        .wait_for("the node's alert fires", NOTICE, async |skopos| {
            skopos.value(firing).await == Some(1.0)
        })
        .await;
    println!(
        "{:.1} s from the queue to the alert",
        begun.elapsed().as_secs_f64()
    );
    let all = "count(ALERTS{alertname=\"KubeNodeSpotInterruption\"})";
    assert_eq!(skopos.value(all).await, Some(1.0), "an instance that is no node");
    assert_eq!(skopos.value("count(aws_ec2_instance_notice)").await, Some(2.0));
    assert_eq!(fake.here(|place| place.sqs.queues["interruptions"].length()), 0);
    assert_eq!(skopos.stop().await, 0);
}
