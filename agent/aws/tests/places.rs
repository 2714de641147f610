//! Where credentials come from: a process with an environment of its own asks the fake.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use fake_aws::{FakeAws, Fault, REGION, token};
use model::Clock;
use telemetry::clock::RuntimeClock;

const HOUR: Duration = Duration::from_secs(3600);
/// Longer than the first pause after a failure, which is not on the clock of the wall.
const PAUSE: Duration = Duration::from_millis(1100);
const ROLE: &str = "arn:aws:iam::123456789012:role/skopos-writes";

/// `examples/identity.rs`, which says who it is whenever it is asked.
struct Somebody {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Drop for Somebody {
    fn drop(&mut self) {
        drop((self.child.kill(), self.child.wait()));
    }
}

/// What somebody says.
#[derive(Debug)]
struct Said {
    key: String,
    region: String,
    seen: String,
}

impl Somebody {
    fn new(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let tests = std::env::current_exe().unwrap();
        let built = tests.parent().unwrap().parent().unwrap();
        let mut child = Command::new(built.join("examples/identity"))
            .args(arguments)
            .env_clear()
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        Self { child, said }
    }

    fn says(&mut self) -> Said {
        self.says_after(Duration::ZERO)
    }

    /// So much later on its own clock.
    fn says_after(&mut self, time: Duration) -> Said {
        let line = format!("{}\n", time.as_millis());
        let input = self.child.stdin.as_mut().unwrap();
        input.write_all(line.as_bytes()).unwrap();
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        let mut parts = line.trim_end().split('\t').map(str::to_owned);
        let mut next = || parts.next().unwrap_or_default();
        Said {
            key: next(),
            region: next(),
            seen: next(),
        }
    }
}

struct Place {
    clock: Arc<RuntimeClock>,
    fake: FakeAws,
    url: String,
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let clock = RuntimeClock::system();
        let fake = FakeAws::start(clock.clone());
        let url = fake.url();
        Self {
            clock,
            fake,
            url,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path: PathBuf = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// On the fake's clock.
    fn pass(&self, time: Duration) {
        self.clock.skew(model::time::millis(time));
    }

    /// Good for so many seconds from now.
    fn token(&self, audience: &str, seconds: u64) -> String {
        token::make(
            "monitoring:skopos",
            audience,
            self.clock.now() + Duration::from_secs(seconds),
        )
    }
}

#[test]
fn the_environment_comes_first_and_its_keys_sign() {
    let place = Place::new();
    let user = place.fake.user();
    let mut somebody = Somebody::new(
        &[],
        &[
            ("AWS_ACCESS_KEY_ID", &user.access_key),
            ("AWS_SECRET_ACCESS_KEY", &user.secret_key),
            ("AWS_REGION", REGION),
            // Left over, and not looked at.
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere"),
            ("AWS_ROLE_ARN", ROLE),
        ],
    );
    let said = somebody.says();
    assert_eq!((said.key, said.region.as_str()), (user.access_key, REGION));
    assert_eq!(
        said.seen,
        "ok: default credentials from the environment (AWS_ACCESS_KEY_ID)"
    );
    assert!(place.fake.seen().is_empty());
}

#[test]
fn a_profile_is_taken_by_name_and_read_anew() {
    let place = Place::new();
    let user = place.fake.user();
    let keys = |key: &str| format!("[writer]\naws_access_key_id = {key}\naws_secret_access_key = s\n");
    let credentials = place.write("credentials", &keys(&user.access_key));
    let config = place.write("config", "[profile writer]\nregion = eu-central-1\n");
    let files: [(&str, &str); 2] = [
        ("AWS_CONFIG_FILE", &config),
        ("AWS_SHARED_CREDENTIALS_FILE", &credentials),
    ];
    let said = Somebody::new(&["profile=writer"], &files).says();
    assert_eq!(
        (said.key, said.region.as_str()),
        (user.access_key, "eu-central-1")
    );
    assert_eq!(said.seen, "ok: profile writer from the profile");
    let mut missing = Somebody::new(&["profile=reader"], &files);
    let said = missing.says();
    assert!(said.seen.starts_with("fail: profile reader, for"), "{said:?}");
    assert!(
        said.seen.contains("see what the profile says in ~/.aws/config"),
        "{said:?}"
    );
    place.write("credentials", &keys("AKIALATER").replace("writer", "reader"));
    std::thread::park_timeout(PAUSE);
    assert_eq!(missing.says().key, "AKIALATER");
}

#[test]
fn web_identity_reads_its_token_each_time() {
    let place = Place::new();
    place.fake.role(ROLE, None);
    let file = place.write("token", &place.token(token::STS, 600));
    let mut somebody = Somebody::new(
        &[],
        &[
            ("AWS_WEB_IDENTITY_TOKEN_FILE", &file),
            ("AWS_ROLE_ARN", ROLE),
            ("AWS_REGION", REGION),
            ("AWS_ENDPOINT_URL_STS", &place.url),
        ],
    );
    let first = somebody.says();
    assert!(first.key.starts_with("ASIA"), "{first:?}");
    assert!(
        first.seen.starts_with(
            "ok: default credentials from web identity (AWS_WEB_IDENTITY_TOKEN_FILE), for another "
        ),
        "{first:?}"
    );
    // They are kept.
    assert_eq!(somebody.says().key, first.key);
    assert_eq!(place.fake.count("AssumeRoleWithWebIdentity"), 1);
    // The kubelet has put another token there; the one before has expired.
    place.pass(HOUR);
    place.write("token", &place.token(token::STS, 0));
    let said = somebody.says_after(HOUR);
    assert!(
        said.seen
            .contains("STS answers ExpiredTokenException: Token expired: current date/time must be before"),
        "{said:?}"
    );
    assert!(
        said.seen
            .contains("see that the role trusts this cluster's identity provider"),
        "{said:?}"
    );
    place.write("token", &place.token(token::STS, 600));
    std::thread::park_timeout(PAUSE);
    let later = somebody.says();
    assert!(
        later.key.starts_with("ASIA") && later.key != first.key,
        "{later:?}"
    );
    fs::remove_file(&file).unwrap();
    place.pass(HOUR);
    let said = somebody.says_after(HOUR);
    assert!(
        said.seen.contains(&format!("reading {file}: No such file")),
        "{said:?}"
    );
}

#[test]
fn pod_identity_asks_the_agent_of_the_node_never_by_a_proxy() {
    let place = Place::new();
    let file = place.write("token", &place.token(token::PODS, 600));
    let agent = format!("{}/v1/credentials", place.url);
    let mut somebody = Somebody::new(
        &[],
        &[
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &agent),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &file),
            ("AWS_REGION", REGION),
            ("HTTP_PROXY", "http://127.0.0.1:1"),
            ("http_proxy", "http://127.0.0.1:1"),
        ],
    );
    let said = somebody.says();
    assert!(
        said.seen.starts_with("fail: default credentials, for"),
        "{said:?}"
    );
    assert!(said.seen.contains("404"), "{said:?}");
    assert!(
        said.seen
            .contains("see that the service account has a Pod Identity association"),
        "{said:?}"
    );
    place.fake.associate("monitoring:skopos");
    std::thread::park_timeout(PAUSE);
    let said = somebody.says();
    assert!(said.key.starts_with("ASIA"), "{said:?}");
    assert!(
        said.seen
            .starts_with("ok: default credentials from the container (Pod Identity), for another"),
        "{said:?}"
    );
}

