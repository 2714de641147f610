//! What each rule does to labels, in the words of a configuration.

use model::Labels;

use crate::{Config, Rules, Verdict};

fn read(text: &str) -> Vec<Config> {
    yaml::read("rules.yaml", text).unwrap()
}

fn rules(text: &str) -> Rules {
    Rules::new(&read(text)).unwrap()
}

/// The labels that come out, or the rule that drops them.
fn applied(text: &str, labels: &[(&str, &str)]) -> String {
    match rules(text).apply(&Labels::from_pairs(labels.iter().copied())) {
        Verdict::Kept(labels) => labels.to_string(),
        Verdict::Dropped(nth) => format!("dropped by [{nth}]"),
    }
}

fn check(text: &str, labels: &[(&str, &str)], wanted: &str) {
    assert_eq!(applied(text, labels), wanted, "{text}");
}

const TEA: [(&str, &str); 3] = [("a", "Green Tea"), ("b", "7"), ("c", "x")];

#[test]
fn a_value_is_written_where_the_expression_matches_all_of_it() {
    let whole = r#"{a="Green Tea", b="7", c="x"}"#;
    check(
        "[{source_labels: [a], target_label: d}]",
        &TEA,
        r#"{a="Green Tea", b="7", c="x", d="Green Tea"}"#,
    );
    check("[{source_labels: [a], regex: Tea, target_label: d}]", &TEA, whole);
    check(
        "[{source_labels: [a], regex: '(\\w+) (?P<what>\\w+)', target_label: d, replacement: '${what}-$1$$'}]",
        &TEA,
        r#"{a="Green Tea", b="7", c="x", d="Tea-Green$"}"#,
    );
    check(
        "[{source_labels: [a, nothing, b], target_label: d}]",
        &TEA,
        r#"{a="Green Tea", b="7", c="x", d="Green Tea;;7"}"#,
    );
    check(
        "[{source_labels: [c, b], separator: '', target_label: d}]",
        &TEA,
        r#"{a="Green Tea", b="7", c="x", d="x7"}"#,
    );
    // Without a source there is an empty text, and the default matches it.
    check(
        "[{target_label: c, replacement: y}]",
        &TEA,
        r#"{a="Green Tea", b="7", c="y"}"#,
    );
    check(
        "[{target_label: c, replacement: 1}]",
        &TEA,
        r#"{a="Green Tea", b="7", c="1"}"#,
    );
    check(
        "[{source_labels: [b], regex: 7, target_label: c, replacement: true}]",
        &TEA,
        r#"{a="Green Tea", b="7", c="true"}"#,
    );
    check("[{regex: x, target_label: c, replacement: y}]", &TEA, whole);
}

