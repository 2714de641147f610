//! Nothing is asked that the least policy does not allow, and nothing that the code can ask is missing from it.

use std::collections::BTreeSet;
use std::time::Duration;

use fake_aws::estate;

use super::house::{House, alert, config};
use super::told::QUEUE;
use crate::Config;
use crate::inventory::operations::{self, policy};
use crate::inventory::queue::Queue;

fn allowed() -> BTreeSet<String> {
    let policy = policy(Queue::at(QUEUE).as_ref());
    let statements = policy["Statement"].as_array().unwrap().iter();
    let actions = statements.flat_map(|statement| statement["Action"].as_array().unwrap().clone());
    actions
        .map(|action| action.as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn every_question_is_in_the_policy_and_the_policy_has_nothing_else() {
    let needed: BTreeSet<String> = operations::ALL
        .iter()
        .filter_map(|operation| operation.permission.map(str::to_owned))
        .collect();
    assert_eq!(allowed(), needed);
    assert!(!needed.iter().any(|action| action.contains('*')));
    // Without a queue nothing is taken from any.
    let without = policy(None).to_string();
    assert!(!without.contains("sqs:"), "{without}");
}

#[tokio::test(start_paused = true)]
async fn a_run_asks_nothing_outside_of_the_policy() {
    let mut house = House::with(
        |fake| {
            estate::users(fake);
        },
        Config {
            interruption_queue: QUEUE.to_owned(),
            ..config()
        },
    );
    let hold = Duration::from_secs(600);
    house.wants(
        [
            "aws_rds_cpuutilization_average",
            "aws_kafka_max_offset_lag_maximum",
        ]
        .map(|name| alert(name, hold))
        .into(),
    );
    house.open();
    house.pass(Duration::from_secs(2 * 3_600)).await;
    house.close().await;
    let allowed = allowed();
    let seen: BTreeSet<String> = house.fake.seen().into_iter().map(|seen| seen.operation).collect();
    assert!(seen.len() > 10, "{seen:?}");
    let outside: Vec<&String> = seen
        .iter()
        // Who we are may be asked by everybody.
        .filter(|operation| !allowed.contains(*operation) && !operation.ends_with("GetCallerIdentity"))
        .collect();
    assert_eq!(outside, [""; 0]);
}
