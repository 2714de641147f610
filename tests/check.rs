//! What is wrong in a file is said with its place and a suggestion; a bad new file changes nothing.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::fakes::peer::{Answer, Peer};
use crate::harness::components::run;
use crate::harness::{Skopos, root, skopos::command};

/// `tests/config/*.bad.yaml`, each with one mistake, against the complaint in the `.txt` beside it.
#[test]
fn every_mistake_is_placed_excerpted_and_mended() {
    let folder = root().join("tests/config");
    let mut checked = 0;
    for entry in fs::read_dir(&folder).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        if let Some(stem) = name.strip_suffix(".bad.yaml") {
            let (code, text) = run(command(&folder).args(["check", &name]));
            assert_eq!(code, 64, "{name}: {text}");
            assert!(text.starts_with(&format!("{name}:")), "{name}: {text}");
            golden(&folder.join(format!("{stem}.txt")), &text);
            checked += 1;
        }
    }
    assert!(checked >= 8, "{checked} files");
}

#[test]
fn good_files_are_told_in_numbers() {
    let folder = root().join("tests/config");
    for entry in fs::read_dir(&folder).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        if name.ends_with(".good.yaml") {
            let (code, text) = run(command(&folder).args(["check", &name]));
            assert_eq!(code, 0, "{name}: {text}");
            assert!(text.starts_with(&format!("{name}: ok, ")), "{text}");
            let told = folder.join(name.replace(".good.yaml", ".txt"));
            if told.is_file() {
                golden(&told, &text);
            }
        }
    }
}

#[test]
fn the_shipped_rules_pass_their_own_check() {
    for entry in fs::read_dir(root().join("rules")).unwrap().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let (code, text) = run(command(root()).arg("check").arg(&path));
            assert_eq!(code, 0, "{text}");
        }
    }
}

#[test]
fn the_documented_file_is_a_good_one() {
    let manual = fs::read_to_string(root().join("agent/configuration.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let yaml = manual
        .split("```yaml\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .unwrap();
    fs::write(folder.path().join("skopos.yaml"), yaml).unwrap();
    let (code, text) = run(command(folder.path()).args(["check", "skopos.yaml"]));
    assert_eq!(code, 0, "{text}");
}

/// Compares with a file, or rewrites it when `UPDATE_GOLDEN=1`.
fn golden(path: &Path, text: &str) {
    if std::env::var("UPDATE_GOLDEN").is_ok_and(|value| value == "1") {
        fs::write(path, text).unwrap();
    }
    let kept = fs::read_to_string(path).unwrap_or_default();
    assert_eq!(text, kept, "{} (UPDATE_GOLDEN=1 rewrites it)", path.display());
}

#[tokio::test]
async fn a_bad_new_file_leaves_the_old_one_running_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let rules = "groups: [{ name: own, rules: [{ record: one, expr: vector(1) }] }]\n";
    fs::write(folder.path().join("own.yaml"), rules).unwrap();
    let good = "rule_files: ['own.yaml']\nlogs: { files: [] }\n";
    let skopos = Skopos::start(folder.path(), good);
    let in_force = "skopos_config_last_reload_successful";
    let config = folder.path().join("skopos.yaml");

    fs::write(&config, "rule_filles: ['own.yaml']\n").unwrap();
    let (status, text) = skopos.post("/-/reload").await;
    assert_eq!(status, 500, "{text}");
    assert!(
        text.contains("skopos.yaml:1:1") && text.contains("did you mean \"rule_files\"?"),
        "{text}"
    );
    assert!(skopos.get("/metrics").await.1.contains(&format!("{in_force} 0")));
    let page = skopos.get("/").await.1;
    assert!(
        page.contains("rule_filles"),
        "the page does not show what is refused"
    );
    let groups = skopos.api("/api/v1/rules").await;
    assert!(
        groups.to_string().contains("\"own\""),
        "the old rules are gone: {groups}"
    );

    fs::write(&config, good).unwrap();
    skopos.signal("-HUP");
    skopos
        .wait_for(
            "the good file in force again",
            Duration::from_secs(10),
            async |skopos| skopos.get("/metrics").await.1.contains(&format!("{in_force} 1")),
        )
        .await;

    // A writer that is interrupted leaves an empty file: that is no configuration to go over to.
    fs::write(&config, "").unwrap();
    skopos
        .wait_for(
            "the emptied file to be refused",
            Duration::from_secs(15),
            async |skopos| skopos.get("/metrics").await.1.contains(&format!("{in_force} 0")),
        )
        .await;
    let groups = skopos.api("/api/v1/rules").await;
    assert!(
        groups.to_string().contains("\"own\""),
        "the old rules are gone: {groups}"
    );
    assert_eq!(skopos.post("/-/reload").await.0, 500);
    fs::write(&config, good).unwrap();
    skopos
        .wait_for(
            "the good file once more",
            Duration::from_secs(15),
            async |skopos| skopos.get("/metrics").await.1.contains(&format!("{in_force} 1")),
        )
        .await;

    // A saved file is read by itself.
    fs::write(folder.path().join("own.yaml"), rules.replace("own", "changed")).unwrap();
    skopos
        .wait_for("the changed rule file", Duration::from_secs(15), async |skopos| {
            skopos
                .api("/api/v1/rules")
                .await
                .to_string()
                .contains("\"changed\"")
        })
        .await;
    assert_eq!(skopos.stop().await, 0);
}

#[test]
fn the_data_directory_is_told_of_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("skopos.yaml"), "logs: { files: [] }\n").unwrap();
    let told = |config: &str| {
        fs::write(folder.path().join("skopos.yaml"), config).unwrap();
        let (code, text) = run(command(folder.path()).args(["check", "skopos.yaml"]));
        assert_eq!(code, 0, "{text}");
        text
    };
    assert!(
        !told("logs: { files: [] }\n").contains("data in"),
        "there is none"
    );
    let broken = folder.path().join("data/metrics/01KB0WSE7R3J2F8Y6T5M4N9QAC");
    fs::create_dir_all(&broken).unwrap();
    let text = told("store: { retention: { time: 3d, size: 1GiB } }\n");
    assert!(
        text.contains("data in data/metrics: 0 blocks of 0 B; kept are 3d and 1.0 GiB")
            && text.contains(
                "a block cannot be read, and is left out: data/metrics/01KB0WSE7R3J2F8Y6T5M4N9QAC/meta.json"
            ),
        "{text}"
    );
    assert!(broken.is_dir(), "set aside");
    let text = told("store: { retention: { size: 900000TB } }\n");
    assert!(text.contains("lower store.retention.size"), "{text}");
}

