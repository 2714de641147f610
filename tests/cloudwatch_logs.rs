//! Log lines to CloudWatch Logs and from it, by a whole process: killed, shown to people, checked.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use fake_aws::{FakeAws, REGION};
use model::Clock;
use serde_json::Value;
use telemetry::clock::RuntimeClock;

use crate::harness::{Skopos, root, skopos::command};

const PATIENCE: Duration = Duration::from_secs(30);

/// Files of `folder` to CloudWatch Logs, and nothing else; `more` are further keys of the sink.
fn config(folder: &Path, more: &str) -> String {
    format!(
        "node: {{ enabled: false }}\nlogs:\n  files: [{}/in/*.log]\n  containers: ''\n  read_from: beginning\n  local: false\n  \
         cloudwatch: [{{ wait: 50ms, group: '/skopos/{{namespace}}', stream: '{{container}}'{more} }}]\n",
        folder.display()
    )
}

fn write(folder: &Path, from: usize, until: usize) {
    fs::create_dir_all(folder.join("in")).unwrap();
    let file = File::options()
        .create(true)
        .append(true)
        .open(folder.join("in/app.log"));
    let mut file = file.unwrap();
    for number in from..until {
        writeln!(file, "INFO line {number}").unwrap();
    }
}

/// Numbers of all lines that are there, and how many events there are.
fn lines(fake: &FakeAws) -> (BTreeSet<usize>, usize) {
    let events = fake.logs(|logs| logs.events("/skopos/host", "app.log"));
    let numbers = events.iter().map(|event| {
        let document: Value = serde_json::from_str(&event.message).unwrap();
        let message = document["message"].as_str().unwrap();
        message.strip_prefix("INFO line ").unwrap().parse().unwrap()
    });
    (numbers.collect(), events.len())
}

