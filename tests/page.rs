//! Opened as people open it: no console error, graphs drawn, nothing sideways, on a desk and on a phone.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::harness::browser::Browser;
use crate::harness::components;
use crate::harness::{Skopos, root};

const VIEWS: [&str; 15] = [
    "/",
    "/alerts",
    "/alerts/AlwaysTrue",
    "/silences",
    "/silences?filter=%7Balertname%3D%22AlwaysTrue%22%7D&for=until&until=soon",
    "/rules/rules.yaml/AlwaysTrue?expr=vector(1)&for=10s",
    "/routes?labels=alertname%3DDown",
    "/targets",
    "/logs",
    "/logs?q=cache&level=warn&source=app.log&from=now-1h",
    "/rules",
    "/explore?expr=node_load1&from=now-1m",
    "/self",
    "/checks",
    "/graph",
];

/// One alert that fires at once and one that never does.
const RULES: &str = "groups:
- name: page
  interval: 1s
  rules:
  - {alert: AlwaysTrue, expr: vector(1), labels: {severity: warning, team: db}}
  - {alert: NeverTrue, expr: node_load1 > 1e6, for: 1m}
  - {record: 'load:twice', expr: node_load1 * 2}
";

/// The picture of the house is there and large enough to be read; the table below it has a row for each arrow.
const HOUSE: &str = "const drawing = document.querySelector('#picture svg');
    const rows = document.querySelectorAll('#joints tbody tr').length;
    return !!drawing && drawing.getBoundingClientRect().height > 200 && rows > 5
        && ['store', 'rules', 'notifier'].every(room => drawing.textContent.includes(room))";

fn picture(name: &str) -> PathBuf {
    root().join("target/pictures").join(name)
}

fn file_name(view: &str) -> String {
    let (path, query) = view.split_once('?').unwrap_or((view, ""));
    let word = path.trim_matches('/').replace('/', "-");
    match (word.as_str(), query.split('=').next().unwrap_or_default()) {
        ("", _) => "overview".to_owned(),
        ("logs", "q") => "logs-narrow".to_owned(),
        ("silences", "filter") => "silences-form".to_owned(),
        _ => word,
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
    std::fs::write(folder.path().join("rules.yaml"), RULES).unwrap();
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
rule_files: [rules.yaml]
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
        let rule = skopos.get("/rules/rules.yaml/AlwaysTrue").await.1;
        let id = rule.split("name=\"try\" value=\"").nth(1).unwrap();
        let id = id.split('"').next().unwrap();
        for view in VIEWS {
            // A back-test names its rule by the id.
            let address = if view.starts_with("/rules/") {
                format!("{view}&try={id}")
            } else {
                view.to_owned()
            };
            browser.open(&skopos.url(&address)).await;
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
            browser.assert_calm(&format!("{view} at {width}")).await;
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

#[tokio::test]
async fn keys_walk_over_matches_and_a_bar_narrows_the_time() {
    let Some(browser) = Browser::start("light").await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.log");
    let lines: String = (0..30)
        .map(|nth| format!("WARN the cache is cold {nth}\n"))
        .collect();
    std::fs::write(&file, lines).unwrap();
    let skopos = Skopos::start(
        folder.path(),
        &format!(
            "logs: {{ files: ['{}'], read_from: beginning }}\n",
            file.display()
        ),
    );
    skopos
        .wait_for("the lines", Duration::from_secs(20), async |skopos| {
            skopos.page("/logs?q=cold").await.contains("30 lines match")
        })
        .await;
    browser.resize(1280, 900).await;
    browser.open(&skopos.url("/logs?q=cold&from=now-30m")).await;
    let focused = "document.activeElement.closest('li')?.textContent || ''";
    for (key, end) in [("n", "cold 29"), ("n", "cold 28"), ("p", "cold 29")] {
        browser.press(key).await;
        let there =
            format!("return document.activeElement.matches('mark') && ({focused}).trim().endsWith('{end}')");
        browser.wait_for(&format!("{key} leads to {end}"), &there).await;
    }
    let click = "document.querySelector('.histogram a .hit').dispatchEvent(new MouseEvent('click', { bubbles: true, cancelable: true }))";
    browser.eval(click).await;
    browser
        .wait_for(
            "half a minute with the same words",
            "const asked = new URLSearchParams(location.search);
            return asked.get('q') === 'cold' && Math.round((new Date(asked.get('to')) - new Date(asked.get('from'))) / 1000) === 30
                && document.querySelector('h1').textContent.startsWith('30 lines match')",
        )
        .await;
    assert!(browser.console().await.is_empty());
    assert_eq!(skopos.stop().await, 0);
}

#[tokio::test]
async fn a_silence_is_made_and_ended_by_hand() {
    let Some(browser) = Browser::start("light").await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rules.yaml"), RULES).unwrap();
    let skopos = Skopos::start(
        folder.path(),
        "logs: { enabled: false }\nrule_files: [rules.yaml]\n",
    );
    let fires = "count(ALERTS{alertname=\"AlwaysTrue\", alertstate=\"firing\"})";
    skopos
        .wait_for("an alert", Duration::from_secs(20), async |skopos| {
            skopos.value(fires).await == Some(1.0)
        })
        .await;
    browser.resize(1280, 900).await;
    browser.open(&skopos.url("/alerts/AlwaysTrue")).await;
    // The past is not on the page: the script has asked for it.
    browser
        .wait_for(
            "what would fall silent",
            "return document.querySelector('#preview').textContent.includes('would have held back')",
        )
        .await;
    let type_in = "const form = document.querySelector('form[data-preview]');
        form.querySelector('[name=because]').value = 'a long sale';
        form.querySelector('[name=by]').value = 'ann';
        form.querySelector('[name=add]').value = 'team=web';
        form.querySelector('[name=add]').dispatchEvent(new Event('change', { bubbles: true }))";
    browser.eval(type_in).await;
    browser
        .wait_for(
            "nothing of another team",
            "return document.querySelector('#silence-now').textContent.includes('Silence 0 alerts')
                && document.querySelector('#chips').textContent.includes('team=\"web\"')",
        )
        .await;
    browser
        .eval("[...document.querySelectorAll('#chips [name=matcher]')].find(chip => chip.value.includes('web')).click()")
        .await;
    browser
        .wait_for(
            "the alert falls silent",
            "return document.querySelector('#silence-now').textContent.includes('Silence 1 alert')",
        )
        .await;
    browser
        .eval("document.querySelector('#silence-now').click()")
        .await;
    browser
        .wait_for(
            "the list with the silence",
            "return location.pathname === '/silences' && document.querySelector('main').textContent.includes('Done: silent until')
                && document.querySelector('h1').textContent.startsWith('1 silence keeps 1 alert quiet')",
        )
        .await;
    browser
        .eval("document.querySelector('[popovertarget^=expire]').click()")
        .await;
    browser
        .eval("document.querySelector('[popover]:popover-open [type=submit]').click()")
        .await;
    browser
        .wait_for(
            "its end",
            "return document.querySelector('main').textContent.includes('Done: it has ended')
                && document.querySelector('h1').textContent === 'Nothing is silenced'",
        )
        .await;
    let console = browser.console().await;
    assert!(console.is_empty(), "{console:?}");
    assert_eq!(skopos.stop().await, 0);
}
