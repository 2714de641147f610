//! What the exposition text must and must not be read as.

use proptest::prelude::*;

use super::*;

/// All samples as `name{labels} value @time`, or the mistake.
fn read(text: &[u8]) -> Result<Vec<String>, String> {
    read_as(text, Format::Text)
}

fn read_as(text: &[u8], format: Format) -> Result<Vec<String>, String> {
    let run = || -> Result<Vec<String>, ParseError> {
        let mut cursor = Cursor::new(body(text)?, format);
        let (mut seen, mut pairs) = (Vec::new(), Pairs::new());
        loop {
            match cursor.start()? {
                Start::End => return Ok(seen),
                Start::Comment => match cursor.comment().meta()? {
                    None => {}
                    Some(Meta::Help { family, help }) => seen.push(format!("HELP {family:?} {help:?}")),
                    Some(Meta::Type { family, kind, suffix }) => {
                        let suffix = suffix.map_or(String::new(), |suffix| format!(" _{suffix}"));
                        seen.push(format!("TYPE {family:?} {}{suffix}", kind.text()));
                    }
                    Some(Meta::Unit { family, unit }) => seen.push(format!("UNIT {family:?} {unit}")),
                },
                Start::Sample => {
                    let series = cursor.series(&mut pairs)?;
                    let (value, time) = cursor.value()?;
                    let labels: Vec<String> = pairs
                        .iter()
                        .map(|(name, value)| format!("{name}={value:?}"))
                        .collect();
                    let time = time.map_or(String::new(), |time| format!(" @{time}"));
                    let example = cursor.example()?.map_or(String::new(), |example| {
                        let time = example.time.map_or(String::new(), |time| format!(" @{time}"));
                        format!(" # {:?} {}{time}", example.pairs, example.value)
                    });
                    let labels = labels.join(",");
                    seen.push(format!("{}{{{labels}}} {value}{time}{example}", series.name));
                }
            }
        }
    };
    run().map_err(|error| error.to_string())
}

#[track_caller]
fn good(text: &str, seen: &[&str]) {
    assert_eq!(
        read(text.as_bytes()),
        Ok(seen.iter().map(|line| (*line).to_owned()).collect()),
        "{text:?}"
    );
}

#[track_caller]
fn bad(text: &str, mistake: &str) {
    assert_eq!(read(text.as_bytes()), Err(mistake.to_owned()), "{text:?}");
}

#[test]
fn samples_have_names_labels_values_and_times() {
    good("a 1\n", &["a{} 1"]);
    good("a 1", &["a{} 1"]);
    good(
        "a{} 1\n\n\nb:c_9{x=\"y\"} 2 1395066363000\n",
        &["a{} 1", "b:c_9{x=\"y\"} 2 @1395066363000"],
    );
    good("a{x=\"1\",y=\"2\",}3\n", &["a{x=\"1\",y=\"2\"} 3"]);
    good("a 1 -5\n", &["a{} 1 @-5"]);
    good("a NaN\nb +Inf\nc -Inf\n", &["a{} NaN", "b{} inf", "c{} -inf"]);
    good("", &[]);
}

#[test]
fn blanks_may_stand_between_all_tokens() {
    good(
        "a\t { x\t= \"1\" ,\ty = \"2\" , } \t 3 \t 4 \n",
        &["a{x=\"1\",y=\"2\"} 3 @4"],
    );
    good("  \n\t\na 1\n", &["a{} 1"]);
}

