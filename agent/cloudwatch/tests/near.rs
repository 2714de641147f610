//! What is close to happening is looked at every minute, as long as it is and the money is there.

use std::sync::Arc;
use std::time::Duration;

use fake_aws::estate;
use model::Labels;

use super::house::{House, alert, config};
use crate::Hot;

const MINUTE: Duration = Duration::from_secs(60);
const CPU: &str = "aws_rds_cpuutilization_average";

/// As the hall says it: the alert, and whose.
fn hot(labels: &Labels) -> Arc<[Hot]> {
    let database = (
        "dimension_DBInstanceIdentifier",
        labels.value("dimension_DBInstanceIdentifier"),
    );
    Arc::new([Hot {
        alert: format!("On{CPU}").into(),
        labels: Labels::from_pairs([database, ("severity", "critical")]),
    }])
}

/// How old the newest point is.
fn age(house: &House, labels: &Labels) -> Duration {
    let points = house.memory.points(labels);
    house.now().since(*points.last_key_value().unwrap().0)
}

#[tokio::test(start_paused = true)]
async fn what_is_near_is_asked_for_every_minute_and_nothing_else_is() {
    let mut house = House::with(estate::sample, config());
    house.wants(vec![alert(CPU, MINUTE * 20)]);
    house.open();
    house.pass(MINUTE * 60).await;
    let all = house.memory.named(CPU);
    let near = all[0].0.clone();
    house.hot.send_replace(hot(&near));
    house.pass(MINUTE * 2).await;
    house.fake.reset_bill();
    let (mut oldest, mut oldest_other) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..20 {
        house.pass(MINUTE).await;
        oldest = oldest.max(age(&house, &near));
        oldest_other = oldest_other.max(age(&house, &all[1].0));
    }
    let bought = house.fake.bill().units("GetMetricData");
    println!(
        "{bought} metrics for {} series in 20 minutes; at most {oldest:?} old, others {oldest_other:?}",
        all.len()
    );
    assert_eq!(bought, 20 + 2 * (all.len() as u64 - 1));
    assert!(oldest + MINUTE * 4 < oldest_other, "{oldest:?} {oldest_other:?}");
    // It has passed.
    house.hot.send_replace(Arc::default());
    house.pass(MINUTE * 2).await;
    house.fake.reset_bill();
    house.pass(MINUTE * 20).await;
    assert_eq!(house.fake.bill().units("GetMetricData"), 2 * all.len() as u64);
    house.close().await;
}
