//! What is there, as moto describes it: somebody else's idea of RDS, ElastiCache, load balancers and tags.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::{Duration, Instant};

use fake_aws::{FakeAws, REGION};
use serde_json::Value;
use telemetry::clock::RuntimeClock;

use crate::harness::{Skopos, components, root};

const PATIENCE: Duration = Duration::from_secs(90);

/// Whether a series has these labels; what is empty need not be there.
fn has(labels: &BTreeMap<String, String>, wanted: &serde_json::Map<String, Value>) -> bool {
    wanted.iter().all(|(name, value)| {
        labels.get(name).map(String::as_str).unwrap_or_default() == value.as_str().unwrap_or_default()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_moto_describes_is_what_is_known_of_it() {
    let Some(server) = components::file("aws/moto/server.py") else {
        return;
    };
    let packages = server.parent().unwrap().parent().unwrap().to_owned();
    let port = components::free_port();
    let _moto = components::start(
        Command::new("python3")
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()])
            .env("PYTHONPATH", &packages),
    );
    let begun = Instant::now();
    while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        assert!(begun.elapsed() < PATIENCE, "moto does not start");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let url = format!("http://127.0.0.1:{port}");
    let (code, said) = components::run(
        Command::new("python3")
            .arg(root().join("tests/aws/tests/make_in_moto.py"))
            .args([&url, REGION])
            .env("PYTHONPATH", &packages),
    );
    assert_eq!(code, 0, "{said}");
    let line = said.lines().find(|line| line.starts_with('[')).unwrap();
    let wanted: Vec<Value> = serde_json::from_str(line).unwrap();
    assert!(wanted.len() > 30, "{}", wanted.len());

    // moto has no metrics that the SDK can read: those are the fake's, and of nothing that is here.
    let fake = FakeAws::start(RuntimeClock::system());
    let user = fake.user();
    let config = format!(
        "node: {{ enabled: false }}\nlogs: {{ enabled: false }}\ncloudwatch:\n  enabled: true\n  tags: [team]\n  \
         services: [rds, elasticache, elb]\n  \
         accounts: [{{ access_key: {}, secret_key: '{}', regions: [{REGION}] }}]\n  \
         endpoints: {{ rds: '{url}', elasticache: '{url}', elasticloadbalancing: '{url}', tagging: '{url}', sts: '{url}', \
         monitoring: '{}' }}\n",
        user.access_key,
        user.secret_key,
        fake.url()
    );
    let folder = tempfile::tempdir().unwrap();
    let skopos = Skopos::start(folder.path(), &config);
    let tagged = async |skopos: &Skopos| {
        let named = async |name: &str| skopos.value(&format!("count({name})")).await.is_some();
        named("aws_rds_info").await
            && named("aws_elasticache_info{tag_team!=''}").await
            && named("aws_networkelb_target_group_info").await
    };
    skopos.wait_for("what is there is known", PATIENCE, tagged).await;
    let names: BTreeSet<&str> = wanted
        .iter()
        .map(|series| series["name"].as_str().unwrap())
        .collect();
    let mut wrong = Vec::new();
    for name in &names {
        let known = skopos.query(name).await;
        let of: Vec<&Value> = wanted.iter().filter(|series| series["name"] == **name).collect();
        // What moto says nothing of is not asserted, but nothing is made up either.
        if known.len() != of.len() {
            wrong.push(format!("{name}: {} and not {}", known.len(), of.len()));
        }
        for series in of {
            let labels = series["labels"].as_object().unwrap();
            let found: Vec<_> = known.iter().filter(|(known, _)| has(known, labels)).collect();
            match found[..] {
                [(_, value)] if *value == series["value"].as_f64().unwrap() => {}
                _ => wrong.push(format!("{series} is not in {known:?}")),
            }
        }
    }
    println!(
        "{} series of {} names compared, {} wrong",
        wanted.len(),
        names.len(),
        wrong.len()
    );
    assert_eq!(wrong, [""; 0]);
    assert_eq!(skopos.stop().await, 0);
}
