//! Targets and their rules, beside a real Prometheus: what is scraped under which labels, and what is dropped.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

use serde_json::Value;

use crate::fakes::peer::{Answer, Peer};
use crate::harness::Skopos;
use crate::harness::components::{Prometheus, find_kept, run};

/// A rule in one line each; more than one could wish for.
const ODD: [&str; 16] = [
    "{source_labels: [__address__], regex: '([^:]+):(\\d+)', target_label: 'port_${2}', replacement: '$1'}",
    "{source_labels: [a, 'größe', nothing], separator: '-', regex: '(?P<first>[^-]*)-(.*)', target_label: joined, replacement: '${first}$$${2}'}",
    "{regex: '__meta_(.+)', action: labelmap}",
    "{regex: '(z.*)', action: labelmap, replacement: 'old_$1'}",
    "{regex: 'drop_.*|größe', action: labeldrop}",
    "{source_labels: [__address__], modulus: 4, target_label: __tmp_shard, action: hashmod}",
    "{source_labels: [__tmp_shard], target_label: shard}",
    "{source_labels: [__tmp_shard], regex: '0', action: drop}",
    "{source_labels: [a], target_label: upper, action: UPPERCASE}",
    "{source_labels: [upper], target_label: a, action: lowercase}",
    "{source_labels: [z], target_label: __param_module}",
    "{source_labels: [z], regex: '[x-z]{1,2}|\\Qa.b\\E', target_label: instance, replacement: 'i-$0'}",
    "{source_labels: [a], regex: '(?i)green.*', target_label: __metrics_path__, replacement: 'a b/?c%'}",
    "{source_labels: [a], regex: '[^[:alpha:]]+', target_label: __scheme__, replacement: https}",
    "{source_labels: [z], regex: 'y', target_label: __scrape_interval__, replacement: 1m30s}",
    "{source_labels: [__address__], regex: '.*:7', target_label: __address__, replacement: ''}",
];

const NAMES: [&str; 10] = [
    "a",
    "z",
    "größe",
    "with space",
    "__meta_zone",
    "__address__",
    "__tmp_x",
    "job",
    "nothing",
    "instance",
];
const PATTERNS: [&str; 14] = [
    "(.*)",
    "(.+)",
    "",
    "x",
    "(x|y)",
    "([a-z]+)(.*)",
    "(\\w+)\\W*(.*)",
    "[^.]+",
    "(?s).+\\n.*",
    "127.*:(\\d)",
    "(a{,2}b)*.*",
    "\\bgreen\\b.*",
    "[[:upper:]].*",
    "^(.).*$",
];
const TEXTS: [&str; 10] = ["$1", "", "x", "$2-$1", "${1}", "${3}b", "$$", "$", "a$1z", "ä$1"];
const TARGETS: [&str; 9] = [
    "a", "z", "new", "job", "instance", "__tmp_x", "n_$1", "${2}", "größe",
];

struct Random(fastrand::Rng);

impl Random {
    fn one<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.0.usize(..all.len())]
    }

    fn sources(&mut self) -> String {
        let count = self.0.usize(1..4);
        let names: Vec<String> = (0..count).map(|_| format!("'{}'", self.one(&NAMES))).collect();
        names.join(", ")
    }

    fn rule(&mut self) -> String {
        let (sources, pattern, text) = (self.sources(), self.one(&PATTERNS), self.one(&TEXTS));
        let plain = self.one(&["a", "z", "new", "__tmp_x", "größe"]);
        match self.0.usize(..14) {
            0..6 => {
                let target = self.one(&TARGETS);
                let separator = self.one(&[";", "", "::", "\\n"]);
                format!(
                    "{{source_labels: [{sources}], separator: \"{separator}\", regex: '{pattern}', target_label: '{target}', replacement: '{text}'}}"
                )
            }
            6 => format!(
                "{{source_labels: [{sources}], regex: '{pattern}', target_label: a, action: replace}}"
            ),
            7 => format!(
                "{{source_labels: [{sources}], modulus: {}, target_label: '{plain}', action: hashmod}}",
                self.0.u64(1..50)
            ),
            8 => format!(
                "{{source_labels: [{sources}], target_label: '{plain}', action: {}}}",
                self.one(&["lowercase", "uppercase"])
            ),
            9 => {
                let of = self.one(&["a", "z", "__meta_zone"]);
                format!(
                    "{{source_labels: ['{of}'], regex: '{}', action: {}}}",
                    self.one(&["x", "y.*", "(?i)g.*"]),
                    self.one(&["keep", "drop", "drop"])
                )
            }
            10 => format!(
                "{{source_labels: [a], target_label: '{plain}', action: {}}}",
                self.one(&["dropequal", "dropequal", "keepequal"])
            ),
            11 => "{regex: '__meta_(.*)', replacement: 'from_$1', action: labelmap}".to_owned(),
            12 => format!(
                "{{regex: '{}', action: labeldrop}}",
                self.one(&["a", "n_.*", "z|new", "__meta_.*", "with space"])
            ),
            _ => "{regex: '__.*|a|z|job|with.*', action: labelkeep}".to_owned(),
        }
    }
}