#[test]
fn an_empty_result_removes_the_label() {
    check("[{target_label: a, replacement: ''}]", &TEA, r#"{b="7", c="x"}"#);
    check(
        "[{source_labels: [nothing], target_label: a}]",
        &TEA,
        r#"{b="7", c="x"}"#,
    );
    check(
        "[{source_labels: [a], target_label: a, replacement: $2}]",
        &TEA,
        r#"{b="7", c="x"}"#,
    );
    check(
        "[{source_labels: [nothing], target_label: a, action: uppercase}]",
        &TEA,
        r#"{b="7", c="x"}"#,
    );
}

#[test]
fn the_target_may_be_named_by_the_expression() {
    check(
        "[{source_labels: [a], regex: '(.*) (.*)', target_label: 'is_${2}', replacement: $1}]",
        &TEA,
        r#"{a="Green Tea", b="7", c="x", is_Tea="Green"}"#,
    );
    // In names, too, the longest word behind the sign is the group's.
    check(
        "[{source_labels: [a], regex: '(.*) (.*)', target_label: $2_is, replacement: $1}]",
        &TEA,
        r#"{a="Green Tea", b="7", c="x"}"#,
    );
    check(
        "[{source_labels: [a], target_label: 'größe \"x\" $1'}]",
        &[("a", "b")],
        r#"{a="b", "größe \"x\" b"="b"}"#,
    );
}

#[test]
fn what_is_no_group_stands_as_it_is() {
    for (replacement, wanted) in [
        ("$", "$"),
        ("$-", "$-"),
        ("a$$1", "a$1"),
        ("${1", "${1"),
        ("${}", "${}"),
        ("${1.2}", "${1.2}"),
        ("<$0|$1|$3>", "<7|7|>"),
        ("$01", "01"),
        ("$1x-", "-"),
        ("${1}x", "7x"),
        ("$9$1", "7"),
    ] {
        let text =
            format!("[{{source_labels: [b], regex: '(7)', target_label: b, replacement: '{replacement}'}}]");
        let wanted = match wanted {
            "01" => r#"{a="Green Tea", c="x"}"#.to_owned(),
            wanted => format!("{{a=\"Green Tea\", b=\"{wanted}\", c=\"x\"}}"),
        };
        check(&text, &TEA, &wanted);
    }
}

#[test]
fn what_is_dropped_is_said_to_be_by_which_rule() {
    let whole = r#"{a="Green Tea", b="7", c="x"}"#;
    check("[{source_labels: [b], regex: 7|8, action: keep}]", &TEA, whole);
    check(
        "[{source_labels: [b], regex: 8, action: keep}]",
        &TEA,
        "dropped by [0]",
    );
    check("[{source_labels: [b], regex: 8, action: drop}]", &TEA, whole);
    check(
        "[{target_label: b, replacement: 9}, {source_labels: [b], regex: '[89]', action: DROP}, {target_label: z, replacement: 1}]",
        &TEA,
        "dropped by [1]",
    );
    check(
        "[{source_labels: [b], target_label: c, action: keepequal}]",
        &TEA,
        "dropped by [0]",
    );
    check(
        "[{source_labels: [b], target_label: b, action: KeepEqual}]",
        &TEA,
        whole,
    );
    check(
        "[{source_labels: [b], target_label: c, action: dropequal}]",
        &TEA,
        whole,
    );
    check(
        "[{source_labels: [nothing], target_label: none, action: dropequal}]",
        &TEA,
        "dropped by [0]",
    );
}

#[test]
fn names_are_copied_kept_and_removed_by_their_expression() {
    check(
        "[{regex: '(a|b)', action: labelmap, replacement: 'map_$1'}]",
        &TEA,
        r#"{a="Green Tea", b="7", c="x", map_a="Green Tea", map_b="7"}"#,
    );
    check("[{regex: 'b|c', action: labeldrop}]", &TEA, r#"{a="Green Tea"}"#);
    check("[{regex: 'b|c', action: labelkeep}]", &TEA, r#"{b="7", c="x"}"#);
    check(
        "[{regex: '__meta_(.+)', action: labelmap}]",
        &[("__meta_zone", "a"), ("zone", "b")],
        r#"{__meta_zone="a", zone="a"}"#,
    );
    // A copy is not copied again, and no name is no label.
    check(
        "[{regex: '(x*)a', action: labelmap, replacement: 'x${1}a'}]",
        &[("a", "1")],
        r#"{a="1", xa="1"}"#,
    );
    check(
        "[{regex: '(x*)a', action: labelmap}]",
        &[("a", "1")],
        r#"{a="1"}"#,
    );
}

#[test]
fn letters_change_their_case_one_for_one() {
    for (action, value, wanted) in [
        ("uppercase", "Größe ŉ ᾳ", "GRÖßE ŉ ᾼ"),
        ("lowercase", "ΟΔΟΣ İ K", "οδοσ i k"),
    ] {
        check(
            &format!("[{{source_labels: [a], target_label: a, action: {action}}}]"),
            &[("a", value)],
            &format!("{{a=\"{wanted}\"}}"),
        );
    }
}

/// Figures of `md5sum`: the last sixteen digits, as a number, modulo a thousand.
#[test]
fn a_hash_spreads_as_it_does_in_prometheus() {
    for (value, wanted) in [("", "958"), ("a", "697"), ("10.0.0.1:9100", "645")] {
        check(
            "[{source_labels: [a], target_label: n, modulus: 1000, action: hashmod}, {regex: a, action: labeldrop}]",
            &[("a", value)],
            &format!("{{n=\"{wanted}\"}}"),
        );
    }
}

#[test]
fn expressions_are_those_of_re2() {
    let matches = |regex: &str, value: &str| {
        let text = format!("[{{source_labels: [a], action: keep, regex: '{regex}'}}]");
        applied(&text, &[("a", value)]) != "dropped by [0]"
    };
    for (regex, value) in [
        (".*", "a\nb"),
        ("a.b", "a\nb"),
        ("(?i)tea", "TEA"),
        (r"\d\w\s\D\W\S", "1a xß-"),
        (r"[\d-z]", "-"),
        (r"[\w.]+", "a.b"),
        (r"[\W]", "é"),
        ("[a[]", "["),
        ("[]a]", "]"),
        ("[^]a]", "b"),
        ("[a&&b~~c]+", "a&b~c"),
        ("[a-c-e]+", "b-e"),
        ("[[:alpha:]_]+", "a_b"),
        ("a{2,3}", "aaa"),
        ("a{,3}", "a{,3}"),
        ("{{x}}", "{{x}}"),
        (r"\Qa.b*\E.", "a.b*c"),
        (r"\p{Greek}\pL\x41\x{42}\07\101", "λxAB\u{7}A"),
        (r"[\101-\103]+", "ABC"),
        ("a+?b", "aab"),
        ("(?:a*)*", "aa"),
        (r"a\.b\_c", "a.b_c"),
        (r"\<a\>", "<a>"),
        (r"[\]\<]+", "]<"),
        (r"[\x41-\x43]+", "ABC"),
        (r"[\p{Greek}x]+", "λx"),
        (r"\bnode\b.*", "node-1"),
        (r"no\Bde.*", "node-1"),
        ("a|b", "b"),
        ("(a|bc)", "bc"),
        ("", ""),
    ] {
        assert!(matches(regex, value), "{regex} {value:?}");
    }
    for (regex, value) in [
        ("a|b", "ab"),
        ("", "a"),
        (r"\d", "٣"),
        (r"\w", "é"),
        (r"\s", "\u{a0}"),
        ("a{,3}", "aa"),
        ("[a&&b]", "c"),
        ("a$", "a\n"),
        ("[a-c-e]", "d"),
    ] {
        assert!(!matches(regex, value), "{regex} {value:?}");
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (text, wanted) in [
        (
            "{regex: 'a(b'}",
            "[0].target_label: is missing; replace needs the name of a label",
        ),
        (
            "{regex: 'a(b', target_label: x}",
            "[0].regex: \"a(b\" unclosed group; write an RE2 expression",
        ),
        (
            "{regex: 'a)(b', target_label: x}",
            "[0].regex: \"a)(b\" unopened group; write an RE2 expression",
        ),
        (
            "{regex: '(?x)a', target_label: x}",
            "[0].regex: \"(?x)a\" (?x) is no flag of RE2, which has i, m, s and U; write an RE2 expression",
        ),
        (
            "{regex: 'a{1001}', action: keep}",
            "[0].regex: \"a{1001}\" repeats 1001 times, and 1000 is the most; write an RE2 expression",
        ),
        (
            "{regex: '[a', action: keep}",
            "[0].regex: \"[a\" a bracket is not closed; write an RE2 expression",
        ),
        (
            "{source_labels: [''], action: keep}",
            "[0].source_labels[0]: is empty; write the name of a label",
        ),
        (
            "{action: hashmod, target_label: x}",
            "[0].modulus: is missing; hashmod needs a number above 0",
        ),
        (
            "{action: labelmap, replacement: ''}",
            "[0].replacement: is empty; labelmap needs the name of a label, such as $1",
        ),
        (
            "{action: lowercase, target_label: x, replacement: y}",
            "[0].replacement: is not for lowercase, which writes the value itself; take it away",
        ),
        (
            "{action: keepequal, target_label: x, regex: (.*)}",
            "[0].regex: is not for keepequal, which has only source_labels and target_label; take it away",
        ),
        (
            "{action: labeldrop, source_labels: [x], regex: y}",
            "[0].source_labels: is not for labeldrop, which looks at names alone; take it away and leave regex",
        ),
    ] {
        let wrong = Rules::new(&read(&format!("[{text}]"))).unwrap_err();
        assert_eq!(wrong, [wanted], "{text}");
    }
    for (regex, wanted) in [
        ("a**", "repeats what is repeated already"),
        ("a{2}{3}", "repeats what is repeated already"),
        ("[[:foo:]]", "[:foo:] is no class of letters"),
        (r"\Q.*", r"has a \Q without its \E"),
        (r"\1", "backreferences are not supported"),
    ] {
        let wrong = Rules::new(&read(&format!("[{{regex: '{regex}', action: keep}}]"))).unwrap_err();
        assert!(wrong[0].contains(wanted), "{wrong:?}");
    }
    let two = Rules::new(&read("[{}, {target_label: x}, {action: labelkeep, modulus: 3}]")).unwrap_err();
    assert_eq!(two.len(), 2, "{two:?}");
    assert!(two[1].starts_with("[2].modulus"), "{two:?}");
    let unknown = yaml::read::<Vec<Config>>("rules.yaml", "[{action: relpace}]").unwrap_err();
    let said = format!("{unknown:?}");
    assert!(
        said.contains("no action: \\\"relpace\\\"; write one of replace, keep"),
        "{said}"
    );
}

#[test]
fn labels_that_nothing_changes_are_not_copied() {
    let rules = rules(
        "
- {source_labels: [a], regex: 'Green.*', action: keep}
- {source_labels: [b], target_label: b}
- {source_labels: [c], regex: nothing, target_label: d}
- {regex: 'q.*', action: labeldrop}
- {source_labels: [c], target_label: c, action: lowercase}
",
    );
    let labels = Labels::from_pairs(TEA);
    let Verdict::Kept(kept) = rules.apply(&labels) else {
        panic!("dropped");
    };
    assert!(kept == labels && labels.is_shared());
}

#[test]
fn lists_that_say_the_same_are_equal() {
    let one = "[{target_label: a, replacement: b}]";
    assert_eq!(rules(one), rules(one));
    assert_ne!(rules(one), rules("[{target_label: a, replacement: c}]"));
    assert!(Rules::default().is_empty());
}
