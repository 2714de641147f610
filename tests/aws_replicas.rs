//! What real processes pay AWS: killed in the middle of calls, and handed over from one replica to the other.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use fake_aws::{FakeAws, Fault, estate};
use model::Timestamp;
use telemetry::clock::RuntimeClock;

use crate::harness::aws::section;
use crate::harness::components::free_port;
use crate::harness::{Skopos, long_run};

const PATIENCE: Duration = Duration::from_secs(120);
/// Of one metric that is asked for.
const PRICE: f64 = 0.01 / 1_000.0;
/// Waits until more calls have come than these.
async fn called(fake: &FakeAws, before: usize) {
    let begun = Instant::now();
    while fake.count("GetMetricData") <= before {
        assert!(begun.elapsed() < PATIENCE, "nothing is asked");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_of_calls_the_sum_is_never_lower_than_the_bill() {
    let fake = FakeAws::start(RuntimeClock::system());
    let _users = estate::users(&fake);
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "node: {{ enabled: false }}\nlogs: {{ enabled: false }}\n{}",
        section(&fake)
    );
    let mut before = 0;
    let mut skopos = Skopos::start(folder.path(), &config);
    let kills = if long_run() { 60 } else { 8 };
    fastrand::seed(9);
    for nth in 0..kills {
        if nth % 3 == 2 {
            // Done and billed, and the answer does not come.
            fake.fails("GetMetricData", 1, Fault::LosesAnswer);
        }
        called(&fake, before).await;
        tokio::time::sleep(Duration::from_millis(fastrand::u64(0..40))).await;
        skopos.kill();
        before = fake.count("GetMetricData");
        if nth + 1 == kills {
            // From here on AWS takes nothing.
            fake.fails_until("GetMetricData", Timestamp::MAX, Fault::Throttled);
        }
        skopos.kill_and_restart();
    }
    called(&fake, before + 1).await;
    let billed = fake.bill().usd();
    let mut said = f64::INFINITY;
    for _ in 0..20 {
        let now = skopos.own("skopos_cloudwatch_month_spent_dollars").await;
        said = said.min(now.unwrap_or(f64::INFINITY));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    println!("{kills} kills; {billed:.5} dollars billed, {said:.5} written down");
    assert!(billed > 0.0 && fake.bill().usd() <= billed);
    assert!(
        said.is_finite() && said >= billed - 1e-9,
        "{said} written down, {billed} billed"
    );
    assert_eq!(skopos.stop().await, 0);
}

fn replica(root: &Path, nth: usize, ports: [u16; 2], section: &str) -> Skopos {
    let own = root.join(format!("replica-{nth}"));
    std::fs::create_dir(&own).unwrap();
    std::fs::write(
        own.join("token"),
        format!("token-of-replica-skopos-{nth}-0123456789"),
    )
    .unwrap();
    let config = format!(
        "global: {{ scrape_interval: 5s, scrape_timeout: 2s, evaluation_interval: 5s }}\nlogs: {{ enabled: false }}\nweb: {{ tokens_file: ../tokens }}\n\
         pair: {{ lease_file: ../lease, name: skopos-{nth}, peer: 'http://127.0.0.1:{}', token_file: token }}\n{section}",
        ports[1 - nth]
    );
    std::fs::write(own.join("skopos.yaml"), config).unwrap();
    let listen = format!("127.0.0.1:{}", ports[nth]);
    Skopos::start_with(
        &own,
        &[
            "--role",
            "cluster",
            "--config",
            "skopos.yaml",
            "--listen",
            &listen,
        ],
    )
}

/// Waits until this one leads.
async fn leads(replicas: &[Skopos], nth: usize) {
    let begun = Instant::now();
    while replicas[nth].own("skopos_pair_leader").await != Some(1.0) {
        assert!(
            begun.elapsed() < PATIENCE,
            "{nth} does not lead\n{}",
            replicas[nth].log()
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Points that were bought, by series and minute.
type Points = BTreeMap<(String, i64), String>;

async fn points(replica: &Skopos, from: i64, until: i64) -> Points {
    let names = "aws_(rds|elasticache|applicationelb)_.+_(average|minimum|maximum|sum|p90|p99)";
    let expr = format!("{{__name__=~\"{names}\"}}[{}s]", until - from);
    let url = reqwest::Url::parse_with_params(
        &replica.url("/api/v1/query"),
        [("query", expr), ("time", until.to_string())],
    );
    let url = url.unwrap();
    let data = replica
        .api(&format!("{}?{}", url.path(), url.query().unwrap()))
        .await;
    let mut all = Points::new();
    for series in data["result"].as_array().unwrap() {
        let name = series["metric"].to_string();
        for value in series["values"].as_array().unwrap() {
            let at = value[0].as_f64().unwrap() as i64;
            all.insert((name.clone(), at), value[1].as_str().unwrap().to_owned());
        }
    }
    all
}

fn seconds() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// Since then, in how many rounds everything has been asked for, as planned.
fn rounds(since: i64) -> f64 {
    let nth = |at: i64| (at - 15).div_euclid(300);
    (nth(seconds()) - nth(since)) as f64
}

#[tokio::test(flavor = "multi_thread")]
async fn handed_over_in_the_middle_of_a_cycle_no_minute_is_lost_and_one_cycle_is_bought_again_at_most() {
    let fake = FakeAws::start(RuntimeClock::system());
    estate::sample(&fake);
    let _users = estate::users(&fake);
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let tokens = [0, 1].map(|nth| format!("replica skopos-{nth} token-of-replica-skopos-{nth}-0123456789"));
    std::fs::write(root.join("tokens"), tokens.join("\n")).unwrap();
    let (section, ports) = (section(&fake), [free_port(), free_port()]);
    let begun = seconds();
    // One call of the first cycle never comes back, while others do.
    fake.fails("GetMetricData", 1, Fault::Hangs);
    let mut replicas = vec![replica(root, 0, ports, &section)];
    leads(&replicas, 0).await;
    replicas.push(replica(root, 1, ports, &section));
    let waited = Instant::now();
    while fake.bill().usd() <= 0.0 {
        assert!(
            waited.elapsed() < PATIENCE,
            "nothing is bought\n{}",
            replicas[0].log()
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    replicas[0].kill();
    let half = fake.bill().usd();

    leads(&replicas, 1).await;
    let whole = async |replica: &Skopos| {
        let planned = replica
            .own("skopos_cloudwatch_planned_series")
            .await
            .unwrap_or_default();
        planned > 300.0 && replica.value("count(aws_rds_cpuutilization_average)").await >= Some(10.0)
    };
    replicas[1]
        .wait_for("the other one has all of it", PATIENCE, whole)
        .await;
    let settled = async |replica: &Skopos| {
        let planned = replica
            .own("skopos_cloudwatch_planned_series")
            .await
            .unwrap_or_default();
        fake.bill().usd() >= half + planned * PRICE * 0.99
    };
    replicas[1]
        .wait_for("its cycle is whole", PATIENCE, settled)
        .await;
    let cycle = replicas[1].own("skopos_cloudwatch_planned_series").await.unwrap() * PRICE;
    let first = fake.bill().usd();
    println!(
        "a cycle is {cycle:.5} dollars; {half:.5} of it were bought before the kill, {first:.5} with the take-over"
    );
    assert!(half < cycle * 0.99, "the first cycle was whole");
    assert!(first <= cycle * (2.0 + rounds(begun)) + 1e-9);

    // The first comes back, and hears what it has missed; then the holder stands still.
    replicas[0].start_again();
    // What may still change stays with whoever has bought it; the other one gets what stands.
    let all = async |replica: &Skopos| {
        let standing = "count(last_over_time(aws_rds_cpuutilization_average[90m]))";
        replica.value(standing).await >= Some(10.0)
    };
    replicas[0]
        .wait_for("it hears what is bought", PATIENCE, all)
        .await;
    // What is close to happening is bought each minute, a quarter of one past it: nothing of that is due meanwhile.
    while !(16..20).contains(&seconds().rem_euclid(60)) {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let since = seconds();
    replicas[1].signal("-STOP");
    // What was on its way by then is billed all the same.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = fake.bill().usd();
    leads(&replicas, 0).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    replicas[1].signal("-CONT");
    replicas[0]
        .wait_for("it has bought a cycle", PATIENCE, async |_| {
            fake.bill().usd() >= before + cycle * 0.99
        })
        .await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    let again = fake.bill().usd() - before;
    println!(
        "{again:.5} dollars bought again within {} s, {} rounds were due",
        seconds() - since,
        rounds(since)
    );
    assert!(
        again <= cycle * (1.0 + rounds(since)) + 1e-9,
        "{again} of {cycle}"
    );

    // Minutes that no longer change are the same in both, and all there.
    let until = (seconds() - 20 * 60).div_euclid(60) * 60;
    let from = begun - 55 * 60;
    let one = points(&replicas[0], from, until).await;
    let begun_waiting = Instant::now();
    let mut other = points(&replicas[1], from, until).await;
    while other != one && begun_waiting.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_secs(1)).await;
        other = points(&replicas[1], from, until).await;
    }
    let differ = one
        .iter()
        .filter(|(at, value)| other.get(at) != Some(value))
        .count()
        + other.keys().filter(|at| !one.contains_key(at)).count();
    println!("{} points compared, {differ} differ", one.len());
    assert!(
        one.len() > 1_000 && differ == 0,
        "{differ} of {} points differ",
        one.len()
    );
    let mut minutes: BTreeMap<&str, usize> = BTreeMap::new();
    for (series, _) in one
        .keys()
        .filter(|(series, _)| series.contains("aws_rds_cpuutilization_average"))
    {
        *minutes.entry(series).or_default() += 1;
    }
    let wanted = ((until - from) / 60) as usize;
    let lost: Vec<_> = minutes.iter().filter(|(_, count)| **count < wanted).collect();
    assert!(
        minutes.len() >= 10 && lost.is_empty(),
        "of {wanted} minutes: {lost:?}"
    );
    for replica in replicas {
        assert_eq!(replica.stop().await, 0);
    }
}
