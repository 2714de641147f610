//! Each shape, what is left out and why, and what becomes of objects that come and go.

use super::*;

fn made(kind: Kind, spec: Value) -> Outcome<Made> {
    made_with(kind, spec, &Config::default())
}

fn made_with(kind: Kind, spec: Value, config: &Config) -> Outcome<Made> {
    let text = json!({"metadata": {"name": "web"}, "spec": spec}).to_string();
    let object = Object {
        namespace: "shop",
        name: "web",
        uid: "u-1",
        text: &text,
    };
    translate(kind, &object, &config.manner())
}

fn sections(kind: Kind, spec: Value) -> Vec<Value> {
    match made(kind, spec) {
        Ok(Made::Sections(sections)) => sections,
        other => panic!("{other:?}"),
    }
}

fn rules_of(section: &Value) -> &Vec<Value> {
    section["relabel_configs"].as_array().unwrap()
}

#[test]
fn each_endpoint_is_a_section_by_the_operators_name() {
    let spec = json!({"selector": {"matchLabels": {"app.kubernetes.io/name": "web"}},
        "endpoints": [{"port": "http"}, {"targetPort": 9090, "scheme": "HTTPS", "interval": "5s"}]});
    let all = sections(Kind::ServiceMonitor, spec);
    let names: Vec<&str> = all.iter().map(|one| one["job_name"].as_str().unwrap()).collect();
    assert_eq!(names, ["serviceMonitor/shop/web/0", "serviceMonitor/shop/web/1"]);
    assert_eq!(
        all[0]["kubernetes_sd_configs"],
        json!([{"role": "endpoints", "namespaces": {"names": ["shop"]}}])
    );
    let keep = json!({"source_labels": ["__meta_kubernetes_service_label_app_kubernetes_io_name",
        "__meta_kubernetes_service_labelpresent_app_kubernetes_io_name"], "regex": "(web);true", "action": "keep"});
    assert!(rules_of(&all[0]).contains(&keep));
    let by_name =
        json!({"source_labels": ["__meta_kubernetes_endpoint_port_name"], "regex": "http", "action": "keep"});
    assert!(rules_of(&all[0]).contains(&by_name));
    let by_number = json!({"source_labels": ["__meta_kubernetes_pod_container_port_number"], "regex": "9090", "action": "keep"});
    assert!(rules_of(&all[1]).contains(&by_number));
    assert!(rules_of(&all[1]).contains(&json!({"target_label": "endpoint", "replacement": "9090"})));
    assert_eq!(
        (&all[1]["scheme"], &all[1]["scrape_interval"]),
        (&json!("https"), &json!("5s"))
    );
}

