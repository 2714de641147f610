//! Two replicas under the Lease of a real API server, with clocks that are wrong, beside the fake of AWS: what is bought while nobody
//! can say who leads, and what people are told of a database meanwhile.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use fake_aws::metrics::bill::Bought;
use fake_aws::{FakeAws, estate};
use kubernetes_tests::ControlPlane;
use model::Timestamp;
use programs::clock::Clock;
use telemetry::clock::RuntimeClock;

use crate::harness::aws::section;
use crate::harness::estate::{Estate, Wish};
use crate::harness::long_run;

const PATIENCE: Duration = Duration::from_secs(120);
const ROUND_MILLIS: i64 = 300_000;
/// When in a round it is asked, and a little before: clocks do not agree to the millisecond.
const PHASE_MILLIS: i64 = 14_000;
/// Seconds that the clock of each is ahead. AWS takes what is signed within five minutes of its own time.
const AHEAD: [i64; 2] = [100, -130];
const DATABASE: &str = "orders-0";
const RULES: &str = "
  - name: databases
    interval: 5s
    rules:
      - alert: DatabaseBusy
        expr: aws_rds_cpuutilization_average > 95
        labels: { severity: critical }
        annotations: { summary: '{{ $labels.dimension_DBInstanceIdentifier }} is busy' }
      - { alert: Connections, expr: 'aws_rds_database_connections_average > 1e9' }
      - { alert: Latency, expr: 'aws_rds_read_latency_average > 1e9' }
      - { alert: Cache, expr: 'aws_elasticache_cpuutilization_average > 1e9' }
      - { alert: Errors, expr: 'aws_applicationelb_httpcode_target_5xx_count_sum > 1e12' }
";

fn busy(fake: &FakeAws, from: Timestamp, percent: f64) {
    let own = [("DBInstanceIdentifier", DATABASE)];
    let found = fake.metrics(|metrics| {
        metrics.set("AWS/RDS", "CPUUtilization", &own, from, move |_, samples| {
            samples.add(percent);
        })
    });
    assert!(found);
}

/// What was bought more than once in one round of whoever bought it, whose clock is so far ahead.
fn twice(bought: &[Bought], ahead: i64) -> Vec<String> {
    let mut by_round: BTreeMap<(&str, i64), Vec<i64>> = BTreeMap::new();
    for item in bought {
        let at = item.at.millis() + ahead * 1_000 - PHASE_MILLIS;
        let round = (item.what.as_str(), at.div_euclid(ROUND_MILLIS));
        by_round.entry(round).or_default().push(item.at.millis() / 1_000);
    }
    let again = by_round.into_iter().filter(|(_, at)| at.len() > 1);
    again.map(|((what, _), at)| format!("{what} at {at:?}")).collect()
}

/// Incidents about the database: those that there were, and those that are open.
fn incidents(estate: &Estate) -> (usize, usize) {
    let all = estate.pagerduty.incidents();
    let about = all.iter().filter(|incident| {
        let mut triggers = incident.triggers.iter();
        triggers.any(|trigger| trigger.to_string().contains("DatabaseBusy"))
    });
    let open = about.clone().filter(|incident| incident.resolved.is_none());
    (about.count(), open.count())
}

/// Waits until a replica leads, and all that is planned has been bought since `from`.
async fn whole(estate: &Estate, fake: &FakeAws, from: usize) {
    let (leader, _) = estate.wait_for_leader(None).await;
    let is_bought = async |replica: &crate::harness::Skopos| {
        let planned = replica.own("skopos_cloudwatch_planned_series").await;
        let planned = planned.unwrap_or_default() as usize;
        planned > 50 && fake.bill().bought.len() - from >= planned * 9 / 10
    };
    estate.replicas[leader]
        .wait_for("a cycle is bought", PATIENCE, is_bought)
        .await;
}

