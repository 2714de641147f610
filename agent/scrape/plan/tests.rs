//! Which configurations become which targets, and what is wrong with the others.

use super::*;

fn read(yaml: &str) -> Result<Vec<Plan>, Vec<String>> {
    let configs: Vec<ScrapeConfig> =
        yaml::read("test.yaml", yaml).map_err(|complaint| vec![complaint.to_string()])?;
    let sections = sections(&configs, &Global::default())?;
    Ok(each_once(
        sections.iter().flat_map(|section| section.sift_named().plans),
    ))
}

#[test]
fn a_target_has_its_url_labels_and_name() {
    let plans = read(
        "
- job_name: shop
  scrape_interval: 5s
  metrics_path: /probe
  params: {module: [http 2xx, x], target: ['a&b']}
  static_configs:
  - targets: ['a:80', '[::1]:81']
    labels: {team: web}
- job_name: plain
  static_configs:
  - targets: [b:80]
",
    )
    .unwrap();
    let [first, second, plain] = &plans[..] else {
        panic!("{plans:?}")
    };
    assert_eq!(
        first.url,
        "http://a:80/probe?module=http+2xx&module=x&target=a%26b"
    );
    assert_eq!(
        first.rules.target.to_string(),
        r#"{instance="a:80", job="shop", team="web"}"#
    );
    assert_eq!(
        (first.interval, first.timeout),
        (Duration::from_secs(5), Duration::from_secs(5))
    );
    assert_eq!(first.discovered.value("__param_module"), "http 2xx");
    assert_eq!(first.discovered.value("__scrape_interval__"), "5s");
    assert!(second.url.starts_with("http://[::1]:81/probe?"));
    assert_ne!(first.name, second.name);
    assert_eq!(&*plain.name, "scrape/plain/b:80/metrics");
    assert_eq!(
        (plain.interval, plain.timeout),
        (Duration::from_secs(15), Duration::from_secs(10))
    );
    assert_eq!(plain.body_bytes_max, super::section::BODY_BYTES_MAX);
    assert!(plain.rules.honor_timestamps && !plain.rules.honor_labels);
}

#[test]
fn labels_of_a_target_go_before_those_of_its_section() {
    let plans = read(
        "
- job_name: shop
  params: {a: [b]}
  static_configs:
  - targets: [a:80]
    labels: {job: mine, instance: here, __metrics_path__: /other, __scheme__: https, __param_a: c}
",
    )
    .unwrap();
    assert_eq!(plans[0].url, "https://a:80/other?a=c");
    assert_eq!(
        plans[0].rules.target.to_string(),
        r#"{instance="here", job="mine"}"#
    );
    assert_eq!(plans[0].job, "shop", "as the section is called");
}

#[test]
fn a_target_that_is_listed_twice_is_read_once() {
    let plans = read(
        "
- job_name: shop
  static_configs:
  - targets: [a:80, a:80]
  - targets: [a:80]
    labels: {x: '1'}
",
    )
    .unwrap();
    assert_eq!(plans.len(), 2);
    assert_ne!(plans[0].name, plans[1].name);
}

#[test]
fn mistakes_are_sentences_with_their_place() {
    let wrong = read(
        "
- job_name: a
  scrape_interval: 5s
  scrape_timeout: 6s
- job_name: a
  scheme: ftp
  metrics_path: /x?y=1
- static_configs:
  - targets: [ok:1]
  - targets: [ok:1, http://a:1]
- job_name: c
  fallback_scrape_protocol: PrometheusProto
  basic_auth: {username: a, password: b}
  authorization: {credentials: c}
- job_name: d
  authorization: {type: Basic}
- job_name: e
  basic_auth: {username: a, password: b, password_file: /c}
",
    )
    .unwrap_err();
    assert_eq!(
        wrong,
        [
            "scrape_configs[0].scrape_timeout: 6s is longer than the interval of 5s",
            "scrape_configs[1].job_name: \"a\" is that of scrape_configs[0], too",
            "scrape_configs[1].scheme: \"ftp\" is neither http nor https",
            "scrape_configs[1].metrics_path: what follows the \"?\" belongs into params",
            "scrape_configs[2].job_name: is empty",
            "scrape_configs[2].static_configs[1].targets[1]: \"http://a:1\" is more than host:port; the rest \
             belongs into scheme and metrics_path",
            "scrape_configs[3].fallback_scrape_protocol: protobuf is not read; PrometheusText0.0.4 or \
             OpenMetricsText1.0.0 is",
            "scrape_configs[3].authorization: at most one of basic_auth, authorization, oauth2 & bearer_token must be \
             configured",
            "scrape_configs[4].authorization.type: cannot be set to \"basic\", use \"basic_auth\" instead",
            "scrape_configs[5].basic_auth.password: at most one of password & password_file must be configured",
        ]
    );
}

#[test]
fn the_global_timeout_must_fit_the_global_interval() {
    let global = Global {
        scrape_interval: Duration::from_secs(5),
        ..Global::default()
    };
    assert_eq!(
        check(&[], &global),
        ["global.scrape_timeout: 10s is longer than the interval of 5s"]
    );
}

#[test]
fn unknown_keys_and_bad_sizes_are_mistakes() {
    let wrong = read("- job_name: a\n  scrape_intervall: 5s\n").unwrap_err();
    assert!(wrong[0].contains("scrape_interval"), "{wrong:?}");
    assert!(read("- job_name: a\n  body_size_limit: 10 apples\n").is_err());
    assert_eq!(
        read("- job_name: a\n  body_size_limit: 1MB\n").map(|plans| plans.len()),
        Ok(0)
    );
}

#[test]
fn secrets_are_not_printed() {
    let plans = read(
        "
- job_name: a
  authorization: {credentials: s3cr3t}
  static_configs: [{targets: [a:1]}]
",
    );
    assert!(!format!("{plans:?}").contains("s3cr3t"));
}
