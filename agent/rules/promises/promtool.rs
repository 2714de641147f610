//! Rule files at random, good and bad: what promtool takes is taken, and what it refuses is refused.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use fastrand::Rng;
use programs::find_kept;

use crate::load;

const LONG: &str = "SKOPOS_TEST_LONG";

const SPANS: [&str; 7] = ["30s", "1m30s", "5m", "0s", "0", "'2h'", "1d"];
const ODD_SPANS: [&str; 16] = [
    "5",
    "''",
    "null",
    "",
    "~",
    "1h1h",
    "1.5m",
    "-1m",
    "1m1h",
    "1y2w3d4h5m6s7ms",
    "300y",
    "soon",
    "[5m]",
    "{}",
    "5M",
    "' 5m'",
];
const LIMITS: [&str; 4] = ["0", "5", "10", "1000"];
const ODD_LIMITS: [&str; 13] = [
    "-1",
    "'5'",
    "5.0",
    "5.7",
    "1e2",
    "0x10",
    "0o17",
    "010",
    "null",
    "many",
    "99999999999999999999",
    "[1]",
    "1_000",
];
const NAMES: [&str; 5] = ["a", "job:up:sum", "Down", "\"a b\"", "Übel"];
const ODD_NAMES: [&str; 12] = [
    "''",
    "null",
    "",
    "~",
    "5",
    "true",
    "yes",
    "1.50",
    "[a]",
    "{a: b}",
    "'a{b=\"c\"}'",
    "2026-11-27",
];
const EXPRS: [&str; 6] = [
    "up",
    "sum by (job) (rate(x[5m])) > 0.5",
    "'up{job=\"a\"} == 0'",
    "|\n        up\n          == 0",
    ">-\n        up\n        and on (job) x",
    "1",
];
const ODD_EXPRS: [&str; 12] = [
    "''",
    "' '",
    "null",
    "",
    "true",
    "'up{'",
    "rtae(x[5m])",
    "'sum(up) by'",
    "x[5m]",
    "[up]",
    "'# nothing'",
    "\"up\\nand x\"",
];
const LABELS: [&str; 5] = [
    "{team: a}",
    "{severity: '{{ if gt $value 1.0 }}critical{{ else }}warning{{ end }}', tier: \"1\"}",
    "{}",
    "{a: 1, b: true, c: 1.50}",
    "\n        team: b\n        long_name: x",
];
const ODD_LABELS: [&str; 15] = [
    "null",
    "",
    "[]",
    "''",
    "x",
    "{a: null}",
    "{a: }",
    "{a: ~}",
    "{__name__: b}",
    "{'': b}",
    "{'a b': c}",
    "{a: b, a: c}",
    "{a: [b]}",
    "{1: b}",
    "{Ü: b}",
];
const TEXTS: [&str; 9] = [
    "plain",
    "'{{ $labels.instance }} is at {{ $value | humanize }}'",
    "'{{ .Labels.a }}{{ .Value }}{{ $externalLabels.x }}{{ $externalURL }}'",
    "'{{ range query \"up\" }}{{ . | value }}{{ end }}'",
    "'{{/* nothing */}}'",
    "'{{ $v := 1 }}{{ $v }}'",
    "'{{ with printf \"up{a=%q}\" $labels.a | query }}{{ . | first | value }}{{ end }}'",
    "'{{- if and (eq 1 1) true -}} x {{- end }}'",
    "'{{ define \"x\" }}a{{ end }}{{ template \"x\" }}'",
];
const ODD_TEXTS: [&str; 16] = [
    "'{{'",
    "'{{ $x }}'",
    "'{{ foo }}'",
    "'{{ end }}'",
    "'{{ if }}{{ end }}'",
    "'{{ if 1 }}'",
    "'{{ template \"x\" }}'",
    "'{{ break }}'",
    "'}}'",
    "'{{ }}'",
    "'{{ $labels.a.b }}'",
    "'{{ \"a }}'",
    "'{{ 1 | 2 }}'",
    "'{{ range $i, $v := . }}{{ break }}{{ end }}'",
    "null",
    "'{{ humanize }}'",
];

