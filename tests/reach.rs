//! The same words of Prometheus' HTTP client, in a Prometheus and in Skopos: both scrape a target that wants a certificate and to
//! know who asks.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use crate::fakes::gates::{Gate, Hidden, given};
use crate::harness::Skopos;
use crate::harness::components::{Prometheus, find_kept};

const NAMED: &str = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==";
const TOKEN: &str = "Bearer t0k3n";

/// Each series of `sold` or `up` with its value.
fn series(data: &Value) -> BTreeSet<String> {
    let result = data["result"].as_array().cloned().unwrap_or_default();
    let lines = result
        .iter()
        .map(|series| format!("{} {}", series["metric"], series["value"][1]));
    lines.collect()
}

const QUERY: &str =
    "/api/v1/query?query=%7B__name__%3D~%22sold%7Cup%22,job%3D~%22named%7Ctoken%7Cnobody%22%7D";

#[tokio::test(flavor = "multi_thread")]
async fn a_target_with_certificates_and_credentials_is_scraped_alike_by_a_prometheus() {
    let Some(program) = find_kept("prometheus") else {
        return;
    };
    let hidden = Hidden {
        wants_certificate: true,
        ..Hidden::default()
    };
    let server = Gate::server(Some(hidden), |asked| {
        let credential = asked.header("authorization");
        let status = match credential {
            Some(NAMED | TOKEN) => 200,
            _ => 401,
        };
        let kind = ("Content-Type".to_owned(), "text/plain; version=0.0.4".to_owned());
        (status, vec![kind], "sold{what=\"tea\"} 7\n".to_owned())
    })
    .await;
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for file in ["ca.pem", "client.pem", "client.key.pem"] {
        for folder in [&data, &folder] {
            std::fs::copy(given(file), folder.path().join(file)).unwrap();
        }
    }
    let tls = "ca_file: ca.pem, cert_file: client.pem, key_file: client.key.pem";
    let port = server.port;
    let section = |job: &str, tls: &str, who: &str| {
        format!(
            "- job_name: {job}\n  scrape_interval: 1s\n  scrape_timeout: 1s\n  scheme: https\n  tls_config: {{ {tls} }}\n  {who}\n  \
             static_configs: [{{ targets: ['127.0.0.1:{port}'] }}]\n"
        )
    };
    let scraped = [
        section(
            "named",
            tls,
            "basic_auth: { username: Aladdin, password: open sesame }",
        ),
        section(
            "token",
            &format!("{tls}, server_name: hooks.example"),
            "authorization: { credentials: t0k3n }",
        ),
        section(
            "nobody",
            "ca_file: ca.pem",
            "authorization: { credentials: t0k3n }",
        ),
    ];
    let scraped = format!("scrape_configs:\n{}", scraped.concat());
    let prometheus = Prometheus::start(&program, data.path(), &scraped, &[]);
    let written = format!(
        "remote_write: [{{ url: 'https://127.0.0.1:{port}/write', tls_config: {{ {tls} }}, bearer_token: t0k3n }}]\n"
    );
    let quiet = "node: { enabled: false }\nlogs: { enabled: false }\n";
    let skopos = Skopos::start(folder.path(), &format!("{quiet}{scraped}{written}"));
    let mut both = Default::default();
    for _ in 0..30 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let theirs: Value = serde_json::from_str(&prometheus.get(QUERY)).unwrap();
        both = (series(&theirs["data"]), series(&skopos.api(QUERY).await));
        if both.0 == both.1 && both.0.len() == 5 {
            break;
        }
    }
    let (theirs, ours) = both;
    assert_eq!(ours, theirs);
    assert_eq!(ours.len(), 5);
    let ups = series(&skopos.api(QUERY).await);
    for (job, value) in [("named", 1), ("token", 1), ("nobody", 0)] {
        let line = format!("\"job\":\"{job}\"}} \"{value}\"");
        assert!(
            ups.iter().any(|up| up.contains("\"up\"") && up.ends_with(&line)),
            "{line} in {ups:?}"
        );
    }
    skopos
        .wait_for("remote write", Duration::from_secs(30), async |_| {
            server
                .asked()
                .iter()
                .any(|asked| asked.line.starts_with("POST /write "))
        })
        .await;
    let asked = server.asked();
    for agent in ["Prometheus/", "skopos/"] {
        let by = asked
            .iter()
            .filter(|asked| asked.header("user-agent").is_some_and(|by| by.starts_with(agent)));
        let as_whom: BTreeSet<_> = by.filter_map(|asked| asked.header("authorization")).collect();
        assert_eq!(as_whom, BTreeSet::from([NAMED, TOKEN]), "{agent}");
    }
    assert_eq!(skopos.stop().await, 0);
}
