//! A warm intake commits what a fresh one would.

use std::collections::BTreeSet;

use model::TargetDesc;
use proptest::prelude::*;

use super::*;
use crate::fakes::Recorder;

const NOW: Timestamp = Timestamp(1_000_000);

fn intake(keep: &Recorder) -> Intake {
    let store = keep.target(&TargetDesc {
        name: "scrape/shop".into(),
        page: None,
        staleness: None,
    });
    let rules = Rules {
        target: Labels::from_pairs([("job", "shop")]),
        home: None,
        honor_labels: false,
        honor_timestamps: true,
        relabel: relabel::Rules::default(),
        sample_limit: 0,
        limits: Limits::default(),
    };
    Intake::new(rules, store, Vec::new())
}

fn body(lines: impl IntoIterator<Item = String>) -> Vec<u8> {
    lines.into_iter().collect::<Vec<_>>().join("\n").into_bytes()
}

#[test]
fn lines_that_are_gone_are_forgotten() {
    let keep = Recorder::default();
    let mut intake = intake(&keep);
    for scrape in 0..50 {
        let text = body((0..1_000).map(|nth| format!("a{{pod=\"{scrape}\",nth=\"{nth}\"}} 1")));
        let taken = intake.take((&text, Format::Text), NOW, &keep).unwrap();
        assert_eq!((taken.series.len(), taken.counts.added), (1_000, 1_000));
        assert!(intake.lines_known() <= 4_000, "{}", intake.lines_known());
    }
}

#[test]
fn a_line_that_comes_in_between_is_learned_at_once() {
    let keep = Recorder::default();
    let mut intake = intake(&keep);
    intake.take((b"a 1\nc 3\n", Format::Text), NOW, &keep).unwrap();
    assert_eq!(
        intake
            .take((b"a 1\nb 2\nc 3\n", Format::Text), NOW, &keep)
            .unwrap()
            .counts
            .added,
        1
    );
    let asked = keep.asked();
    let taken = intake
        .take((b"a 1\nb 2\nc 3\n", Format::Text), NOW, &keep)
        .unwrap();
    assert_eq!(
        (taken.values, taken.counts.added, keep.asked()),
        (vec![1.0, 2.0, 3.0], 0, asked)
    );
}

#[test]
fn a_family_that_is_described_late_is_told_then() {
    let keep = Recorder::default();
    let mut intake = intake(&keep);
    intake.take((b"a 1\n", Format::Text), NOW, &keep).unwrap();
    assert_eq!(keep.family("a"), ("a".to_owned(), "untyped"));
    for _ in 0..2 {
        intake
            .take((b"# TYPE a counter\na 1\n", Format::Text), NOW, &keep)
            .unwrap();
    }
    assert_eq!(keep.family("a"), ("a".to_owned(), "counter"));
    let asked = keep.asked();
    intake
        .take(
            (b"# made at noon\n# TYPE a counter\na 1\n", Format::Text),
            NOW,
            &keep,
        )
        .unwrap();
    assert_eq!(keep.asked(), asked, "a comment that says nothing changes nothing");
}

#[test]
fn a_series_that_turns_to_its_own_time_leaves_the_round() {
    let keep = Recorder::default();
    let mut intake = intake(&keep);
    assert_eq!(
        intake
            .take((b"a 1\n", Format::Text), NOW, &keep)
            .unwrap()
            .series
            .len(),
        1
    );
    let taken = intake.take((b"a 1 999000\n", Format::Text), NOW, &keep).unwrap();
    assert_eq!(
        (taken.series.len(), taken.stamped.len(), taken.counts.added),
        (0, 1, 0)
    );
}

/// One line of a body: a spelling of some series, a value, perhaps a time.
fn line() -> impl Strategy<Value = String> {
    let spelling = prop_oneof![
        Just("a"),
        Just("a{x=\"1\",y=\"2\"}"),
        Just("a{y=\"2\",x=\"1\"}"),
        Just("a {x=\"1\", y=\"2\"}"),
        Just("{\"a\",x=\"1\"}"),
        Just("a{x=\"1\"}"),
        Just("ab"),
        Just("b{job=\"x\"}"),
    ];
    let time = prop_oneof![4 => Just(""), 1 => Just(" 5000"), 1 => Just(" 6000"), 1 => Just(" 9000000")];
    let sample =
        (spelling, 0..3_u8, time).prop_map(|(series, value, time)| format!("{series} {value}{time}"));
    let comment = prop_oneof![
        Just("# TYPE a gauge"),
        Just("# TYPE a counter"),
        Just("# HELP ab x"),
        Just("# x")
    ];
    prop_oneof![12 => sample, 3 => comment.prop_map(str::to_owned), 1 => Just("a{ 1".to_owned())]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// What a target sent before never changes how its body is read now.
    #[test]
    fn a_warm_intake_reads_as_a_new_one(bodies in prop::collection::vec(prop::collection::vec(line(), 0..12), 1..8)) {
        let keep = Recorder::default();
        let mut warm = intake(&keep);
        let mut before = BTreeSet::new();
        for lines in bodies {
            let text = body(lines);
            let expected = intake(&keep).take((&text, Format::Text), NOW, &keep);
            let taken = warm.take((&text, Format::Text), NOW, &keep);
            match (taken, expected) {
                (Ok(taken), Ok(expected)) => {
                    prop_assert_eq!(&taken.series, &expected.series);
                    prop_assert_eq!(&taken.values, &expected.values);
                    prop_assert_eq!(&taken.stamped, &expected.stamped);
                    let added = Counts { added: expected.counts.added, ..taken.counts };
                    prop_assert_eq!(added, expected.counts);
                    let samples = taken.series.len() + taken.stamped.len();
                    let counts = taken.counts;
                    prop_assert_eq!(counts.samples, samples + counts.repeated + counts.refused + counts.out_of_bounds);
                    let stamped = taken.stamped.iter().map(|(_, series, _)| *series);
                    let now: BTreeSet<_> = taken.series.iter().copied().chain(stamped).collect();
                    prop_assert!(counts.added >= now.difference(&before).count());
                    before = now;
                }
                (Err(taken), Err(expected)) => {
                    prop_assert_eq!(taken, expected);
                    before.clear();
                }
                (taken, expected) => prop_assert!(false, "{:?} is not {:?}", taken, expected),
            }
        }
    }
}

