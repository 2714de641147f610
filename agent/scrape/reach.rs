//! The keys of Prometheus' HTTP client in `scrape_configs`: each has its effect, at real servers, proxies and givers of tokens on
//! this machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use model::Timestamp;
use telemetry::clock::RuntimeClock;

use crate::ScrapeConfig;
use crate::config::Global;
use crate::fetch::fetch;
use crate::plan::{Plan, sections};

#[path = "../../tests/fakes/gates.rs"]
mod gates;

use gates::{Asked, Gate, Hidden, given};

type Said = (u16, Vec<(String, String)>, String);

fn read(more: &str) -> Result<Vec<Plan>, Vec<String>> {
    let text = format!(
        "- job_name: shop\n  scrape_timeout: 5s\n  fallback_scrape_protocol: PrometheusText0.0.4\n{more}"
    );
    let mut configs: Vec<ScrapeConfig> =
        yaml::read("test.yaml", &text).map_err(|complaint| vec![complaint.to_string()])?;
    let files = configs.iter_mut().flat_map(|config| config.http.files_mut());
    for file in files {
        *file = given("").join(&*file);
    }
    let sections = sections(&configs, &Global::default())?;
    Ok(sections
        .iter()
        .flat_map(|section| section.sift_named().plans)
        .collect())
}

/// One target at this address, with these keys.
fn target(address: &str, keys: &str) -> Plan {
    let static_configs = format!("  static_configs: [{{ targets: ['{address}'] }}]\n");
    let mut plans = read(&format!("{static_configs}{keys}")).unwrap_or_else(|wrong| panic!("{wrong:?}"));
    plans.remove(0)
}

fn here(gate: &Gate) -> String {
    format!("127.0.0.1:{}", gate.port)
}

/// Scrapes as often as there are answers to tell.
struct Reader {
    client: Arc<net::HttpClient>,
    clock: Arc<RuntimeClock>,
}

impl Reader {
    fn new() -> Self {
        Self {
            client: net::HttpClient::new().unwrap(),
            clock: RuntimeClock::starting_at(Timestamp(0)),
        }
    }

    async fn ask(&self, plan: &Plan) -> Result<String, String> {
        match fetch(&*self.client, &*self.clock, plan).await {
            Ok(body) => Ok(String::from_utf8(body.bytes).unwrap()),
            Err(refusal) => Err(format!("{}: {}", refusal.reason, refusal.sentence)),
        }
    }
}

async fn ask(plan: &Plan) -> Result<String, String> {
    Reader::new().ask(plan).await
}

fn ok() -> Result<String, String> {
    Ok("ok".to_owned())
}

fn said(gate: &Gate, name: &str) -> Vec<Option<String>> {
    let asked = gate.asked();
    asked
        .iter()
        .map(|asked| asked.header(name).map(str::to_owned))
        .collect()
}

#[tokio::test]
async fn who_we_are_is_said_by_name_or_token_from_here_or_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (name, password) = (file("name", "Aladdin\n"), file("password", "open sesame\n"));
    let token = file("token", "t0k3n\n");
    for (keys, wanted) in [
        (
            "  basic_auth: { username: Aladdin, password: open sesame }\n".to_owned(),
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
        ),
        (
            format!("  basic_auth: {{ username_file: {name}, password_file: {password} }}\n"),
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
        ),
        // A number is a text here, as in Prometheus.
        (
            "  basic_auth: { username: 12, password: 34 }\n".to_owned(),
            "Basic MTI6MzQ=",
        ),
        ("  authorization: { credentials: abc }\n".to_owned(), "Bearer abc"),
        (
            format!("  authorization: {{ type: Key, credentials_file: {token} }}\n"),
            "Key t0k3n",
        ),
        ("  bearer_token: abc\n".to_owned(), "Bearer abc"),
        (format!("  bearer_token_file: {token}\n"), "Bearer t0k3n"),
    ] {
        let server = Gate::taking(None).await;
        assert_eq!(ask(&target(&here(&server), &keys)).await, ok(), "{keys}");
        assert_eq!(
            said(&server, "authorization"),
            [Some(wanted.to_owned())],
            "{keys}"
        );
    }
    let server = Gate::taking(None).await;
    assert_eq!(ask(&target(&here(&server), "")).await, ok());
    assert_eq!(said(&server, "authorization"), [None]);
}

