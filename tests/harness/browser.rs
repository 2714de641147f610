//! A real browser, driven over the WebDriver protocol (W3C) by chromedriver.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::components::{self, Running};
use super::{Skopos, root};

/// Windows of a desk, a tablet and two phones: width, height, colour scheme.
const WINDOWS: [(u32, u32, &str); 8] = [
    (1280, 1700, "light"),
    (1280, 900, "dark"),
    (800, 900, "light"),
    (800, 900, "dark"),
    (390, 844, "light"),
    (390, 844, "dark"),
    (360, 740, "light"),
    (360, 740, "dark"),
];

pub struct Browser {
    _driver: Running,
    session: String,
    client: reqwest::Client,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// `None`, loudly, where there is no browser. The colour scheme is the system's wish, `light` or `dark`.
    pub async fn start(scheme: &str) -> Option<Self> {
        let (chromium, driver) = (components::find("chromium")?, components::find("chromedriver")?);
        let profile = tempfile::tempdir().unwrap();
        let port = components::free_port();
        let driver = components::start(Command::new(driver).arg(format!("--port={port}")));
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(60))
            .build()
            .unwrap();
        let dark = if scheme == "dark" {
            "--force-dark-mode"
        } else {
            "--disable-dark-mode"
        };
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-sync",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            dark,
            &format!("--user-data-dir={}", profile.path().display()),
        ];
        let wish = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"binary": chromium, "args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let base = format!("http://127.0.0.1:{port}");
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let answer = client.post(format!("{base}/session")).json(&wish).send().await;
            if let Ok(answer) = answer {
                let answer: Value = answer.json().await.unwrap();
                let id = answer["value"]["sessionId"].as_str();
                let id = id.unwrap_or_else(|| panic!("no browser session: {answer}"));
                let session = format!("{base}/session/{id}");
                return Some(Self {
                    _driver: driver,
                    session,
                    client,
                    _profile: profile,
                });
            }
            assert!(Instant::now() < until, "chromedriver does not answer");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let answer = self
            .client
            .post(format!("{}/{path}", self.session))
            .json(body)
            .send()
            .await
            .unwrap();
        let mut answer: Value = answer.json().await.unwrap();
        assert!(answer["value"]["error"].is_null(), "{path}: {answer}");
        answer["value"].take()
    }

    /// Sets the viewport as a device would have it.
    pub async fn resize(&self, width: u32, height: u32) {
        let metrics =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.post(
            "goog/cdp/execute",
            &json!({"cmd": "Emulation.setDeviceMetricsOverride", "params": metrics}),
        )
        .await;
    }

    /// What `prefers-color-scheme` says.
    pub async fn prefer(&self, scheme: &str) {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.post(
            "goog/cdp/execute",
            &json!({"cmd": "Emulation.setEmulatedMedia", "params": features}),
        )
        .await;
    }

    pub async fn open(&self, url: &str) {
        self.post("url", &json!({"url": url})).await;
    }

    /// The value of a JavaScript function body.
    pub async fn eval(&self, body: &str) -> Value {
        self.post("execute/sync", &json!({"script": body, "args": []}))
            .await
    }

    pub async fn wait_for(&self, what: &str, body: &str) {
        let until = Instant::now() + Duration::from_secs(20);
        while self.eval(body).await != Value::Bool(true) {
            assert!(Instant::now() < until, "not on the page within 20 s: {what}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Warnings and errors since the last call.
    pub async fn console(&self) -> Vec<String> {
        let entries = self.post("se/log", &json!({"type": "browser"})).await;
        let entries = entries.as_array().cloned().unwrap_or_default();
        let grave = entries
            .iter()
            .filter(|entry| entry["level"] != "INFO" && entry["level"] != "DEBUG");
        grave
            .map(|entry| entry["message"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    /// Nothing goes sideways, and nothing was complained about; `view` says where.
    pub async fn assert_calm(&self, view: &str) {
        let sideways = self
            .eval("return document.documentElement.scrollWidth - window.innerWidth")
            .await;
        assert!(
            sideways.as_i64().is_some_and(|extra| extra <= 0),
            "{view}: {sideways} px too wide"
        );
        let console = self.console().await;
        assert!(console.is_empty(), "{view}: {console:?}");
    }

    /// Each view in every window: nothing goes sideways, nobody is shut out, `also` holds, and a picture is kept under `kind`.
    pub async fn survey(&self, skopos: &Skopos, kind: &str, views: &[&str], also: impl AsyncFn(&str)) {
        let axe = components::file("npm/node_modules/axe-core/axe.min.js")
            .map(|script| std::fs::read_to_string(script).unwrap());
        for (width, height, scheme) in WINDOWS {
            self.resize(width, height).await;
            self.prefer(scheme).await;
            for view in views {
                self.open(&skopos.url(view)).await;
                self.wait_for("the status line", "return !!document.querySelector('.status')")
                    .await;
                self.assert_calm(&format!("{view} at {width}")).await;
                also(view).await;
                if let Some(axe) = &axe {
                    let wrong = self.accessibility(axe).await;
                    assert!(
                        wrong.is_empty(),
                        "{view} at {width}, {scheme}:\n{}",
                        wrong.join("\n")
                    );
                }
                let letter = |letter: char| {
                    if letter.is_ascii_alphanumeric() {
                        letter
                    } else {
                        '-'
                    }
                };
                let name: String = view.trim_matches('/').chars().map(letter).collect();
                let file = format!("target/pictures/{kind}-{name}-{width}-{scheme}.png");
                self.picture(&root().join(file)).await;
            }
        }
    }

    /// The whole page as a PNG.
    pub async fn picture(&self, path: &Path) {
        let height = self
            .eval("return Math.ceil(document.documentElement.scrollHeight)")
            .await;
        let width = self.eval("return window.innerWidth").await;
        let clip = json!({"x": 0, "y": 0, "width": width, "height": height, "scale": 1});
        let wish =
            json!({"cmd": "Page.captureScreenshot", "params": {"captureBeyondViewport": true, "clip": clip}});
        let shot = self.post("goog/cdp/execute", &wish).await;
        let bytes = decode(shot["data"].as_str().unwrap());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// What axe-core, whose script is given, finds wrong by WCAG 2.2 AA and by good custom: a line for each rule,
    /// with the elements.
    pub async fn accessibility(&self, axe: &str) -> Vec<String> {
        self.eval(axe).await;
        let ask = "const done = arguments[arguments.length - 1];
            axe.run(document, {resultTypes: ['violations'], rules: {'target-size': {enabled: true}}}).then(
                found => done(found.violations.map(wrong => `${wrong.id}: ${wrong.help}\\n` +
                    wrong.nodes.slice(0, 5).map(node => `    ${node.html.slice(0, 160)} ${(node.failureSummary || '').replace(/\\s+/g, ' ')}`).join('\\n'))),
                error => done([String(error)]))";
        let found = self
            .post("execute/async", &json!({"script": ask, "args": []}))
            .await;
        let found = found.as_array().cloned().unwrap_or_default();
        found
            .iter()
            .map(|line| line.as_str().unwrap_or_default().to_owned())
            .collect()
    }

    pub async fn press(&self, keys: &str) {
        let mut actions = Vec::new();
        for key in keys.chars() {
            actions.push(json!({"type": "keyDown", "value": key.to_string()}));
            actions.push(json!({"type": "keyUp", "value": key.to_string()}));
        }
        let keyboard = json!({"actions": [{"type": "key", "id": "keyboard", "actions": actions}]});
        self.post("actions", &keyboard).await;
    }
}

/// The driver is killed, and what it started would live on: the browser is told to end first.
impl Drop for Browser {
    fn drop(&mut self) {
        let Some((address, path)) = self.session.trim_start_matches("http://").split_once('/') else {
            return;
        };
        let request = format!("DELETE /{path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\n\r\n");
        if let Ok(mut stream) = TcpStream::connect(address) {
            _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
            _ = stream.write_all(request.as_bytes());
            _ = stream.read(&mut [0; 512]);
        }
    }
}

/// Base64, which is all a picture needs.
fn decode(text: &str) -> Vec<u8> {
    let six = |letter: u8| match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let (mut bits, mut held, mut bytes) = (0u32, 0, Vec::new());
    for letter in text.bytes().filter(|letter| *letter != b'=') {
        bits = bits << 6 | u32::from(six(letter));
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    bytes
}
