//! Opened as people open it: no console error, graphs drawn, nothing sideways, on a desk and on a phone.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::harness::browser::Browser;
use crate::harness::components;
use crate::harness::{Skopos, root};

const VIEWS: [&str; 9] = [
    "/",
    "/alerts",
    "/routes?labels=alertname%3DDown",
    "/targets",
    "/logs",
    "/rules",
    "/explore?expr=node_load1&from=now-1m",
    "/self",
    "/graph",
];

/// The picture of the house is there and large enough to be read; the table below it has a row for each arrow.
const HOUSE: &str = "const drawing = document.querySelector('#picture svg');
    const rows = document.querySelectorAll('#joints tbody tr').length;
    return !!drawing && drawing.getBoundingClientRect().height > 200 && rows > 5
        && ['store', 'rules', 'notifier'].every(room => drawing.textContent.includes(room))";

fn picture(name: &str) -> PathBuf {
    root().join("target/pictures").join(name)
}

fn file_name(view: &str) -> String {
    let word = view.split('?').next().unwrap_or_default().trim_matches('/');
    if word.is_empty() {
        "overview".to_owned()
    } else {
        word.to_owned()
    }
}

#[tokio::test]
async fn every_view_is_drawn_at_both_widths_without_a_console_error() {
    let Some(browser) = Browser::start("light").await else {
        return;
    };
    let axe = components::file("npm/node_modules/axe-core/axe.min.js")
        .map(|script| std::fs::read_to_string(script).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.log");
    std::fs::write(
        &file,
        "INFO started
WARN the cache is cold
",
    )
    .unwrap();
    let skopos = Skopos::start(
        folder.path(),
        &format!(
            "logs: {{ files: ['{}'] }}
",
            file.display()
        ),
    );
    skopos
        .wait_for("three readings", Duration::from_secs(20), async |skopos| {
            skopos
                .value("count_over_time(node_load1[5m])")
                .await
                .is_some_and(|count| count >= 3.0)
        })
        .await;
    for (width, height, scheme) in [
        (1280, 900, "light"),
        (1280, 900, "dark"),
        (390, 844, "light"),
        (360, 740, "dark"),
    ] {
        browser.resize(width, height).await;
        browser.prefer(scheme).await;
        for view in VIEWS {
            browser.open(&skopos.url(view)).await;
            browser
                .wait_for("the status line", "return !!document.querySelector('.status')")
                .await;
            if view == "/" || view.starts_with("/explore") {
                // Grid, hatch and axes do not count: within the axes, a line in the colour of a series must be
                // there on every graph. An idle network's second line lies on its first.
                let series = if scheme == "dark" {
                    "[[0x56, 0xb4, 0xe9], [0x6d, 0x77, 0x84]]"
                } else {
                    "[[0x00, 0x72, 0xb2], [0x8a, 0x94, 0xa0]]"
                };
                let drawn = format!(
                    "const near = (d, i) => d[i + 3] > 120 && {series}.some(colour => colour.every((c, k) => Math.abs(d[i + k] - c) < 30));
                    const lined = c => {{
                        const d = c.getContext('2d').getImageData(60, 0, c.width - 60, c.height - 24).data;
                        let dots = 0;
                        for (let i = 0; i < d.length; i += 4) dots += near(d, i);
                        return dots > 8;
                    }};
                    const all = [...document.querySelectorAll('.plot canvas')];
                    return all.length > 0 && all.every(c => c.width > 100 && lined(c))"
                );
                browser
                    .wait_for(
                        &format!("a line on every graph of {view}, {width} {scheme}"),
                        &drawn,
                    )
                    .await;
            }
            let sideways = browser
                .eval("return document.documentElement.scrollWidth - window.innerWidth")
                .await;
            assert!(
                sideways.as_i64().is_some_and(|extra| extra <= 0),
                "{view} at {width}: {sideways} px too wide"
            );
            let console = browser.console().await;
            assert!(console.is_empty(), "{view} at {width}: {console:?}");
            if view == "/graph" {
                let house = browser.eval(HOUSE).await;
                assert_eq!(
                    house,
                    Value::Bool(true),
                    "{view} at {width}: the house is not whole"
                );
            }
            if let Some(axe) = &axe {
                let wrong = browser.accessibility(axe).await;
                assert!(
                    wrong.is_empty(),
                    "{view} at {width}, {scheme}, for those who cannot see or point:\n{}",
                    wrong.join("\n")
                );
            }
            browser
                .picture(&picture(&format!("{}-{width}-{scheme}.png", file_name(view))))
                .await;
        }
    }
    if let Some(axe) = &axe {
        let broken = "const image = document.createElement('img');
            image.src = 'data:image/gif;base64,R0lGODlhAQABAAAAACw=';
            document.querySelector('main').append(image)";
        browser.eval(broken).await;
        let wrong = browser.accessibility(axe).await;
        assert!(
            wrong.len() == 1 && wrong[0].starts_with("image-alt"),
            "a picture without words is not noticed: {wrong:?}"
        );
    }
    assert_eq!(skopos.stop().await, 0);
}

#[tokio::test]
async fn figures_move_without_a_reload_and_keys_lead_around() {
    let Some(browser) = Browser::start("light").await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let skopos = Skopos::start(folder.path(), "logs: { files: [] }\n");
    browser.resize(1280, 900).await;
    browser.open(&skopos.url("/")).await;
    browser.eval("window.unreloaded = true").await;
    let before = browser
        .eval("return document.querySelector('main').innerText")
        .await;
    let changed = format!("return document.querySelector('main').innerText !== {before}");
    browser.wait_for("a live part that changed", &changed).await;
    assert_eq!(browser.eval("return window.unreloaded").await, Value::Bool(true));
    browser.press("gr").await;
    browser
        .wait_for("the rules view", "return location.pathname === '/rules'")
        .await;
    browser.press("?").await;
    browser
        .wait_for(
            "the list of keys",
            "return !!document.querySelector('#keys:popover-open')",
        )
        .await;
    assert!(browser.console().await.is_empty());
    assert_eq!(skopos.stop().await, 0);
}