#[tokio::test]
async fn a_token_of_another_server_is_fetched_once_for_a_section_and_anew_when_it_is_refused() {
    let given_out = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&given_out);
    let giver = Gate::server(None, move |_| {
        let nth = count.fetch_add(1, Ordering::Relaxed) + 1;
        let body = format!("{{\"access_token\":\"t{nth}\",\"token_type\":\"bearer\",\"expires_in\":3600}}");
        (200, Vec::new(), body)
    })
    .await;
    let server = Gate::server(None, |asked| {
        let is_old = asked.line.contains("/new") && asked.header("authorization") == Some("Bearer t1");
        (if is_old { 401 } else { 200 }, Vec::new(), "ok".to_owned())
    })
    .await;
    let address = here(&server);
    let plans = read(&format!(
        "  static_configs: [{{ targets: ['{address}'] }}, {{ targets: ['{address}'], labels: {{ __metrics_path__: /new }} }}]\n  \
         oauth2: {{ client_id: me, client_secret: s, scopes: [ read ], token_url: 'http://{}/token' }}\n",
        here(&giver)
    ))
    .unwrap();
    let reader = Reader::new();
    for plan in [&plans[0], &plans[0], &plans[1], &plans[0]] {
        assert_eq!(reader.ask(plan).await, ok());
    }
    let tokens = said(&server, "authorization");
    let tokens: Vec<_> = tokens.iter().flatten().map(String::as_str).collect();
    assert_eq!(
        tokens,
        ["Bearer t1", "Bearer t1", "Bearer t1", "Bearer t2", "Bearer t2"]
    );
    assert_eq!(given_out.load(Ordering::Relaxed), 2);
    assert!(giver.asked()[0].body.contains("scope=read"));
}

#[tokio::test]
async fn certificates_are_those_that_are_named() {
    let server = Gate::taking(Some(Hidden {
        wants_certificate: true,
        ..Hidden::default()
    }))
    .await;
    let keys = |tls: &str| format!("  scheme: https\n  tls_config: {{ {tls} }}\n");
    let identity = "cert_file: client.pem, key_file: client.key.pem";
    let ask = async |tls: &str| ask(&target(&here(&server), &keys(tls))).await;
    assert_eq!(ask(&format!("ca_file: ca.pem, {identity}")).await, ok());
    let named = format!("ca_file: ca.pem, {identity}, server_name: hooks.example");
    assert_eq!(ask(&named).await, ok());
    assert_eq!(
        server.asked().last().unwrap().server_name.as_deref(),
        Some("hooks.example")
    );
    assert_eq!(
        ask(&format!(
            "insecure_skip_verify: true, max_version: TLS12, {identity}"
        ))
        .await,
        ok()
    );
    assert_eq!(server.asked().len(), 3);
    let unknown = ask(identity).await.unwrap_err();
    assert!(unknown.starts_with("connect: "), "{unknown}");
    assert!(ask("ca_file: ca.pem").await.is_err());
    let other = format!("ca_file: ca.pem, {identity}, server_name: other.example");
    let other = ask(&other).await.unwrap_err();
    assert!(
        other.starts_with("connect: ") && other.contains("other.example"),
        "{other}"
    );
    let missing = ask("ca_file: nowhere.pem").await.unwrap_err();
    assert!(
        missing.starts_with("credentials: reading ") && missing.contains("nowhere.pem"),
        "{missing}"
    );
    assert_eq!(server.asked().len(), 3);
}

#[tokio::test]
async fn a_certificate_that_is_exchanged_is_used_at_the_next_scrape() {
    let server = Gate::taking(Some(Hidden::default())).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, std::fs::read_to_string(given("client.pem")).unwrap()).unwrap();
    let keys = format!(
        "  scheme: https\n  tls_config: {{ ca_file: {} }}\n",
        file.display()
    );
    let plan = target(&here(&server), &keys);
    let reader = Reader::new();
    reader.ask(&plan).await.unwrap_err();
    std::fs::copy(given("ca.pem"), &file).unwrap();
    assert_eq!(reader.ask(&plan).await, ok());
}

#[tokio::test]
async fn a_proxy_is_handed_what_is_for_http_and_asked_for_a_tunnel_for_https() {
    let server = Gate::taking(Some(Hidden::default())).await;
    let proxy = Gate::proxy(None, server.port).await;
    let keys = format!("  proxy_url: http://me:pw@{}\n", here(&proxy));
    assert_eq!(
        ask(&target("shop.example:80", &keys)).await,
        Ok("by the proxy".to_owned())
    );
    let keys = format!(
        "{keys}  scheme: https\n  tls_config: {{ ca_file: ca.pem }}\n  proxy_connect_header: {{ X-Team: [ ours ] }}\n"
    );
    assert_eq!(ask(&target("hooks.example:8443", &keys)).await, ok());
    let asked = proxy.asked();
    let lines: Vec<_> = asked.iter().map(|asked| asked.line.as_str()).collect();
    assert_eq!(
        lines,
        [
            "GET http://shop.example/metrics HTTP/1.1",
            "CONNECT hooks.example:8443 HTTP/1.1"
        ]
    );
    for asked in &asked {
        assert_eq!(asked.header("proxy-authorization"), Some("Basic bWU6cHc="));
    }
    assert_eq!(asked[1].header("x-team"), Some("ours"));
    assert_eq!(asked[1].header("accept"), None);
    assert_eq!(server.asked().len(), 1);
    assert_eq!(said(&server, "proxy-authorization"), [None]);
}

