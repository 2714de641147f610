//! Routes held against `amtool`: random trees and random alerts, the same receivers in the same order; and files that
//! it takes or refuses.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use fastrand::Rng;
use model::Labels;

use crate::alertmanager::tests::no_files;
use crate::{Config, alertmanager};

/// Trees, and alerts asked of each.
const TREES: usize = 20;

fn alerts() -> usize {
    match std::env::var_os("SKOPOS_TEST_LONG") {
        Some(_) => 2_000,
        None => 12,
    }
}

const NAMES: [&str; 4] = ["team", "severity", "service", "env"];
const VALUES: [&str; 5] = ["a", "b", "ab", "", "x y"];

fn pick<'a>(rng: &mut Rng, from: &[&'a str]) -> &'a str {
    from[rng.usize(..from.len())]
}

fn matcher(rng: &mut Rng) -> String {
    let name = pick(rng, &NAMES);
    let regexes = ["a|b", "a.*", ".*", ".+", "", "b?", "x y", "(a|x y)"];
    match rng.u8(..6) {
        0 | 1 => format!("{name}=\"{}\"", pick(rng, &VALUES)),
        2 => format!("{name}!=\"{}\"", pick(rng, &VALUES)),
        3 => format!("{name}=~\"{}\"", pick(rng, &regexes)),
        4 => format!("{name}!~\"{}\"", pick(rng, &regexes)),
        _ => format!("{name} = {}", pick(rng, &["a", "b", "ab"])),
    }
}

/// A list of routes, indented for their place.
fn routes(rng: &mut Rng, depth: usize, text: &mut String) {
    let pad = "  ".repeat(depth + 1);
    _ = writeln!(text, "{pad}routes:");
    for _ in 0..rng.usize(1..5) {
        _ = writeln!(text, "{pad}- receiver: r{}", rng.u8(..6));
        match rng.u8(..8) {
            0 => {
                _ = writeln!(
                    text,
                    "{pad}  match: {{ {}: {} }}",
                    pick(rng, &NAMES),
                    pick(rng, &["a", "b"])
                )
            }
            1 => _ = writeln!(text, "{pad}  match_re: {{ {}: 'a|b' }}", pick(rng, &NAMES)),
            2 => {}
            3 => {
                let (one, two) = (matcher(rng), matcher(rng));
                _ = writeln!(text, "{pad}  matchers: [ '{{{one}, {two}}}' ]");
            }
            _ => {
                _ = writeln!(text, "{pad}  matchers:");
                for _ in 0..rng.usize(1..3) {
                    _ = writeln!(text, "{pad}  - '{}'", matcher(rng));
                }
            }
        }
        if rng.u8(..3) == 0 {
            _ = writeln!(text, "{pad}  continue: true");
        }
        if depth < 3 && rng.u8(..3) == 0 {
            routes(rng, depth + 1, text);
        }
    }
}

fn tree(rng: &mut Rng) -> String {
    let mut text = "route:\n  receiver: r0\n".to_owned();
    routes(rng, 0, &mut text);
    text.push_str("receivers:\n");
    for nth in 0..6 {
        _ = writeln!(text, "- name: r{nth}");
    }
    text
}

fn alert(rng: &mut Rng) -> Vec<(&'static str, &'static str)> {
    let mut pairs: Vec<_> = NAMES
        .into_iter()
        .filter(|_| rng.u8(..3) > 0)
        .collect::<Vec<_>>()
        .into_iter()
        .map(|name| (name, pick(rng, &VALUES)))
        .collect();
    // Without a pair amtool prints the whole tree.
    pairs.push(("alertname", "X"));
    pairs
}

fn run(amtool: &Path, arguments: &[&str]) -> Output {
    Command::new(amtool)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("amtool runs")
}

fn read(text: &str) -> Result<alertmanager::Read, String> {
    let outcome = alertmanager::read(
        "alertmanager.yml",
        text,
        Path::new(""),
        Config::default().timing(),
        &no_files,
    );
    outcome.map_err(|mistakes| {
        mistakes
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    })
}

#[test]
fn random_alerts_go_where_amtool_says() {
    let Some(amtool) = programs::find_kept("amtool") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (mut compared, mut several) = (0, 0);
    for seed in 0..TREES as u64 {
        let mut rng = Rng::with_seed(seed);
        let text = tree(&mut rng);
        let file = folder.path().join(format!("{seed}.yml"));
        std::fs::write(&file, &text).unwrap();
        let plan = read(&text).unwrap().plan;
        let option = format!("--config.file={}", file.display());
        for _ in 0..alerts() {
            let pairs = alert(&mut rng);
            let words: Vec<String> = pairs
                .iter()
                .map(|(name, value)| format!("{name}={value:?}"))
                .collect();
            let mut arguments = vec!["config", "routes", "test", option.as_str()];
            arguments.extend(words.iter().map(String::as_str));
            let output = run(&amtool, &arguments);
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{arguments:?}: {output:?}\n{text}");
            let labels = Labels::from_pairs(pairs.iter().copied());
            let ours = plan.tree.routes_of(&labels);
            let ours: Vec<&str> = ours.iter().map(|route| &*route.receiver).collect();
            assert_eq!(ours.join(","), said.trim(), "seed {seed}: {words:?}\n{text}");
            compared += 1;
            several += usize::from(ours.len() > 1);
        }
    }
    println!(
        "{compared} alerts of {TREES} trees go where amtool says, {several} of them to several receivers"
    );
    assert!(several > compared / 50, "{several} of {compared}");
}

