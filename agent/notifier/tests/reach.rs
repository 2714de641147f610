//! `http_config`: every key has its effect, at real servers, proxies and givers of tokens on this machine.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use model::mail::NoMail;
use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};

use super::cards::{alert, message};
use super::world::config;
use crate::alertmanager::tests::no_files;
use crate::config::Config;
use crate::delivered::Reason;
use crate::plan::Plan;
use crate::probe;
use crate::receiver::{Receiver, Ways};
use crate::verdict::Verdict;

#[path = "../../../tests/fakes/gates.rs"]
mod gates;

use gates::{Asked, Gate, Hidden, given};

fn read(text: &str) -> Result<Config, String> {
    let mut config = Config::default();
    let folder = given("");
    let read = config.read_file("alertmanager.yml", text, &folder, &no_files);
    let mistakes = read.err().unwrap_or_default();
    if mistakes.is_empty() {
        return Ok(config);
    }
    Err(mistakes
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n"))
}

/// A webhook under a file; `http` is what stands within `http_config`. Paths are meant from the folder of the certificates.
fn hook(url: &str, http: &str) -> Config {
    let text = format!(
        "route: {{ receiver: r }}\nreceivers:\n- name: r\n  webhook_configs:\n  - url: {url}\n    timeout: 3s\n    \
         http_config: {{ {http} }}\n"
    );
    read(&text).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

fn only(config: &Config) -> Arc<Receiver> {
    Plan::of(config).receivers.remove(0)
}

fn ways() -> Ways {
    Ways {
        client: net::HttpClient::new().unwrap(),
        mail: Arc::new(NoMail),
    }
}

async fn send(config: &Config) -> Verdict {
    let message = message(Reason::First, vec![alert(1)], &[]);
    only(config).send(&ways(), &message, || true).await.verdict
}

fn taken() -> Verdict {
    Verdict::Taken("200".to_owned())
}

/// What is wrong for now, and whether the message may have arrived.
fn later(verdict: Verdict) -> (String, bool) {
    match verdict {
        Verdict::Later { words, unsure, .. } => (words, unsure),
        other => panic!("{other:?}"),
    }
}

const CA: &str = "ca_file: ca.pem";

#[tokio::test]
async fn a_servers_certificate_has_to_be_of_the_authority_that_is_named() {
    let server = Gate::taking(Some(Hidden::default())).await;
    let url = format!("https://127.0.0.1:{}/", server.port);
    assert_eq!(
        send(&hook(&url, &format!("tls_config: {{ {CA} }}"))).await,
        taken()
    );
    // As text in the file itself.
    let ca = std::fs::read_to_string(given("ca.pem")).unwrap();
    let here = format!("tls_config: {{ ca: {} }}", serde_json::to_string(&ca).unwrap());
    assert_eq!(send(&hook(&url, &here)).await, taken());
    assert_eq!(server.asked().len(), 2);
    // The machine does not know it.
    let (words, is_unsure) = later(send(&hook(&url, "follow_redirects: true")).await);
    assert!(!is_unsure && words.contains("cannot connect"), "{words}");
    let (words, is_unsure) = later(send(&hook(&url, "tls_config: { min_version: TLS12 }")).await);
    assert!(!is_unsure && words.contains("certificate"), "{words}");
    assert_eq!(
        send(&hook(&url, "tls_config: { insecure_skip_verify: true }")).await,
        taken()
    );
    let (words, _) = later(send(&hook(&url, "tls_config: { ca_file: nowhere.pem }")).await);
    assert!(words.contains("nowhere.pem"), "{words}");
}

#[tokio::test]
async fn the_name_that_is_asked_for_and_expected_can_be_another() {
    let server = Gate::taking(Some(Hidden::default())).await;
    let url = format!("https://127.0.0.1:{}/", server.port);
    let named = |name: &str| hook(&url, &format!("tls_config: {{ {CA}, server_name: {name} }}"));
    assert_eq!(send(&named("hooks.example")).await, taken());
    assert_eq!(server.asked()[0].server_name.as_deref(), Some("hooks.example"));
    let (words, is_unsure) = later(send(&named("other.example")).await);
    assert!(!is_unsure && words.contains("other.example"), "{words}");
}

#[tokio::test]
async fn a_server_that_wants_our_certificate_gets_it() {
    let hidden = Hidden {
        wants_certificate: true,
        ..Hidden::default()
    };
    let server = Gate::taking(Some(hidden)).await;
    let url = format!("https://localhost:{}/", server.port);
    let files = format!("tls_config: {{ {CA}, cert_file: client.pem, key_file: client.key.pem }}");
    assert_eq!(send(&hook(&url, &files)).await, taken());
    let text = |name| serde_json::to_string(&std::fs::read_to_string(given(name)).unwrap()).unwrap();
    let (cert, key) = (text("client.pem"), text("client.key.pem"));
    let here = hook(&url, &format!("tls_config: {{ {CA}, cert: {cert}, key: {key} }}"));
    assert_eq!(send(&here).await, taken());
    assert!(!format!("{here:?}").contains("PRIVATE KEY"));
    later(send(&hook(&url, &format!("tls_config: {{ {CA} }}"))).await);
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn only_the_versions_of_tls_are_spoken_that_may_be() {
    let of = async |versions| {
        let server = Gate::taking(Some(Hidden {
            versions,
            ..Hidden::default()
        }))
        .await;
        format!("https://127.0.0.1:{}/", server.port)
    };
    static OLD: &[&SupportedProtocolVersion] = &[&TLS12];
    static NEW: &[&SupportedProtocolVersion] = &[&TLS13];
    let (old, new) = (of(OLD).await, of(NEW).await);
    let with = |version: &str| format!("tls_config: {{ {CA}, {version} }}");
    assert_eq!(send(&hook(&old, &with("max_version: TLS12"))).await, taken());
    assert_eq!(send(&hook(&new, &with("min_version: TLS13"))).await, taken());
    later(send(&hook(&old, &with("min_version: TLS13"))).await);
    later(send(&hook(&new, &with("max_version: TLS12"))).await);
}

#[tokio::test]
async fn a_certificate_that_is_exchanged_is_used_at_once() {
    let hidden = Hidden {
        wants_certificate: true,
        ..Hidden::default()
    };
    let server = Gate::taking(Some(hidden)).await;
    let folder = tempfile::tempdir().unwrap();
    let put = |from: &str, to: &str| std::fs::copy(given(from), folder.path().join(to)).unwrap();
    // A certificate for servers is none for us.
    put("server.pem", "cert.pem");
    put("server.key.pem", "key.pem");
    let at = folder.path().display();
    let config = hook(
        &format!("https://localhost:{}/", server.port),
        &format!("tls_config: {{ {CA}, cert_file: {at}/cert.pem, key_file: {at}/key.pem }}"),
    );
    let (receiver, ways) = (only(&config), ways());
    let message = message(Reason::First, vec![alert(1)], &[]);
    later(receiver.send(&ways, &message, || true).await.verdict);
    put("client.pem", "cert.pem");
    put("client.key.pem", "key.pem");
    assert_eq!(receiver.send(&ways, &message, || true).await.verdict, taken());
}

#[tokio::test]
async fn what_is_for_https_goes_through_a_tunnel_and_the_proxy_hears_no_word_of_it() {
    let server = Gate::taking(Some(Hidden::default())).await;
    let proxy = Gate::proxy(None, server.port).await;
    let config = hook(
        "https://hooks.example/T0/s3cret",
        &format!(
            "tls_config: {{ {CA} }}, proxy_url: 'http://us:p%40ss@127.0.0.1:{}', authorization: {{ credentials: tok }}, \
             proxy_connect_header: {{ X-Team: [ ops, night ] }}",
            proxy.port
        ),
    );
    assert_eq!(send(&config).await, taken());
    let asked = proxy.asked().remove(0);
    assert_eq!(asked.line, "CONNECT hooks.example:443 HTTP/1.1");
    assert_eq!(asked.header("host"), Some("hooks.example:443"));
    assert_eq!(
        asked.header("proxy-authorization"),
        Some(&*net::basic("us", "p@ss"))
    );
    assert_eq!(asked.all("x-team"), ["ops", "night"]);
    assert!(asked.header("authorization").is_none());
    let arrived = server.asked().remove(0);
    assert_eq!(arrived.line, "POST /T0/s3cret HTTP/1.1");
    assert_eq!(arrived.header("authorization"), Some("Bearer tok"));
    assert_eq!(arrived.server_name.as_deref(), Some("hooks.example"));
    assert!(arrived.header("proxy-authorization").is_none() && arrived.header("x-team").is_none());
    assert!(arrived.body.contains("\"version\":\"4\""));
}

#[tokio::test]
async fn what_is_for_http_is_handed_to_the_proxy_with_its_whole_address() {
    let proxy = Gate::proxy(None, 1).await;
    let config = hook(
        "http://hooks.example:8080/in?x=y",
        &format!(
            "proxy_url: 'http://us:pass@127.0.0.1:{}', proxy_connect_header: {{ X-Team: [ ops ] }}",
            proxy.port
        ),
    );
    assert_eq!(send(&config).await, taken());
    let asked = proxy.asked().remove(0);
    assert_eq!(asked.line, "POST http://hooks.example:8080/in?x=y HTTP/1.1");
    assert_eq!(asked.header("host"), Some("hooks.example:8080"));
    assert_eq!(
        asked.header("proxy-authorization"),
        Some(&*net::basic("us", "pass"))
    );
    assert!(asked.header("x-team").is_none());
}

#[tokio::test]
async fn a_proxy_may_be_reached_by_tls_itself() {
    let server = Gate::taking(Some(Hidden::default())).await;
    let proxy = Gate::proxy(Some(Hidden::default()), server.port).await;
    let config = hook(
        "https://hooks.example/",
        &format!(
            "tls_config: {{ {CA} }}, proxy_url: 'https://localhost:{}'",
            proxy.port
        ),
    );
    assert_eq!(send(&config).await, taken());
    assert_eq!(proxy.asked()[0].server_name.as_deref(), Some("localhost"));
}

#[tokio::test]
async fn a_proxy_that_lets_nobody_through_is_named() {
    let closed = Gate::closed(403).await;
    let by = |port: u16| {
        hook(
            "https://hooks.example/T0/s3cret",
            &format!("proxy_url: 'http://us:p4ss@127.0.0.1:{port}'"),
        )
    };
    let (words, is_unsure) = later(send(&by(closed.port)).await);
    assert!(
        words.contains("the proxy lets nobody through to hooks.example:443: 403"),
        "{words}"
    );
    assert!(!is_unsure);
    let (words, is_unsure) = later(send(&by(1)).await);
    assert!(
        words.contains("the proxy 127.0.0.1:1: ") && words.contains("refused"),
        "{words}"
    );
    assert!(!is_unsure && !words.contains("p4ss") && !words.contains("s3cret"));
}

#[tokio::test]
async fn hosts_that_need_no_proxy_are_reached_without_it() {
    let (server, proxy) = (Gate::taking(None).await, Gate::proxy(None, 1).await);
    let url = format!("http://127.0.0.1:{}/", server.port);
    let by = format!("proxy_url: 'http://127.0.0.1:{}'", proxy.port);
    assert_eq!(
        send(&hook(&url, &format!("{by}, no_proxy: '10.0.0.0/8, 127.0.0.0/8'"))).await,
        taken()
    );
    assert_eq!((server.asked().len(), proxy.asked().len()), (1, 0));
    assert_eq!(send(&hook(&url, &by)).await, taken());
    assert_eq!((server.asked().len(), proxy.asked().len()), (1, 1));
}

#[tokio::test]
async fn headers_are_added_from_values_secrets_and_files() {
    let server = Gate::taking(None).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("header");
    std::fs::write(&file, "of a file\n").unwrap();
    let config = hook(
        &format!("http://127.0.0.1:{}/", server.port),
        &format!(
            "http_headers: {{ X-Scope-OrgID: {{ values: [ a, b ], secrets: [ s3cret ], files: [ {} ] }} }}",
            file.display()
        ),
    );
    assert_eq!(send(&config).await, taken());
    std::fs::write(&file, "exchanged\n").unwrap();
    assert_eq!(send(&config).await, taken());
    let asked = server.asked();
    assert_eq!(asked[0].all("x-scope-orgid"), ["a", "b", "s3cret", "of a file"]);
    assert_eq!(asked[1].all("x-scope-orgid").last(), Some(&"exchanged"));
    assert!(!format!("{config:?}").contains("s3cret"));
}

#[tokio::test]
async fn who_we_are_may_stand_in_files_and_is_read_each_time() {
    let server = Gate::taking(None).await;
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().display();
    for (name, text) in [("user", "me\n"), ("password", "one\n")] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let config = hook(
        &format!("http://127.0.0.1:{}/", server.port),
        &format!("basic_auth: {{ username_file: {at}/user, password_file: {at}/password }}"),
    );
    assert_eq!(send(&config).await, taken());
    std::fs::write(folder.path().join("password"), "two").unwrap();
    assert_eq!(send(&config).await, taken());
    let asked = server.asked();
    assert_eq!(asked[0].header("authorization"), Some(&*net::basic("me", "one")));
    assert_eq!(asked[1].header("authorization"), Some(&*net::basic("me", "two")));
}

fn moved(status: u16, to: String) -> impl Fn(&Asked) -> (u16, Vec<(String, String)>, String) {
    move |asked| {
        if asked.line.contains("/old") {
            (status, vec![("Location".to_owned(), to.clone())], String::new())
        } else {
            (200, Vec::new(), "ok".to_owned())
        }
    }
}

#[tokio::test]
async fn a_redirect_that_keeps_the_message_is_followed_and_no_other() {
    for (status, follows, is_taken) in [
        (307, true, true),
        (308, true, true),
        (308, false, false),
        (301, true, false),
        (302, true, false),
        (303, true, false),
    ] {
        let server = Gate::server(None, moved(status, "/new?x".to_owned())).await;
        let config = hook(
            &format!("http://127.0.0.1:{}/old", server.port),
            &format!("follow_redirects: {follows}, authorization: {{ credentials: tok }}"),
        );
        let verdict = send(&config).await;
        let asked = server.asked();
        if is_taken {
            assert_eq!(verdict, taken(), "{status}");
            assert_eq!(asked[1].line, "POST /new?x HTTP/1.1");
            assert_eq!(asked[1].body, asked[0].body);
            assert_eq!(asked[1].header("authorization"), Some("Bearer tok"));
        } else {
            let said = format!("{status} sends the message elsewhere");
            assert!(
                matches!(&verdict, Verdict::Never { words, .. } if words.starts_with(&said)),
                "{verdict:?}"
            );
            assert_eq!(asked.len(), 1);
        }
    }
}

#[tokio::test]
async fn nobody_but_the_host_that_was_meant_is_told_who_we_are() {
    let other = Gate::taking(None).await;
    let server = Gate::server(None, moved(307, format!("http://127.0.0.1:{}/", other.port))).await;
    let config = hook(
        &format!("http://127.0.0.1:{}/old", server.port),
        "authorization: { credentials: tok }, http_headers: { X-Key: { secrets: [ k ] } }",
    );
    assert_eq!(send(&config).await, taken());
    let asked = other.asked().remove(0);
    assert!(
        asked.header("authorization").is_none() && asked.header("x-key").is_none(),
        "{asked:?}"
    );
}

#[tokio::test]
async fn redirects_in_a_circle_end() {
    let server = Gate::server(None, moved(307, "/old".to_owned())).await;
    let config = hook(
        &format!("http://127.0.0.1:{}/old", server.port),
        "follow_redirects: true",
    );
    assert!(matches!(send(&config).await, Verdict::Never { .. }));
    assert_eq!(server.asked().len(), 11);
}

/// Gives tokens `t1`, `t2` and so on, good for `seconds`.
async fn giver(seconds: u64, wants_in_body: bool) -> Gate {
    let given = AtomicUsize::new(0);
    Gate::server(None, move |asked| {
        let by_header = asked.header("authorization") == Some(&*net::basic("me+us", "s%3Dcret"));
        let by_body = asked.body.contains("client_id=me%2Bus&client_secret=s%3Dcret");
        if wants_in_body && !by_body
            || !wants_in_body && !by_header && asked.header("authorization").is_some()
        {
            let refused = r#"{"error":"invalid_client","error_description":"who are you"}"#;
            return (401, Vec::new(), refused.to_owned());
        }
        let nth = given.fetch_add(1, Ordering::Relaxed) + 1;
        let granted = format!(r#"{{"access_token":"t{nth}","token_type":"bearer","expires_in":{seconds}}}"#);
        (200, Vec::new(), granted)
    })
    .await
}

fn oauth2(giver: &Gate, more: &str) -> String {
    format!(
        "oauth2: {{ client_id: me+us, client_secret: 's=cret', token_url: 'http://127.0.0.1:{}/token', {more} }}",
        giver.port
    )
}

#[tokio::test]
async fn a_token_is_fetched_once_and_kept() {
    let (giver, server) = (giver(3600, false).await, Gate::taking(None).await);
    let config = hook(
        &format!("http://127.0.0.1:{}/", server.port),
        &oauth2(&giver, "scopes: [ a, b ], endpoint_params: { audience: us }"),
    );
    let (receiver, ways) = (only(&config), ways());
    let message = message(Reason::First, vec![alert(1)], &[]);
    for _ in 0..3 {
        assert_eq!(receiver.send(&ways, &message, || true).await.verdict, taken());
    }
    let asked = giver.asked();
    let last = asked.last().unwrap();
    assert!(
        last.body.contains("audience=us&") && last.body.contains("grant_type=client_credentials&scope=a+b"),
        "{}",
        last.body
    );
    let tokens: Vec<String> = server
        .asked()
        .iter()
        .map(|asked| asked.header("authorization").unwrap().to_owned())
        .collect();
    assert_eq!(tokens, ["Bearer t1", "Bearer t1", "Bearer t1"]);
    assert!(!format!("{config:?} {receiver:?}").contains("s=cret"));
}

#[tokio::test]
async fn a_token_that_is_about_to_expire_is_not_used() {
    let (giver, server) = (giver(10, false).await, Gate::taking(None).await);
    let config = hook(
        &format!("http://127.0.0.1:{}/", server.port),
        &oauth2(&giver, "scopes: []"),
    );
    let (receiver, ways) = (only(&config), ways());
    let message = message(Reason::First, vec![alert(1)], &[]);
    for _ in 0..2 {
        receiver.send(&ways, &message, || true).await;
    }
    assert_eq!(server.asked()[1].header("authorization"), Some("Bearer t2"));
}

#[tokio::test]
async fn a_token_that_is_refused_is_fetched_anew_once() {
    let giver = giver(3600, false).await;
    // The first token has been revoked.
    let server = Gate::server(None, |asked| match asked.header("authorization") {
        Some("Bearer t1") => (401, Vec::new(), "revoked".to_owned()),
        _ => (200, Vec::new(), "ok".to_owned()),
    })
    .await;
    let url = format!("http://127.0.0.1:{}/", server.port);
    let config = hook(&url, &oauth2(&giver, "scopes: []"));
    assert_eq!(send(&config).await, taken());
    assert_eq!(server.asked().len(), 2);
    // Nobody is believed: no third try.
    let never = Gate::server(None, |_| (401, Vec::new(), "no".to_owned())).await;
    let config = hook(
        &format!("http://127.0.0.1:{}/", never.port),
        &oauth2(&giver, "scopes: []"),
    );
    let verdict = send(&config).await;
    assert!(
        matches!(&verdict, Verdict::Never { words, .. } if words == "401 no"),
        "{verdict:?}"
    );
    assert_eq!(never.asked().len(), 2);
}

#[tokio::test]
async fn nothing_is_repeated_once_another_replica_speaks() {
    let giver = giver(3600, false).await;
    let server = Gate::server(None, |_| (401, Vec::new(), "no".to_owned())).await;
    let config = hook(
        &format!("http://127.0.0.1:{}/", server.port),
        &oauth2(&giver, "scopes: []"),
    );
    let message = message(Reason::First, vec![alert(1)], &[]);
    let is_asked = AtomicBool::new(false);
    // May in the last moment before the first request, and no more after it.
    let may = || !is_asked.swap(true, Ordering::Relaxed);
    let said = only(&config).send(&ways(), &message, may).await;
    let (words, is_unsure) = later(said.verdict);
    assert!(
        !is_unsure && words.contains("another replica speaks now"),
        "{words}"
    );
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn a_giver_of_tokens_may_want_the_secret_in_the_body() {
    let (giver, server) = (giver(1, true).await, Gate::taking(None).await);
    let config = hook(
        &format!("http://127.0.0.1:{}/", server.port),
        &oauth2(&giver, "scopes: []"),
    );
    let (receiver, ways) = (only(&config), ways());
    let message = message(Reason::First, vec![alert(1)], &[]);
    for _ in 0..2 {
        assert_eq!(receiver.send(&ways, &message, || true).await.verdict, taken());
    }
    // It has found out, and knows it the next time.
    assert_eq!(giver.asked().len(), 3);
}

#[tokio::test]
async fn a_giver_of_tokens_that_fails_is_named_and_the_message_waits() {
    let server = Gate::taking(None).await;
    for (status, body, said) in [
        (503, "come back later", "503 come back later"),
        (
            401,
            r#"{"error":"invalid_client","error_description":"who are you"}"#,
            "401 invalid_client who are you",
        ),
        (200, "nothing", "the answer is no JSON with an access_token"),
    ] {
        let giver = Gate::server(None, move |_| (status, Vec::new(), body.to_owned())).await;
        let config = hook(
            &format!("http://127.0.0.1:{}/", server.port),
            &oauth2(&giver, "scopes: []"),
        );
        let (words, is_unsure) = later(send(&config).await);
        let wanted = format!(
            "fetching a token from http://127.0.0.1:{}/token: {said}",
            giver.port
        );
        assert_eq!((words, is_unsure), (wanted, false));
    }
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn a_giver_of_tokens_is_reached_by_its_own_way() {
    let (hidden, server) = (Some(Hidden::default()), Gate::taking(None).await);
    let granted = |_: &Asked| {
        (
            200,
            Vec::new(),
            r#"{"access_token":"t1","token_type":"Bearer"}"#.to_owned(),
        )
    };
    let giver = Gate::server(hidden, granted).await;
    let proxy = Gate::proxy(None, giver.port).await;
    let config = hook(
        &format!("http://127.0.0.1:{}/", server.port),
        &format!(
            "oauth2: {{ client_id: me, client_secret_file: ca.pem, token_url: 'https://hooks.example/token', \
             tls_config: {{ {CA} }}, proxy_url: 'http://127.0.0.1:{}', proxy_connect_header: {{ X-Team: [ ops ] }} }}",
            proxy.port
        ),
    );
    assert_eq!(send(&config).await, taken());
    assert_eq!(proxy.asked()[0].line, "CONNECT hooks.example:443 HTTP/1.1");
    assert_eq!(proxy.asked()[0].header("x-team"), Some("ops"));
    // The message itself goes without it.
    assert_eq!((proxy.asked().len(), server.asked().len()), (1, 1));
    assert_eq!(server.asked()[0].header("authorization"), Some("Bearer t1"));
}

#[tokio::test]
async fn what_is_said_for_all_holds_where_a_receiver_says_nothing() {
    let (server, proxy) = (Gate::taking(None).await, Gate::proxy(None, 1).await);
    let text = format!(
        "global: {{ http_config: {{ proxy_url: 'http://127.0.0.1:{}', http_headers: {{ X-All: {{ values: [ a ] }} }} }}, \
         slack_app_token: xoxb-1, slack_app_url: 'http://slack.example/api/chat.postMessage' }}\n\
         route: {{ receiver: r }}\nreceivers:\n- name: r\n  webhook_configs:\n  - url: http://hooks.example/\n  \
         - {{ url: 'http://127.0.0.1:{}/', http_config: {{ enable_http2: false }} }}\n  \
         pagerduty_configs: [ {{ routing_key: k, url: 'http://pager.example/' }} ]\n  \
         slack_configs: [ {{ channel: '#ops' }} ]\n",
        proxy.port, server.port
    );
    let config = read(&text).unwrap();
    let message = message(Reason::First, vec![alert(1)], &[]);
    for receiver in Plan::of(&config).receivers {
        receiver.send(&ways(), &message, || true).await;
    }
    let mut lines: Vec<String> = proxy
        .asked()
        .into_iter()
        .map(|asked| {
            assert_eq!(asked.header("x-all"), Some("a"));
            format!(
                "{} {}",
                asked.line,
                asked.header("authorization").unwrap_or("nobody")
            )
        })
        .collect();
    lines.sort();
    assert_eq!(
        lines,
        [
            "POST http://hooks.example/ HTTP/1.1 nobody",
            "POST http://pager.example/ HTTP/1.1 nobody",
            "POST http://slack.example/api/chat.postMessage HTTP/1.1 Bearer xoxb-1",
        ]
    );
    assert!(server.asked()[0].header("x-all").is_none());
}

#[tokio::test]
async fn our_own_configuration_says_the_same_in_the_same_words() {
    let server = Gate::taking(Some(Hidden::default())).await;
    let proxy = Gate::proxy(None, server.port).await;
    let text = format!(
        "http_config: {{ proxy_url: 'http://127.0.0.1:{}', tls_config: {{ ca_file: {} }} }}\n\
         slack: {{ bot_token: xoxb-1, channel: '#ops', api_url: 'https://hooks.example/api/chat.postMessage' }}\n\
         pagerduty: {{ routing_key: 0123456789abcdef0123456789abcdef, url: 'https://hooks.example/v2/enqueue' }}\n\
         webhook: [ {{ url: 'https://hooks.example/hook', bearer_token: tok }}, {{ name: direct, url: 'https://localhost:{}/own', \
         http_config: {{ proxy_from_environment: false, tls_config: {{ ca_file: {} }} }} }} ]",
        proxy.port,
        given("ca.pem").display(),
        server.port,
        given("ca.pem").display(),
    );
    let config = config(&text);
    let message = message(Reason::First, vec![alert(1)], &[]);
    for receiver in Plan::of(&config).receivers {
        receiver.send(&ways(), &message, || true).await;
    }
    let told: Vec<String> = server
        .asked()
        .iter()
        .map(|asked| {
            format!(
                "{} {}",
                asked.line,
                asked.header("authorization").unwrap_or("nobody")
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "POST /api/chat.postMessage HTTP/1.1 Bearer xoxb-1",
            "POST /v2/enqueue HTTP/1.1 nobody",
            "POST /hook HTTP/1.1 Bearer tok",
            "POST /own HTTP/1.1 nobody",
        ]
    );
    assert_eq!(proxy.asked().len(), 3);
    // The check goes the same way.
    let probed = probe::probe(&config, &*net::HttpClient::new().unwrap(), &NoMail).await;
    assert!(probed[3].outcome.is_ok(), "{probed:?}");
    assert_eq!(proxy.asked().len(), 6);
}

#[test]
fn what_cannot_be_meant_is_a_mistake_that_names_its_key() {
    let both = "{ basic_auth: { username: a }, authorization: { credentials: b } }";
    for (http, wrong) in [
        (
            both,
            "http_config.authorization: at most one of basic_auth, authorization, oauth2 & bearer_token",
        ),
        (
            "{ oauth2: { token_url: 'http://a' } }",
            "http_config.oauth2.client_id: must be configured",
        ),
        (
            "{ oauth2: { client_id: a } }",
            "http_config.oauth2.token_url: must be configured",
        ),
        (
            "{ oauth2: { client_id: a, token_url: ftp://x } }",
            "oauth2.token_url: not an http:// or https:// URL",
        ),
        (
            "{ oauth2: { client_id: a, token_url: 'http://a', grant_type: password } }",
            "oauth2.grant_type: \"password\" is not supported; only client_credentials is",
        ),
        (
            "{ oauth2: { client_id: a, token_url: 'http://a', client_certificate_key_file: k } }",
            "client_certificate_key_file",
        ),
        (
            "{ oauth2: { client_id: a, token_url: 'http://a', client_secret: x, client_secret_file: y } }",
            "oauth2.client_secret: at most one of client_secret & client_secret_file",
        ),
        (
            "{ proxy_url: 'socks5://a:1' }",
            "http_config.proxy_url: socks5 is not supported; name an http:// or https:// proxy",
        ),
        (
            "{ proxy_url: 'a:1' }",
            "http_config.proxy_url: not an http:// or https:// URL",
        ),
        (
            "{ no_proxy: a }",
            "http_config.no_proxy: if it is configured, proxy_url must also be configured",
        ),
        (
            "{ proxy_url: 'http://a', proxy_from_environment: true }",
            "proxy_from_environment: if it is configured, proxy_url must not be",
        ),
        (
            "{ proxy_connect_header: { A: [ b ] } }",
            "proxy_connect_header: is sent to the proxy of proxy_url",
        ),
        (
            "{ http_headers: { Host: { values: [ a ] } } }",
            "http_config.http_headers: setting header \"Host\" is not allowed",
        ),
        (
            "{ http_headers: { 'A B': { values: [ a ] } } }",
            "\"A B\" cannot be the name of a header",
        ),
        (
            "{ http_headers: { A: { values: [ \"a\\nb\" ] } } }",
            "http_headers.A: a value has a line break",
        ),
        (
            "{ tls_config: { cert_file: a } }",
            "http_config.tls_config.key: exactly one of key or key_file",
        ),
        (
            "{ tls_config: { key_file: a } }",
            "http_config.tls_config.cert: exactly one of cert or cert_file",
        ),
        (
            "{ tls_config: { ca: a, ca_file: b } }",
            "tls_config.ca: at most one of ca & ca_file",
        ),
        (
            "{ tls_config: { ca: nonsense } }",
            "tls_config.ca: the authority's certificates: there is none in PEM",
        ),
        (
            "{ tls_config: { cert: a, key: b } }",
            "tls_config.cert: our certificate: there is none in PEM",
        ),
        (
            "{ tls_config: { min_version: TLS14 } }",
            "tls_config.min_version: unknown TLS version: TLS14",
        ),
        (
            "{ tls_config: { max_version: TLS11 } }",
            "tls_config.max_version: nothing older than TLS12 is spoken",
        ),
        (
            "{ tls_config: { min_version: TLS13, max_version: TLS12 } }",
            "tls_config.max_version: is older than min_version",
        ),
        (
            "{ basic_auth: { username: a, username_file: b } }",
            "basic_auth.username: at most one of username & username_file",
        ),
        (
            "{ authorization: { type: Basic, credentials: b } }",
            "authorization.type: cannot be set to \"basic\"",
        ),
    ] {
        let text = format!(
            "route: {{ receiver: r }}\nreceivers: [ {{ name: r, webhook_configs: [ {{ url: 'http://a', http_config: {http} }} ] }} ]\n"
        );
        let found = read(&text).expect_err(http);
        assert!(found.contains(wrong), "{http}: {found}");
        // Our own configuration finds the same.
        let own: Result<Config, _> = yaml::read(
            "n.yaml",
            &format!("webhook: [ {{ url: 'http://a', http_config: {http} }} ]"),
        );
        let own = own.map_or_else(|mistake| mistake.to_string(), |own| own.complaints().join("\n"));
        let wrong = wrong.trim_start_matches("http_config.");
        assert!(own.contains(wrong), "{http}: {own}");
    }
    let twice = "slack: { bot_token: a, channel: b, http_config: { basic_auth: { username: c } } }\n\
                 webhook: [ { url: 'http://a', bearer_token: b, http_config: { authorization: { credentials: c } } } ]";
    let wrong = yaml::read::<Config>("n.yaml", twice).unwrap().complaints();
    assert_eq!(
        wrong,
        [
            "notifier.slack.http_config: the bot token says who we are, and only one of them can be sent; keep one",
            "notifier.webhook[0].http_config: bearer_token says who we are, and only one of them can be sent; keep one",
        ]
    );
    let token = "global: { slack_app_token: t }\nroute: { receiver: r }\nreceivers: [ { name: r, slack_configs: [ { channel: a, \
                 http_config: { basic_auth: { username: a } } } ] } ]\n";
    assert!(
        read(token)
            .unwrap_err()
            .contains("http authorization can't be set when using Slack App tokens")
    );
}

#[test]
fn what_lets_others_read_along_is_noted() {
    let config = hook("http://a", "tls_config: { insecure_skip_verify: true }");
    let notes: Vec<String> = config.notes().iter().map(ToString::to_string).collect();
    let notes = notes.join("\n");
    assert!(
        notes.contains("http_config.tls_config.insecure_skip_verify: any certificate is taken"),
        "{notes}"
    );
}

#[test]
fn files_are_meant_from_where_the_configuration_lies() {
    let text = "slack: { bot_token_file: a, channel: b, http_config: { bearer_token_file: c } }\n\
                email: { password_file: d, ca_file: e }\nheartbeat: { url_file: f }\nconfig_file: g\n\
                pagerduty: { routing_key_file: h }\nwebhook: [ { url_file: i, bearer_token_file: j } ]\n\
                http_config: { tls_config: { ca_file: k, cert_file: l, key_file: m }, basic_auth: { username_file: n, \
                password_file: o }, authorization: { credentials_file: p }, oauth2: { client_secret_file: q, tls_config: { \
                ca_file: r } }, http_headers: { A: { files: [ s ] } } }";
    let mut config: Config = yaml::read("n.yaml", text).unwrap();
    let mut files: Vec<String> = config
        .files_mut()
        .map(|path| path.display().to_string())
        .collect();
    files.sort();
    assert_eq!(files.concat(), "acdefghijklmnopqrs");
    config
        .files_mut()
        .for_each(|path| *path = Path::new("/etc").join(&*path));
    assert!(config.files_mut().all(|path| path.starts_with("/etc")));
}
