//! Templates as users write them, against what Go itself printed for them (`golden/go.txt`).

use std::time::{Duration, Instant};

use model::{Labels, Point, Timestamp};
use proptest::prelude::*;

use crate::{Context, Language, RenderError, Template, Value};

fn no_queries(_: &str) -> Option<Result<Vec<Point>, String>> {
    Some(Err("no data here".to_owned()))
}

fn labels() -> Labels {
    Labels::from_pairs([("instance", "web-1:9100"), ("job", "node")])
}

fn context() -> Context<'static> {
    let external = Labels::from_pairs([("cluster", "blue")]);
    let mut context = Context::alert(
        &labels(),
        1_234_567.891,
        &external,
        "http://x:1/p",
        Timestamp(1_500),
        &no_queries,
    );
    let list = Value::list(["a", "b", "c", "d", "e"].map(Value::from).to_vec());
    let mut fields = match &context.data {
        Value::Record(record) => record.fields.clone(),
        _ => Vec::new(),
    };
    fields.extend([("List", list), ("Empty", Value::list(Vec::new()))]);
    context.data = Value::record("data", fields);
    context
}

fn expand(text: &str) -> Result<String, String> {
    let template = Template::parse("t", text).map_err(|error| error.to_string())?;
    template.render(&context()).map_err(|error| error.to_string())
}

#[test]
fn what_go_prints_is_printed() {
    let mut seen = 0;
    let lines: Vec<&str> = include_str!("golden/go.txt").lines().collect();
    for case in lines.chunks(2) {
        let [source, expected] = case else {
            panic!("odd number of lines")
        };
        let (source, expected) = (
            source.replace('⏎', "\n"),
            expected.trim_start_matches("  → ").replace('⏎', "\n"),
        );
        let parsed = Language::prometheus().parse("t", &source);
        match expected.as_str() {
            "!parse" => assert!(parsed.is_err(), "{source}: parsed"),
            "!render" => assert!(
                parsed.map_or(true, |t| t.render(&context()).is_err()),
                "{source}: rendered"
            ),
            text => {
                let printed = parsed.map_err(|e| e.to_string());
                let printed = printed.and_then(|t| t.render(&context()).map_err(|e| e.to_string()));
                assert_eq!(printed.as_deref(), Ok(text), "{source}");
            }
        }
        seen += 1;
    }
    assert!(seen > 60, "only {seen} cases");
}

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(expand(text).as_deref(), Ok(expected), "{text}");
}

#[track_caller]
fn refused(text: &str, expected: &str) {
    let error = Template::parse("t", text)
        .map(drop)
        .map_err(|error| error.to_string());
    assert_eq!(error, Err(expected.to_owned()), "{text}");
}