/// As AWS' own clients would find them.
fn environment(fake: &FakeAws) -> Vec<(String, String)> {
    let user = fake.user();
    [
        ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
        ("AWS_REGION", REGION),
        ("AWS_ENDPOINT_URL", &fake.url()),
        ("AWS_ACCESS_KEY_ID", &user.access_key),
        ("AWS_SECRET_ACCESS_KEY", &user.secret_key),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

async fn verdict(skopos: &Skopos) -> (String, String) {
    let answer = skopos.api("/api/v1/doctor").await;
    let checks = answer["checks"].as_array().cloned().unwrap_or_default();
    let found = checks.into_iter().find(|check| check["name"] == "cloudwatch");
    let found = found.unwrap_or_else(|| panic!("no cloudwatch in {answer}"));
    let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    (text("verdict"), text("seen"))
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_get_there_through_kill_minus_nine_and_whoever_looks_sees_how_it_goes() {
    let (fake, folder) = (
        FakeAws::start(RuntimeClock::system()),
        tempfile::tempdir().unwrap(),
    );
    let user = fake.user();
    write(folder.path(), 0, 200);
    let keys = format!(
        ", retention_days: 14, region: {REGION}, endpoint: '{}', sigv4: {{ access_key: {}, secret_key: '{}' }}",
        fake.url(),
        user.access_key,
        user.secret_key
    );
    let mut skopos = Skopos::start(folder.path(), &config(folder.path(), &keys));
    skopos
        .wait_for("all lines", PATIENCE, async |_| lines(&fake).0.len() == 200)
        .await;
    assert_eq!(lines(&fake).1, 200);
    let kept = fake.logs(|logs| logs.retention_days("/skopos/host"));
    assert_eq!(kept, Some(14));
    skopos
        .wait_for("the page", PATIENCE, async |skopos| {
            let page = skopos.page("/logs").await;
            page.contains("200 lines sent to cloudwatch at /skopos/{namespace} in eu-west-1 since start")
        })
        .await;
    let (good, seen) = verdict(&skopos).await;
    assert!(
        good == "ok" && seen.contains("has taken 200 lines"),
        "{good} {seen}"
    );
    assert!(skopos.page("/graph").await.contains("aws logs"));

    skopos.kill_and_restart();
    write(folder.path(), 200, 300);
    skopos
        .wait_for("lines after kill -9", PATIENCE, async |_| {
            lines(&fake).0.len() == 300
        })
        .await;

    // Who is not known any more waits, and says what AWS says.
    fake.forget(&user.access_key);
    write(folder.path(), 300, 310);
    skopos
        .wait_for("the refusal", PATIENCE, async |skopos| {
            let (verdict, seen) = verdict(skopos).await;
            verdict == "fail" && seen.contains("UnrecognizedClientException")
        })
        .await;
    let page = skopos.page("/logs").await;
    assert!(page.contains("It takes nothing at the moment"), "{page}");
    assert!(
        skopos
            .page("/graph")
            .await
            .contains("UnrecognizedClientException")
    );
    assert_eq!(lines(&fake).0.len(), 300);
    assert_eq!(skopos.stop().await, 0);
}

#[test]
fn check_says_what_is_wrong_and_live_who_answers() {
    let (fake, folder) = (
        FakeAws::start(RuntimeClock::system()),
        tempfile::tempdir().unwrap(),
    );
    fake.logs(|logs| logs.make("/skopos/shop", "s"));
    let environment = environment(&fake);
    let check = |text: &str, arguments: &[&str]| {
        fs::write(folder.path().join("skopos.yaml"), text).unwrap();
        let mut program = command(folder.path());
        let program = program.arg("check").args(arguments).arg("skopos.yaml");
        let output = program.envs(environment.iter().cloned()).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    };
    for (more, sentence) in [
        (
            ", retention_days: 31",
            "logs.cloudwatch[0].retention_days: AWS keeps logs for 1, 3, 5",
        ),
        (", regoin: a", "did you mean \"region\"?"),
        (
            ", endpoint: vpce",
            "logs.cloudwatch[0].endpoint: not an http:// or https:// URL",
        ),
    ] {
        let (code, said) = check(&config(folder.path(), more), &[]);
        assert!(code == Some(64) && said.contains(sentence), "{more}: {said}");
    }
    let wrong = config(folder.path(), "").replace("{namespace}", "{namspace}");
    let (code, said) = check(&wrong, &[]);
    assert!(
        code == Some(64) && said.contains("skopos.yaml:7:") && said.contains("{namespace}, {pod}"),
        "{said}"
    );

    let (code, said) = check(&config(folder.path(), ""), &["--live"]);
    assert!(
        code == Some(0) && said.contains("logs.cloudwatch cloudwatch: CloudWatch Logs in eu-west-1 answers, it has 1 log group under /skopos/"),
        "{said}"
    );
    let wrong = ", sigv4: { access_key: AKIANOBODY, secret_key: guessed }";
    let (code, said) = check(&config(folder.path(), wrong), &["--live"]);
    assert!(
        code == Some(1) && said.contains("UnrecognizedClientException") && !said.contains("guessed"),
        "{said}"
    );
    assert_eq!(fake.count("PutLogEvents") + fake.count("CreateLogGroup"), 0);
    let example = fs::read_to_string(root().join("examples/cloudwatch.yaml")).unwrap();
    let (code, said) = check(&example, &[]);
    assert_eq!(code, Some(0), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_log_groups_are_read_kept_and_shown() {
    let (clock, folder) = (RuntimeClock::system(), tempfile::tempdir().unwrap());
    let fake = FakeAws::start(clock.clone());
    let user = fake.user();
    let put = |from: usize, until: usize| {
        let now = clock.now();
        for number in from..until {
            let place = ("/aws/rds/instance/shop/postgresql", "shop.0");
            fake.logs(|logs| logs.add(place, now, &format!("ERROR: event {number}"), now));
        }
    };
    put(0, 100);
    let source = format!(
        "{{ groups: ['/aws/rds/*/postgresql', '/aws/none'], poll: 1s, region: {REGION}, endpoint: '{}', sigv4: {{ access_key: {}, \
         secret_key: '{}' }} }}",
        fake.url(),
        user.access_key,
        user.secret_key
    );
    let text = format!(
        "node: {{ enabled: false }}\nlogs: {{ files: [], containers: '', cloudwatch_sources: [{source}] }}\n"
    );
    let mut skopos = Skopos::start(folder.path(), &text);
    let has = async |skopos: &Skopos, words: &str| skopos.page("/logs").await.contains(words);
    skopos
        .wait_for("the events", PATIENCE, async |skopos| {
            has(
                skopos,
                "100 events read from 2 log groups of cloudwatch in eu-west-1 since start",
            )
            .await
        })
        .await;
    skopos
        .wait_for("the lines", PATIENCE, async |skopos| {
            has(skopos, "ERROR: event 99").await && has(skopos, "/aws/none cannot be read").await
        })
        .await;
    let answer = skopos.api("/api/v1/doctor").await;
    let checks = answer["checks"].as_array().cloned().unwrap_or_default();
    let found = checks
        .into_iter()
        .find(|check| check["name"] == "log groups")
        .unwrap();
    assert_eq!(
        found["seen"], "cloudwatch: 1 of 2 log groups cannot be read",
        "{found}"
    );
    assert!(skopos.page("/graph").await.contains("log groups"));

    tokio::time::sleep(Duration::from_secs(2)).await;
    skopos.kill_and_restart();
    put(100, 150);
    skopos
        .wait_for("the events after kill -9", PATIENCE, async |skopos| {
            has(skopos, "ERROR: event 149").await
        })
        .await;
    let check = command(folder.path())
        .args(["check", "--live", "skopos.yaml"])
        .output()
        .unwrap();
    let said = String::from_utf8([check.stdout, check.stderr].concat()).unwrap();
    assert!(said.contains("logs.cloudwatch_sources cloudwatch: CloudWatch Logs in eu-west-1 answers, 2 log groups are to be read"), "{said}");
    assert_eq!(skopos.stop().await, 0);
}
