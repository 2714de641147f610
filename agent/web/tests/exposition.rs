//! The pages other scrapers read.

use super::house::House;

#[tokio::test]
async fn pages_are_those_of_their_exporters() {
    let house = House::open();
    let node = house.get("/metrics/node").await;
    assert_eq!(
        node.header("content-type"),
        "text/plain; version=0.0.4; charset=utf-8"
    );
    let text = "\
# HELP node_cpu_seconds_total Seconds the CPUs spent in each mode.
# TYPE node_cpu_seconds_total counter
node_cpu_seconds_total{cpu=\"0\",mode=\"idle\"} 102
node_cpu_seconds_total{cpu=\"0\",mode=\"user\"} 11
";
    assert_eq!(node.body, text);
    let all = house.get("/metrics/all").await.body;
    for line in [
        "up{instance=\"vm:9464\",job=\"node\"} 1\n",
        "up{instance=\"shop:8080\",job=\"shop\"} 0\n",
        "node_cpu_seconds_total{cpu=\"0\",instance=\"vm:9464\",job=\"node\",mode=\"idle\"} 102\n",
    ] {
        assert!(all.contains(line), "{line} is not in {all}");
    }
    assert_eq!(all.matches("# TYPE up gauge\n").count(), 1, "{all}");
}

#[tokio::test]
async fn an_unknown_page_names_those_there_are() {
    let answer = House::open().get("/metrics/pods").await;
    let text = "nothing is read for /metrics/pods now; there are /metrics/all, /metrics/node\n";
    assert_eq!((answer.status, answer.body.as_str()), (404, text));
}

#[tokio::test]
async fn our_own_page_counts_itself() {
    let house = House::open();
    house.get("/metrics").await;
    let own = house.get("/metrics").await;
    assert_eq!(
        own.header("content-type"),
        "text/plain; version=0.0.4; charset=utf-8"
    );
    let line = "skopos_web_requests_total{code=\"200\",handler=\"/metrics\"} 1\n";
    assert!(own.body.contains(line), "{}", own.body);
}

#[tokio::test]
async fn a_prometheus_above_gets_the_newest_sample_and_its_time() {
    let house = House::open();
    let all = house
        .get("/federate?match[]=up&match[]=%7Bjob%3D%22shop%22%7D")
        .await;
    let text = "\
# TYPE shop_latency untyped
shop_latency{http_route=\"/a\\\"b\\\\c\",job=\"shop\",instance=\"\"} 1e-07 1435781430781
# TYPE up untyped
up{instance=\"shop:8080\",job=\"shop\"} 0 1435781430781
up{instance=\"vm:9464\",job=\"node\"} 1 1435781430781
";
    assert_eq!((all.status, all.body.as_str()), (200, text));
    assert_eq!(house.get("/federate").await.body, "");
    assert_eq!(house.get("/federate?match[]=%7B").await.status, 400);
}
