//! The room as a whole: a made-up peer, a store that remembers, virtual time.

mod relabelling;

use std::sync::Arc;
use std::time::Duration;

use model::outside::ClientError;
use model::view::Health;
use model::{Clock, Round, Timestamp};
use telemetry::clock::RuntimeClock;
use tokio_util::sync::CancellationToken;

use crate::fakes::{Peer, Recorder, Reply};
use crate::{Global, Pool, ScrapeConfig};

const START: Timestamp = Timestamp(1_795_661_484_250);
const SHOP: &str = "scrape/shop/a:80/metrics";

/// One room with its surroundings.
struct Room {
    peer: Arc<Peer>,
    keep: Arc<Recorder>,
    clock: Arc<RuntimeClock>,
    pool: Arc<Pool>,
    registry: prometheus::Registry,
    stop: CancellationToken,
}

impl Room {
    /// Every scrape of a target gets the next reply; the last one stays.
    fn new(config: &str, replies: &[Reply]) -> Self {
        let (peer, keep) = (Peer::new(replies), Arc::new(Recorder::default()));
        let clock = RuntimeClock::starting_at(START);
        let registry = prometheus::Registry::new();
        let pool = Pool::new(peer.clone(), keep.clone(), clock.clone(), &registry);
        let room = Self {
            peer,
            keep,
            clock,
            pool,
            registry,
            stop: CancellationToken::new(),
        };
        room.apply(config);
        tokio::spawn(room.pool.clone().run(room.stop.clone()));
        room
    }

    fn apply(&self, config: &str) {
        let configs: Vec<ScrapeConfig> = yaml::read("test.yaml", config).unwrap();
        self.pool.apply(&configs, &Global::default()).unwrap();
    }

    /// What the target's nth whole column holds, as `series value`, without the time that it took.
    async fn round(&self, target: &str, nth: usize) -> Vec<String> {
        self.keep.whole(target, nth).await;
        self.keep.lines(target, nth)
    }

    /// To be true at the end of every test.
    fn balances(&self) {
        let ledger = self.pool.ledger();
        assert!(ledger.balances(), "{ledger:?}");
    }

    fn metric(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        family.map_or(0.0, |family| {
            family
                .get_metric()
                .iter()
                .map(|metric| metric.get_counter().get_value())
                .sum()
        })
    }
}

fn shop(more: &str) -> String {
    format!("- job_name: shop\n  static_configs: [{{targets: ['a:80']}}]\n{more}")
}

fn report(up: u8, samples: usize, added: usize) -> Vec<String> {
    vec![
        format!("up{{instance=\"a:80\", job=\"shop\"}} {up}"),
        format!("scrape_samples_scraped{{instance=\"a:80\", job=\"shop\"}} {samples}"),
        format!("scrape_samples_post_metric_relabeling{{instance=\"a:80\", job=\"shop\"}} {samples}"),
        format!("scrape_series_added{{instance=\"a:80\", job=\"shop\"}} {added}"),
    ]
}

