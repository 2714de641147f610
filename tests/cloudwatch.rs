//! `skopos cloudwatch plan`, `policy`, `skopos import yace` and `skopos check --live`, beside the users' estate in a fake AWS.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use fake_aws::{FakeAws, REGION, estate};
use serde_json::Value;
use telemetry::clock::RuntimeClock;

use crate::harness::skopos::command;

/// Exit code, standard output and standard error of a command beside the fake.
fn run(fake: &FakeAws, folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let user = fake.user();
    let output = command(folder)
        .args(arguments)
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_REGION", REGION)
        .env("AWS_ENDPOINT_URL", fake.url())
        .env("AWS_ACCESS_KEY_ID", &user.access_key)
        .env("AWS_SECRET_ACCESS_KEY", &user.secret_key)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn house() -> (FakeAws, tempfile::TempDir) {
    let fake = FakeAws::start(RuntimeClock::system());
    estate::users(&fake);
    (fake, tempfile::tempdir().unwrap())
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Permissions of the printed policy.
fn allowed(fake: &FakeAws, folder: &Path) -> BTreeSet<String> {
    let (code, text, _) = run(fake, folder, &["cloudwatch", "policy"]);
    assert_eq!(code, 0);
    let actions = json(&text)["Statement"][0]["Action"].as_array().unwrap().clone();
    actions
        .iter()
        .map(|action| action.as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn the_plan_says_what_it_costs_and_buys_nothing_that_the_policy_does_not_allow() {
    let (fake, folder) = house();
    fs::write(
        folder.path().join("skopos.yaml"),
        "cloudwatch: { max_usd_per_month: 1000 }\n",
    )
    .unwrap();
    let (code, text, errors) = run(
        &fake,
        folder.path(),
        &["cloudwatch", "plan", "skopos.yaml", "--json"],
    );
    assert_eq!(code, 0, "{errors}");
    let plan = json(&text);
    let total = plan["usd_per_month"].as_f64().unwrap();
    let lines = plan["lines"].as_array().unwrap();
    let sum: f64 = lines
        .iter()
        .map(|line| line["usd_per_month"].as_f64().unwrap())
        .sum();
    println!(
        "{} series, ${total:.2} a month, {} lines",
        plan["series"],
        lines.len()
    );
    assert!(total > 1.0 && (sum - total).abs() < 0.01, "{sum} {total}");
    assert!(
        lines
            .iter()
            .any(|line| line["by"].as_str().unwrap().starts_with("alert "))
    );
    // By series and by resource it comes to the same.
    for by in ["series", "resource"] {
        let (_, text, _) = run(
            &fake,
            folder.path(),
            &["cloudwatch", "plan", "skopos.yaml", "--json", "--by", by],
        );
        let plan = json(&text);
        let lines = plan["lines"].as_array().unwrap();
        let sum: f64 = lines
            .iter()
            .map(|line| line["usd_per_month"].as_f64().unwrap())
            .sum();
        assert!((sum - total).abs() < 0.01, "by {by}: {sum} {total}");
    }
    let (_, table, _) = run(&fake, folder.path(), &["cloudwatch", "plan", "skopos.yaml"]);
    assert!(
        table.contains(&format!("${total:.2} a month of at most $1000.00")),
        "{table}"
    );

    let allowed = allowed(&fake, folder.path());
    let seen: BTreeSet<String> = fake.seen().into_iter().map(|seen| seen.operation).collect();
    assert!(seen.contains("rds:DescribeDBInstances"), "{seen:?}");
    for operation in &seen {
        // Who we are may be asked by everybody.
        assert!(
            allowed.contains(operation) || operation.ends_with("GetCallerIdentity"),
            "{operation} is not in the policy"
        );
    }
    assert!(
        !seen.iter().any(|operation| operation.contains("GetMetric")),
        "{seen:?}"
    );
}

#[test]
fn a_budget_below_what_wakes_people_fails_the_plan_and_the_live_check() {
    let (fake, folder) = house();
    let config = "cloudwatch: { enabled: true, max_usd_per_month: 0.5 }\n";
    fs::write(folder.path().join("skopos.yaml"), config).unwrap();
    let (code, text, _) = run(&fake, folder.path(), &["cloudwatch", "plan", "skopos.yaml"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("at that budget what wakes people waits"), "{text}");
    let (code, _, errors) = run(&fake, folder.path(), &["check", "--live", "skopos.yaml"]);
    assert_eq!(code, 1, "{errors}");
    assert!(errors.contains("more than max_usd_per_month ($0.50)"), "{errors}");
    // Without --live nobody is asked.
    let (code, _, errors) = run(&fake, folder.path(), &["check", "skopos.yaml"]);
    assert_eq!(code, 0, "{errors}");
}

#[test]
fn a_difference_is_what_one_more_metric_costs() {
    let (fake, folder) = house();
    fs::write(
        folder.path().join("a.yaml"),
        "cloudwatch: { max_usd_per_month: 0 }\n",
    )
    .unwrap();
    let more = "cloudwatch:\n  max_usd_per_month: 0\n  metrics: [{ name: aws_rds_cpuutilization_maximum, interval: 5m }]\n";
    fs::write(folder.path().join("b.yaml"), more).unwrap();
    let arguments = ["cloudwatch", "plan", "a.yaml", "--diff", "b.yaml", "--json"];
    let (code, text, errors) = run(&fake, folder.path(), &arguments);
    assert_eq!(code, 0, "{errors}");
    let said = json(&text);
    let more = said["usd_per_month_after"].as_f64().unwrap() - said["usd_per_month_before"].as_f64().unwrap();
    let changes = said["changes"].as_array().unwrap();
    let listed = changes
        .iter()
        .find(|change| change["by"] == "cloudwatch.metrics")
        .unwrap();
    assert!(more > 0.0 && listed["series"].as_i64().unwrap() > 0, "{text}");
}

#[test]
fn a_configuration_of_yace_is_turned_into_one_that_is_right_and_priced() {
    let (fake, folder) = house();
    let yace = "apiVersion: v1alpha1\ndiscovery:\n  jobs:\n  - type: AWS/RDS\n    regions: [eu-west-1]\n    period: 60\n    length: 60\n    \
                metrics:\n    - { name: CPUUtilization, statistics: [Average] }\n    - { name: NoSuchThing, statistics: [Sum] }\n";
    fs::write(folder.path().join("yace.yaml"), yace).unwrap();
    let arguments = [
        "import",
        "yace",
        "yace.yaml",
        "--scraping-interval",
        "1m",
        "--live",
    ];
    let (code, ours, errors) = run(&fake, folder.path(), &arguments);
    assert_eq!(code, 0, "{errors}");
    assert!(errors.contains("NoSuchThing (Sum) is left out"), "{errors}");
    let dollars = |after: &str| -> f64 {
        let rest = errors.split_once(after).unwrap_or_else(|| panic!("{errors}")).1;
        let number = rest.split_once('$').unwrap().1;
        number
            .split_once(' ')
            .unwrap()
            .0
            .trim_end_matches(',')
            .parse()
            .unwrap()
    };
    let (before, after) = (dollars("series: "), dollars("asked for every "));
    // A fifth, since each call brings five minutes.
    assert!(before > 0.0 && (before / after - 5.0).abs() < 0.2, "{errors}");
    fs::write(folder.path().join("skopos.yaml"), ours).unwrap();
    let (code, _, errors) = run(&fake, folder.path(), &["check", "skopos.yaml"]);
    assert_eq!(code, 0, "{errors}");
}
