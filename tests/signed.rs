//! What is signed for AWS is taken by a server that verifies it; who cannot sign says why, and loses nothing.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use fake_aws::{Answer, FakeAws, REGION, token};
use model::Clock;
use serde_json::{Value, json};
use telemetry::clock::RuntimeClock;

use crate::harness::components::{Prometheus, find_kept, free_port};
use crate::harness::{Skopos, skopos::command};

/// Nothing of whoever runs the tests.
const NOBODY: [(&str, &str); 2] = [
    ("AWS_CONFIG_FILE", "/dev/null"),
    ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
];
const WRITE: &str = "POST /workspaces/ws-1/api/v1/remote_write";
const QUERY: &str = "POST /workspaces/ws-1/api/v1/query";
const PATIENCE: Duration = Duration::from_secs(30);

/// A Managed Prometheus that knows one answer.
fn managed() -> FakeAws {
    let fake = FakeAws::start(RuntimeClock::system());
    fake.answer(|asked| {
        if !asked.path.ends_with("/query") {
            return Answer::empty(204);
        }
        let series = json!({"metric": {"from": "aws"}, "value": [1.0, "7"]});
        let data = json!({"resultType": "vector", "result": [series]});
        Answer::json(200, &json!({"status": "success", "data": data}))
    });
    fake
}

fn config(fake: &FakeAws, sigv4: &str) -> String {
    let url = format!("{}/workspaces/ws-1", fake.url());
    format!(
        "node: {{ interval: 1s }}\nlogs: {{ enabled: false }}\nglobal: {{ scrape_interval: 1s, scrape_timeout: 1s }}\n\
         remote_write: [{{ url: '{url}/api/v1/remote_write', sigv4: {sigv4} }}]\n\
         rule_files: [rules.yaml]\nrules: {{ shipped: false, datasource: {{ url: '{url}', retries: 0, sigv4: {sigv4} }} }}\n"
    )
}

fn write_rules(folder: &Path) {
    let rules = "groups: [{ name: g, interval: 1s, rules: [{ record: asked, expr: something }] }]\n";
    fs::write(folder.join("rules.yaml"), rules).unwrap();
}