/// A file at random. About half of them are good.
struct File<'a> {
    rng: &'a mut Rng,
    text: String,
}

impl File<'_> {
    fn is_odd(&mut self) -> bool {
        self.rng.u8(..20) == 0
    }

    /// One of the usual values, seldom an odd one.
    fn pick<'t>(&mut self, usual: &[&'t str], odd: &[&'t str]) -> &'t str {
        let from = if self.is_odd() { odd } else { usual };
        from[self.rng.usize(..from.len())]
    }

    fn key(&mut self, indent: &str, key: &str, usual: &[&str], odd: &[&str]) {
        let value = self.pick(usual, odd);
        writeln!(self.text, "{indent}{key}: {value}").unwrap();
    }

    /// Sometimes.
    fn may(&mut self, indent: &str, key: &str, usual: &[&str], odd: &[&str]) {
        if self.rng.u8(..3) == 0 {
            self.key(indent, key, usual, odd);
        }
    }

    fn write(mut self) -> String {
        let head = self.pick(
            &["", "---\n", "# rules\n"],
            &[
                "# rules\n---\n",
                "%YAML 1.1\n---\n",
                "\u{feff}",
                "\n\n",
                "--- # rules\n",
                "x: 1\n",
                "--- \n---\n",
            ],
        );
        self.text.push_str(head);
        let groups = self.pick(
            &["groups:"],
            &[
                "groups: []",
                "groups: {}",
                "groups: ''",
                "groups: null",
                "group:",
                "groups: &g",
            ],
        );
        writeln!(self.text, "{groups}").unwrap();
        if !groups.ends_with(['s', 'g', ':']) {
            return self.text;
        }
        for nth in 0..self.rng.usize(1..3) {
            self.group(nth);
        }
        let tail = self.pick(
            &[""],
            &[
                "---\nnonsense: [\n",
                "...\nnonsense: [\n",
                "...\n",
                "--- # more\nb: 1\n",
                "x: 1\n",
                "groups: []\n",
                "---\n",
                "# end",
            ],
        );
        self.text.push_str(tail);
        self.text
    }

    fn group(&mut self, nth: usize) {
        let name = format!("g{nth}");
        let name = self
            .pick(
                &[&name],
                &["g0", "''", "5", "true", "null", "[]", "a: b", "\"a b\"", "&n g7"],
            )
            .to_owned();
        let first = self.pick(&["- name:"], &["- nmae:", "- 'name':", "- ? name\n  :"]);
        writeln!(self.text, "{first} {name}").unwrap();
        self.may("  ", "interval", &SPANS, &ODD_SPANS);
        self.may("  ", "query_offset", &SPANS, &ODD_SPANS);
        self.may("  ", "limit", &LIMITS, &ODD_LIMITS);
        // Of a group's labels only the names are looked at.
        self.may("  ", "labels", &LABELS[..4], &ODD_LABELS);
        if self.is_odd() {
            self.text.push_str("  partial_response_strategy: warn\n");
        }
        let rules = self.pick(
            &["  rules:"],
            &["  rules: []", "  rules: null", "  rules: {}", "  rulse:"],
        );
        writeln!(self.text, "{rules}").unwrap();
        if !rules.ends_with(':') {
            return;
        }
        for _ in 0..self.rng.usize(0..3) {
            self.rule();
        }
    }

    fn rule(&mut self) {
        let odd = [
            "  - 5\n",
            "  - null\n",
            "  -\n",
            "  - {}\n",
            "  - [up]\n",
            "  - {alert: A, expr: up}\n",
            "  - {<<: {expr: up}, alert: A}\n",
        ];
        let whole = self.pick(&[""], &odd);
        if !whole.is_empty() {
            self.text.push_str(whole);
            return;
        }
        let is_alert = self.rng.bool();
        let expr = self.pick(&EXPRS, &ODD_EXPRS);
        writeln!(self.text, "  - expr: {expr}").unwrap();
        if !self.is_odd() {
            self.key(
                "    ",
                if is_alert { "alert" } else { "record" },
                &NAMES,
                &ODD_NAMES,
            );
        }
        if self.is_odd() {
            self.key(
                "    ",
                if is_alert { "record" } else { "alert" },
                &["b", "''", "null"],
                &["5"],
            );
        }
        self.may("    ", "labels", &LABELS, &ODD_LABELS);
        if is_alert || self.is_odd() {
            self.may("    ", "for", &SPANS, &ODD_SPANS);
            self.may("    ", "keep_firing_for", &SPANS, &ODD_SPANS);
            if self.rng.bool() {
                let text = self.pick(&TEXTS, &ODD_TEXTS);
                let name = self.pick(&["summary", "description"], &["''", "__name__", "a b", "1"]);
                writeln!(self.text, "    annotations:\n      {name}: {text}").unwrap();
            }
            if self.is_odd() {
                let text = self.pick(&TEXTS, &ODD_TEXTS);
                writeln!(self.text, "    annotations: {{x: {text}}}").unwrap();
            }
        }
        if self.is_odd() {
            let odd = self.pick(&["    fro: 5m\n"], &["    expr: up\n", "    Alert: a\n"]);
            self.text.push_str(odd);
        }
    }
}