fn with_report(lines: &[&str], report: Vec<String>) -> Vec<String> {
    lines
        .iter()
        .map(|line| (*line).to_owned())
        .chain(report)
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_body_of_another_language_is_translated_and_one_that_cannot_be_is_a_failure() {
    let json = |body| Reply::typed(Some("application/json"), body);
    let room = Room::new("[]", &[json("{\"a\": 3}"), json("Forbidden"), json("{\"a\": 4}")]);
    let translation = crate::Translation {
        name: "numbers",
        read: |body| {
            let text = std::str::from_utf8(body).map_err(|error| error.to_string())?;
            let number = text
                .strip_prefix("{\"a\": ")
                .and_then(|rest| rest.strip_suffix('}'));
            let number = number.ok_or_else(|| format!("no number: {text}"))?;
            Ok(format!("a {number}\n").into_bytes())
        },
    };
    let section = ScrapeConfig {
        translation: Some(translation),
        ..yaml::read::<Vec<ScrapeConfig>>("test.yaml", &shop(""))
            .unwrap()
            .remove(0)
    };
    room.pool
        .apply(std::slice::from_ref(&section), &Global::default())
        .unwrap();
    let one = "a{instance=\"a:80\", job=\"shop\"}";
    assert_eq!(room.round(SHOP, 0).await[0], format!("{one} 3"));
    assert_eq!(room.round(SHOP, 1).await, report(0, 0, 0));
    let told = room.pool.view();
    assert_eq!(told[0].last_error, "no number: Forbidden");
    assert_eq!(room.round(SHOP, 2).await[0], format!("{one} 4"));
    room.balances();
}

#[tokio::test(start_paused = true)]
async fn a_target_is_read_soon_and_then_at_its_interval() {
    let body = "# HELP http_total Requests.\n# TYPE http_total counter\nhttp_total{code=\"200\"} 5\nhttp_total{code=\"500\"} 1\n";
    let room = Room::new(&shop(""), &[Reply::text(body)]);
    assert_eq!(room.pool.view()[0].health, Health::Unknown);
    let lines = [
        "http_total{code=\"200\", instance=\"a:80\", job=\"shop\"} 5",
        "http_total{code=\"500\", instance=\"a:80\", job=\"shop\"} 1",
    ];
    assert_eq!(room.round(SHOP, 0).await, with_report(&lines, report(1, 2, 2)));
    assert_eq!(room.round(SHOP, 1).await, with_report(&lines, report(1, 2, 0)));
    room.keep.whole(SHOP, 3).await;
    let times: Vec<i64> = room
        .keep
        .columns(SHOP)
        .iter()
        .map(|column| column.time.0)
        .collect();
    assert!(times[0] - START.0 < 1_000, "the first comes at once");
    assert_eq!((times[2] - times[1], times[3] - times[2]), (15_000, 15_000));
    assert_eq!(
        room.keep.described("http_total"),
        ("counter", "Requests.".to_owned())
    );

    let request = room.peer.requests().pop().unwrap();
    let header = |name: &str| {
        request
            .headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    };
    assert_eq!(request.url, "http://a:80/metrics");
    assert_eq!(header("X-Prometheus-Scrape-Timeout-Seconds"), Some("10"));
    assert!(header("Accept").is_some_and(|accept| accept.contains("text/plain;version=0.0.4")));
    assert_eq!(
        (request.timeout, request.answer_bytes_max),
        (Duration::from_secs(10), 64 << 20)
    );

    let view = room.pool.view().pop().unwrap();
    assert_eq!((view.health, view.samples, view.http), (Health::Good, 2, true));
    assert_eq!(view.discovered.value("__address__"), "a:80");
    room.balances();
}

#[tokio::test(start_paused = true)]
async fn a_warm_scrape_asks_for_no_series() {
    let room = Room::new(&shop(""), &[Reply::text("a 1\nb 2\n"), Reply::text("b 3\na 4\n")]);
    room.keep.whole(SHOP, 1).await;
    assert_eq!(room.keep.asked(), 5 + 2);
    room.keep.whole(SHOP, 4).await;
    assert_eq!(room.keep.asked(), 5 + 2);
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_only_the_report_is_left_and_the_rest_ends() {
    let replies = [Reply::text("a 1\n"), Reply::Status(503), Reply::text("a 2\n")];
    let room = Room::new(&shop(""), &replies);
    assert_eq!(room.round(SHOP, 1).await, report(0, 0, 0));
    assert_eq!(room.keep.columns(SHOP)[1].round, Round::Whole);
    let view = room.pool.view().pop().unwrap();
    assert_eq!(
        (view.health, &*view.last_error),
        (Health::Bad, "the server answered with HTTP status 503")
    );
    assert_eq!(
        room.round(SHOP, 2).await,
        with_report(&["a{instance=\"a:80\", job=\"shop\"} 2"], report(1, 1, 1))
    );
    assert_eq!(room.pool.view()[0].last_error, "");
    room.balances();
}

#[tokio::test(start_paused = true)]
async fn a_target_that_never_answers_is_down_after_its_timeout() {
    let room = Room::new(&shop("  scrape_timeout: 3s\n"), &[Reply::Never]);
    assert_eq!(room.round(SHOP, 0).await, report(0, 0, 0));
    let view = room.pool.view().pop().unwrap();
    assert_eq!(view.last_error, "no answer within 3s");
    assert!(view.last_duration >= Duration::from_secs(3));
    assert_eq!(room.metric("skopos_scrape_failures_total"), 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_too_long_or_breaks_off_fails_the_scrape() {
    let room = Room::new(
        &shop("  body_size_limit: 1KB\n"),
        &[
            Reply::Error(ClientError::TooLong { limit_bytes: 1024 }),
            Reply::Error(ClientError::Broken("connection reset".to_owned())),
        ],
    );
    assert_eq!(room.round(SHOP, 0).await, report(0, 0, 0));
    assert_eq!(
        room.pool.view()[0].last_error,
        "the answer is longer than 1024 bytes"
    );
    assert_eq!(room.peer.requests()[0].answer_bytes_max, 1024);
    assert_eq!(room.round(SHOP, 1).await, report(0, 0, 0));
    assert_eq!(
        room.pool.view()[0].last_error,
        "the answer broke off: connection reset"
    );
}

#[tokio::test(start_paused = true)]
async fn garbage_keeps_nothing_and_says_where_it_is() {
    let replies = [
        Reply::text("a 1\n"),
        Reply::text("a 2\nfresh 3\nb{x=\"1} 2\n"),
        Reply::text("a 3\n"),
    ];
    let room = Room::new(&shop(""), &replies);
    assert_eq!(room.round(SHOP, 1).await, report(0, 2, 0));
    assert_eq!(
        room.pool.view()[0].last_error,
        "line 3, column 5: a quote is not closed"
    );
    assert_eq!(
        room.keep.asked(),
        5 + 1,
        "the store does not hear of series in a broken body"
    );
    let a = ["a{instance=\"a:80\", job=\"shop\"} 3"];
    assert_eq!(room.round(SHOP, 2).await, with_report(&a, report(1, 1, 1)));
    assert_eq!(room.pool.ledger().dropped["failed_scrape"], 2);
    room.balances();
}

#[tokio::test(start_paused = true)]
async fn the_content_type_must_say_that_it_is_text() {
    let html = Reply::typed(Some("text/html"), "a 1\n");
    let room = Room::new(&shop(""), &[html.clone(), Reply::typed(None, "a 1\n")]);
    assert_eq!(room.round(SHOP, 0).await, report(0, 0, 0));
    let error = room.pool.view().pop().unwrap().last_error;
    assert!(
        error.contains("\"text/html\"") && error.contains("fallback_scrape_protocol"),
        "{error}"
    );
    assert_eq!(room.round(SHOP, 1).await, report(0, 0, 0));

    let open_metrics = Reply::typed(
        Some("application/openmetrics-text; version=1.0.0"),
        "a 1\n# EOF\n",
    );
    let protobuf = Reply::typed(Some("application/vnd.google.protobuf"), "a 1\n");
    let room = Room::new(
        &shop("  fallback_scrape_protocol: PrometheusText0.0.4\n"),
        &[html.clone(), Reply::typed(None, "a 1\n"), open_metrics, protobuf],
    );
    for round in 0..3 {
        assert_eq!(room.round(SHOP, round).await.len(), 5, "{round}");
    }
    assert_eq!(room.round(SHOP, 3).await, report(0, 0, 0));

    let room = Room::new(
        &shop("  fallback_scrape_protocol: OpenMetricsText1.0.0\n"),
        &[html, Reply::typed(None, "a 1 0.5\n# EOF\n")],
    );
    assert_eq!(room.round(SHOP, 0).await, report(0, 1, 0), "no # EOF");
    assert_eq!(room.round(SHOP, 1).await.len(), 4, "with a time of its own");
}

#[tokio::test(start_paused = true)]
async fn the_report_stands_whatever_the_body_says() {
    let body = "up 0\nup{x=\"1\"} 7\nscrape_samples_scraped 99\n";
    for honor in ["", "  honor_labels: true\n"] {
        let room = Room::new(&shop(honor), &[Reply::text(body)]);
        let lines = [
            "exported_up{instance=\"a:80\", job=\"shop\"} 0",
            "up{instance=\"a:80\", job=\"shop\", x=\"1\"} 7",
            "exported_scrape_samples_scraped{instance=\"a:80\", job=\"shop\"} 99",
        ];
        assert_eq!(room.round(SHOP, 0).await, with_report(&lines, report(1, 3, 3)));
        room.keep.whole(SHOP, 1).await;
        assert_eq!(room.metric("skopos_scrape_samples_renamed_total"), 4.0);
    }
}

#[tokio::test(start_paused = true)]
async fn labels_are_honoured_or_exported() {
    let body = "a{job=\"mine\",instance=\"\"} 1\n";
    let room = Room::new(&shop(""), &[Reply::text(body)]);
    let line = ["a{exported_job=\"mine\", instance=\"a:80\", job=\"shop\"} 1"];
    assert_eq!(room.round(SHOP, 0).await, with_report(&line, report(1, 1, 1)));
    let room = Room::new(&shop("  honor_labels: true\n"), &[Reply::text(body)]);
    assert_eq!(
        room.round(SHOP, 0).await,
        with_report(&["a{job=\"mine\"} 1"], report(1, 1, 1))
    );
}

#[tokio::test(start_paused = true)]
async fn of_two_samples_of_a_series_the_first_stands() {
    let body = "a{x=\"1\",y=\"2\"} 1\na{x=\"1\",y=\"2\"} 2\na{y=\"2\",x=\"1\"} 3\nb 4\n";
    let room = Room::new(&shop("  sample_limit: 3\n"), &[Reply::text(body)]);
    let lines = [
        "a{instance=\"a:80\", job=\"shop\", x=\"1\", y=\"2\"} 1",
        "b{instance=\"a:80\", job=\"shop\"} 4",
    ];
    for nth in 0..3 {
        let lines_now = room.round(SHOP, nth).await;
        assert_eq!(lines_now[..2], lines, "round {nth}");
        assert_eq!(
            lines_now[2],
            report(1, 0, 0)[0],
            "equal lines do not count against the limit"
        );
    }
    assert_eq!(room.pool.ledger().dropped["repeated"], 6);
    room.balances();
}

#[tokio::test(start_paused = true)]
async fn times_of_its_own_put_a_sample_beside_the_round() {
    let (early, late, far) = (START.0 - 2_000, START.0 - 1_000, START.0 + 700_000);
    let body = format!("a 1 {late}\na 2 {early}\na 3 {late}\nb 4\nc 5 {late}\nd 6 {far}\n");
    let room = Room::new(&shop(""), &[Reply::text(&body)]);
    assert_eq!(
        room.round(SHOP, 0).await,
        with_report(&["b{instance=\"a:80\", job=\"shop\"} 4"], report(1, 6, 3))
    );
    let parts = room.keep.parts(SHOP);
    let of = |name: &str, value: f64| format!("{name}{{instance=\"a:80\", job=\"shop\"}} {value}");
    assert_eq!(
        parts,
        [
            (early, vec![of("a", 2.0)]),
            (late, vec![of("a", 1.0), of("c", 5.0)])
        ]
    );
    let columns = room.keep.columns(SHOP);
    assert_eq!(
        columns.last().map(|column| column.round),
        Some(Round::Whole),
        "the round comes last"
    );
    let dropped = room.pool.ledger().dropped;
    assert_eq!((dropped["out_of_bounds"], dropped["repeated"]), (1, 1));
    room.balances();

    let room = Room::new(&shop("  honor_timestamps: false\n"), &[Reply::text(&body)]);
    assert_eq!(room.round(SHOP, 0).await.len(), 4 + 4);
    assert!(room.keep.parts(SHOP).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_limit_fails_the_scrape_and_is_counted() {
    let body = "a 1\nb{long_name=\"long value\"} 2\nc 3\n";
    let cases = [
        ("sample_limit: 2", "3 samples are more than sample_limit 2", 3),
        ("label_limit: 3", "b has 4 labels, and label_limit is 3", 1),
        (
            "label_name_length_limit: 8",
            "a label name of b is longer than label_name_length_limit 8",
            1,
        ),
        (
            "label_value_length_limit: 9",
            "label long_name of b is longer than label_value_length_limit 9",
            1,
        ),
    ];
    for (limit, sentence, samples) in cases {
        let room = Room::new(&shop(&format!("  {limit}\n")), &[Reply::text(body)]);
        assert_eq!(room.round(SHOP, 1).await, report(0, samples, 0), "{limit}");
        assert_eq!(room.pool.view()[0].last_error, sentence);
        assert_eq!(room.keep.asked(), 5, "{limit}");
        room.balances();
    }
    let enough =
        "  sample_limit: 3\n  label_limit: 4\n  label_name_length_limit: 9\n  label_value_length_limit: 10\n";
    let room = Room::new(&shop(enough), &[Reply::text(body)]);
    assert_eq!(room.round(SHOP, 1).await.len(), 3 + 4);
}

#[tokio::test(start_paused = true)]
async fn series_that_the_store_refuses_are_counted_and_asked_for_again() {
    let room = Room::new(&shop(""), &[Reply::text("a 1\nb 2\nc 3\n")]);
    room.keep.limit(5 + 2);
    assert_eq!(room.round(SHOP, 0).await.len(), 2 + 4);
    assert_eq!(room.pool.ledger().dropped["refused"], 1);
    room.keep.limit(100);
    assert_eq!(room.round(SHOP, 10).await.len(), 3 + 4);
    room.balances();
}

#[tokio::test(start_paused = true)]
async fn series_that_the_store_forgot_are_asked_for_again() {
    let room = Room::new(&shop(""), &[Reply::text("a 1\nb 2\n")]);
    let first = room.keep.whole(SHOP, 1).await;
    assert_eq!(room.keep.asked(), 5 + 2);
    room.keep.forget();
    let last = room.keep.whole(SHOP, 4).await;
    assert_eq!(room.keep.asked(), 2 * (5 + 2));
    assert_eq!(first.series.len(), last.series.len());
    assert!(first.series.iter().max() < last.series.iter().min());
    room.balances();
}

#[tokio::test(start_paused = true)]
async fn a_slow_target_skips_slots_and_never_overlaps_itself() {
    let config = "
- job_name: shop
  scrape_interval: 2s
  scrape_timeout: 2s
  static_configs: [{targets: ['a:80']}]
";
    let room = Room::new(config, &[Reply::slow(Duration::from_millis(1_900), "a 1\n")]);
    room.keep.whole(SHOP, 5).await;
    assert_eq!(room.peer.most_at_once(), 1);
    let room = Room::new(config, &[Reply::Never]);
    room.keep.whole(SHOP, 5).await;
    assert_eq!(room.peer.most_at_once(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_reload_keeps_what_is_the_same_and_retires_what_is_gone() {
    let two = "
- job_name: shop
  static_configs: [{targets: ['a:80', 'b:80']}]
";
    let room = Room::new(two, &[Reply::text("a 1\n")]);
    room.keep.whole(SHOP, 2).await;
    room.keep.whole("scrape/shop/b:80/metrics", 2).await;
    let asked = room.keep.asked();
    let before = room.keep.columns(SHOP).len();

    room.apply("- job_name: shop\n  static_configs: [{targets: ['c:80', 'a:80']}]\n");
    assert_eq!(room.keep.retired(), ["scrape/shop/b:80/metrics"]);
    let urls: Vec<String> = room.pool.view().into_iter().map(|view| view.url).collect();
    assert_eq!(urls, ["http://c:80/metrics", "http://a:80/metrics"]);
    room.keep.whole("scrape/shop/c:80/metrics", 0).await;
    room.keep.whole(SHOP, before + 1).await;
    assert_eq!(
        room.keep.asked(),
        asked + 6,
        "the target that stays is not made anew"
    );
    assert!(
        room.keep.columns("scrape/shop/b:80/metrics").len() <= before + 1,
        "no scrape after it is gone"
    );

    let wrong: Vec<ScrapeConfig> = yaml::read("test.yaml", "- job_name: ''\n").unwrap();
    assert!(room.pool.apply(&wrong, &Global::default()).is_err());
    assert_eq!(room.pool.view().len(), 2, "a bad configuration changes nothing");
    room.balances();
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_read_otherwise_keeps_its_series() {
    let room = Room::new(&shop(""), &[Reply::text("a{job=\"x\"} 1\n")]);
    room.keep.whole(SHOP, 1).await;
    room.apply(&shop("  honor_labels: true\n"));
    let nth = room.keep.columns(SHOP).len();
    let lines = room.round(SHOP, nth).await;
    assert_eq!(lines[0], "a{instance=\"a:80\", job=\"x\"} 1");
    assert!(room.keep.retired().is_empty());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_committed_for_a_target_that_went_during_its_scrape() {
    let room = Room::new(&shop(""), &[Reply::slow(Duration::from_secs(5), "a 1\n")]);
    room.clock.sleep(Duration::from_secs(3)).await;
    assert_eq!(room.peer.requests().len(), 1);
    room.apply("[]");
    room.clock.sleep(Duration::from_secs(60)).await;
    assert!(room.keep.columns(SHOP).is_empty());
    assert_eq!(room.keep.retired(), [SHOP]);
    assert_eq!(room.peer.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_scrapes_and_no_series() {
    let room = Room::new(&shop(""), &[Reply::text("a 1\n")]);
    room.keep.whole(SHOP, 1).await;
    room.stop.cancel();
    room.clock.sleep(Duration::from_secs(60)).await;
    assert_eq!(room.keep.columns(SHOP).len(), 2);
    assert!(room.keep.retired().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_family_that_is_described_anew_is_told_anew() {
    let body = |help: &str| Reply::text(&format!("# HELP a {help}\n# TYPE a gauge\na 1\n"));
    let room = Room::new(&shop(""), &[body("Old."), body("Old."), body("New.")]);
    room.keep.whole(SHOP, 1).await;
    assert_eq!(room.keep.described("a"), ("gauge", "Old.".to_owned()));
    room.keep.whole(SHOP, 4).await;
    assert_eq!(room.keep.described("a"), ("gauge", "New.".to_owned()));
    let asked = room.keep.asked();
    room.keep.whole(SHOP, 6).await;
    assert_eq!(room.keep.asked(), asked);
}

#[tokio::test(start_paused = true)]
async fn parts_of_a_histogram_belong_to_its_family() {
    let body = "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 2\nh_count 1\n# TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 1\nh_total 1\n";
    let room = Room::new(&shop(""), &[Reply::text(body)]);
    room.keep.whole(SHOP, 0).await;
    for (name, family, kind) in [
        ("h_bucket", "h", "histogram"),
        ("h_sum", "h", "histogram"),
        ("h_count", "h", "histogram"),
        ("s", "s", "summary"),
        ("s_sum", "s", "summary"),
        ("h_total", "h_total", "untyped"),
    ] {
        assert_eq!(room.keep.family(name), (family.to_owned(), kind), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn secrets_are_sent_and_read_again_from_their_files() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "first\n").unwrap();
    let config = format!("  authorization: {{credentials_file: '{}'}}\n", file.display());
    let room = Room::new(&shop(&config), &[Reply::text("a 1\n")]);
    room.keep.whole(SHOP, 0).await;
    std::fs::write(&file, "second\n").unwrap();
    room.keep.whole(SHOP, 1).await;
    std::fs::remove_file(&file).unwrap();
    room.keep.whole(SHOP, 2).await;
    assert_eq!(room.peer.authorizations(), ["Bearer first", "Bearer second"]);
    assert!(room.pool.view()[0].last_error.starts_with("reading "));

    let basic = "  basic_auth: {username: Aladdin, password: open sesame}\n";
    let room = Room::new(&shop(basic), &[Reply::text("a 1\n")]);
    room.keep.whole(SHOP, 0).await;
    assert_eq!(room.peer.authorizations(), ["Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="]);
}

#[tokio::test(start_paused = true)]
async fn a_long_body_is_read_like_a_short_one() {
    let body: String = (0..20_000)
        .map(|nth| format!("metric_{}{{nth=\"{nth}\"}} {nth}\n", nth % 10))
        .collect();
    assert!(body.len() > 256 << 10);
    let room = Room::new(&shop(""), &[Reply::text(&body)]);
    assert_eq!(room.round(SHOP, 1).await.len(), 20_000 + 4);
    assert_eq!(room.keep.asked(), 20_000 + 5);
    room.balances();
}

const FOUND: &str = "- { job_name: pods, static_configs: [{ targets: ['b:1'], labels: { pod: one } }] }
- { job_name: pods, static_configs: [{ targets: ['b:2'], labels: { pod: two } }] }
";

fn jobs(room: &Room) -> Vec<(String, String)> {
    let targets = room.pool.view().into_iter();
    targets
        .map(|target| (target.job.clone(), target.labels.value("instance").to_owned()))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_found_stands_beside_what_is_configured_and_gives_way_to_it() {
    let room = Room::new(
        "- { job_name: shop, static_configs: [{ targets: ['a:80'] }] }",
        &[Reply::text("x 1\n")],
    );
    let found = |text: &str| -> Vec<ScrapeConfig> { yaml::read("found.yaml", text).unwrap() };
    assert_eq!(room.pool.find(found(FOUND)), [""; 0]);
    let pair = |job: &str, instance: &str| (job.to_owned(), instance.to_owned());
    let all = [pair("shop", "a:80"), pair("pods", "b:1"), pair("pods", "b:2")];
    assert_eq!(jobs(&room), all);
    // A new configuration leaves what was found; one that names the job takes its place.
    room.apply("- { job_name: shop, static_configs: [{ targets: ['a:81'] }] }");
    assert_eq!(
        jobs(&room),
        [pair("shop", "a:81"), pair("pods", "b:1"), pair("pods", "b:2")]
    );
    room.apply("- { job_name: pods, static_configs: [{ targets: ['c:1'] }] }");
    assert_eq!(jobs(&room), [pair("pods", "c:1")]);
    room.apply("[]");
    // One that is wrong is said, and the others stand.
    let wrong = format!(
        "{FOUND}- {{ job_name: pods, metrics_path: '/a?b', static_configs: [{{ targets: ['b:3'] }}] }}"
    );
    let said = room.pool.find(found(&wrong));
    assert!(said.len() == 1 && said[0].contains("metrics_path"), "{said:?}");
    assert_eq!(jobs(&room), [pair("pods", "b:1"), pair("pods", "b:2")]);
    assert_eq!(room.pool.find(Vec::new()), [""; 0]);
    assert_eq!(jobs(&room), []);
}