#[test]
fn prometheus_functions_answer() {
    check(
        "{{ $value | humanize }}B {{ humanize1024 1048576.0 }}B {{ humanizePercentage 0.25 }}",
        "1.235MB 1MiB 25%",
    );
    check(
        "{{ humanizeDuration 3725 }} {{ humanizeTimestamp 0 }}",
        "1h 2m 5s 1970-01-01 00:00:00 +0000 UTC",
    );
    check(
        r#"{{ title "disk full" }} {{ toUpper "a" }} {{ toLower "B" }}"#,
        "Disk Full A b",
    );
    check(
        r#"{{ match "we.*" $labels.instance }} {{ reReplaceAll "(.*):.*" "host $1" $labels.instance }}"#,
        "true host web-1",
    );
    check(
        "{{ stripPort $labels.instance }} {{ $labels.instance | stripDomain }}",
        "web-1 web-1:9100",
    );
    check(
        r#"{{ parseDuration "1h30m" }} {{ now }} {{ externalURL }} {{ pathPrefix }}"#,
        "5400 1.5 http://x:1/p /p",
    );
    check(
        r#"{{ (toTime 0).Format "2006-01-02" }} {{ (toDuration 90).Seconds }} {{ toDuration 90 }}"#,
        "1970-01-01 90 1m30s",
    );
    check(
        r#"{{ define "t" }}{{ .arg0 }}-{{ .arg1 }}{{ end }}{{ template "t" (args "a" 2) }}"#,
        "a-2",
    );
    check(r#"{{ tableLink "up > 0" }}"#, "/graph?g0.expr=up+%3E+0&g0.tab=1");
}

#[test]
fn queries_are_answered_by_the_caller() {
    let answer = |expr: &str| match expr {
        "up" => Some(Ok(vec![
            Point {
                labels: Labels::from_pairs([("job", "b")]),
                value: 2.0,
            },
            Point {
                labels: Labels::from_pairs([("job", "a"), ("__value__", "x")]),
                value: 1.5,
            },
        ])),
        "bad" => Some(Err("no such thing".to_owned())),
        _ => None,
    };
    let render = |text: &str| {
        let mut context = context();
        context.queries = &answer;
        Template::parse("t", text).unwrap().render(&context)
    };
    let text = r#"{{ range query "up" | sortByLabel "job" }}{{ .Labels.job }}={{ .Value }}{{ .Labels.x }} {{ end }}"#;
    assert_eq!(render(text).unwrap(), "a=1.5 b=2 ");
    let text = r#"{{ with query "up" }}{{ . | first | value }} {{ first . | label "job" }} {{ index . 1 | strvalue }}{{ end }}"#;
    assert_eq!(render(text).unwrap(), "2 b x");
    assert_eq!(
        render(r#"{{ query "later" }}"#),
        Err(RenderError::Unanswered("later".to_owned()))
    );
    let failed = render("a\n  {{ query \"bad\" }}").unwrap_err().to_string();
    assert_eq!(failed, "template: t:2:6: error calling query: no such thing");
}

#[test]
fn mistakes_are_found_at_their_place() {
    refused(
        "{{ humanise $value }}",
        r#"1:4: function "humanise" not defined; did you mean "humanize"?"#,
    );
    refused(
        "a\nb {{ $label.x }}",
        r#"2:6: undefined variable "$label"; did you mean "$labels"?"#,
    );
    refused("x {{ if true }}", "1:9: {{if}} without its {{end}}");
    refused("é {{ 1 !}}", "1:8: unexpected character '!' in an action");
    refused("{{ . ", "1:1: unclosed action: }} is missing");
}

#[test]
fn another_language_has_other_words() {
    let go = Language::go();
    assert!(go.parse("t", "{{ $labels }}").is_err());
    assert!(go.parse("t", "{{ humanize 1 }}").is_err());
    let more = Language::go().with(&[("twice", 1, Some(1), |_, values| match values {
        [Value::Int(number)] => Ok(Value::Int(2 * number)),
        _ => Err("not a number".into()),
    })]);
    let template = more.parse("t", "{{ twice 4 }}").unwrap();
    assert_eq!(template.render(&context()).unwrap(), "8");
}

/// Doubling, looping, nesting and recursion end with an error, soon.
#[test]
fn nothing_runs_without_end() {
    let deep = format!("{{{{ {}1{} }}}}", "(".repeat(5000), ")".repeat(5000));
    let blocks = "{{ if true }}".repeat(5000);
    let started = Instant::now();
    for text in [
        r#"{{ $x := "ab" }}{{ range 60 }}{{ $x = print $x $x }}{{ end }}"#,
        "{{ range 1000000000 }}{{ end }}",
        "{{ range 100000 }}aaaaaaaaaaaaaaaa{{ end }}",
        r#"{{ define "t" }}{{ template "t" . }}{{ end }}{{ template "t" . }}"#,
        r#"{{ $x := args 1 }}{{ range 100 }}{{ $x = args $x $x }}{{ end }}"#,
        r#"{{ printf "%999999d" 1 }}"#,
        r#"{{ reReplaceAll "(((((a{100}){100}){100}){100}){100})" "" "a" }}"#,
        &deep,
        &blocks,
    ] {
        let result = expand(text);
        assert!(result.is_err(), "{text:.60}: {:.60}", result.unwrap_or_default());
    }
    assert!(started.elapsed() < Duration::from_secs(20));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_text_is_read_or_refused(text in r#"(\{\{-? ?|-?\}\}| |if|end|else|range|with|\$x|:=|=|\.|\.a|\(|\)|\||"s"|1|len|printf|x|\n|é){0,40}"#) {
        drop(expand(&text));
    }

    #[test]
    fn plain_text_is_itself(text in "[^{]{0,40}") {
        prop_assert_eq!(expand(&text), Ok(text));
    }
}
