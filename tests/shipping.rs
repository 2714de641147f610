//! Log lines on their way to OpenSearch from a whole process: signed, on a full disk, shown to people.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fake_aws::{Answer, Asked, FakeAws, REGION};
use opensearch_tests::{Fake, Fault, Plan, ask};
use telemetry::clock::RuntimeClock;

use crate::harness::{Skopos, skopos::command};

const NOBODY: [(&str, &str); 2] = [
    ("AWS_CONFIG_FILE", "/dev/null"),
    ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
];
const PATIENCE: Duration = Duration::from_secs(30);

/// Files of `folder` to this OpenSearch, and nothing else; `more` are further keys of the sink.
fn config(folder: &Path, url: &str, more: &str) -> String {
    format!(
        "node: {{ enabled: false }}\nlogs:\n  files: [{}/in/*.log]\n  containers: ''\n  read_from: beginning\n  local: false\n  \
         opensearch: [{{ url: '{url}', wait: 50ms{more} }}]\n",
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
        writeln!(file, "2026-11-27T10:00:00.000Z INFO line {number}").unwrap();
    }
}

/// Each line once, in whatever order.
fn assert_once(fake: &Fake, lines: usize) {
    let mut numbers: Vec<usize> = fake
        .documents("logs-skopos-*")
        .iter()
        .map(|(_, document)| {
            let message = document["message"].as_str().unwrap();
            message.strip_prefix("INFO line ").unwrap().parse().unwrap()
        })
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..lines).collect::<Vec<_>>());
}