#[tokio::test]
async fn hosts_of_no_proxy_are_scraped_without_it() {
    let (server, proxy) = (Gate::taking(None).await, Gate::closed(502).await);
    let keys = format!("  proxy_url: http://{}\n", here(&proxy));
    let through = ask(&target(&here(&server), &keys)).await.unwrap_err();
    assert_eq!(through, "status: the server answered with HTTP status 502");
    assert_eq!(
        ask(&target(
            &here(&server),
            &format!("{keys}  no_proxy: 127.0.0.0/8, .example\n")
        ))
        .await,
        ok()
    );
    assert_eq!(
        ask(&target(&here(&server), "  proxy_from_environment: false\n")).await,
        ok()
    );
    assert_eq!((server.asked().len(), proxy.asked().len()), (2, 1));
}

#[tokio::test]
async fn headers_are_added_from_values_secrets_and_files() {
    let server = Gate::taking(None).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("value");
    std::fs::write(&file, "c\n").unwrap();
    let keys = format!(
        "  http_headers: {{ X-Scope-OrgID: {{ values: [ a ], secrets: [ b ], files: [ {} ] }} }}\n",
        file.display()
    );
    let (plan, reader) = (target(&here(&server), &keys), Reader::new());
    assert_eq!(reader.ask(&plan).await, ok());
    std::fs::write(&file, "d\n").unwrap();
    assert_eq!(reader.ask(&plan).await, ok());
    let asked = server.asked();
    assert_eq!(asked[0].all("x-scope-orgid"), ["a", "b", "c"]);
    assert_eq!(asked[1].all("x-scope-orgid"), ["a", "b", "d"]);
    assert!(asked[0].header("accept").unwrap().contains("openmetrics"));
}

fn moved(status: u16, to: String) -> impl Fn(&Asked) -> Said {
    move |_| {
        (
            status,
            vec![("Location".to_owned(), to.clone())],
            "moved".to_owned(),
        )
    }
}

#[tokio::test]
async fn every_redirect_is_followed_unless_it_may_not_be() {
    for status in [301, 302, 303, 307, 308] {
        let end = Gate::taking(None).await;
        let to = format!("http://{}/there?x=1", here(&end));
        let server = Gate::server(None, moved(status, to)).await;
        // With nothing said, and by the way of those who say something.
        for keys in ["", "  basic_auth: { username: a, password: b }\n"] {
            assert_eq!(
                ask(&target(&here(&server), keys)).await,
                ok(),
                "{status} {keys:?}"
            );
        }
        let refused = ask(&target(&here(&server), "  follow_redirects: false\n")).await;
        assert_eq!(
            refused,
            Err(format!("status: the server answered with HTTP status {status}"))
        );
        // Nobody is asked the same twice.
        assert_eq!((server.asked().len(), end.asked().len()), (3, 2));
        let arrived = &end.asked()[0];
        assert_eq!(arrived.line, "GET /there?x=1 HTTP/1.1");
        assert_eq!(arrived.header("x-prometheus-scrape-timeout-seconds"), Some("5"));
    }
}

