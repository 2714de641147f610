//! What AWS says has happened is handed on once.

use std::sync::Arc;
use std::time::Duration;

use fake_aws::estate::{self, Incident, Users};
use fake_aws::health::HealthEvent;
use fake_aws::rds::Event;
use fake_aws::{FakeAws, Fault};
use model::{BoxFuture, KeepNotes, Level, Note, NotePlace, Timestamp};
use parking_lot::Mutex;

use super::house::{House, config};
use crate::Config;

#[derive(Default)]
struct Notes {
    kept: Mutex<Vec<Note>>,
    places: Mutex<Vec<NotePlace>>,
    is_full: Mutex<bool>,
}

impl KeepNotes for Notes {
    fn keep(&self, notes: Vec<Note>, place: Option<NotePlace>) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            if *self.is_full.lock() {
                return Err("the disk is full".to_owned());
            }
            self.kept.lock().extend(notes);
            self.places.lock().extend(place);
            Ok(())
        })
    }

    fn place(&self, input: &str) -> Option<String> {
        let places = self.places.lock();
        let mut of = places.iter().rev().filter(|place| place.input == input);
        of.next().map(|place| place.at.clone())
    }
}

/// The users' estate, and who keeps what is told of it.
fn watched() -> (House, Arc<Notes>, Users) {
    let users = Mutex::new(None);
    let fill = |fake: &FakeAws| *users.lock() = Some(estate::users(fake));
    let mut house = House::with(fill, config());
    let notes = Arc::new(Notes::default());
    house.room.notes_to(Arc::clone(&notes) as Arc<dyn KeepNotes>);
    house.open();
    let users = users.lock().take().unwrap();
    (house, notes, users)
}

#[tokio::test(start_paused = true)]
async fn a_failover_is_told_once_also_when_it_could_not_be_kept_at_first() {
    let (mut house, notes, users) = watched();
    house.pass(Duration::from_secs(600)).await;
    *notes.is_full.lock() = true;
    users.begins(&house.fake, Incident::PrimaryLost);
    house.pass(Duration::from_secs(900)).await;
    assert_eq!(told(&notes, "rds"), []);
    *notes.is_full.lock() = false;
    house.pass(Duration::from_secs(3_600)).await;
    let kept = notes.kept.lock().clone();
    let of: Vec<&Note> = kept
        .iter()
        .filter(|note| note.text.contains("failover started"))
        .collect();
    assert_eq!(of.len(), 1, "{kept:?}");
    assert_eq!((of[0].level, of[0].source.as_str()), (Level::Warn, "rds"));
    assert!(
        of[0]
            .facts
            .iter()
            .any(|(name, value)| *name == "aws.resource" && !value.is_empty())
    );
    house.close().await;
}

/// Level, whom it is about and what is said, of all that was kept for a service.
fn told(notes: &Notes, source: &str) -> Vec<(Level, String)> {
    let kept = notes.kept.lock();
    let of = kept.iter().filter(|note| note.source == source);
    of.map(|note| (note.level, note.text.clone())).collect()
}