/// Receivers are reached by the environment's proxy, with certificates of one's own as well, unless they are not to be.
#[tokio::test]
async fn a_receiver_is_reached_by_the_environments_proxy_unless_it_is_told_not_to() {
    let proxy = Peer::start(Answer::Body("ok".to_owned())).await;
    for (http_config, is_reached) in [
        ("{}", true),
        ("{ proxy_from_environment: true }", true),
        ("{ tls_config: { min_version: TLS13 } }", true),
        ("{ proxy_from_environment: false }", false),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "notifier: {{ webhook: [ {{ url: 'http://hooks.invalid/', http_config: {http_config} }} ] }}\n"
        );
        fs::write(folder.path().join("skopos.yaml"), text).unwrap();
        let before = proxy.asked().len();
        let mut check = command(folder.path());
        check
            .args(["check", "--live", "skopos.yaml"])
            .env("HTTP_PROXY", format!("http://{}", proxy.address))
            .env_remove("NO_PROXY")
            .env_remove("no_proxy");
        let (_, text) = tokio::task::spawn_blocking(move || run(&mut check))
            .await
            .unwrap();
        assert_eq!(
            proxy.asked().len() - before,
            usize::from(is_reached),
            "{http_config}: {text}"
        );
        assert_eq!(text.contains("answers (200"), is_reached, "{http_config}: {text}");
    }
}

/// Secrets in an Alertmanager's file are named by their places, and never shown.
#[test]
fn secrets_in_an_alertmanagers_file_are_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let file =
        "route: { receiver: a }\nreceivers:\n- name: a\n  pagerduty_configs: [ { routing_key: s3cret } ]\n";
    fs::write(folder.path().join("alertmanager.yml"), file).unwrap();
    fs::write(
        folder.path().join("skopos.yaml"),
        "notifier: { config_file: alertmanager.yml }\n",
    )
    .unwrap();
    let (code, text) = run(command(folder.path()).args(["check", "skopos.yaml"]));
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("alertmanager.yml: secrets are written here")
            && text.contains("receivers[0].pagerduty_configs[0].routing_key"),
        "{text}"
    );
    let wrong = file.replace("routing_key: s3cret }", "routing_key: s3cret, severty: a }");
    fs::write(folder.path().join("alertmanager.yml"), wrong).unwrap();
    let (code, text) = run(command(folder.path()).args(["check", "skopos.yaml"]));
    assert!(
        code == 64 && text.contains("severty") && !text.contains("s3cret"),
        "{text}"
    );
}