#[tokio::test]
async fn nobody_but_the_host_that_was_meant_is_told_who_we_are() {
    let elsewhere = Gate::taking(None).await;
    let to = format!("http://{}/", here(&elsewhere));
    let server = Gate::server(None, move |asked: &Asked| {
        let to = if asked.line.contains("/metrics") {
            "/here".to_owned()
        } else {
            to.clone()
        };
        (302, vec![("Location".to_owned(), to)], String::new())
    })
    .await;
    let keys = "  authorization: { credentials: t }\n  http_headers: { X-Key: { secrets: [ k ] } }\n";
    assert_eq!(ask(&target(&here(&server), keys)).await, ok());
    for name in ["authorization", "x-key"] {
        assert!(said(&server, name).iter().all(Option::is_some), "{name}");
        assert_eq!(said(&elsewhere, name), [None], "{name}");
    }
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn from_https_a_scrape_may_go_to_http_and_does_not_say_there_who_we_are() {
    let end = Gate::taking(None).await;
    let to = format!("http://{}/", here(&end));
    let server = Gate::server(Some(Hidden::default()), moved(301, to)).await;
    let keys = "  scheme: https\n  tls_config: { ca_file: ca.pem }\n  bearer_token: t\n";
    assert_eq!(ask(&target(&here(&server), keys)).await, ok());
    assert_eq!(said(&end, "authorization"), [None]);
}

#[tokio::test]
async fn redirects_in_a_circle_end() {
    for keys in ["", "  bearer_token: t\n"] {
        let server = Gate::server(None, moved(302, "/metrics".to_owned())).await;
        assert_eq!(
            ask(&target(&here(&server), keys)).await.unwrap_err(),
            "status: the server answered with HTTP status 302"
        );
        assert_eq!(server.asked().len(), 11);
    }
}

#[tokio::test]
async fn without_http2_a_target_is_read_as_with_it() {
    let server = Gate::taking(Some(Hidden::default())).await;
    let keys = "  scheme: https\n  tls_config: { ca_file: ca.pem }\n  enable_http2: false\n";
    assert_eq!(ask(&target(&here(&server), keys)).await, ok());
}

#[test]
fn a_target_that_says_nothing_carries_nothing_and_others_share_what_their_section_says() {
    let targets = "  static_configs: [{ targets: [ 'a:1', 'b:1' ] }]\n";
    let plans = |keys: &str| read(&format!("{targets}{keys}")).unwrap();
    for keys in ["", "  follow_redirects: true\n  enable_http2: false\n"] {
        assert!(plans(keys).iter().all(|plan| plan.reach.is_none()), "{keys}");
    }
    let shared = plans("  bearer_token: t\n");
    let (Some(first), Some(second)) = (&shared[0].reach, &shared[1].reach) else {
        panic!("{shared:?}")
    };
    assert!(Arc::ptr_eq(first, second));
    // A reload with the same words goes on with the same targets.
    assert_eq!(shared, plans("  bearer_token: t\n"));
    assert_ne!(shared, plans("  bearer_token: other\n"));
}

#[test]
fn what_cannot_be_meant_is_a_mistake_that_names_its_key() {
    for (keys, wanted) in [
        (
            "  basic_auth: { username: a }\n  oauth2: { client_id: a, token_url: 'http://a' }\n",
            "scrape_configs[0].authorization: at most one of basic_auth, authorization, oauth2 & bearer_token",
        ),
        (
            "  tls_config: { cert_file: a }\n",
            "scrape_configs[0].tls_config.key: exactly one of key or key_file",
        ),
        (
            "  proxy_url: socks5://a\n",
            "scrape_configs[0].proxy_url: socks5 is not supported",
        ),
        (
            "  proxy_url: http://a\n  proxy_from_environment: true\n",
            "scrape_configs[0].proxy_from_environment: ",
        ),
        (
            "  no_proxy: a\n",
            "scrape_configs[0].no_proxy: if it is configured, proxy_url must",
        ),
        (
            "  http_headers: { Host: { values: [ a ] } }\n",
            "scrape_configs[0].http_headers: setting header \"Host\"",
        ),
    ] {
        let wrong = read(keys).unwrap_err();
        assert!(wrong.len() == 1 && wrong[0].starts_with(wanted), "{wrong:?}");
    }
}

#[test]
fn an_unknown_key_has_its_line_and_what_was_meant() {
    for (keys, line, meant) in [
        ("  basic_auht: { username: a }\n", "test.yaml:4:3", "basic_auth"),
        ("  tls_config: { ca_fiel: a }\n", "test.yaml:4:17", "ca_file"),
        ("  metrics_paht: /a\n", "test.yaml:4:3", "metrics_path"),
    ] {
        let wrong = read(keys).unwrap_err().remove(0);
        assert!(
            wrong.starts_with(line) && wrong.contains(&format!("did you mean {meant:?}?")),
            "{wrong}"
        );
    }
}

#[test]
fn what_lets_others_read_along_is_noted() {
    let text = "- job_name: a\n- job_name: b\n  tls_config: { insecure_skip_verify: true }\n";
    let configs: Vec<ScrapeConfig> = yaml::read("test.yaml", text).unwrap();
    let notes = crate::notes(&configs, &Global::default());
    assert!(
        notes.len() == 1 && notes[0].starts_with("scrape_configs[1].tls_config.insecure_skip_verify: "),
        "{notes:?}"
    );
}