/// The names of the files that promtool takes.
fn taken(promtool: &Path, files: &[String]) -> BTreeSet<String> {
    let mut command = Command::new(promtool);
    let output = command
        .args(["check", "rules", "--lint=none"])
        .args(files)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut taken = BTreeSet::new();
    let mut name = "";
    for line in text.lines() {
        name = line.strip_prefix("Checking ").unwrap_or(name);
        if line.trim_start().starts_with("SUCCESS") {
            taken.insert(name.to_owned());
        }
    }
    taken
}

#[test]
fn the_verdict_on_random_rule_files_is_promtools() {
    let Some(promtool) = find_kept("promtool") else {
        return;
    };
    let count = if std::env::var_os(LONG).is_some() {
        20_000
    } else {
        500
    };
    let seed = if std::env::var_os(LONG).is_some() {
        fastrand::u64(..)
    } else {
        3
    };
    let mut rng = Rng::with_seed(seed);
    let folder = tempfile::tempdir().unwrap();
    let (mut good, mut differing) = (0, Vec::new());
    for batch in 0..count / 500 {
        let files: Vec<(String, String)> = (0..500)
            .map(|nth| {
                let file = File {
                    rng: &mut rng,
                    text: String::new(),
                };
                let path = folder.path().join(format!("{batch}-{nth}.yaml"));
                let text = file.write();
                fs::write(&path, &text).unwrap();
                (path.display().to_string(), text)
            })
            .collect();
        let paths: Vec<String> = files.iter().map(|(path, _)| path.clone()).collect();
        let taken = taken(&promtool, &paths);
        good += taken.len();
        for (path, text) in &files {
            let ours = load(&[("a.yaml", text)]);
            if ours.is_ok() != taken.contains(path) {
                let (_, theirs) =
                    programs::run(Command::new(&promtool).args(["check", "rules", "--lint=none", path]));
                differing.push(format!(
                    "{text}\nours {:?}\ntheirs {theirs}",
                    ours.map(|groups| groups.len())
                ));
            }
        }
    }
    println!(
        "seed {seed}: {count} files, {good} good, {} verdicts differ",
        differing.len()
    );
    assert!((count / 4..count * 3 / 4).contains(&good), "{good}");
    let shown = differing
        .len()
        .min(if std::env::var_os(LONG).is_some() { 30 } else { 12 });
    assert!(
        differing.is_empty(),
        "seed {seed}\n{}",
        differing[..shown].join("\n--------\n")
    );
}
