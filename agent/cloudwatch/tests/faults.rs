//! What fails is said and named, and the rest goes on.

use std::time::Duration;

use fake_aws::{Fault, estate};

use super::house::{House, alert, config};

const HOUR: Duration = Duration::from_secs(3_600);
const CPU: &str = "aws_rds_cpuutilization_average";
const HOSTS: &str = "aws_applicationelb_healthy_host_count_minimum";

fn house() -> House {
    let house = House::with(estate::sample, config());
    house.wants(
        [CPU, HOSTS]
            .map(|name| alert(name, Duration::from_secs(600)))
            .into(),
    );
    house
}

/// Minutes of an hour that some series has nothing of, once it is settled.
fn holes(house: &House, name: &str, hours: u32) -> usize {
    let until = house.now() - Duration::from_secs(1_500);
    let from = until - HOUR * hours;
    let named = house.memory.named(name);
    assert!(!named.is_empty());
    let missing = named.iter().map(|(_, points)| {
        let there = points.range(from..until).count();
        usize::try_from(until.since(from).as_secs() / 60)
            .unwrap()
            .saturating_sub(there)
    });
    missing.sum()
}

fn problems(house: &House) -> String {
    let view = house.room.view().unwrap();
    view.places
        .iter()
        .flat_map(|place| place.problems.clone())
        .chain(view.problems)
        .collect::<Vec<_>>()
        .join("\n")
}

#[tokio::test(start_paused = true)]
async fn an_hour_of_throttling_leaves_no_hole() {
    let mut house = house();
    house.open();
    house.pass(HOUR).await;
    house
        .fake
        .fails_until("GetMetricData", house.now() + HOUR, Fault::Throttled);
    house.pass(HOUR / 2).await;
    assert!(
        problems(&house).contains("GetMetricData is throttled"),
        "{}",
        problems(&house)
    );
    let asked = house.fake.count("GetMetricData");
    house.pass(HOUR / 2).await;
    // It is not asked all the more for not answering.
    let asked = house.fake.count("GetMetricData") - asked;
    assert!(asked <= 10, "{asked} calls in half an hour");
    house.pass(HOUR).await;
    assert_eq!(problems(&house), "");
    assert_eq!(holes(&house, HOSTS, 2), 0);
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_service_that_may_not_be_described_is_named_and_the_others_go_on() {
    let mut house = house();
    house
        .fake
        .fails_until("DescribeDBInstances", house.now() + HOUR, Fault::Denied);
    house.open();
    house.pass(HOUR / 2).await;
    let said = problems(&house);
    assert!(said.contains("grant rds:DescribeDBInstances"), "{said}");
    assert!(house.memory.named(CPU).is_empty());
    assert!(!house.memory.named(HOSTS).is_empty());
    house.pass(HOUR).await;
    assert!(!house.memory.named(CPU).is_empty());
    assert!(!problems(&house).contains("DescribeDBInstances"));
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn keys_that_nobody_knows_any_more_are_said_so() {
    let mut house = house();
    house.open();
    house.pass(HOUR).await;
    house
        .fake
        .fails_until("GetMetricData", house.now() + HOUR / 2, Fault::Expired);
    house.pass(HOUR / 4).await;
    assert!(
        problems(&house).contains("AWS does not know us"),
        "{}",
        problems(&house)
    );
    house.pass(HOUR).await;
    assert_eq!(holes(&house, HOSTS, 1), 0);
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn garbage_and_a_dead_region_are_lived_through() {
    for fault in [Fault::Garbage, Fault::Hangs] {
        let mut house = house();
        house.open();
        house.pass(HOUR).await;
        house
            .fake
            .region_fails(fake_aws::REGION, house.now() + HOUR / 2, fault);
        house.pass(HOUR / 2).await;
        assert!(problems(&house).contains("GetMetricData"), "{}", problems(&house));
        house.pass(HOUR).await;
        assert_eq!(holes(&house, HOSTS, 1), 0);
        house.close().await;
    }
}