/// Values on which expressions of different languages differ.
const VALUES: [&str; 25] = [
    "a", "aa", "aaa", "A", "b", "]", "a]", "{", "a{,3}", "-", "b-e", "d", "\u{7}x", "\u{7}", "λ", "٣", "é",
    "_", "<", "a&b", "E", ".*", "1_ .-é", "[:foo:]", "a\u{a0}",
];

/// One section for each list of rules, all of them with the same targets.
fn config(lists: &[Vec<String>]) -> String {
    let groups = [
        ("127.0.0.1:1", "{a: Green Tea, z: x}"),
        ("127.0.0.1:2", "{a: '77', z: y, 'größe': 'Groß', __meta_zone: a}"),
        (
            "127.0.0.1:3",
            "{a: green, z: 'a.b', 'with space': \"two\\nlines\", __meta_zone: b}",
        ),
        ("localhost:4", "{a: 'x', job: other, drop_me: now}"),
        ("[::1]:5", "{z: y, instance: mine, __scrape_timeout__: 2s}"),
        ("127.0.0.1:7", "{a: ab, __param_module: first}"),
        ("127.0.0.1", "{a: 'ǅungla ẞ', z: zz}"),
        ("https://127.0.0.1/x", "{a: y, __meta_zone: ''}"),
    ];
    let mut text = "global: { scrape_interval: 15s, scrape_timeout: 10s }\nscrape_configs:\n".to_owned();
    for (nth, rules) in lists.iter().enumerate() {
        writeln!(
            text,
            "- job_name: r{nth}\n  params: {{module: [m, n], q: ['a b']}}\n  static_configs:"
        )
        .unwrap();
        for (address, labels) in groups {
            writeln!(text, "  - {{targets: ['{address}'], labels: {labels}}}").unwrap();
        }
        for (nth, value) in VALUES.iter().enumerate() {
            let value = serde_json::to_string(value).unwrap();
            writeln!(
                text,
                "  - {{targets: ['127.0.0.1:{}'], labels: {{a: {value}}}}}",
                20 + nth
            )
            .unwrap();
        }
        writeln!(text, "  relabel_configs:").unwrap();
        for rule in rules {
            writeln!(text, "  - {rule}").unwrap();
        }
    }
    text
}

/// Each target in one line: what is scraped under which labels, and what is dropped.
pub fn targets(data: &Value) -> BTreeSet<String> {
    let list = |key: &str| data[key].as_array().cloned().unwrap_or_default();
    let is_ours = |target: &Value| {
        target["scrapePool"]
            .as_str()
            .is_some_and(|pool| pool.starts_with('r'))
    };
    let active = list("activeTargets").into_iter().filter(is_ours).map(|target| {
        let [pool, url, found, labels] =
            ["scrapePool", "scrapeUrl", "discoveredLabels", "labels"].map(|key| target[key].to_string());
        format!("{pool} {url} {labels} from {found}")
    });
    let dropped = list("droppedTargets").into_iter().filter(is_ours);
    let dropped =
        dropped.map(|target| format!("{} drops {}", target["scrapePool"], target["discoveredLabels"]));
    let counts = data["droppedTargetCounts"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    let counts = counts.into_iter().filter(|(pool, _)| pool.starts_with('r'));
    let counts = counts.map(|(pool, count)| format!("{pool} drops {count}"));
    active.chain(dropped).chain(counts).collect()
}

/// With more sections: `SKOPOS_RELABEL_SECTIONS=500 SKOPOS_RELABEL_SEED=7`.
fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(usual)
}