#[tokio::test(start_paused = true)]
async fn what_two_regions_tell_in_the_same_moment_is_told_once_each() {
    const REGIONS: [&str; 2] = [fake_aws::REGION, "us-west-2"];
    let fill = |fake: &FakeAws| {
        estate::users(fake);
        fake.opens(REGIONS[1]);
    };
    let regions = REGIONS.map(str::to_owned).to_vec();
    let mut house = House::with(fill, Config { regions, ..config() });
    let notes = Arc::new(Notes::default());
    house.room.notes_to(Arc::clone(&notes) as Arc<dyn KeepNotes>);
    house.open();
    for nth in 0..6 {
        let at = house.now();
        for region in REGIONS {
            let event = Event {
                at,
                source: format!("db-{region}"),
                source_type: "db-instance".to_owned(),
                categories: vec!["failover".to_owned()],
                message: format!("Failover {nth} completed"),
            };
            house
                .fake
                .at(fake_aws::ACCOUNT, region, |place| place.rds.events.push(event));
        }
        house.pass(Duration::from_secs(600)).await;
    }
    house.pass(Duration::from_secs(1_800)).await;
    let mut texts: Vec<String> = told(&notes, "rds").into_iter().map(|(_, text)| text).collect();
    texts.sort();
    let mut want: Vec<String> = (0..6)
        .flat_map(|nth| REGIONS.map(|region| format!("db-{region}: Failover {nth} completed")))
        .collect();
    want.sort();
    assert_eq!(texts, want);
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn trouble_of_aws_itself_is_told_as_it_begins_and_ends_to_those_who_pay_for_support() {
    let (mut house, notes, _) = watched();
    house.pass(Duration::from_secs(6 * 3_600)).await;
    let asked = || house.fake.count("health:DescribeEvents");
    assert_eq!(asked(), 1, "who pays for no support is asked for once a day");
    let told_of = format!("{:?}", house.room.checkups());
    assert!(!told_of.contains("ubscription"), "{told_of}");
    let start = house.now() + Duration::from_secs(19 * 3_600);
    let event = |region: &str| HealthEvent {
        service: "RDS".to_owned(),
        code: "AWS_RDS_OPERATIONAL_ISSUE".to_owned(),
        category: "issue".to_owned(),
        region: region.to_owned(),
        start,
        end: None,
        status: "open".to_owned(),
    };
    house.fake.here(|place| {
        place.health.is_subscribed = true;
        place.health.events = vec![event("us-west-2"), event(fake_aws::REGION)];
    });
    house.pass(Duration::from_secs(20 * 3_600)).await;
    let begun = (
        Level::Warn,
        "RDS: AWS_RDS_OPERATIONAL_ISSUE (issue, open)".to_owned(),
    );
    assert_eq!(told(&notes, "health"), std::slice::from_ref(&begun));
    let end = house.now();
    house.fake.here(|place| {
        for event in &mut place.health.events {
            (event.end, event.status) = (Some(end), "closed".to_owned());
        }
    });
    house.pass(Duration::from_secs(3_600)).await;
    let ended = (
        Level::Info,
        "RDS: AWS_RDS_OPERATIONAL_ISSUE (issue, closed)".to_owned(),
    );
    assert_eq!(told(&notes, "health"), [begun, ended]);
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_each_time_for_a_place_of_aws_health_that_is_not_reached() {
    let (mut house, ..) = watched();
    let until = house.now() + Duration::from_secs(3 * 3_600);
    house
        .fake
        .fails_until("health:DescribeEvents", until, Fault::Hangs);
    house.pass(Duration::from_secs(3 * 3_600)).await;
    let (asked, described) = (
        house.fake.count("health:DescribeEvents"),
        house.fake.count("rds:DescribeDBInstances"),
    );
    assert!((2..=4).contains(&asked), "{asked} times in three hours");
    assert!(described >= 30, "described {described} times");
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_cluster_of_kafka_is_at_is_told_when_it_is_another_state() {
    let (mut house, notes, users) = watched();
    house.pass(Duration::from_secs(1_800)).await;
    users.begins(&house.fake, Incident::BrokerLost);
    house.pass(Duration::from_secs(1_800)).await;
    users.ends(&house.fake, Incident::BrokerLost);
    house.pass(Duration::from_secs(1_800)).await;
    house.fake.here(|place| place.kafka.clusters.clear());
    house.pass(Duration::from_secs(1_800)).await;
    let said: Vec<(Level, String)> = told(&notes, "kafka")
        .into_iter()
        .map(|(level, text)| (level, text.split_once(": ").unwrap().1.to_owned()))
        .collect();
    let want = [
        (Level::Info, "the cluster is new here, and ACTIVE"),
        (Level::Warn, "the cluster is HEALING, it was ACTIVE"),
        (Level::Info, "the cluster is ACTIVE, it was HEALING"),
        (Level::Warn, "the cluster is gone, it was ACTIVE"),
    ];
    assert_eq!(said, want.map(|(level, text)| (level, text.to_owned())));
    house.close().await;
}

pub(super) const QUEUE: &str = "https://sqs.eu-west-1.amazonaws.com/123456789012/interruptions";

/// What EventBridge puts into a queue.
fn announced(id: &str, what: &str, instance: &str, at: Timestamp) -> String {
    let time = jiff::Timestamp::from_millisecond(at.millis()).unwrap();
    serde_json::json!({
        "version": "0", "id": id, "detail-type": what, "source": "aws.ec2", "account": fake_aws::ACCOUNT,
        "time": time.to_string(), "region": fake_aws::REGION, "resources": [],
        "detail": {"instance-id": instance, "instance-action": "terminate", "state": "terminated"},
    })
    .to_string()
}

#[tokio::test(start_paused = true)]
async fn what_ec2_announces_is_said_within_seconds_once_and_until_it_is_over() {
    const SPOT: &str = "EC2 Spot Instance Interruption Warning";
    let fill = |fake: &FakeAws| {
        estate::users(fake);
    };
    let queue = Config {
        interruption_queue: QUEUE.to_owned(),
        ..config()
    };
    let mut house = House::with(fill, queue);
    let notes = Arc::new(Notes::default());
    house.room.notes_to(Arc::clone(&notes) as Arc<dyn KeepNotes>);
    house.open();
    house.pass(Duration::from_secs(600)).await;
    let send = |house: &House, body: &str| {
        let now = house.now();
        house.fake.here(|place| {
            let queue = place.sqs.queues.get_mut("interruptions").unwrap();
            queue.send(body, now);
        });
    };
    let left = |house: &House| {
        house
            .fake
            .here(|place| place.sqs.queues["interruptions"].length())
    };
    let said = |house: &House, instance: &str, notice: &str| {
        let named = house.memory.named("aws_ec2_instance_notice");
        let mut of = named.iter().filter(|(labels, _)| {
            labels.value("instance_id") == instance && labels.value("notice") == notice
        });
        of.next()
            .and_then(|(_, points)| Some(*points.last_key_value()?.0))
    };

    // While nothing can be kept it stays where it is, and comes again.
    *notes.is_full.lock() = true;
    let begun = house.now();
    send(&house, &announced("e-1", SPOT, "i-1", begun));
    house.pass(Duration::from_secs(30)).await;
    assert_eq!((left(&house), told(&notes, "ec2")), (1, vec![]));
    *notes.is_full.lock() = false;
    house.pass(Duration::from_secs(90)).await;
    let warned = (
        Level::Warn,
        "i-1: EC2 takes the spot instance back within two minutes (terminate)".to_owned(),
    );
    assert_eq!(told(&notes, "ec2"), std::slice::from_ref(&warned));
    assert_eq!(left(&house), 0);

    // The next one is heard at once, another of the same changes nothing, and neither does what is none.
    let at = house.now();
    for body in [
        &announced("e-2", SPOT, "i-2", at),
        &announced("e-1", SPOT, "i-1", begun),
        &announced("e-3", "EC2 AMI State Change", "i-2", at),
        "no message of EventBridge's",
    ] {
        send(&house, body);
    }
    house.pass(Duration::from_secs(5)).await;
    assert_eq!((left(&house), told(&notes, "ec2").len()), (0, 2));
    assert!(said(&house, "i-2", "spot_interruption").is_some_and(|said| said.since(at).as_secs() <= 5));

    // It is said again and again until the instance is gone, or for ten minutes.
    house.pass(Duration::from_secs(300)).await;
    let now = house.now();
    send(
        &house,
        &announced("e-4", "EC2 Instance State-change Notification", "i-2", now),
    );
    house.pass(Duration::from_secs(60)).await;
    assert!(
        said(&house, "i-2", "spot_interruption").is_some_and(|said| said <= now + Duration::from_secs(25))
    );
    house.pass(Duration::from_secs(900)).await;
    let last = said(&house, "i-1", "spot_interruption").unwrap();
    assert!(last.since(begun) < Duration::from_secs(600) && last.since(begun) > Duration::from_secs(480));

    // Whoever may not read it is told what is missing, and everything else goes on.
    let until = house.now() + Duration::from_secs(1_800);
    house.fake.fails_until("sqs:ReceiveMessage", until, Fault::Denied);
    house.pass(Duration::from_secs(900)).await;
    let problems = format!("{:?}", house.room.checkups());
    assert!(problems.contains("grant sqs:ReceiveMessage"), "{problems}");
    house.pass(Duration::from_secs(1_800)).await;
    assert!(!format!("{:?}", house.room.checkups()).contains("sqs:"));
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_the_account_may_have_is_said_beside_what_it_has() {
    let fill = |fake: &FakeAws| {
        estate::users(fake);
        // Two pages of one service.
        fake.page_size("servicequotas:ListServiceQuotas", 1);
    };
    let mut house = House::with(fill, config());
    house.open();
    house.pass(Duration::from_secs(600)).await;
    let said = |name: &str, code: &str| {
        let named = house.memory.named(name);
        let mut of = named
            .iter()
            .filter(|(labels, _)| labels.value("quota_code") == code);
        of.next()
            .and_then(|(_, points)| Some(points.last_key_value()?.1.0))
    };
    let databases = house.memory.named("aws_rds_info").len();
    let stored: f64 = house
        .memory
        .named("aws_rds_allocated_storage_bytes")
        .iter()
        .filter_map(|(_, points)| Some(points.last_key_value()?.1.0))
        .sum();
    for (code, quota, used) in [
        ("L-7B6409FD", 40.0, databases as f64),
        ("L-7ADDB58A", 100_000.0, stored / 1_073_741_824.0),
        ("L-0F5FD6E8", 90.0, 3.0),
        ("L-53DA6B97", 50.0, 1.0),
    ] {
        assert_eq!(said("aws_service_quota", code), Some(quota), "{code}");
        assert_eq!(said("aws_service_quota_usage", code), Some(used), "{code}");
    }
    house.close().await;
}