async fn checkup(skopos: &Skopos, room: &str, name: &str) -> Value {
    let answer = skopos.api("/api/v1/doctor").await;
    let checks = answer["checks"].as_array().cloned().unwrap_or_default();
    let mut checks = checks.into_iter();
    let found = checks.find(|check| check["room"] == room && check["name"] == name);
    found.unwrap_or_else(|| panic!("no {room} {name} in {answer}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn samples_go_out_and_questions_are_asked_with_keys_of_the_configuration() {
    let (fake, folder) = (managed(), tempfile::tempdir().unwrap());
    write_rules(folder.path());
    let user = fake.user();
    let keys = format!(
        "{{ region: {REGION}, access_key: {}, secret_key: '{}' }}",
        user.access_key, user.secret_key
    );
    let skopos = Skopos::start_in(folder.path(), &config(&fake, &keys), &NOBODY);
    skopos
        .wait_for("samples and questions", PATIENCE, async |_| {
            fake.count(WRITE) > 2 && fake.count(QUERY) > 1
        })
        .await;
    let seen = fake.seen();
    let signed = seen.iter().all(|seen| seen.by.as_ref() == Some(&user.access_key));
    assert!(signed, "{seen:?}");
    skopos
        .wait_for("what the engine says", PATIENCE, async |skopos| {
            skopos.value("asked{from=\"aws\"}").await == Some(7.0)
        })
        .await;
    let words = format!("access key {} from the configuration's keys", user.access_key);
    let checkup = checkup(&skopos, "aws", "credentials").await;
    assert_eq!(
        (&checkup["verdict"], &checkup["seen"]),
        (&json!("ok"), &json!(words))
    );
    let log = skopos.log();
    assert!(
        log.contains("AWS credentials come from the configuration's keys; what was fetched does not expire"),
        "{log}"
    );
    assert!(!log.contains(&user.secret_key));
    assert_eq!(skopos.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn pod_identity_is_asked_once_and_again_before_its_credentials_expire() {
    let (fake, folder) = (managed(), tempfile::tempdir().unwrap());
    write_rules(folder.path());
    fake.associate("monitoring:skopos");
    fake.lifetime(Duration::from_secs(16));
    let now = RuntimeClock::system().now();
    let token = token::make("monitoring:skopos", token::PODS, now + Duration::from_secs(600));
    fs::write(folder.path().join("token"), token).unwrap();
    let agent = format!("{}/v1/credentials", fake.url());
    let environment = [
        &NOBODY[..],
        &[
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", agent.as_str()),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "token"),
            ("AWS_REGION", REGION),
        ],
    ]
    .concat();
    let skopos = Skopos::start_in(folder.path(), &config(&fake, "{}"), &environment);
    let keys = || -> BTreeSet<String> {
        let seen = fake.seen();
        seen.into_iter().filter_map(|seen| seen.by).collect()
    };
    skopos
        .wait_for("a second key", PATIENCE, async |_| keys().len() == 2)
        .await;
    let refused = fake.seen().into_iter().filter(|seen| seen.status >= 400).count();
    assert_eq!((refused, fake.count("Credentials")), (0, 2));
    assert!(fake.count(WRITE) > 5, "{:?}", fake.seen());
    let seen = checkup(&skopos, "aws", "credentials").await["seen"].to_string();
    assert!(
        seen.contains("default credentials from the container (Pod Identity), for another"),
        "{seen}"
    );
    let metrics = skopos.get("/metrics").await.1;
    let fetched = "skopos_aws_credentials_fetches_total{outcome=\"fetched\",source=\"container\"} 2";
    assert!(metrics.contains(fetched), "{metrics}");
    assert_eq!(skopos.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_signs_wrongly_is_told_what_aws_says_and_keeps_its_samples() {
    let (fake, folder) = (managed(), tempfile::tempdir().unwrap());
    write_rules(folder.path());
    let user = fake.user();
    let wrong = format!(
        "{{ region: {REGION}, access_key: {}, secret_key: guessed }}",
        user.access_key
    );
    let mut skopos = Skopos::start_in(folder.path(), &config(&fake, &wrong), &NOBODY);
    let words =
        "403 {\"message\":\"The request signature we calculated does not match the signature you provided";
    skopos
        .wait_for("AWS' own words", PATIENCE, async |skopos| {
            let checkup = checkup(skopos, "sender", "destinations").await;
            checkup["findings"][0]
                .as_str()
                .is_some_and(|found| found.contains(words))
        })
        .await;
    skopos
        .wait_for("the same words on the rule", PATIENCE, async |skopos| {
            let rules = skopos.api("/api/v1/rules").await;
            let error = &rules["groups"][0]["rules"][0]["lastError"];
            error.as_str().is_some_and(|error| error.contains(words))
        })
        .await;
    assert!(!skopos.log().contains("guessed"));
    assert!(fake.taken().is_empty());
    skopos.terminate().await;
    // With the right one all that waited is taken.
    let right = wrong.replace("guessed", &format!("'{}'", user.secret_key));
    let skopos = Skopos::start_in(folder.path(), &config(&fake, &right), &NOBODY);
    skopos
        .wait_for("what waited", PATIENCE, async |skopos| {
            checkup(skopos, "sender", "destinations").await["verdict"] == "ok" && fake.count(WRITE) > 3
        })
        .await;
    let dropped = skopos.get("/metrics").await.1;
    let dropped: Vec<&str> = dropped
        .lines()
        .filter(|line| line.starts_with("skopos_remote_dropped_samples_total") && !line.ends_with(" 0"))
        .collect();
    assert_eq!(dropped, Vec::<&str>::new());
    assert_eq!(skopos.stop().await, 0);
}

#[test]
fn check_says_who_we_are_before_the_start() {
    let (fake, folder) = (managed(), tempfile::tempdir().unwrap());
    write_rules(folder.path());
    fs::write(folder.path().join("skopos.yaml"), config(&fake, "{}")).unwrap();
    let check = |environment: &[(&str, &str)]| {
        let output = command(folder.path())
            .args(["check", "--live", "skopos.yaml"])
            .envs(NOBODY)
            .envs(environment.iter().copied())
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    let (code, text) = check(&[]);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("aws: there are no AWS credentials: none in the environment"),
        "{text}"
    );
    assert!(
        text.contains("give the service account a role by EKS Pod Identity or IRSA"),
        "{text}"
    );
    let user = fake.user();
    let keys = [
        ("AWS_ACCESS_KEY_ID", user.access_key.as_str()),
        ("AWS_SECRET_ACCESS_KEY", user.secret_key.as_str()),
    ];
    let (code, text) = check(&keys);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("no AWS region is known; name it where the request is configured"),
        "{text}"
    );
    let (code, text) = check(&[&keys[..], &[("AWS_REGION", REGION)]].concat());
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("  aws: default credentials from the environment (AWS_ACCESS_KEY_ID)"),
        "{text}"
    );
    assert!(text.contains("it answers"), "{text}");
    let wrong = "remote_write: [{ url: 'https://a/w', sigv4: { regoin: a } }]\n";
    fs::write(folder.path().join("skopos.yaml"), wrong).unwrap();
    let (code, text) = check(&[]);
    assert_eq!(code, Some(64), "{text}");
    assert!(
        text.contains("did you mean \"region\"?") && text.contains("skopos.yaml:1:"),
        "{text}"
    );
}

/// A service that is asked for a role and says no.
#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_is_not_given_is_said_once_in_the_log_with_what_to_do() {
    let (fake, folder) = (managed(), tempfile::tempdir().unwrap());
    write_rules(folder.path());
    let now = RuntimeClock::system().now();
    let token = token::make("monitoring:skopos", token::STS, now + Duration::from_secs(600));
    fs::write(folder.path().join("token"), token).unwrap();
    let url = fake.url();
    let role = "arn:aws:iam::123456789012:role/skopos";
    let environment = [
        &NOBODY[..],
        &[
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "token"),
            ("AWS_ROLE_ARN", role),
            ("AWS_ENDPOINT_URL_STS", url.as_str()),
            ("AWS_REGION", REGION),
        ],
    ]
    .concat();
    let skopos = Skopos::start_in(folder.path(), &config(&fake, "{}"), &environment);
    skopos
        .wait_for("a few tries", PATIENCE, async |_| {
            fake.count("AssumeRoleWithWebIdentity") > 2
        })
        .await;
    let log = skopos.log();
    let said = log
        .lines()
        .filter(|line| line.contains("AccessDenied") && line.contains(" aws"));
    let said: Vec<&str> = said.collect();
    assert_eq!(said.len(), 1, "{log}");
    let words = "AWS credentials of web identity (AWS_WEB_IDENTITY_TOKEN_FILE): STS answers AccessDenied: Not authorized to perform \
                 sts:AssumeRoleWithWebIdentity; see that the role trusts this cluster's identity provider";
    assert!(said[0].contains(words), "{}", said[0]);
    fake.role(role, None);
    skopos
        .wait_for("the role", PATIENCE, async |_| fake.count(WRITE) > 0)
        .await;
    assert_eq!(skopos.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prometheus_signs_alike_by_the_same_words() {
    let Some(program) = find_kept("prometheus") else {
        return;
    };
    let (fake, folder, data) = (
        managed(),
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
    );
    let user = fake.user();
    let write = format!(
        "remote_write:\n- url: '{}/workspaces/ws-1/a%2Fb%20c/api/v1/remote_write?x=a,b&a=%2B'\n  headers: {{ X-Scope-OrgID: 'a  b' }}\n  \
         sigv4: {{ region: {REGION}, access_key: {}, secret_key: '{}', service_name: es }}\n",
        fake.url(),
        user.access_key,
        user.secret_key
    );
    let address = format!("127.0.0.1:{}", free_port());
    let scraped = format!(
        "global: {{ scrape_interval: 1s, scrape_timeout: 1s }}\nscrape_configs:\n- job_name: self\n  static_configs: \
         [{{ targets: ['{address}'] }}]\n"
    );
    let _prometheus = Prometheus::start_at(address, &program, data.path(), &format!("{scraped}{write}"), &[]);
    let quiet = "node: { enabled: false }\nlogs: { enabled: false }\n";
    let skopos = Skopos::start_in(folder.path(), &format!("{quiet}{scraped}{write}"), &NOBODY);
    let agents = || -> BTreeSet<String> {
        let taken = fake.taken();
        let agents = taken.iter().filter_map(|asked| asked.header("user-agent"));
        agents
            .filter_map(|agent| agent.split('/').next().map(str::to_owned))
            .collect()
    };
    skopos
        .wait_for("both", PATIENCE, async |_| agents().len() == 2)
        .await;
    assert_eq!(
        agents(),
        BTreeSet::from(["Prometheus".to_owned(), "skopos".to_owned()])
    );
    let refused: Vec<_> = fake.seen().into_iter().filter(|seen| seen.by.is_none()).collect();
    assert!(refused.is_empty(), "{refused:?}");
    assert_eq!(skopos.stop().await, 0);
}

#[test]
fn what_promtool_takes_of_it_is_taken() {
    let Some(program) = find_kept("promtool") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let role = "role_arn: 'arn:aws:iam::1:role/x'";
    for (entry, is_good) in [
        ("sigv4: {}".to_owned(), true),
        ("sigv4: { region: eu-west-1, profile: writer }".to_owned(), true),
        (
            "sigv4: { access_key: a, secret_key: b, profile: c }".to_owned(),
            true,
        ),
        (
            format!("sigv4: {{ {role}, external_id: e, use_fips_sts_endpoint: true }}"),
            true,
        ),
        ("sigv4: { access_key: a }".to_owned(), false),
        ("sigv4: { secret_key: a }".to_owned(), false),
        ("sigv4: { regoin: a }".to_owned(), false),
        (
            "sigv4: {}, basic_auth: { username: a, password: b }".to_owned(),
            false,
        ),
        ("sigv4: {}, authorization: { credentials: a }".to_owned(), false),
        ("sigv4: {}, headers: { X-Amz-Date: a }".to_owned(), false),
    ] {
        let text = format!("remote_write: [{{ url: 'http://a/w', {entry} }}]\n");
        fs::write(folder.path().join("file.yaml"), text).unwrap();
        let mut theirs = std::process::Command::new(&program);
        theirs.args(["check", "config"]).current_dir(folder.path());
        let mut ours = command(folder.path());
        ours.arg("check");
        for (who, command) in [("promtool", &mut theirs), ("skopos", &mut ours)] {
            let output = command.arg("file.yaml").output().unwrap();
            assert_eq!(output.status.success(), is_good, "{who}, {entry}: {output:?}");
        }
    }
}

/// What OpenSearch answers to somebody who ships lines.
fn search(asked: &fake_aws::Asked) -> Answer {
    match (asked.method.as_str(), asked.path.as_str()) {
        ("GET", "/") => Answer::json(
            200,
            &json!({"version": {"number": "2.19.1", "distribution": "opensearch"}}),
        ),
        ("GET", _) => Answer::json(404, &json!({})),
        ("POST", path) if path.ends_with("/_bulk") => {
            let lines = asked.body.iter().filter(|byte| **byte == b'\n').count();
            let item = json!({"create": {"status": 201}});
            Answer::json(200, &json!({"errors": false, "items": vec![item; lines / 2]}))
        }
        _ => Answer::json(200, &json!({"acknowledged": true})),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_signed_for_a_domain_and_for_a_collection() {
    let (fake, folder) = (
        FakeAws::start(RuntimeClock::system()),
        tempfile::tempdir().unwrap(),
    );
    fake.answer(search);
    let user = fake.user();
    let file = folder.path().join("app.log");
    fs::write(&file, "a line for σ\n").unwrap();
    let entry = |name: &str, more: &str| {
        format!(
            "{{ url: '{}', name: {name}, compression: none, sigv4: {{ region: {REGION}, access_key: {}, secret_key: '{}'{more} }} }}",
            fake.url(),
            user.access_key,
            user.secret_key
        )
    };
    let config = format!(
        "node: {{ enabled: false }}\nlogs: {{ files: ['{}'], opensearch: [{}, {}] }}\n",
        file.display(),
        entry("domain", ""),
        entry("collection", ", service_name: aoss")
    );
    let skopos = Skopos::start_in(folder.path(), &config, &NOBODY);
    let shipped = |service: &str| {
        let scope = format!("/{service}/aws4_request");
        fake.taken().into_iter().any(|asked| {
            asked.path.ends_with("/_bulk")
                && asked
                    .header("authorization")
                    .is_some_and(|said| said.contains(&scope))
                && String::from_utf8_lossy(&asked.body).contains("a line for σ")
        })
    };
    skopos
        .wait_for("the line, twice", PATIENCE, async |_| {
            shipped("es") && shipped("aoss")
        })
        .await;
    let refused: Vec<_> = fake.seen().into_iter().filter(|seen| seen.by.is_none()).collect();
    assert!(refused.is_empty(), "{refused:?}");
    assert_eq!(skopos.stop().await, 0);
}