// What answers as AWS, Slack and PagerDuty is in this process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_bought_twice_while_the_api_is_away_and_no_database_is_told_of_again() {
    // Half an hour in the long run; here for longer than four leases.
    let outage = Duration::from_secs(if long_run() { 1_800 } else { 48 });
    let Some(plane) = ControlPlane::start() else {
        return;
    };
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let clocks = folders.each_ref().map(|folder| Clock::in_folder(folder.path()));
    let [Some(one), Some(other)] = &clocks else { return };
    for (clock, ahead) in [one, other].into_iter().zip(AHEAD) {
        clock.set(ahead);
    }
    let fake = FakeAws::start(RuntimeClock::system());
    estate::sample(&fake);
    fake.billing(|bill| bill.keeps_bought = true);
    busy(&fake, fake.now() - Duration::from_secs(3_600), 99.0);
    let sections = [section(&fake), section(&fake)];
    let arbiter = format!(
        "kubernetes: {{ kubeconfig: '{}' }}\nkube_state: {{ enabled: false }}\npair: {{ retry: 2s",
        plane.kubeconfig().display()
    );
    let estate = Estate::build_as(&Wish {
        nodes: 1,
        arbiter: &arbiter,
        more: sections.each_ref().map(String::as_str),
        rules: RULES,
        clocks: [Some(one), Some(other)],
        ..Wish::default()
    })
    .await;
    let (leader, _) = estate.wait_for_leader(None).await;
    whole(&estate, &fake, 0).await;
    let told = async |what: &str, wanted: (usize, usize)| {
        estate.replicas[leader]
            .wait_for(what, PATIENCE * 4, async |_| incidents(&estate) == wanted)
            .await;
    };
    told("the database is told of", (1, 1)).await;
    let calls = || fake.count("GetMetricData");
    let since_start = |what: &str| {
        let bought = fake.bill().bought;
        let again = twice(&bought, AHEAD[leader]);
        println!("{what}: {} bought, {} of it again", bought.len(), again.len());
        assert!(again.is_empty(), "{what}: {again:#?}");
        assert_eq!(incidents(&estate), (1, 1), "{what}");
    };
    since_start("at first");

    // For longer than the holder may go on without the Lease, and then as long as half of the cluster takes to be renewed.
    for _ in 0..3 {
        plane.stop_api();
        tokio::time::sleep(Duration::from_secs(20)).await;
        plane.start_api();
        let (again, took) = estate.wait_for_leader(None).await;
        println!("led again {:.1} s after the API was back", took.as_secs_f64());
        assert_eq!(again, leader);
        tokio::time::sleep(Duration::from_secs(8)).await;
        since_start("away for 20 s");
    }

    plane.kubectl(&["delete", "lease", "skopos"]);
    tokio::time::sleep(Duration::from_secs(15)).await;
    assert_eq!(estate.wait_for_leader(None).await.0, leader);
    since_start("the Lease deleted");

    // The long one, with something to tell in the middle that is not AWS'.
    plane.stop_api();
    let away = Instant::now();
    // The holder stops at its deadline; what is on its way then comes back.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let before = calls();
    tokio::time::sleep((outage / 4).saturating_sub(away.elapsed())).await;
    estate.breach(0, true);
    estate.replicas[leader]
        .wait_for("what is heard is told", PATIENCE, async |_| {
            estate.tells_of("web-0")
        })
        .await;
    println!("told {:.0} s into an outage", away.elapsed().as_secs_f64());
    estate.breach(0, false);
    tokio::time::sleep(outage.saturating_sub(away.elapsed())).await;
    assert_eq!(calls(), before, "something was bought while nobody led");
    assert_eq!(incidents(&estate), (1, 1), "told by who sees nothing");
    let from = fake.bill().bought.len();
    plane.start_api();
    println!(
        "the API server was away for {:.0} s",
        away.elapsed().as_secs_f64()
    );
    assert_eq!(estate.wait_for_leader(None).await.0, leader);
    if long_run() {
        whole(&estate, &fake, from).await;
        tokio::time::sleep(Duration::from_secs(330)).await;
    } else {
        tokio::time::sleep(Duration::from_secs(20)).await;
    }
    since_start("after the outage");

    // The holder stands still: the other one begins with a cycle, and tells nobody of what is known.
    let from = fake.bill().bought.len();
    estate.replicas[leader].signal("-STOP");
    let (second, took) = estate.wait_for_leader(Some(leader)).await;
    println!("the other led after {:.1} s", took.as_secs_f64());
    whole(&estate, &fake, from).await;
    estate.replicas[leader].signal("-CONT");
    tokio::time::sleep(Duration::from_secs(15)).await;
    let bought = fake.bill().bought;
    let again = twice(&bought[from..], AHEAD[second]);
    println!(
        "taken over: {} bought, {} of it again",
        bought.len() - from,
        again.len()
    );
    assert!(again.is_empty(), "{again:#?}");
    assert_eq!(incidents(&estate), (1, 1));

    // Its end is seen by whoever asks now: within two rounds, the delay of the metric, and what the clocks differ by.
    busy(&fake, fake.now() - Duration::from_secs(60), 20.0);
    if long_run() {
        estate.replicas[second]
            .wait_for("the end is told", PATIENCE * 10, async |_| {
                incidents(&estate) == (1, 0)
            })
            .await;
    }
    assert!(estate.slack.refused().is_empty(), "{:?}", estate.slack.refused());
    estate.stop().await;
}