#[tokio::test(flavor = "multi_thread")]
async fn targets_are_relabelled_as_a_prometheus_does() {
    let Some(program) = find_kept("prometheus") else {
        return;
    };
    let seed = number("SKOPOS_RELABEL_SEED", 11);
    let mut random = Random(fastrand::Rng::with_seed(seed));
    let mut lists = vec![ODD.map(str::to_owned).to_vec(), Vec::new()];
    // No rules make a mistake of what is no address, and not only of its target.
    lists[1].push("{source_labels: [a], target_label: b}".to_owned());
    // Each expression in a label of its own: what of a value it takes.
    let taken = |regex: &&str| {
        relabel::Rules::new(&[relabel::Config {
            regex: Some((*regex).to_owned()),
            action: relabel::Action::Keep,
            ..relabel::Config::default()
        }])
    };
    let valid = EXPRESSIONS.iter().filter(|regex| taken(regex).is_ok());
    let each = valid.enumerate().map(|(nth, regex)| {
        format!("{{source_labels: [a], regex: '{regex}', target_label: m{nth}, replacement: 'hit $0 $1'}}")
    });
    lists.push(each.collect());
    for _ in 0..number("SKOPOS_RELABEL_SECTIONS", 12) {
        let count = random.0.usize(1..8);
        lists.push((0..count).map(|_| random.rule()).collect());
    }
    let config = config(&lists);
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let prometheus = Prometheus::start(&program, data.path(), &config, &[]);
    let quiet = "node: { enabled: false }\nlogs: { enabled: false }\n";
    let skopos = Skopos::start(folder.path(), &format!("{quiet}{config}"));
    let mut both = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..40 {
        let theirs: Value = serde_json::from_str(&prometheus.get("/api/v1/targets")).unwrap();
        both = (
            targets(&theirs["data"]),
            targets(&skopos.api("/api/v1/targets").await),
        );
        // Theirs come some seconds after the start.
        if both.0 == both.1 && both.0.len() > 4 * lists.len() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let (theirs, ours) = both;
    let differ: Vec<&String> = ours.symmetric_difference(&theirs).collect();
    assert!(differ.is_empty(), "seed {seed}\n{config}\n{differ:#?}");
    let of = |word: &str| theirs.iter().filter(|line| line.contains(word)).count();
    assert!(of(" from ") > 30 && of(" drops {") > 5, "{theirs:#?}");
    assert_eq!(skopos.stop().await, 0);
}

/// What each section's target says.
const BODY: &str = "# TYPE http_requests counter
http_requests_total{code=\"200\",path=\"/a\"} 1
http_requests_total{code=\"404\",path=\"/b\"} 2
http_requests_total{code=\"500\",path=\"/größe\",job=\"mine\"} 3
# TYPE latency histogram
latency_bucket{le=\"0.5\",path=\"/a\"} 4
latency_bucket{le=\"+Inf\",path=\"/a\"} 5
latency_sum{path=\"/a\"} 6.5
latency_count{path=\"/a\"} 5
go_goroutines 7
go_info{version=\"go1.26\"} 1
{\"with space\",\"größe\"=\"Groß\"} 8
temperature{room=\"Bath\"} 9
temperature{room=\"hall\",zone=\"\"} 10
";

const OF_SERIES: [&str; 11] = [
    "__name__", "code", "path", "job", "instance", "le", "room", "größe", "version", "nothing", "new",
];

impl Random {
    /// Over series; `section`, by which they are told apart, stays.
    fn rule_of_series(&mut self) -> String {
        let count = self.0.usize(1..4);
        let sources: Vec<String> = (0..count)
            .map(|_| format!("'{}'", self.one(&OF_SERIES)))
            .collect();
        let sources = sources.join(", ");
        let pattern = self.one(&[
            "(.*)",
            "(.+)",
            "go_.*",
            "([a-z]+)_(.*)",
            "(\\w+)\\W*(.*)",
            "[45].*;.*",
            "/(.*)",
            "",
            ".*_bucket;.*",
        ]);
        let plain = self.one(&["new", "path", "job", "größe", "__name__"]);
        match self.0.usize(..12) {
            0..5 => {
                let (target, text) = (
                    self.one(&["new", "path", "instance", "code", "x_$1", "le"]),
                    self.one(&TEXTS),
                );
                format!(
                    "{{source_labels: [{sources}], regex: '{pattern}', target_label: '{target}', replacement: '{text}'}}"
                )
            }
            5 => format!(
                "{{source_labels: [__name__], regex: '(.+)_(total|sum|count)', target_label: __name__, replacement: '{}${{1}}_$2'}}",
                self.one(&["shop_", "", "a_"])
            ),
            6 => format!(
                "{{source_labels: [{sources}], regex: '{pattern}', action: {}}}",
                self.one(&["drop", "drop", "keep"])
            ),
            7 => format!(
                "{{regex: '{}', action: labeldrop}}",
                self.one(&["path", "code|le", "room", "instance", "job"])
            ),
            8 => format!("{{source_labels: [{sources}], modulus: 3, target_label: new, action: hashmod}}"),
            9 => format!(
                "{{source_labels: [path, room], target_label: '{}', action: {}}}",
                if plain == "__name__" { "new" } else { plain },
                self.one(&["lowercase", "uppercase"])
            ),
            10 => "{regex: '(code|path|room)', replacement: 'copy_$1', action: labelmap}".to_owned(),
            _ => "{regex: '__name__|section|code|path|job', action: labelkeep}".to_owned(),
        }
    }
}

/// Labels and value of each series that is of a section, but for what depends on time.
fn series(data: &Value) -> BTreeSet<String> {
    let all = data["result"].as_array().cloned().unwrap_or_default();
    let is_steady = |series: &&Value| {
        let name = series["metric"]["__name__"].as_str().unwrap_or_default();
        !matches!(name, "scrape_duration_seconds" | "scrape_series_added")
    };
    let all = all.iter().filter(is_steady);
    all.map(|series| format!("{} {}", series["metric"], series["value"][1]))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn series_are_relabelled_as_a_prometheus_does() {
    let Some(program) = find_kept("prometheus") else {
        return;
    };
    let seed = number("SKOPOS_RELABEL_SEED", 11);
    let mut random = Random(fastrand::Rng::with_seed(seed));
    let peer = Peer::start(Answer::Body(BODY.to_owned())).await;
    let mut config = "global: { scrape_interval: 1s, scrape_timeout: 1s }\nscrape_configs:\n".to_owned();
    let sections = number("SKOPOS_RELABEL_SECTIONS", 25);
    for nth in 0..sections {
        let (honor, limit) = (random.0.bool(), random.one(&["0", "0", "9"]));
        write!(
            config,
            "- job_name: r{nth}\n  honor_labels: {honor}\n  sample_limit: {limit}\n  static_configs: [{{targets: ['{}'], labels: {{section: s{nth}}}}}]\n  metric_relabel_configs:\n",
            peer.address
        )
        .unwrap();
        for _ in 0..random.0.usize(1..6) {
            writeln!(config, "  - {}", random.rule_of_series()).unwrap();
        }
    }
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let prometheus = Prometheus::start(&program, data.path(), &config, &[]);
    let quiet = "node: { enabled: false }\nlogs: { enabled: false }\nrules: { shipped: false }\n";
    let skopos = Skopos::start(folder.path(), &format!("{quiet}{config}"));
    let query = "/api/v1/query?query=%7Bsection!=%22%22%7D";
    let mut both = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..60 {
        let theirs: Value = serde_json::from_str(&prometheus.get(query)).unwrap();
        both = (series(&theirs["data"]), series(&skopos.api(query).await));
        let ups = both
            .0
            .iter()
            .filter(|line| line.contains("\"__name__\":\"up\""))
            .count();
        if both.0 == both.1 && ups as u64 == sections {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let (theirs, ours) = both;
    let only =
        |one: &BTreeSet<String>, other: &BTreeSet<String>| one.difference(other).cloned().collect::<Vec<_>>();
    assert!(
        theirs == ours && theirs.len() as u64 > 5 * sections,
        "seed {seed}\n{config}\nonly theirs: {:#?}\nonly ours: {:#?}",
        only(&theirs, &ours),
        only(&ours, &theirs)
    );
    assert_eq!(skopos.stop().await, 0);
}

/// What one may take for an expression, and what one may not. Of two things we are stricter: parentheses that slip through the
/// anchors, and a name that two groups have.
const EXPRESSIONS: [&str; 75] = [
    "a**",
    "a+*",
    "(a*)*",
    "a*?",
    "a*??",
    "a{2}?",
    "(?:a)?",
    "[\\07x]",
    "[\\p{Greek}]",
    "(.*)",
    "(.+)",
    "a|b",
    "(a|b)",
    "",
    "a(b",
    "(",
    ")",
    "[a",
    "a]",
    "[]",
    "[^]",
    "[]a]",
    "[z-a]",
    "[a-c-e]",
    "[--a]",
    "[a&&b]",
    "[\\d-z]",
    "[a-\\d]",
    "[[:alpha:]]",
    "[[:foo:]]",
    "[[:^digit:]x]",
    "[a[]",
    "\\",
    "a\\",
    "\\d\\w\\s\\D\\W\\S",
    "\\b",
    "\\B",
    "\\pL",
    "\\p{Greek}",
    "\\p{Foo}",
    "\\PN",
    "\\Q.*\\E",
    "\\Q.*",
    "\\E",
    "\\A",
    "\\z",
    "\\Z",
    "\\G",
    "\\C",
    "\\1",
    "\\8",
    "\\07",
    "\\x41",
    "\\x4",
    "\\x{41}",
    "\\x{110000}",
    "\\<",
    "\\_",
    "\\é",
    "(?i)a",
    "(?x)a",
    "(?u)a",
    "(?s-i:a)",
    "(?P<n>a)",
    "(?<n>a)",
    "(?=a)",
    "*",
    "a|*",
    "a??",
    "a{2,1}",
    "a{1000}",
    "a{1001}",
    "a{,3}",
    "{",
    "a{2}{3}",
];

impl Random {
    fn anything(&mut self) -> String {
        let mut rule = String::new();
        let mut add = |key: &str, value: &str| rule.push_str(&format!("{key}: {value}, "));
        let quoted = |text: &str| format!("'{text}'");
        if self.0.u8(..4) > 0 {
            add("source_labels", self.one(&["[a]", "[a, b]", "['größe']", "['']"]));
        }
        if self.0.u8(..6) == 0 {
            add("separator", &quoted(self.one(&[";", ",", ""])));
        }
        if self.0.u8(..3) > 0 {
            add("regex", &quoted(self.one(&EXPRESSIONS)));
        }
        if self.0.u8(..4) == 0 {
            add("modulus", self.one(&["0", "7", "18446744073709551615"]));
        }
        if self.0.u8(..3) > 0 {
            add(
                "target_label",
                &quoted(self.one(&["a", "$1", "${1", "ä b", "__x"])),
            );
        }
        if self.0.u8(..3) == 0 {
            add("replacement", &quoted(self.one(&["$1", "", "x", "${n}"])));
        }
        let action = self.one(&[
            "replace",
            "keep",
            "drop",
            "hashmod",
            "labelmap",
            "labeldrop",
            "labelkeep",
            "lowercase",
            "UPPERCASE",
            "keepequal",
            "DropEqual",
            "nope",
        ]);
        if self.0.u8(..5) > 0 {
            add("action", action);
        }
        format!("{{{}}}", rule.trim_end_matches(", "))
    }
}

#[test]
fn rules_are_taken_and_refused_as_promtool_does() {
    let Some(promtool) = find_kept("promtool") else {
        return;
    };
    let seed = number("SKOPOS_RELABEL_SEED", 11);
    let mut random = Random(fastrand::Rng::with_seed(seed));
    let folder = tempfile::tempdir().unwrap();
    let each = EXPRESSIONS
        .iter()
        .map(|regex| format!("{{source_labels: [a], regex: '{regex}', action: keep}}"));
    let mut rules: Vec<String> = each.collect();
    rules.extend((0..number("SKOPOS_RELABEL_RULES", 400)).map(|_| random.anything()));
    let mut files = Vec::new();
    for (nth, rule) in rules.iter().enumerate() {
        let file = folder.path().join(format!("{nth}.yml"));
        std::fs::write(
            &file,
            format!("scrape_configs:\n- job_name: a\n  relabel_configs: [{rule}]\n"),
        )
        .unwrap();
        files.push(file);
    }
    // One run for all of them: it goes on behind those that it refuses.
    let (_, said) = run(std::process::Command::new(&promtool)
        .args(["check", "config"])
        .args(&files));
    let (mut differ, mut taken) = (Vec::new(), 0);
    for (rule, file) in rules.iter().zip(&files) {
        let is_taken = said.contains(&format!("SUCCESS: {} is valid", file.display()));
        let configs = yaml::read::<Vec<relabel::Config>>("rules.yaml", &format!("[{rule}]"));
        let ours = configs.map_err(|complaint| complaint.to_string());
        let ours = ours.and_then(|configs| relabel::Rules::new(&configs).map_err(|wrong| wrong.join("; ")));
        taken += usize::from(is_taken);
        if is_taken != ours.is_ok() {
            let about = format!("{}:", file.display());
            let theirs = said.lines().find(|line| line.contains(&about)).unwrap_or("taken");
            differ.push(format!("{rule}\n  theirs: {theirs}\n  ours: {ours:?}"));
        }
    }
    assert!(
        differ.is_empty(),
        "seed {seed}: {} of {}\n{}",
        differ.len(),
        rules.len(),
        differ.join("\n")
    );
    assert!(
        taken * 4 > rules.len() && taken * 4 < 3 * rules.len(),
        "{taken} of {}",
        rules.len()
    );
}
