//! Every line once, through rotation and `kill -9`; and it can be found.

use std::time::Duration;

use crate::harness::components::run;
use crate::harness::generator::{Generator, account};
use crate::harness::{Skopos, long_run, skopos::command};

#[tokio::test]
async fn no_line_is_lost_or_doubled_through_rotation_and_kill_9() {
    let (kills, lines) = if long_run() { (50, 1_000_000) } else { (5, 100_000) };
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("app");
    let mut generator = Generator::new(&logs, 20);
    let config = format!("logs: {{ files: ['{}/*.log'] }}\n", logs.display());
    let mut skopos = Skopos::start(folder.path(), &config);
    let steps = 40 * kills;
    for step in 0..steps {
        generator.write(lines / steps);
        if step % 3 == 0 {
            generator.rotate();
        }
        if step % 40 == 20 {
            skopos.kill_and_restart();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(generator.written(), lines);

    let search = ["logs", "--since", "520w", "-n", "2000000", "line="];
    let mut verdict = (vec![0], vec![]);
    for _ in 0..60 {
        let (code, text) = run(command(folder.path()).args(search));
        assert_eq!(code, 0, "{text}");
        verdict = account(text.lines(), lines);
        if verdict.0.is_empty() || !verdict.1.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    println!(
        "{lines} lines, 20 files, {kills} kills: {} lost, {} doubled",
        verdict.0.len(),
        verdict.1.len()
    );
    if !verdict.0.is_empty() || !verdict.1.is_empty() {
        println!("kept for a look: {}", folder.keep().display());
    }
    let shown = |numbers: &[u64]| numbers.iter().take(60).copied().collect::<Vec<_>>();
    assert!(
        verdict.0.is_empty(),
        "{} lost: {:?}",
        verdict.0.len(),
        shown(&verdict.0)
    );
    assert!(
        verdict.1.is_empty(),
        "{} doubled: {:?}",
        verdict.1.len(),
        shown(&verdict.1)
    );
    assert_eq!(skopos.stop().await, 0);
}

#[tokio::test]
async fn container_lines_are_joined_and_named_and_both_searches_find_them() {
    let folder = tempfile::tempdir().unwrap();
    let pod = folder.path().join("pods/shop_cart-7d9_0f1e/cart");
    std::fs::create_dir_all(&pod).unwrap();
    let config = format!(
        "logs: {{ files: [], containers: '{}' }}\n",
        folder.path().join("pods").display()
    );
    let skopos = Skopos::start(folder.path(), &config);
    let cri = "2026-01-02T03:04:05.000000001Z stdout P the first half \n2026-01-02T03:04:05.000000002Z stdout F and the <second>\n";
    std::fs::write(pod.join("0.log"), cri).unwrap();
    let path = "/logs?q=second&from=2026-01-01T00:00:00Z&to=2027-01-01T00:00:00Z";
    skopos
        .wait_for("the line on the page", Duration::from_secs(10), async |skopos| {
            skopos
                .page(path)
                .await
                .contains("the first half and the <second>")
        })
        .await;
    let (code, text) = run(command(folder.path()).args(["logs", "--since", "520w", "SECOND"]));
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("shop/cart-7d9/cart") && text.contains("the first half and the <second>"),
        "{text}"
    );
    let (_, text) = run(command(folder.path()).args(["logs", "--since", "520w", "nowhere-to-be-found"]));
    assert_eq!(text, "");
    let found = [
        "--namespace",
        "shop",
        "--pod",
        "cart",
        "-c",
        "cart",
        "-e",
        "half.*<sec",
        "--json",
    ];
    let (code, text) = run(command(folder.path())
        .args(["logs", "--since", "520w"])
        .args(found));
    assert_eq!(code, 0, "{text}");
    let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
    assert_eq!(line["time"], "2026-01-02T03:04:05.000Z");
    assert_eq!(
        (&line["source"], &line["stream"]),
        (&"shop/cart-7d9/cart".into(), &"stdout".into())
    );
    let (code, text) = run(command(folder.path()).args(["logs", "-e", "a("]));
    assert!(code == 64 && text.contains("unclosed group"), "{code} {text}");
    assert_eq!(skopos.stop().await, 0);
}
