//! `skopos backtest`: over blocks, over a process, and what is said when there is nothing to go through.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::harness::components::{find, run};
use crate::harness::{Skopos, skopos::command};

const RULES: &str = "
groups:
- name: shop
  interval: 1m
  rules:
  - {record: 'shop:orders:rate5m', expr: 'rate(shop_orders_total[5m])'}
  - {alert: NoOrders, expr: 'shop:orders:rate5m == 0', for: 5m, labels: {severity: page}}
  - {alert: ShopGone, expr: absent(shop_orders_total)}
  - {alert: Busy, expr: 'shop:orders:rate5m > 100'}
";
const QUIET: &str = "node: { interval: 1s }\nlogs: { files: [] }\n";
/// 2023-11-14T22:00:00Z.
const START: u64 = 1_699_999_200;

fn backtest(folder: &Path, arguments: &[&str]) -> (i32, String) {
    run(command(folder).arg("backtest").args(arguments))
}

/// Six hours of a shop with an order a minute, in which nobody ordered for half an hour, and once for six minutes.
fn blocks(folder: &Path) -> Option<()> {
    let promtool = find("promtool")?;
    let (mut orders, mut total) = (String::new(), 0);
    let mut ups = String::new();
    for minute in 0..360 {
        let none = (60..90).contains(&minute) || (200..206).contains(&minute);
        total += u64::from(!none);
        let time = START + minute * 60;
        orders += &format!("shop_orders_total{{shop=\"a\"}} {total} {time}\n");
        ups += &format!("up{{shop=\"a\"}} 1 {time}\n");
    }
    let text = format!("# TYPE shop_orders counter\n{orders}# TYPE up gauge\n{ups}# EOF\n");
    fs::write(folder.join("shop.txt"), text).unwrap();
    let (code, said) = run(Command::new(promtool)
        .args(["tsdb", "create-blocks-from", "openmetrics", "shop.txt", "tsdb"])
        .current_dir(folder));
    assert_eq!(code, 0, "{said}");
    Some(())
}

#[test]
fn blocks_of_a_prometheus_are_gone_through() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rules.yaml"), RULES).unwrap();
    if blocks(folder.path()).is_none() {
        return;
    }
    let span = ["--start", "2023-11-14T22:00:00Z", "--end", "2023-11-15T04:00:00Z"];
    let asked = |more: &[&str]| {
        let arguments = [&["rules.yaml", "--data-dir", "tsdb"], span.as_slice(), more].concat();
        backtest(folder.path(), &arguments)
    };
    let (code, text) = asked(&[]);
    assert_eq!(code, 0, "{text}");
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("alert     fired  firing"), "{text}");
    // Nobody ordered for 30 minutes: the rate knows it after 4, and it fires after 5 more. The other time it only waits.
    let cells: Vec<&str> = lines[1].split_whitespace().collect();
    assert_eq!(cells[..4], ["NoOrders", "1", "22m", "22m"], "{text}");
    assert!(
        cells[4].starts_with("2023-11-14T23:08:") && cells[6] == "1",
        "{text}"
    );
    for (line, name) in lines[2..4].iter().zip(["ShopGone", "Busy"]) {
        let cells: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(cells, [name, "0", "0"], "{text}");
    }
    assert!(
        text.contains("1 of 3 alerts would have fired, 1 time in all, from 2023-11-14T22:00:00Z to"),
        "{text}"
    );
    let (code, text) = asked(&["--run", "NoOrders", "--verbose"]);
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("fired for 22m  {severity=\"page\", shop=\"a\"}"),
        "{text}"
    );
    assert!(text.contains("1 of 1 alert would"), "{text}");

    let (code, text) = asked(&["--json"]);
    assert_eq!(code, 0, "{text}");
    assert_eq!(asked(&["--json", "--one-by-one"]), (0, text.clone()));
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let alert = &json["alerts"][0];
    assert_eq!(
        (&alert["name"], &alert["firingSeconds"]),
        (&"NoOrders".into(), &1320.0.into())
    );
    assert_eq!(alert["episodes"][0]["labels"]["severity"], "page");

    let (code, text) = asked(&["--run", "Nothing"]);
    assert_eq!(code, 1);
    assert!(
        text.contains("no alert in these files has a name that matches"),
        "{text}"
    );
    // The last week has nothing, and where there is something is said.
    let (code, text) = backtest(folder.path(), &["rules.yaml", "--data-dir", "tsdb"]);
    assert_eq!(code, 1);
    assert!(
        text.contains("it has some from 2023-11-14T22:00:00Z to 2023-11-15T03:59:00Z: ask for then"),
        "{text}"
    );
}

