//! What the last lines of a pod must be, and must never be.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use model::outside::{Call, Serve};
use model::{Level, Tail};
use tempfile::TempDir;

use super::*;
use crate::redact::Shipped;
use crate::search::tests::Kept;

const CART: &str = "shop_cart-1_uid-1/app";

fn ground(root: &Path) -> Ground {
    let config = Config {
        containers: root.to_owned(),
        local: false,
        redact: vec![Shipped::Tokens],
        ..Config::default()
    };
    Ground::new(&config, Path::new("/nowhere")).unwrap()
}

fn put(root: &Path, file: &str, text: &str) {
    let path = root.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn cri(second: u32, tag: &str, text: &str) -> String {
    format!("2026-11-27T10:00:{second:02}.5Z stdout {tag} {text}\n")
}

fn door(root: &Path) -> Door {
    Door::new(ground(root))
}

async fn asked(door: &Door, query: &str) -> (u16, String) {
    let call = Call {
        method: "GET".to_owned(),
        query: query.to_owned(),
        ..Call::default()
    };
    let answer = door.serve(call).await;
    (answer.status, String::from_utf8(answer.body).unwrap())
}

async fn texts(door: &Door, query: &str) -> Vec<String> {
    let (status, body) = asked(door, query).await;
    assert_eq!(status, 200, "{body}");
    let tail: Tail = serde_json::from_str(&body).unwrap();
    tail.lines.into_iter().map(|line| line.text).collect()
}

fn pod() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    put(
        root.path(),
        &format!("{CART}/0.log.20261127-100000"),
        &cri(1, "F", "one"),
    );
    let live = cri(2, "F", "WARN two")
        + &cri(3, "P", "thr")
        + &cri(4, "F", "ee")
        + "2026-11-27T10:00:05Z stdout F half";
    put(root.path(), &format!("{CART}/0.log"), &live);
    put(
        root.path(),
        "shop_cart-1_uid-1/proxy/0.log",
        &cri(9, "F", "proxy"),
    );
    put(
        root.path(),
        "shop_cart-12_uid-2/app/0.log",
        &cri(9, "F", "another pod"),
    );
    put(
        root.path(),
        "myshop_cart-1_uid-3/app/0.log",
        &cri(9, "F", "another namespace"),
    );
    root
}