#[test]
fn escapes_are_resolved_and_others_stand() {
    good(
        r#"a{x="\\ \" \n \t { } , ="} 1"#,
        &[r#"a{x="\\ \" \n \\t { } , ="} 1"#],
    );
    good("a{x=\"two\nlines\"} 1\n", &["a{x=\"two\\nlines\"} 1"]);
    good("a{x=\"ä日\"} 1\n", &["a{x=\"ä日\"} 1"]);
}

#[test]
fn names_may_be_quoted() {
    good("{\"x.y\",a=\"b\"} 1\n", &["x.y{a=\"b\"} 1"]);
    good("{a=\"b\",\"x.y\"} 1\n", &["x.y{a=\"b\"} 1"]);
    good("{\"x\"} 1\n", &["x{} 1"]);
    good("a{\"the label\"=\"b\"} 1\n", &["a{the label=\"b\"} 1"]);
}

#[test]
fn comments_describe_families_or_nothing() {
    good(
        "# HELP a Some \\\\ text\\nhere.\n",
        &["HELP \"a\" \"Some \\\\ text\\nhere.\""],
    );
    good(
        "# HELP a\n#\tTYPE\ta  counter \n",
        &["HELP \"a\" \"\"", "TYPE \"a\" counter"],
    );
    good(
        "# TYPE \"x.y\" histogram\n  # TYPE z untyped\n",
        &["TYPE \"x.y\" histogram", "TYPE \"z\" untyped"],
    );
    good("#\n# anything\n#HELPLESS\n# HELPER a b\na 1\n", &["a{} 1"]);
    bad("# TYPE a banana\n", "line 1, column 10: \"banana\" is no type");
    bad("a 1\n# TYPE\n", "line 2, column 7: TYPE without a metric name");
    bad("# HELP 1a x\n", "line 1, column 8: HELP without a metric name");
}

#[test]
fn what_prometheus_lets_through_by_mistake_is_a_mistake() {
    bad("a 1\n b 2\n", "line 2, column 1: blanks before a name");
    bad("a 1\nb 2\0\nc 3\n", "line 2, column 4: a NUL byte");
}

#[test]
fn mistakes_have_their_place() {
    bad("\u{feff}a 1\n", "line 1, column 1: a byte order mark");
    bad("a 1\r\n", "line 1, column 3: \"1\\r\" is no value");
    bad("a 1e400\n", "line 1, column 3: \"1e400\" is no value");
    bad("a +NaN\n", "line 1, column 3: \"+NaN\" is no value");
    bad("a 0x10\n", "line 1, column 3: \"0x10\" is no value");
    bad(
        "a\n",
        "line 1, column 2: a value is missing, or this letter cannot be in a metric name",
    );
    bad("a \n", "line 1, column 3: a value is missing");
    bad("a{x=\"1\"}\n", "line 1, column 9: a value is missing");
    bad(
        "a-b 1\n",
        "line 1, column 2: a value is missing, or this letter cannot be in a metric name",
    );
    bad("9a 1\n", "line 1, column 1: a metric name is missing");
    bad("a 1 2 3\n", "line 1, column 7: more than a value and a time");
    bad(
        "a 1 2.5\n",
        "line 1, column 5: \"2.5\" is no time in milliseconds",
    );
    bad(
        "a{x=\"1\",x=\"2\"} 1\n",
        "line 1, column 9: label \"x\" comes twice",
    );
    bad(
        "a{__name__=\"b\"} 1\n",
        "line 1, column 3: label \"__name__\" comes twice",
    );
    bad(
        "a{x=\"1\"y=\"2\"} 1\n",
        "line 1, column 8: a comma or a brace is missing",
    );
    bad(
        "a{x=1} 1\n",
        "line 1, column 5: a label value begins with a quote",
    );
    bad("a{x} 1\n", "line 1, column 4: a label has no value");
    bad("a{\"b\"} 1\n", "line 1, column 6: a label has no value");
    bad("a{x:y=\"1\"} 1\n", "line 1, column 4: a label has no value");
    bad("{x=\"1\"} 1\n", "line 1, column 1: the braces name no metric");
    bad("a{\"\"=\"1\"} 1\n", "line 1, column 3: a label name is empty");
    bad("b 1\na{x=\"1} 1\n", "line 2, column 5: a quote is not closed");
    bad("a{x=\"1\"", "line 1, column 8: a brace is not closed");
    bad("a{,} 1\n", "line 1, column 3: a label name is missing");
    assert_eq!(
        read(b"a 1\nb\xff 1\n"),
        Err("line 2, column 2: this is no UTF-8".to_owned())
    );
}

#[test]
fn a_known_series_is_taken_only_where_it_ends() {
    let keys = Keys::new();
    let take = |text: &'static str, key: &str| Cursor::new(text, Format::Text).take(&keys.of(key), &keys);
    assert!(take("a 1\n", "a"));
    assert!(!take("ab 1\n", "a"));
    assert!(!take("a{} 1\n", "a"));
    assert!(take("a{x=\"1\"}2\n", "a{x=\"1\"}"));
    assert!(!take("a{x=\"1", "a{x=\"1\"}"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_body_makes_it_panic(text in prop::collection::vec(any::<u8>(), 0..200)) {
        _ = read(&text);
    }

    #[test]
    fn no_body_of_its_own_letters_makes_it_panic(text in "[a-c_ \t\n#{}\"\\\\=,0-9.eE+\\-\u{e4}]{0,80}|# (HELP|TYPE) [ab\" \\\\]{0,9}") {
        _ = read(text.as_bytes());
    }

    #[test]
    fn what_is_written_is_read(name in "[a-z_:][a-z0-9_:]{0,9}", value in any::<f64>(), label in ".{0,12}") {
        prop_assume!(!label.contains('\0'));
        let escaped = label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let text = format!("{name}{{x=\"{escaped}\"}} {}\n", model::text::float::go(value));
        let mut pairs = Pairs::new();
        let mut cursor = Cursor::new(&text, Format::Text);
        let series = cursor.series(&mut pairs).unwrap();
        prop_assert_eq!(&*series.name, name.as_str());
        prop_assert_eq!(&*pairs[0].1, label.as_str());
        let (read, time) = cursor.value().unwrap();
        prop_assert_eq!((read.to_bits(), time), (if value.is_nan() { f64::NAN } else { value }.to_bits(), None));
    }
}

#[test]
fn openmetrics_has_seconds_units_and_exemplars() {
    let text = concat!(
        "# HELP a_seconds A \\\"quoted\\\" word.\n# TYPE a_seconds histogram\n# UNIT a_seconds seconds\n",
        "a_seconds_bucket{le=\"1.0\"} 5 # {trace_id=\"x\",span=\"y\\n\"} 0.5 1520879607.7891\n",
        "a_seconds_bucket{le=\"+Inf\"} 6 12.5 # {} 7\n",
        "# TYPE b counter\nb_total 3.0 12\nb_created 1.5\n",
        "# TYPE c info\n# TYPE d stateset\n# TYPE e unknown\n# TYPE f gaugehistogram\n# EOF\n",
    );
    let seen = [
        r#"HELP "a_seconds" "A \"quoted\" word.""#,
        r#"TYPE "a_seconds" histogram"#,
        r#"UNIT "a_seconds" seconds"#,
        r#"a_seconds_bucket{le="1.0"} 5 # [("trace_id", "x"), ("span", "y\n")] 0.5 @1520879607789"#,
        r#"a_seconds_bucket{le="+Inf"} 6 @12500 # [] 7"#,
        r#"TYPE "b" counter _total"#,
        "b_total{} 3 @12000",
        "b_created{} 1.5",
        r#"TYPE "c" gauge _info"#,
        r#"TYPE "d" gauge"#,
        r#"TYPE "e" untyped"#,
        r#"TYPE "f" untyped"#,
    ];
    let read = |text: &str| read_as(text.as_bytes(), Format::OpenMetrics);
    assert_eq!(read(text).unwrap(), seen);
    for (text, mistake) in [
        (
            "a 1 # 5\n",
            "column 7: an exemplar begins with its labels in braces",
        ),
        ("a 1 # {\"x\"} 5\n", "a label has no value"),
        ("a 1 # {x=\"y\"} five\n", "\"five\" is no value of an exemplar"),
        ("a 1 # {x=\"y\"} 5 now\n", "\"now\" is no time in seconds"),
        ("a 1 # {x=\"y\"} 5 6 7\n", "more than labels, a value and a time"),
        (
            "a 1 # {x=\"y\nb 2 # {x=\"z\"} 1\n",
            "line 1, column 10: a quote is not closed",
        ),
        ("a 1 NaN\n", "\"NaN\" is no time in seconds"),
        ("# TYPE a untyped\n", "\"untyped\" is no type"),
    ] {
        let found = read(text).unwrap_err();
        assert!(found.contains(mistake), "{text:?}: {found}");
    }
    // In the plain format nothing of this is said.
    bad(
        "a 1 # {} 5\n",
        "line 1, column 5: \"#\" is no time in milliseconds",
    );
    good("# UNIT a seconds\n# EOF\na 1\n", &["a{} 1"]);
}