/// What can be wrong, in place of one line of a file that is right.
const BROKEN: [(&str, &str); 24] = [
    ("  receiver: all", "  receiver: nobody"),
    ("  receiver: all", "  reciever: all"),
    ("  receiver: all", "  receiver: all\n  continue: true"),
    ("  receiver: all", "  receiver: all\n  matchers: [ a=b ]"),
    (
        "  receiver: all",
        "  receiver: all\n  mute_time_intervals: [ night ]",
    ),
    ("  group_by: [ alertname ]", "  group_by: [ alertname, '...' ]"),
    (
        "  group_by: [ alertname ]",
        "  group_by: [ alertname, alertname ]",
    ),
    ("  group_by: [ alertname ]", "  group_by: alertname"),
    ("  group_interval: 5m", "  group_interval: 0s"),
    ("  group_interval: 5m", "  group_interval: 5"),
    ("  group_interval: 5m", "  repeat_interval: 0s"),
    ("  - matchers: [ team=db ]", "  - matchers: [ team ]"),
    ("  - matchers: [ team=db ]", "  - matchers: [ 'team=~(' ]"),
    ("  - matchers: [ team=db ]", "  - match: { 'a-b': c }"),
    ("  - matchers: [ team=db ]", "  - match_re: { a: '[' }"),
    (
        "    mute_time_intervals: [ night ]",
        "    mute_time_intervals: [ day ]",
    ),
    (
        "    mute_time_intervals: [ night ]",
        "    active_time_intervals: [ day ]",
    ),
    ("- name: all", "- name: all\n- name: all"),
    ("- name: all", "- nam: all"),
    ("  - url: http://localhost/", "  - {}"),
    (
        "  - url: http://localhost/",
        "  - url: http://localhost/\n    url_file: x",
    ),
    ("  - routing_key: 0123", "  - {}"),
    ("  - start_time: '22:00'", "  - start_time: '24:30'"),
    ("  - start_time: '22:00'", "  - start_time: 22"),
];

const RIGHT: &str = "\
route:
  receiver: all
  group_by: [ alertname ]
  group_interval: 5m
  routes:
  - matchers: [ team=db ]
    mute_time_intervals: [ night ]
receivers:
- name: all
  webhook_configs:
  - url: http://localhost/
  pagerduty_configs:
  - routing_key: 0123
  slack_configs:
  - api_url: http://localhost/slack
    channel: '#alerts'
inhibit_rules:
- source_matchers: [ severity=page ]
  target_matchers: [ severity=warn ]
  equal: [ alertname ]
time_intervals:
- name: night
  time_intervals:
  - times:
    - start_time: '22:00'
      end_time: '24:00'
";

#[test]
fn amtool_takes_and_refuses_the_same_files() {
    let Some(amtool) = programs::find_kept("amtool") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("alertmanager.yml");
    let mut files = vec![
        RIGHT.to_owned(),
        String::new(),
        "global: {}\n".to_owned(),
        "- a\n".to_owned(),
    ];
    for (line, broken) in BROKEN {
        let found = RIGHT.contains(line);
        // The indentation of a list of times is one step deeper.
        let (line, broken) = if found {
            (line.to_owned(), broken.to_owned())
        } else {
            (format!("  {line}"), format!("  {broken}"))
        };
        assert!(RIGHT.contains(&line), "{line}");
        files.push(RIGHT.replacen(&line, &broken, 1));
    }
    let mut rng = Rng::with_seed(3);
    files.extend((0..10).map(|_| tree(&mut rng)));
    let mut refused = 0;
    for text in &files {
        std::fs::write(&file, text).unwrap();
        let path = file.display().to_string();
        let output = run(&amtool, &["check-config", &path]);
        let ours = read(text);
        assert_eq!(
            ours.is_ok(),
            output.status.success(),
            "ours: {:?}, theirs: {output:?}\n{text}",
            ours.err()
        );
        refused += usize::from(!output.status.success());
    }
    println!("{} files, {refused} refused by both", files.len());
    assert!(refused > 20 && refused + 10 < files.len(), "{refused}");
}