#[tokio::test]
async fn the_last_lines_are_those_of_the_pod_over_its_files() {
    let root = pod();
    let door = door(root.path());
    let app = "namespace=shop&pod=cart-1&container=app";
    // The first record of what was rotated may be the rest of an older one, and the last line is not whole yet.
    assert_eq!(texts(&door, app).await, ["WARN two", "three"]);
    assert_eq!(texts(&door, &format!("{app}&lines=1")).await, ["three"]);
    assert_eq!(texts(&door, &format!("{app}&level=warn")).await, ["WARN two"]);
    assert_eq!(texts(&door, &format!("{app}&text=THREE")).await, ["three"]);
    assert_eq!(texts(&door, &format!("{app}&to=1795773603")).await, ["WARN two"]);
    assert_eq!(
        texts(&door, "namespace=shop&pod=cart-1").await,
        ["WARN two", "three", "proxy"]
    );
    assert_eq!(
        texts(&door, "namespace=shop&pod=cart-*&container=app").await,
        ["WARN two", "three", "another pod"]
    );
    let (_, nobody) = asked(&door, "namespace=shop&pod=cart-3").await;
    assert_eq!(nobody, r#"{"lines":[],"cut":false,"known":false}"#);
    let (_, body) = asked(&door, "namespace=shop&pod=cart-12").await;
    let tail: Tail = serde_json::from_str(&body).unwrap();
    assert!(tail.known && !tail.cut);
    assert_eq!(
        (&*tail.lines[0].source, tail.lines[0].level),
        ("shop/cart-12/app", Level::Info)
    );
}

#[tokio::test]
async fn nobody_names_a_path_and_no_link_is_followed() {
    let root = pod();
    let outside = tempfile::tempdir().unwrap();
    put(outside.path(), "app/0.log", &cri(1, "F", "secret"));
    symlink(outside.path(), root.path().join("shop_linked-1_uid-1")).unwrap();
    fs::create_dir_all(root.path().join("shop_linked-2_uid-1")).unwrap();
    symlink(
        outside.path().join("app"),
        root.path().join("shop_linked-2_uid-1/app"),
    )
    .unwrap();
    fs::create_dir_all(root.path().join("shop_linked-3_uid-1/app")).unwrap();
    symlink(
        outside.path().join("app/0.log"),
        root.path().join("shop_linked-3_uid-1/app/0.log"),
    )
    .unwrap();
    let door = door(root.path());
    for pod in ["linked-1", "linked-2", "linked-3", "linked-*"] {
        let none = texts(&door, &format!("namespace=shop&pod={pod}")).await;
        assert!(none.is_empty(), "{pod}: {none:?}");
    }
    for wrong in [
        "namespace=shop",
        "pod=cart-1",
        "namespace=shop&pod=*",
        "namespace=shop&pod=..",
        "namespace=..&pod=cart-1",
        "namespace=shop&pod=cart-1%2F..%2Fx",
        "namespace=shop&pod=cart-1&container=..%2Fproxy",
        "namespace=shop&pod=cart-1_uid-1%2Fapp",
        "namespace=shop&pod=cart%00",
        "namespace=Shop&pod=cart-1",
        "namespace=shop&pod=cart-1&path=/etc/passwd",
        "namespace=shop&pod=cart-1&lines=0",
        "namespace=shop&pod=cart-1&lines=1001",
        "namespace=shop&pod=cart-1&level=loud",
        "namespace=shop&pod=cart-1&from=yesterday",
    ] {
        let (status, body) = asked(&door, wrong).await;
        assert_eq!(status, 400, "{wrong}: {body}");
        assert!(!body.contains("\"lines\":"), "{wrong}: {body}");
    }
}

#[tokio::test]
async fn what_redaction_takes_out_is_neither_shown_nor_found() {
    let root = tempfile::tempdir().unwrap();
    let secret = "hunter22hunter22";
    let text = cri(1, "F", &format!("login password={secret} ok"))
        + &cri(2, "P", "password=hunter22")
        + &cri(3, "F", "hunter22");
    put(root.path(), &format!("{CART}/0.log"), &text);
    let cart = "namespace=shop&pod=cart-1";
    let one = door(root.path());
    assert_eq!(
        texts(&one, cart).await,
        ["login password=[redacted:token] ok", "password=[redacted:token]"]
    );
    assert!(texts(&one, &format!("{cart}&text=hunter22")).await.is_empty());

    // Where reading begins between the two parts of a record, the second one alone is no secret to any rule.
    let long = tempfile::tempdir().unwrap();
    let mut text = cri(1, "P", &format!("password={}", "a".repeat(2_000_000)))
        + &cri(2, "P", secret)
        + &cri(3, "F", secret);
    for nth in 0..10 {
        _ = write!(text, "{}", cri(4, "F", &format!("after {nth}")));
    }
    put(long.path(), &format!("{CART}/0.log"), &text);
    // The first bytes that are read lie within the first line, and just behind it.
    for padding in [0, 900_000, 1_040_000, 1_048_000] {
        put(
            long.path(),
            &format!("{CART}/0.log"),
            &(text.clone() + &cri(5, "F", &"z".repeat(padding))),
        );
        let all = texts(&door(long.path()), &format!("{cart}&lines=1000")).await;
        assert!(!all.iter().any(|line| line.contains("hunter")), "{padding}");
        assert!(all.len() <= 11 && !all.is_empty(), "{padding}: {}", all.len());
    }
}

#[tokio::test]
async fn an_answer_is_bounded_and_says_that_it_was_cut() {
    let root = tempfile::tempdir().unwrap();
    let text: String = (0..20_000)
        .map(|nth| cri(nth % 60, "F", &format!("line {nth} {}", "x".repeat(200))))
        .collect();
    put(root.path(), &format!("{CART}/0.log"), &text);
    let (_, body) = asked(&door(root.path()), "namespace=shop&pod=cart-1&lines=1000").await;
    let tail: Tail = serde_json::from_str(&body).unwrap();
    assert!(tail.cut && tail.lines.len() == 1000 && body.len() < 2 << 20);
}

#[tokio::test]
async fn a_question_that_finds_no_place_is_told_to_come_again() {
    let root = pod();
    let door = door(root.path());
    let held = std::sync::Arc::clone(&door.places())
        .acquire_many_owned(2)
        .await
        .unwrap();
    let (status, _) = asked(&door, "namespace=shop&pod=cart-1").await;
    assert_eq!(status, 503);
    drop(held);
    assert_eq!(asked(&door, "namespace=shop&pod=cart-1").await.0, 200);
}

#[tokio::test]
async fn where_lines_are_kept_they_come_from_there_and_are_redacted_by_todays_rules() {
    let mut kept = Kept::new(false);
    for (second, source, text) in [
        (1, "shop/cart-1/app", "login password=hunter22hunter22"),
        (2, "shop/cart-12/app", "another pod"),
        (3, "shop/cart-1/app", "order 42"),
    ] {
        kept.frame(source, &[(second, Level::Info, text)]);
    }
    let config = Config {
        containers: "/nowhere".into(),
        redact: vec![Shipped::Tokens],
        ..Config::default()
    };
    let door = Door::new(Ground::new(&config, kept.folder.path()).unwrap());
    let cart = "namespace=shop&pod=cart-1";
    assert_eq!(
        texts(&door, cart).await,
        ["login password=[redacted:token]", "order 42"]
    );
    assert!(texts(&door, &format!("{cart}&text=hunter22")).await.is_empty());
    assert_eq!(texts(&door, &format!("{cart}&text=order")).await, ["order 42"]);
    assert_eq!(texts(&door, "namespace=shop&pod=cart-*").await.len(), 3);
}
