//! What fails is said and named, and the rest goes on.

use std::time::Duration;

use fake_aws::{Fault, estate};

use super::house::{House, START, alert, config};

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

#[tokio::test(start_paused = true)]
async fn nothing_is_bought_while_what_it_costs_cannot_be_written_down() {
    let mut house = House::with(
        |fake| {
            estate::users(fake);
        },
        config(),
    );
    // The second is found by listing metrics, which costs, too.
    house.wants(
        [CPU, "aws_kafka_max_offset_lag_maximum"]
            .map(|name| alert(name, Duration::from_secs(600)))
            .into(),
    );
    house.open();
    house.pass(HOUR).await;
    *house.purse.1.lock() = true;
    house.pass(HOUR / 20).await;
    let (spent, billed) = (house.purse.0.lock().unwrap(), house.fake.bill());
    house.pass(HOUR).await;
    assert_eq!(house.fake.bill().lines, billed.lines, "something is bought");
    assert_eq!(house.purse.0.lock().unwrap(), spent);
    let said = problems(&house);
    for operation in ["GetMetricData", "ListMetrics"] {
        let words = format!("{operation} is not asked: what it costs cannot be written down: no space left");
        assert!(said.contains(&words), "{said}");
    }
    let checkups = format!("{:?}", house.room.checkups());
    assert!(
        checkups.contains("nothing is bought, since what it costs"),
        "{checkups}"
    );
    // What is free goes on.
    assert!(house.now().since(newest(&house, "aws_rds_vcpus")) <= Duration::from_secs(60));
    *house.purse.1.lock() = false;
    house.pass(HOUR + HOUR / 2).await;
    assert_eq!(problems(&house), "");
    assert_eq!(holes(&house, CPU, 3), 0);
    assert!(!format!("{:?}", house.room.checkups()).contains("nothing is bought"));
    house.close().await;
}

/// Of all points of a name.
fn newest(house: &House, name: &str) -> model::Timestamp {
    let named = house.memory.named(name);
    let newest = named
        .iter()
        .filter_map(|(_, points)| Some(*points.last_key_value()?.0));
    newest.max().unwrap()
}

/// A clock that is wrong by so much for half an hour, and is right again.
async fn wrong_by(millis: i64) {
    let mut house = House::apart(estate::sample, config());
    house.wants(vec![alert(CPU, Duration::from_secs(600))]);
    house.open();
    house.pass(HOUR).await;
    let spent = house.room.view().unwrap().spent;
    assert!(spent > 0.0);
    house.clock.skew(millis);
    house.pass(HOUR / 2).await;
    let said = problems(&house);
    for operation in ["GetMetricData", "DescribeDBInstances"] {
        let words = format!("{operation}: the clock here is not that of AWS: Signature ");
        assert!(said.contains(&words), "{millis}: {said}");
    }
    let checkups = format!("{:?}", house.room.checkups());
    assert!(checkups.contains("by NTP"), "{checkups}");
    house.clock.skew(-millis);
    house.pass(HOUR / 2).await;
    assert_eq!(problems(&house), "", "{millis}");
    let age = house.fake.now().since(newest(&house, CPU));
    assert!(
        age < Duration::from_secs(600),
        "{millis}: the newest point is {age:?} old"
    );
    assert_eq!(holes(&house, CPU, 1), 0, "{millis}");
    // What the month has cost is not forgotten over it.
    assert!(house.room.view().unwrap().spent > spent, "{millis}");
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_wrong_is_said_and_leaves_no_hole_once_it_is_right() {
    const MINUTE: i64 = 60_000;
    for minutes in [10, -10, 90, -90, 40 * 24 * 60] {
        wrong_by(minutes * MINUTE).await;
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_sleep_of_two_hours_what_was_missed_is_bought_once() {
    let mut house = House::with(estate::sample, config());
    house.wants(vec![alert(CPU, Duration::from_secs(600))]);
    house.open();
    house.pass(HOUR).await;
    house.fake.reset_bill();
    // The world went on, too.
    house.clock.skew(model::time::millis(HOUR * 2));
    house.pass(HOUR / 2).await;
    assert_eq!(holes(&house, CPU, 2), 0);
    let series = house.memory.named(CPU).len() as u64;
    // Every five minutes, as if nothing had been, and once more at most.
    let bought = house.fake.bill().units("GetMetricData");
    assert!(bought <= 7 * series, "{bought} for {series}");
    assert!(house.now() > START + HOUR * 3);
    house.close().await;
}