/// What AWS has let in, passed on to an OpenSearch behind it.
fn pass_on(asked: &Asked, to: &str) -> Answer {
    let path = match asked.query.as_str() {
        "" => asked.path.clone(),
        query => format!("{}?{query}", asked.path),
    };
    let kept = ["content-type", "content-encoding"];
    let headers: Vec<(&str, &str)> = kept
        .iter()
        .filter_map(|name| Some((*name, asked.header(name)?)))
        .collect();
    let answer = ask(to, &asked.method, &path, &headers, &asked.body).unwrap();
    Answer {
        status: answer.status,
        kind: "application/json",
        body: answer.text().into_bytes(),
        ..Answer::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_to_amazon_opensearch_are_signed_each_of_them() {
    let (aws, fake, folder) = (
        FakeAws::start(RuntimeClock::system()),
        Arc::new(Fake::start()),
        tempfile::tempdir().unwrap(),
    );
    let behind = fake.url();
    aws.answer(move |asked| pass_on(asked, &behind));
    let user = aws.user();
    let keys = format!(
        ", sigv4: {{ region: {REGION}, access_key: {}, secret_key: '{}' }}",
        user.access_key, user.secret_key
    );
    write(folder.path(), 0, 200);
    let skopos = Skopos::start_in(folder.path(), &config(folder.path(), &aws.url(), &keys), &NOBODY);
    skopos
        .wait_for("all lines", PATIENCE, async |_| {
            fake.count("logs-skopos-*") == 200
        })
        .await;
    assert_once(&fake, 200);
    let seen = aws.seen();
    assert!(
        seen.iter().all(|seen| seen.by.as_ref() == Some(&user.access_key)),
        "{seen:?}"
    );
    let asked = |method: &str, path: &str| {
        let taken = aws.taken();
        taken
            .iter()
            .filter(|asked| asked.method == method && asked.path == path)
            .count()
    };
    assert!(asked("PUT", "/_index_template/logs-skopos") == 1 && asked("POST", "/_bulk") > 0);
    assert_eq!(skopos.stop().await, 0);

    // Who is not known any more waits, and says what AWS says.
    aws.forget(&user.access_key);
    write(folder.path(), 200, 210);
    let skopos = Skopos::start_in(folder.path(), &config(folder.path(), &aws.url(), &keys), &NOBODY);
    skopos
        .wait_for("the refusal", PATIENCE, async |skopos| {
            let answer = skopos.api("/api/v1/doctor").await;
            let checks = answer["checks"].as_array().cloned().unwrap_or_default();
            checks.iter().any(|check| {
                check["name"] == "opensearch"
                    && check["verdict"] == "fail"
                    && check["seen"].to_string().contains("403")
            })
        })
        .await;
    assert_eq!(fake.count("logs-skopos-*"), 200);
    assert_eq!(skopos.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_lines_go_on_and_a_restart_doubles_none() {
    let (fake, folder) = (Fake::start(), tempfile::tempdir().unwrap());
    write(folder.path(), 0, 100);
    let mut skopos = Skopos::start(folder.path(), &config(folder.path(), &fake.url(), ""));
    skopos
        .wait_for("the first lines", PATIENCE, async |_| {
            fake.count("logs-skopos-*") == 100
        })
        .await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    skopos.kill_and_restart_on_a_full_disk();
    write(folder.path(), 100, 300);
    skopos
        .wait_for("lines on a full disk", PATIENCE, async |_| {
            fake.count("logs-skopos-*") == 300
        })
        .await;
    skopos
        .wait_for("failures to be counted", PATIENCE, async |skopos| {
            let metrics = skopos.get("/metrics").await.1;
            let line = metrics
                .lines()
                .find(|line| line.starts_with("skopos_logs_checkpoint_failures_total"));
            line.is_some_and(|line| !line.ends_with(" 0"))
        })
        .await;
    // What was sent there is sent again, and known.
    skopos.kill_and_restart();
    write(folder.path(), 300, 310);
    skopos
        .wait_for("the last lines", PATIENCE, async |_| {
            fake.count("logs-skopos-*") >= 310
        })
        .await;
    assert_once(&fake, 310);
    assert!(
        fake.counters()
            .items_by_status
            .get(&409)
            .is_some_and(|known| *known >= 200)
    );
    assert_eq!(skopos.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opensearch_that_refuses_is_on_the_page_and_in_the_graph_with_its_reason() {
    let (fake, folder) = (Fake::start(), tempfile::tempdir().unwrap());
    fake.plan(Plan::always(Fault::Status(503, None)));
    write(folder.path(), 0, 10);
    let skopos = Skopos::start(folder.path(), &config(folder.path(), &fake.url(), ""));
    skopos
        .wait_for("the page", PATIENCE, async |skopos| {
            let page = skopos.page("/logs").await;
            page.contains("It takes nothing at the moment") && page.contains("503")
        })
        .await;
    assert!(skopos.page("/graph").await.contains("opensearch: 503"));
    let page = skopos.page("/logs").await;
    assert!(
        page.contains("; opensearch takes nothing at the moment"),
        "{page}"
    );
    fake.plan(Plan::well());
    skopos
        .wait_for("better times", PATIENCE, async |skopos| {
            fake.count("logs-skopos-*") == 10 && !skopos.page("/logs").await.contains("takes nothing")
        })
        .await;
    assert_eq!(skopos.stop().await, 0);
}

#[test]
fn check_live_says_who_answers_there() {
    let (fake, folder) = (Fake::start(), tempfile::tempdir().unwrap());
    let text = config(
        folder.path(),
        &fake.url(),
        ", basic_auth: { username: skopos, password: secret }",
    );
    fs::write(folder.path().join("skopos.yaml"), text).unwrap();
    let check = || {
        let mut program = command(folder.path());
        let output = program.args(["check", "--live", "skopos.yaml"]).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    };
    fake.rules(|rules| rules.login = Some(("skopos".to_owned(), "secret".to_owned())));
    let (code, said) = check();
    assert!(
        code == Some(0) && said.contains("logs.opensearch opensearch: OpenSearch 3.8 answers"),
        "{said}"
    );
    fake.rules(|rules| rules.login = Some(("skopos".to_owned(), "another".to_owned())));
    let (code, said) = check();
    assert!(
        code == Some(1) && said.contains("logs.opensearch opensearch: status 401: our credentials"),
        "{said}"
    );
    fake.close();
    let (code, said) = check();
    assert!(
        code == Some(1) && said.contains("Connection refused") && !said.contains("secret"),
        "{said}"
    );
    assert_eq!(fake.count("*"), 0);
}
