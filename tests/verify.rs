//! `skopos logs verify`: every line of a file is kept, once, or it says which is not.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::harness::Skopos;
use crate::harness::skopos::command;

/// Exit code, and what it printed.
fn verify(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let output = command(folder)
        .args(["logs", "verify", "--config", "skopos.yaml"])
        .args(arguments)
        .output()
        .unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap(), text)
}

#[tokio::test]
async fn a_file_is_compared_with_what_is_kept_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let pod = folder.path().join("pods/shop_cart-1_0f1e/app");
    fs::create_dir_all(&pod).unwrap();
    let now = jiff::Timestamp::now();
    let line = |nth: u32, tag: &str| format!("{now:.9} stdout {tag} order {nth}\n");
    let file = pod.join("0.log");
    let text = line(1, "F") + &line(2, "P") + &line(3, "F") + &line(4, "F");
    fs::write(&file, text).unwrap();
    let config = format!(
        "node: {{ enabled: false }}\nrules: {{ shipped: false }}\nlogs: {{ files: [], containers: '{}' }}\n",
        folder.path().join("pods").display()
    );
    let skopos = Skopos::start(folder.path(), &config);
    skopos
        .wait_for("the lines", Duration::from_secs(20), async |skopos| {
            skopos.page("/logs?ns=shop&pod=cart-1").await.contains("order 4")
        })
        .await;
    let whose = ["--namespace", "shop", "--pod", "cart-1"];
    let (code, text) = verify(folder.path(), &whose);
    assert!(
        text.contains("0.log in segments: complete, 3 records in 4 lines"),
        "{text}"
    );
    assert_eq!(code, 0);
    let path = file.display().to_string();
    assert_eq!(verify(folder.path(), &[&path]), (0, text));
    assert_eq!(skopos.stop().await, 0);

    // Nobody reads what comes now.
    let mut more = fs::File::options().append(true).open(&file).unwrap();
    more.write_all((line(5, "F") + &line(6, "F")).as_bytes()).unwrap();
    let (code, text) = verify(folder.path(), &whose);
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains("3 of 5 records are there (6 lines in all)"),
        "{text}"
    );
    assert!(
        text.contains("not acknowledged yet: 2, at lines 5-6 (the first at byte "),
        "{text}"
    );
    let (code, text) = verify(folder.path(), &[&path, "--json"]);
    let verdict: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &verdict["is_complete"]), (1, &Value::from(false)));
    assert_eq!(
        (&verdict["found"], &verdict["waiting"]["lines"][0]["first"]),
        (&3.into(), &5.into())
    );

    for (arguments, code, told) in [
        (
            &["--namespace", "shop", "--pod", "gone-1"][..],
            2,
            "has no log files of a pod shop/gone-1",
        ),
        (&["/nowhere/at/all.log"], 2, "/nowhere/at/all.log"),
        (&[&path, "--sink", "big"], 2, "there is no sink \"big\""),
        (&[], 64, "required"),
    ] {
        let (ended, text) = verify(folder.path(), arguments);
        assert!(
            ended == code || arguments.is_empty(),
            "{arguments:?}: {ended} {text}"
        );
        assert!(text.contains(told), "{arguments:?}: {text}");
    }
    // The words of a search may be anything else, and this one behind --.
    let output = command(folder.path())
        .args(["logs", "order", "4"])
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("order 4"));
    let output = command(folder.path())
        .args(["logs", "--", "verify"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
}