#[tokio::test]
async fn a_process_is_asked_by_its_api() {
    let folder = tempfile::tempdir().unwrap();
    let rules = "groups: [{name: g, interval: 1s, rules: [{record: r, expr: node_load1}, {alert: A, expr: r >= 0}, {alert: B, expr: node_load1 < 0}]}]";
    fs::write(folder.path().join("rules.yaml"), rules).unwrap();
    let skopos = Skopos::start(folder.path(), QUIET);
    skopos
        .wait_for("some rounds", Duration::from_secs(20), async |skopos| {
            skopos
                .value("count_over_time(node_load1[1m])")
                .await
                .is_some_and(|rounds| rounds >= 8.0)
        })
        .await;
    let url = skopos.url("");
    let (code, text) = backtest(folder.path(), &["rules.yaml", "--url", &url, "--since", "1m"]);
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("1 of 2 alerts would have fired, 1 time in all"),
        "{text}"
    );
    // It was not there before.
    assert!(text.contains("nothing was kept from "), "{text}");
    let (code, text) = backtest(
        folder.path(),
        &[
            "rules.yaml",
            "--url",
            &url,
            "--start",
            "2023-11-14T22:00:00Z",
            "--end",
            "2023-11-14T23:00:00Z",
        ],
    );
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains("has no samples from 2023-11-14T22:00:00Z to 2023-11-14T23:00:00Z"),
        "{text}"
    );
}

#[test]
fn what_cannot_be_gone_through_is_said() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rules.yaml"), RULES).unwrap();
    fs::write(folder.path().join("bad.yaml"), RULES.replace("rate(", "rtae(")).unwrap();
    fs::write(
        folder.path().join("records.yaml"),
        "groups: [{name: a, rules: [{record: r, expr: up}]}]",
    )
    .unwrap();
    let said = |code: i32, arguments: &[&str], words: &str| {
        let (ended, text) = backtest(folder.path(), arguments);
        assert_eq!(ended, code, "{arguments:?}: {text}");
        assert!(text.contains(words), "{arguments:?}: {text}");
    };
    said(64, &["bad.yaml"], "did you mean \"rate\"?");
    said(64, &["rules.yaml", "none.yaml"], "none.yaml");
    said(64, &[], "FILE");
    said(64, &["rules.yaml", "--run", "("], "regex");
    said(
        64,
        &["rules.yaml", "--evaluation-interval", "0s"],
        "an interval is longer than nothing",
    );
    said(
        1,
        &["records.yaml", "--url", "http://127.0.0.1:1"],
        "there are no alerts in these files",
    );
    said(
        1,
        &["rules.yaml", "--data-dir", "nowhere"],
        "there is no data directory nowhere",
    );
    said(
        1,
        &["rules.yaml", "--url", "http://127.0.0.1:1"],
        "asking http://127.0.0.1:1: ",
    );
    said(
        1,
        &[
            "rules.yaml",
            "--start",
            "2023-11-14T22:00:00Z",
            "--end",
            "2023-11-14T21:00:00Z",
        ],
        "ends before it starts",
    );
    said(
        64,
        &["rules.yaml", "--data-dir", "x", "--url", "http://127.0.0.1:1"],
        "either a process is asked",
    );
}