#[test]
fn openmetrics_is_kept_under_the_names_and_with_the_exemplars_that_it_says() {
    let keep = Recorder::default();
    let mut intake = intake(&keep);
    let text = |total: u32, trace: &str| {
        format!(
            "# TYPE a counter\n# HELP a Of a.\n# TYPE b histogram\n# UNIT b seconds\n\
             a_total {total} # {{trace_id=\"{trace}\"}} 1.5 999.5\na_created 1\n\
             b_bucket{{le=\"1\"}} 2 # {{trace_id=\"{trace}\"}} 0.5\nb_count 2\n# EOF\n"
        )
    };
    let mut take = |text: &str| {
        let taken = intake.take((text.as_bytes(), Format::OpenMetrics), NOW, &keep);
        taken
            .map(|taken| taken.values.len())
            .map_err(|refusal| refusal.sentence)
    };
    // The first time labels are read, the second time lines are known.
    assert_eq!(take(&text(1, "x")), Ok(4));
    assert_eq!(take(&text(2, "y")), Ok(4));
    let exemplars: Vec<String> = keep
        .exemplars()
        .iter()
        .map(|(series, one)| {
            format!(
                "{series} {} {} @{} {}",
                one.labels, one.value, one.time.0, one.timed
            )
        })
        .collect();
    assert_eq!(
        exemplars,
        [
            r#"a_total{job="shop"} {trace_id="x"} 1.5 @999500 true"#,
            r#"b_bucket{job="shop", le="1.0"} {trace_id="x"} 0.5 @1000000 false"#,
            r#"a_total{job="shop"} {trace_id="y"} 1.5 @999500 true"#,
            r#"b_bucket{job="shop", le="1.0"} {trace_id="y"} 0.5 @1000000 false"#,
        ]
    );
    let told: Vec<String> = keep
        .told()
        .iter()
        .map(|one| {
            format!(
                "{} {} {} {:?} {}",
                one.labels.name(),
                one.family,
                one.kind.text(),
                one.help,
                one.unit
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            r#"a_total a_total counter "Of a." "#,
            r#"a_created a_created untyped "" "#,
            r#"b_bucket b histogram "" seconds"#,
            r#"b_count b histogram "" seconds"#,
        ]
    );
    assert_eq!(
        take("a_total 1\n"),
        Err("line 2, column 1: the body ends without # EOF".to_owned())
    );
    assert_eq!(
        take("# EOF\na_total 1\n"),
        Err("line 2, column 1: something comes after # EOF".to_owned())
    );
    let broken = take("a_total 1 # oops\n# EOF\n").unwrap_err();
    assert!(broken.contains("an exemplar begins"), "{broken}");
}

#[test]
fn a_target_that_changes_its_language_is_told_anew() {
    let keep = Recorder::default();
    let mut intake = intake(&keep);
    let comments = "# TYPE a counter\n# TYPE q summary\n";
    let plain = format!("{comments}a_total 1\nq{{quantile=\"1\"}} 2\n");
    intake.take((plain.as_bytes(), Format::Text), NOW, &keep).unwrap();
    assert_eq!(keep.told()[0].kind.text(), "untyped");
    // Bounds are written alike in both.
    assert_eq!(keep.told()[1].labels.value("quantile"), "1.0");
    let open = format!("{comments}a_total 1\nq{{quantile=\"1.0\"}} 2\n# EOF\n");
    let taken = intake
        .take((open.as_bytes(), Format::OpenMetrics), NOW, &keep)
        .unwrap();
    assert_eq!((keep.told().len(), keep.told()[0].kind.text()), (2, "counter"));
    assert_eq!(taken.series.len(), 2);
}