#[test]
fn a_selector_is_rules_or_a_question_to_the_api_server() {
    let selector = json!({"matchLabels": {"a": "1"}, "matchExpressions": [
        {"key": "b", "operator": "In", "values": ["x", "y"]}, {"key": "c", "operator": "NotIn", "values": ["z"]},
        {"key": "d", "operator": "Exists"}, {"key": "e", "operator": "DoesNotExist"}]});
    let spec = |mechanism: &str| json!({"selector": selector, "selectorMechanism": mechanism, "podMetricsEndpoints": [{}]});
    let by_rules = sections(Kind::PodMonitor, spec("RelabelConfig"));
    let sifting = |section: &Value| {
        rules_of(section)
            .iter()
            .filter(|rule| rule["source_labels"].to_string().contains("_labelpresent_"))
            .map(|rule| {
                format!(
                    "{} {}",
                    rule["action"].as_str().unwrap(),
                    rule["regex"].as_str().unwrap()
                )
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(
        sifting(&by_rules[0]),
        [
            "keep (1);true",
            "keep (x|y);true",
            "drop (z);true",
            "keep true",
            "drop true"
        ]
    );
    let by_question = sections(Kind::PodMonitor, spec("RoleSelector"));
    assert!(sifting(&by_question[0]).is_empty());
    assert_eq!(
        by_question[0]["kubernetes_sd_configs"][0]["selectors"],
        json!([{"role": "pod", "label": "a=1,b in (x,y),c notin (z),d,!e"}])
    );
}

#[test]
fn what_needs_a_secret_or_a_file_or_is_not_followed_is_left_out_with_the_reason() {
    let endpoint = |fields: Value| json!({"selector": {}, "endpoints": [fields]});
    let secret = json!({"name": "s", "key": "k"});
    for (kind, spec, reason, place) in [
        (
            Kind::ServiceMonitor,
            endpoint(json!({"basicAuth": {"username": secret}})),
            Reason::Secret,
            "spec.endpoints[0].basicAuth",
        ),
        (
            Kind::ServiceMonitor,
            endpoint(json!({"bearerTokenSecret": secret})),
            Reason::Secret,
            "spec.endpoints[0].bearerTokenSecret",
        ),
        (
            Kind::ServiceMonitor,
            endpoint(json!({"authorization": {"credentials": secret}})),
            Reason::Secret,
            "spec.endpoints[0].authorization",
        ),
        (
            Kind::ServiceMonitor,
            endpoint(json!({"oauth2": {"tokenUrl": "x"}})),
            Reason::Secret,
            "spec.endpoints[0].oauth2",
        ),
        (
            Kind::ServiceMonitor,
            endpoint(json!({"tlsConfig": {"ca": {"configMap": secret}}})),
            Reason::Secret,
            "spec.endpoints[0].tlsConfig.ca",
        ),
        (
            Kind::ServiceMonitor,
            endpoint(json!({"proxyConnectHeader": {"a": [secret]}})),
            Reason::Secret,
            "spec.endpoints[0].proxyConnectHeader",
        ),
        (
            Kind::ServiceMonitor,
            endpoint(json!({"bearerTokenFile": "/t"})),
            Reason::File,
            "spec.endpoints[0].bearerTokenFile",
        ),
        (
            Kind::ServiceMonitor,
            endpoint(json!({"tlsConfig": {"caFile": "/t"}})),
            Reason::File,
            "spec.endpoints[0].tlsConfig.caFile",
        ),
        (
            Kind::ServiceMonitor,
            endpoint(json!({"trackTimestampsStaleness": true})),
            Reason::Field,
            "spec.endpoints[0].trackTimestampsStaleness",
        ),
        (
            Kind::ServiceMonitor,
            endpoint(json!({"ofTomorrow": 1})),
            Reason::Field,
            "spec.endpoints[0].ofTomorrow",
        ),
        (
            Kind::PodMonitor,
            json!({"targetLimit": 5}),
            Reason::Field,
            "spec.targetLimit",
        ),
        (
            Kind::PodMonitor,
            json!({"scrapeClass": "c"}),
            Reason::Field,
            "spec.scrapeClass",
        ),
        (
            Kind::PodMonitor,
            json!({"scrapeProtocols": ["PrometheusProto"]}),
            Reason::Field,
            "spec.scrapeProtocols",
        ),
        (
            Kind::ScrapeConfig,
            json!({"consulSDConfigs": [{"server": "x"}]}),
            Reason::Field,
            "spec.consulSDConfigs",
        ),
        (
            Kind::ScrapeConfig,
            json!({"kubernetesSDConfigs": [{"role": "Pod", "apiServer": "x"}]}),
            Reason::Field,
            "spec.kubernetesSDConfigs[0].apiServer",
        ),
        (
            Kind::ScrapeConfig,
            json!({"enableCompression": false}),
            Reason::Field,
            "spec.enableCompression",
        ),
        (
            Kind::Probe,
            json!({"prober": {"url": "x:1"}}),
            Reason::Invalid,
            "spec.targets.staticConfig",
        ),
        (Kind::Probe, json!({}), Reason::Invalid, "spec.prober.url"),
        (
            Kind::PodMonitor,
            json!({"selector": {"matchExpressions": [{"key": "a", "operator": "Like"}]}}),
            Reason::Invalid,
            "spec.selector.matchExpressions[0].operator",
        ),
    ] {
        let left_out = made(kind, spec.clone()).unwrap_err();
        assert_eq!(left_out.reason, reason, "{spec}: {left_out:?}");
        assert!(left_out.why.starts_with(place), "{spec}: {left_out:?}");
    }
}

#[test]
fn what_says_nothing_leaves_nothing_out() {
    let spec = json!({"selector": {}, "targetLimit": 0, "scrapeNativeHistograms": false,
        "scrapeProtocols": ["PrometheusProto", "PrometheusText0.0.4"], "scrapeClass": "",
        "endpoints": [{"bearerTokenSecret": {"key": ""}, "tlsConfig": {"ca": {}, "cert": {}}, "authorization": {"type": "Bearer"},
            "trackTimestampsStaleness": false, "path": ""}]});
    let section = &sections(Kind::ServiceMonitor, spec)[0];
    assert!(section.get("tls_config").is_none() && section.get("metrics_path").is_none());
}

#[test]
fn files_are_named_where_that_is_allowed_and_the_environment_never() {
    let config = Config {
        files: true,
        ..Config::default()
    };
    let spec =
        json!({"selector": {}, "endpoints": [{"bearerTokenFile": "/t", "proxyUrl": "http://${HOME}:1"}]});
    let Ok(Made::Sections(all)) = made_with(Kind::ServiceMonitor, spec, &config) else {
        panic!("left out");
    };
    assert_eq!(all[0]["bearer_token_file"], "/t");
    assert_eq!(all[0]["proxy_url"], "http://$${HOME}:1");
}

#[test]
fn a_rule_object_is_a_file_by_the_operators_name() {
    let spec = json!({"groups": [{"name": "g", "partial_response_strategy": "warn",
        "rules": [{"record": "a", "expr": 1}, {"alert": "B", "expr": "up == 0", "for": "5m"}]}]});
    let Ok(Made::Rules { file, text }) = made(Kind::PrometheusRule, spec) else {
        panic!("left out");
    };
    assert_eq!(file, "shop-web-u-1.yaml");
    let read: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(read["groups"][0]["rules"][0]["expr"], "1");
    assert!(read["groups"][0].get("partial_response_strategy").is_none());
}

fn told(observer: &mut dyn Observe, name: &str, spec: &Value, is_here: bool) {
    let text = json!({"spec": spec}).to_string();
    let object = Object {
        namespace: "shop",
        name,
        uid: name,
        text: &text,
    };
    match is_here {
        true => observer.here(&object),
        false => observer.gone(&object),
    }
}

#[test]
fn a_kind_is_told_when_it_is_whole_and_what_stays_the_same_is_the_same() {
    let monitors = Monitors::apart(&Config::default());
    let mut observers = monitors.observers();
    let observer = &mut *observers[1].1;
    let (plain, other) = (
        json!({"podMetricsEndpoints": [{}]}),
        json!({"podMetricsEndpoints": []}),
    );
    observer.begun();
    told(observer, "a", &plain, true);
    told(observer, "b", &plain, true);
    assert!(monitors.all().is_empty() && !monitors.is_whole(Kind::PodMonitor));
    observer.whole();
    let first = monitors.all();
    assert_eq!(first.len(), 2);
    told(observer, "b", &other, true);
    let second = monitors.all();
    let same = |key: &Key| Arc::ptr_eq(&first[key], &second[key]);
    let key = |name: &str| (Kind::PodMonitor, "shop".to_owned(), name.to_owned());
    assert!(same(&key("a")) && !same(&key("b")));
    told(observer, "a", &plain, false);
    assert_eq!(monitors.all().len(), 1);
    // What a list does not name any more is gone, too.
    observer.begun();
    observer.whole();
    assert!(monitors.all().is_empty());
}

#[test]
fn only_the_namespaces_that_are_named_are_looked_at_and_rules_have_a_switch_of_their_own() {
    let config = Config {
        namespaces: vec!["elsewhere".to_owned()],
        rules: Some(false),
        ..Config::default()
    };
    let monitors = Monitors::apart(&config);
    let mut observers = monitors.observers();
    assert_eq!(observers.len(), 4);
    let observer = &mut *observers[0].1;
    observer.begun();
    told(observer, "a", &json!({"endpoints": [{}]}), true);
    observer.whole();
    assert!(monitors.all().is_empty());
}
