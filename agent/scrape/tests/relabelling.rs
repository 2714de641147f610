//! What rules do to targets before they are scraped, and to series before they are kept.

use model::Labels;
use model::discovery::TargetGroup;

use super::*;

fn found(config: &str) -> (Vec<String>, Vec<(String, String)>, Vec<String>) {
    let room = Room::new(config, &[Reply::text("a 1\n")]);
    let targets = room.pool.view().into_iter();
    let targets = targets
        .map(|target| format!("{} {}", target.url, target.labels))
        .collect();
    let pools = room.pool.sifted();
    let dropped = pools.iter().flat_map(|pool| &pool.dropped);
    let dropped = dropped
        .map(|dropped| {
            (
                dropped.discovered.value("__address__").to_owned(),
                dropped.rule.clone(),
            )
        })
        .collect();
    (
        targets,
        dropped,
        pools.into_iter().flat_map(|pool| pool.failed).collect(),
    )
}

#[tokio::test(start_paused = true)]
async fn rules_say_where_how_often_and_whether_a_target_is_read() {
    let (targets, dropped, failed) = found(
        "
- job_name: probe
  metrics_path: /probe
  params: {module: [http]}
  static_configs:
  - targets: ['https://shop.example/a?b', 'http://old.example', 'none']
    labels: {team: web}
  relabel_configs:
  - {source_labels: [__address__], regex: '.*old.*', action: drop}
  - {source_labels: [__address__], target_label: __param_target}
  - {source_labels: [__param_target], target_label: instance}
  - {target_label: __address__, replacement: 'prober:9115'}
  - {source_labels: [__param_target], regex: none, target_label: __address__, replacement: ''}
  - {source_labels: [__param_target], regex: https.*, target_label: __scrape_interval__, replacement: 1m30s}
  - {target_label: __metrics_path__, replacement: 'a path?'}
  - {target_label: __tmp_x, replacement: y}
  - {source_labels: [__tmp_x], target_label: x}
",
    );
    assert_eq!(
        targets,
        [
            r#"http://prober:9115/a%20path%3F?module=http&target=https%3A%2F%2Fshop.example%2Fa%3Fb {instance="https://shop.example/a?b", job="probe", team="web", x="y"}"#
        ]
    );
    assert_eq!(
        dropped,
        [("http://old.example".to_owned(), "relabel_configs[0]".to_owned())]
    );
    assert_eq!(
        failed,
        [
            r#"scrape_configs[0].static_configs[0].targets[2]: "none" has after relabelling the address "", which is empty"#
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn times_that_rules_set_hold_or_are_said_to_be_none() {
    let config = |interval: &str, timeout: &str| {
        format!(
            "
- job_name: shop
  static_configs: [{{targets: ['a:80']}}]
  relabel_configs:
  - {{target_label: __scrape_interval__, replacement: '{interval}'}}
  - {{target_label: __scrape_timeout__, replacement: '{timeout}'}}
"
        )
    };
    let room = Room::new(&config("40s", "20s"), &[Reply::text("a 1\n")]);
    let view = room.pool.view().pop().unwrap();
    assert_eq!(
        (view.interval, view.timeout),
        (Duration::from_secs(40), Duration::from_secs(20))
    );
    room.keep.whole(SHOP, 2).await;
    assert_eq!(room.peer.requests()[0].timeout, Duration::from_secs(20));
    for (interval, timeout, wanted) in [
        (
            "10s",
            "20s",
            "__scrape_timeout__ of 20s, which is longer than its __scrape_interval__ of 10s",
        ),
        ("0", "20s", "__scrape_interval__ of zero"),
        (
            "1h",
            "often",
            "__scrape_timeout__ that is none: not a duration: \"often\"",
        ),
    ] {
        let (targets, _, failed) = found(&config(interval, timeout));
        assert!(targets.is_empty(), "{targets:?}");
        assert!(failed.len() == 1 && failed[0].contains(wanted), "{failed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn as_many_dropped_targets_are_shown_as_are_wanted_and_all_are_counted() {
    let rules = "  relabel_configs: [{source_labels: [__address__], regex: 'a:.*', action: keep}]\n";
    let shop = |more: &str| {
        format!(
            "- job_name: shop\n  static_configs: [{{targets: ['a:1', 'b:1', 'b:2', 'b:3']}}]\n{rules}{more}"
        )
    };
    for (more, shown) in [
        ("", 3),
        ("  keep_dropped_targets: 2\n", 2),
        ("  keep_dropped_targets: 0\n", 3),
    ] {
        let room = Room::new(&shop(more), &[Reply::text("a 1\n")]);
        let pool = room.pool.sifted().remove(0);
        assert_eq!(
            (pool.job.as_str(), pool.dropped.len(), pool.dropped_count),
            ("shop", shown, 3)
        );
        assert_eq!(room.pool.view().len(), 1);
    }
}

const BODY: &str = "# HELP tea_total Cups.
# TYPE tea_total counter
tea_total{kind=\"green\"} 1
tea_total{kind=\"black\"} 2
# TYPE lat histogram
lat_bucket{le=\"+Inf\"} 3
lat_sum 4
lat_count 3
noise 5
noise{a=\"b\"} 6
";

#[tokio::test(start_paused = true)]
async fn series_are_dropped_and_changed_before_they_are_kept() {
    let rules = "  metric_relabel_configs:
  - {source_labels: [__name__], regex: noise, action: drop}
  - {source_labels: [__name__], regex: '(lat|tea)_(.*)', target_label: __name__, replacement: 'shop_${1}_$2'}
  - {source_labels: [kind], target_label: what}
  - {regex: kind, action: labeldrop}
  - {source_labels: [job], target_label: origin}
";
    let room = Room::new(&shop(rules), &[Reply::text(BODY)]);
    for nth in 0..3 {
        let lines = room.round(SHOP, nth).await;
        let added = if nth == 0 { 5 } else { 0 };
        assert_eq!(
            lines,
            [
                "shop_tea_total{instance=\"a:80\", job=\"shop\", origin=\"shop\", what=\"green\"} 1",
                "shop_tea_total{instance=\"a:80\", job=\"shop\", origin=\"shop\", what=\"black\"} 2",
                "shop_lat_bucket{instance=\"a:80\", job=\"shop\", le=\"+Inf\", origin=\"shop\"} 3",
                "shop_lat_sum{instance=\"a:80\", job=\"shop\", origin=\"shop\"} 4",
                "shop_lat_count{instance=\"a:80\", job=\"shop\", origin=\"shop\"} 3",
                "up{instance=\"a:80\", job=\"shop\"} 1",
                "scrape_samples_scraped{instance=\"a:80\", job=\"shop\"} 7",
                "scrape_samples_post_metric_relabeling{instance=\"a:80\", job=\"shop\"} 5",
                &format!("scrape_series_added{{instance=\"a:80\", job=\"shop\"}} {added}"),
            ],
            "round {nth}"
        );
    }
    assert_eq!(room.keep.asked(), 5 + 5, "what is dropped is not asked for");
    assert_eq!(
        room.keep.described("shop_tea_total"),
        ("counter", "Cups.".to_owned())
    );
    for name in ["shop_lat_bucket", "shop_lat_count"] {
        assert_eq!(room.keep.family(name), ("shop_lat".to_owned(), "histogram"));
    }
    assert_eq!(room.metric("skopos_scrape_samples_dropped_total"), 6.0);
    assert!(
        room.pool.ledger().dropped.is_empty(),
        "what is not wanted is not lost"
    );
    room.balances();
}

#[tokio::test(start_paused = true)]
async fn limits_hold_for_what_rules_leave() {
    let drop = "{source_labels: [__name__], regex: noise, action: drop}";
    for (limits, rules, is_up) in [
        ("  sample_limit: 5\n", drop, true),
        ("  sample_limit: 4\n", drop, false),
        ("  sample_limit: 5\n", "{regex: none, action: labeldrop}", false),
        ("  label_limit: 4\n", drop, true),
        (
            "  label_limit: 4\n",
            "{target_label: more, replacement: x}",
            false,
        ),
        (
            "  label_limit: 3\n",
            "{regex: 'kind|le|a', action: labeldrop}",
            true,
        ),
    ] {
        // The noise comes first and last, so that what is dropped is met with and without room.
        let body = format!("noise 1\n{BODY}");
        let config = format!("{limits}  metric_relabel_configs: [{rules}]\n");
        let room = Room::new(&shop(&config), &[Reply::text(&body)]);
        for nth in 0..2 {
            let lines = room.round(SHOP, nth).await;
            let up = format!("up{{instance=\"a:80\", job=\"shop\"}} {}", u8::from(is_up));
            let left = lines
                .iter()
                .find(|line| line.starts_with("scrape_samples_post_metric"));
            let left_wanted = if rules == drop { " 5" } else { " 8" };
            assert!(
                left.is_some_and(|left| limits.contains("label") || left.ends_with(left_wanted)),
                "{left:?}"
            );
            assert!(
                lines.contains(&up),
                "{limits}{rules} {lines:?} {}",
                room.pool.view()[0].last_error
            );
        }
        room.balances();
    }
}

#[tokio::test(start_paused = true)]
async fn a_series_without_a_name_fails_the_scrape_and_one_without_labels_is_dropped() {
    let nameless = shop("  metric_relabel_configs: [{target_label: __name__, replacement: ''}]\n");
    let room = Room::new(&nameless, &[Reply::text("a 1\n")]);
    assert_eq!(room.round(SHOP, 0).await, report(0, 0, 0));
    let error = &room.pool.view()[0].last_error;
    assert!(
        error.starts_with("metric_relabel_configs leave a{instance=\"a:80\", job=\"shop\"} without a name"),
        "{error}"
    );
    let empty = shop("  metric_relabel_configs: [{regex: x, action: labelkeep}]\n");
    let room = Room::new(&empty, &[Reply::text("a 1\n")]);
    let lines = room.round(SHOP, 0).await;
    assert_eq!(
        (lines.len(), lines[0].as_str()),
        (4, "up{instance=\"a:80\", job=\"shop\"} 1")
    );
    room.balances();
}

#[tokio::test(start_paused = true)]
async fn two_series_that_rules_make_one_are_kept_once() {
    let config = shop("  metric_relabel_configs: [{regex: kind, action: labeldrop}]\n");
    let room = Room::new(&config, &[Reply::text("a{kind=\"x\"} 1\na{kind=\"y\"} 2\n")]);
    for nth in 0..2 {
        let lines = room.round(SHOP, nth).await;
        assert_eq!(lines[0], "a{instance=\"a:80\", job=\"shop\"} 1");
        assert_eq!(lines.len(), 1 + 4);
    }
    assert_eq!(room.pool.ledger().dropped["repeated"], 2);
    room.balances();
}

#[tokio::test(start_paused = true)]
async fn the_report_is_safe_from_rules_and_from_series_that_become_like_it() {
    let config = shop("  metric_relabel_configs: [{target_label: __name__, replacement: up}]\n");
    let room = Room::new(&config, &[Reply::text("a 7\n")]);
    let lines = room.round(SHOP, 0).await;
    assert_eq!(lines[0], "exported_up{instance=\"a:80\", job=\"shop\"} 7");
    assert_eq!(lines[1..], report(1, 1, 1));
    room.balances();
}

#[tokio::test(start_paused = true)]
async fn new_rules_over_series_end_what_they_drop() {
    let room = Room::new(&shop(""), &[Reply::text("a 1\nb 2\n")]);
    assert_eq!(room.round(SHOP, 0).await.len(), 2 + 4);
    room.apply(&shop(
        "  metric_relabel_configs: [{source_labels: [__name__], regex: b, action: drop}]\n",
    ));
    let nth = room.keep.columns(SHOP).len();
    assert_eq!(room.round(SHOP, nth).await.len(), 1 + 4);
    assert!(room.keep.retired().is_empty());
}

fn pods(source: &str, ips: &[&str]) -> Arc<TargetGroup> {
    let target = |ip: &&str| Labels::from_pairs([("__address__", format!("{ip}:80").as_str())]);
    Arc::new(TargetGroup {
        source: source.to_owned(),
        labels: Labels::from_pairs([("__meta_kubernetes_namespace", "shop")]),
        targets: ips.iter().map(target).collect(),
    })
}

#[tokio::test(start_paused = true)]
async fn what_is_found_among_objects_is_scraped_by_the_rules_of_its_section() {
    let config = "
- job_name: shop
  static_configs: [{targets: ['a:80']}]
  kubernetes_sd_configs: [{role: pod}]
  relabel_configs:
  - {source_labels: [__address__], regex: '.*2:80', action: drop}
  - {source_labels: [__meta_kubernetes_namespace], target_label: namespace}
";
    let room = Room::new(config, &[Reply::text("a 1\n")]);
    let looked_for = room.pool.looked_for().borrow().clone();
    assert_eq!(looked_for.len(), 1);
    let shown = || -> Vec<String> {
        let targets = room.pool.view().into_iter();
        targets
            .map(|target| format!("{} {}", target.url, target.labels.value("namespace")))
            .collect()
    };
    let dropped = || room.pool.sifted().remove(0).dropped_count;
    let (one, two) = (
        pods("pod/shop/one", &["10.0.0.1", "10.0.0.2"]),
        pods("pod/shop/two", &["10.0.0.3"]),
    );
    room.pool
        .found(vec![(looked_for[0].clone(), vec![one.clone(), two.clone()])]);
    let urls = [
        "http://a:80/metrics ",
        "http://10.0.0.1:80/metrics shop",
        "http://10.0.0.3:80/metrics shop",
    ];
    assert_eq!((shown(), dropped()), (urls.map(str::to_owned).to_vec(), 1));
    let few = "  keep_dropped_targets: 1\n";
    room.apply(&format!("{config}{few}").replace("a:80", "b:80"));
    let more = pods("pod/shop/three", &["10.0.0.2", "10.0.0.32"]);
    room.pool.found(vec![(
        looked_for[0].clone(),
        vec![one.clone(), two.clone(), more],
    )]);
    let pool = room.pool.sifted().remove(0);
    assert_eq!((pool.dropped.len(), pool.dropped_count), (1, 3));
    room.pool
        .found(vec![(looked_for[0].clone(), vec![one.clone(), two])]);
    // What was found stays while the same is looked for, and goes when it is not.
    room.apply(&config.replace("a:80", "b:80"));
    assert_eq!(shown().len(), 3);
    room.pool.found(vec![(looked_for[0].clone(), vec![one])]);
    assert_eq!(shown().len(), 2);
    assert!(room.keep.retired().iter().any(|name| name.contains("10.0.0.3")));
    room.apply(&config.replace("role: pod", "role: node"));
    assert_eq!(shown(), ["http://a:80/metrics "], "{:?}", room.pool.sifted());
    room.pool.found(vec![(
        looked_for[0].clone(),
        vec![pods("pod/shop/late", &["10.0.0.4"])],
    )]);
    assert_eq!(shown().len(), 1, "nobody looks for them any more");
}

#[test]
fn rules_that_cannot_be_are_named_with_their_place() {
    let text = "- job_name: a
  relabel_configs: [{target_label: x}, {regex: '(', action: keep}]
  metric_relabel_configs: [{action: hashmod, target_label: y}]
  kubernetes_sd_configs: [{role: pod, selectors: [{role: node}]}]
";
    let configs: Vec<ScrapeConfig> = yaml::read("test.yaml", text).unwrap();
    let wrong = crate::check(&configs, &Global::default());
    assert_eq!(
        wrong,
        [
            "scrape_configs[0].relabel_configs[1].regex: \"(\" unclosed group; write an RE2 expression",
            "scrape_configs[0].metric_relabel_configs[0].modulus: is missing; hashmod needs a number above 0",
            "scrape_configs[0].kubernetes_sd_configs[0].selectors[0].role: of node nobody is asked for the role pod; it may be pod",
        ]
    );
    let unknown = "- job_name: a\n  relabel_configs: [{target_lable: x}]\n";
    let said = yaml::read::<Vec<ScrapeConfig>>("test.yaml", unknown)
        .unwrap_err()
        .to_string();
    assert!(said.contains("did you mean \"target_label\"?"), "{said}");
}

#[test]
fn a_target_that_cannot_be_scraped_is_noted_by_check() {
    let text = "- job_name: a
  static_configs: [{targets: ['b:1', 'c:1']}]
  relabel_configs: [{source_labels: [__address__], regex: 'c:1', target_label: __address__, replacement: 'c:port'}]
";
    let configs: Vec<ScrapeConfig> = yaml::read("test.yaml", text).unwrap();
    assert!(crate::check(&configs, &Global::default()).is_empty());
    let notes = crate::notes(&configs, &Global::default());
    assert_eq!(
        notes,
        [
            "scrape_configs[0].static_configs[0].targets[1]: \"c:1\" has after relabelling the address \"c:port\", which has no port between 1 and 65535 after the colon"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_section_of_an_object_survives_a_reload_and_changes_alone() {
    let room = Room::new(
        "- { job_name: shop, static_configs: [{ targets: ['a:80'] }] }",
        &[Reply::text("x 1\n")],
    );
    let section = |job: &str, more: &str| -> Arc<ScrapeConfig> {
        let text = format!("{{ job_name: {job}, kubernetes_sd_configs: [{{ role: pod }}]{more} }}");
        Arc::new(yaml::read("observed.yaml", &text).unwrap())
    };
    let (one, two) = (
        section("podMonitor/a/one/0", ""),
        section("podMonitor/a/two/0", ""),
    );
    let shown = || -> Vec<String> {
        let targets = room.pool.view().into_iter();
        targets
            .map(|target| format!("{} {}", target.job, target.url))
            .collect()
    };
    assert_eq!(room.pool.observe(&[one.clone(), two.clone()]), [""; 0]);
    let mut looking = room.pool.looked_for();
    let looked_for = looking.borrow_and_update().clone();
    assert_eq!(looked_for.len(), 1, "both look for the same");
    let group = Arc::new(TargetGroup {
        source: "pod/a/p".to_owned(),
        labels: Labels::default(),
        targets: vec![Labels::from_pairs([("__address__", "10.0.0.1:1")])],
    });
    room.pool.found(vec![(looked_for[0].clone(), vec![group])]);
    let (first, second) = (
        "podMonitor/a/one/0 http://10.0.0.1:1/metrics",
        "podMonitor/a/two/0 http://10.0.0.1:1/metrics",
    );
    assert_eq!(shown(), ["shop http://a:80/metrics", first, second]);
    room.apply("- { job_name: shop, static_configs: [{ targets: ['b:80'] }] }");
    assert_eq!(shown(), ["shop http://b:80/metrics", first, second]);
    // What the other says is another; nothing is looked for anew.
    let changed = section("podMonitor/a/two/0", ", metrics_path: /m");
    assert_eq!(room.pool.observe(&[one.clone(), changed]), [""; 0]);
    let changed = "podMonitor/a/two/0 http://10.0.0.1:1/m";
    assert_eq!(shown(), ["shop http://b:80/metrics", first, changed]);
    assert!(!looking.has_changed().unwrap());
    // A wrong one, and one that the configuration has itself, leave the others.
    let wrong = section("podMonitor/a/wrong/0", ", metrics_path: '/a?b'");
    let own = section("shop", "");
    let said = room.pool.observe(&[wrong, own, one]);
    assert!(
        said.len() == 2 && said[0].starts_with("podMonitor/a/wrong/0.metrics_path"),
        "{said:?}"
    );
    assert!(
        said[1].starts_with("shop: is a job of scrape_configs"),
        "{said:?}"
    );
    assert_eq!(shown(), ["shop http://b:80/metrics", first]);
    assert_eq!(room.pool.observe(&[]), [""; 0]);
    assert_eq!(shown(), ["shop http://b:80/metrics"]);
    assert!(looking.borrow().is_empty());
}