#[test]
fn a_role_is_taken_on_with_what_is_there_and_its_external_id() {
    let place = Place::new();
    place.fake.role(ROLE, Some("agreed"));
    let user = place.fake.user();
    let environment: [(&str, &str); 4] = [
        ("AWS_ACCESS_KEY_ID", &user.access_key),
        ("AWS_SECRET_ACCESS_KEY", &user.secret_key),
        ("AWS_REGION", REGION),
        ("AWS_ENDPOINT_URL_STS", &place.url),
    ];
    let role = format!("role={ROLE}");
    let said = Somebody::new(&[&role], &environment).says();
    assert!(
        said.seen.contains(&format!(
            "taking on the role {ROLE} with credentials of the environment (AWS_ACCESS_KEY_ID): STS answers AccessDenied: User: {} \
             is not authorized to perform: sts:AssumeRole",
            user.arn
        )),
        "{said:?}"
    );
    let said = Somebody::new(&[&role, "external=agreed"], &environment).says();
    assert!(said.key.starts_with("ASIA"), "{said:?}");
    let last = place.fake.seen().pop().unwrap();
    assert_eq!(
        (last.operation.as_str(), last.by, last.status),
        ("AssumeRole", Some(user.access_key.clone()), 200)
    );
    // A wrong secret is said in AWS' words.
    let mut wrong = environment;
    wrong[1].1 = "guessed";
    let said = Somebody::new(&[&role, "external=agreed"], &wrong).says();
    assert!(
        said.seen.contains(
            "STS answers SignatureDoesNotMatch: The request signature we calculated does not match"
        ),
        "{said:?}"
    );
}

#[test]
fn the_machine_is_asked_only_where_that_is_wanted() {
    let place = Place::new();
    let environment: [(&str, &str); 2] = [
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &place.url),
        ("AWS_REGION", REGION),
    ];
    let said = Somebody::new(&[], &environment).says();
    assert!(
        said.seen.contains(
            "there are no AWS credentials: none in the environment (AWS_ACCESS_KEY_ID), in the profile"
        ),
        "{said:?}"
    );
    assert!(
        said.seen
            .ends_with("or take the machine's role by aws.imds: true"),
        "{said:?}"
    );
    // Nor for the region.
    let said = Somebody::new(&[], &environment[..1]).says();
    assert!(
        said.region.starts_with("no AWS region is known; name it"),
        "{said:?}"
    );
    assert!(place.fake.seen().is_empty());
    let said = Somebody::new(&["imds"], &environment).says();
    assert!(said.key.starts_with("ASIA"), "{said:?}");
    assert!(
        said.seen
            .starts_with("ok: default credentials from the machine's role (IMDS)"),
        "{said:?}"
    );
}

#[test]
fn a_server_that_fails_once_is_asked_again() {
    let place = Place::new();
    place.fake.role(ROLE, None);
    place.fake.fails("AssumeRoleWithWebIdentity", 1, Fault::Broken);
    place
        .fake
        .fails("AssumeRoleWithWebIdentity", 1, Fault::LosesAnswer);
    let file = place.write("token", &place.token(token::STS, 600));
    let said = Somebody::new(
        &[],
        &[
            ("AWS_WEB_IDENTITY_TOKEN_FILE", &file),
            ("AWS_ROLE_ARN", ROLE),
            ("AWS_REGION", REGION),
            ("AWS_ENDPOINT_URL_STS", &place.url),
        ],
    )
    .says();
    assert!(said.key.starts_with("ASIA"), "{said:?}");
    assert_eq!(place.fake.count("AssumeRoleWithWebIdentity"), 3);
}
