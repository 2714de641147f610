//! What Alertmanager's own `amtool template render` prints, ours prints too.

use std::path::{Path, PathBuf};
use std::process::Command;

use model::{Labels, Timestamp};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use crate::{Alerted, Context, Language, RenderError, Template, Told};

const NOW: Timestamp = Timestamp(1_795_661_461_500);

/// An alert with what it owns.
#[derive(Clone)]
struct One {
    labels: Labels,
    annotations: Labels,
    starts_at: Timestamp,
    ended_at: Option<Timestamp>,
}

fn one(name: &str, instance: &str, summary: &str, ended: bool) -> One {
    One {
        labels: Labels::from_pairs([
            ("alertname", name),
            ("instance", instance),
            ("severity", "critical"),
            ("Zone", "eu"),
        ]),
        annotations: Labels::from_pairs([("summary", summary), ("runbook_url", "https://x/?a=1&b=<2>")]),
        starts_at: Timestamp(1_795_661_000_120),
        ended_at: ended.then_some(Timestamp(1_795_661_400_000)),
    }
}

/// A message: by whom it is received, its alerts, what their group has in common.
struct Case {
    receiver: &'static str,
    alerts: Vec<One>,
    group: Labels,
}

impl Case {
    fn all() -> Vec<Self> {
        vec![
            Self {
                receiver: "team-x.mails (new)",
                alerts: vec![one(
                    "DiskFilling",
                    "a:9100",
                    "\"/data\" is 91 % full\n\tsoon <b>",
                    false,
                )],
                group: Labels::from_pairs([("alertname", "DiskFilling")]),
            },
            Self {
                receiver: "ops",
                alerts: vec![
                    one("A'b", "ä€😀", "it's & it isn't", false),
                    one("A'b", "b", "", true),
                    one("A'b", "c", "élan vital, a_b 1st", true),
                ],
                group: Labels::empty(),
            },
            Self {
                receiver: "",
                alerts: vec![one("Gone", "z", "over", true)],
                group: Labels::from_pairs([
                    ("alertname", "Gone"),
                    ("instance", "z"),
                    ("severity", "critical"),
                    ("Zone", "eu"),
                ]),
            },
        ]
    }

    fn common(&self, of: impl Fn(&One) -> &Labels) -> Labels {
        let Some(first) = self.alerts.first() else {
            return Labels::empty();
        };
        of(first).retain(|name| {
            let mut all = self.alerts.iter().map(&of);
            all.all(|labels| labels.get(name) == of(first).get(name))
        })
    }

    fn render(&self, language: &Language, text: &str) -> Result<String, String> {
        self.render_as(language, text, Template::render)
    }

    fn render_as(&self, language: &Language, text: &str, how: Rendering) -> Result<String, String> {
        let template = language.parse("", text).map_err(|error| error.to_string())?;
        let alerts = self.alerts.iter().map(|one| Alerted {
            labels: &one.labels,
            annotations: &one.annotations,
            starts_at: one.starts_at,
            ended_at: one.ended_at,
            generator_url: "http://skopos/graph?g0.expr=up",
            fingerprint: one.labels.fingerprint(),
        });
        let (labels, annotations) = (
            self.common(|one| &one.labels),
            self.common(|one| &one.annotations),
        );
        let told = Told {
            receiver: self.receiver,
            reason: "first notification",
            alerts: alerts.collect(),
            group_labels: &self.group,
            common_labels: &labels,
            common_annotations: &annotations,
            route_labels: &Labels::empty(),
            external_url: "http://skopos:9464",
        };
        let context = Context::message(&told, NOW);
        how(&template, &context).map_err(|error: RenderError| error.to_string())
    }

    /// Both by their own rendering of the data, so that `toJson` is held to be right as well.
    fn amtool(
        &self,
        amtool: &Path,
        folder: &Path,
        text: &str,
        library: Option<&Path>,
    ) -> Result<String, String> {
        self.amtool_as("text", amtool, folder, text, library)
    }

    fn amtool_as(
        &self,
        kind: &str,
        amtool: &Path,
        folder: &Path,
        text: &str,
        library: Option<&Path>,
    ) -> Result<String, String> {
        let data = self.render(&Language::alertmanager(), "{{ toJson . }}").unwrap();
        let file = folder.join("data.json");
        // Go keeps the name as it is in this file; a template sees it quoted already.
        std::fs::write(&file, data).unwrap();
        let mut command = Command::new(amtool);
        command.args(["template", "render", &format!("--template.type={kind}")]);
        command.arg(format!("--template.text={text}"));
        command.arg(format!("--template.data={}", file.display()));
        // What Alertmanager itself has before all others.
        let default = programs::file("debian/usr/share/prometheus/alertmanager/default.tmpl");
        for library in default.iter().map(PathBuf::as_path).chain(library) {
            command.arg(format!("--template.glob={}", library.display()));
        }
        let output = command.output().unwrap();
        let said = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        if output.status.success() {
            Ok(said(&output.stdout))
        } else {
            Err(said(&output.stderr))
        }
    }
}

type Rendering = fn(&Template, &Context<'_>) -> Result<String, RenderError>;

/// Pages: what stands where decides how it is escaped.
const PAGES: &[&str] = &[
    "<p>{{ .CommonAnnotations.summary }}</p>{{ range .Alerts }}<li>{{ .Annotations.summary }} {{ .Labels.instance }}</li>{{ end }}",
    r#"<!-- {{ .Status }} --><b>a<!-- b -->c</b> 1 < 2 & x"#,
    r#"{{ range .Alerts }}<a href="{{ .GeneratorURL }}">{{ .GeneratorURL }}</a>{{ end }}"#,
    r#"{{ range .Alerts }}<a href="{{ .Annotations.runbook_url }}">x</a><a href='{{ .Annotations.summary }}'>y</a>{{ end }}"#,
    r#"{{ range .Alerts }}<a href="http://x/{{ .Labels.instance }}?q={{ .Annotations.summary }}&r={{ .Labels.alertname }}#{{ .Status }}">x</a>{{ end }}"#,
    r#"{{ with "javascript:alert(1)" }}<a href="{{ . }}">x</a><img src={{ . }}>{{ end }}<a href="{{ "HTTPS://x/" }}">y</a>"#,
    r#"{{ range .Alerts }}<td title="{{ .Annotations.summary }}" class={{ .Labels.severity }} id='{{ .Labels.alertname }}'>z</td>{{ end }}"#,
    r#"{{ with "a b=c`d" }}<td title={{ . }}>z</td>{{ end }}"#,
    r##"{{ with "#ff0000" }}<td style="color: {{ . }}; background: {{ "red" }}">z</td>{{ end }}{{ with "expression(1)" }}<td style="width: {{ . }}">z</td>{{ end }}"##,
    "<title>{{ .CommonAnnotations.summary }} {{ .Status }}</title><style>p { color: {{ \"green\" }} }</style>",
    r#"{{ safeHtml "<b>" }}{{ "<i>" | safeHtml }}{{ "<u>" }}{{ "<s>" | html }}{{ "a b&c" | urlquery }}"#,
    r#"{{ define "row" }}<tr><td>{{ . }}</td></tr>{{ end }}<table>{{ range .CommonLabels.Values }}{{ template "row" . }}{{ end }}</table>"#,
    r#"{{ if eq .Status "firing" }}<b class="hot">{{ .Status | toUpper }}</b>{{ else }}<i>{{ .Status }}</i>{{ end }} {{ len .Alerts }} {{ .GroupLabels }}"#,
    "<BR/><hr><INPUT disabled value='{{ .Receiver }}'>{{ .ExternalURL }}/#/alerts?receiver={{ .Receiver | urlquery }}",
];

const GOOD: &[&str] = &[
    r#"{{ template "__subject" . }}"#,
    r#"{{ template "__alertmanagerURL" . }}"#,
    r#"{{ template "__text_alert_list" .Alerts.Firing }}|{{ template "__text_alert_list" .Alerts.Resolved }}"#,
    r#"{{ template "__text_alert_list_markdown" .Alerts }}"#,
    r#"{{ template "slack.default.title" . }}|{{ template "slack.default.username" . }}|{{ template "slack.default.fallback" . }}"#,
    r#"{{ template "slack.default.pretext" . }}|{{ template "slack.default.titlelink" . }}|{{ template "slack.default.color" . }}"#,
    r#"{{ template "slack.default.text" . }}|{{ template "slack.default.footer" . }}|{{ template "slack.default.iconurl" . }}"#,
    r#"{{ template "slack.default.callbackid" . }}|{{ template "slack.default.iconemoji" . }}"#,
    r#"{{ template "pagerduty.default.description" . }}|{{ template "pagerduty.default.client" . }}"#,
    r#"{{ template "pagerduty.default.clientURL" . }}|{{ template "pagerduty.default.instances" .Alerts.Firing }}"#,
    "{{ .GroupLabels }} {{ .CommonLabels }} {{ .CommonAnnotations }}",
    "{{ .CommonLabels.SortedPairs }} {{ .CommonLabels.Names }} {{ .CommonLabels.Values }}",
    r#"{{ .GroupLabels.SortedPairs.Names | join "," }}"#,
    r#"{{ .CommonLabels.Remove (stringSlice "alertname" "nothing") }}"#,
    "{{ (.CommonLabels.Remove .GroupLabels.Names).Values }}",
    "{{ len .Alerts }} {{ len .Alerts.Firing }} {{ .Alerts.Resolved | len }} {{ len .GroupLabels }}",
    "{{ .CommonLabels.nothing }}|{{ .GroupLabels.alertname }}|{{ .CommonAnnotations.summary }}",
    "{{ range .Alerts }}{{ .Status }} {{ .Labels.alertname }} {{ .Annotations.summary }} {{ .Fingerprint }};{{ end }}",
    "{{ range $i, $a := .Alerts }}{{ $i }}={{ $a.Labels.instance }} {{ else }}none{{ end }}",
    "{{ range .Alerts }}{{ .StartsAt }} {{ .EndsAt }} {{ .EndsAt.IsZero }} {{ .StartsAt.Unix }};{{ end }}",
    r#"{{ range .Alerts }}{{ .StartsAt | date "Mon, 02 Jan 2006 15:04:05.000 MST" }};{{ end }}"#,
    r#"{{ range .Alerts }}{{ .StartsAt | tz "Europe/Berlin" | date "2006-01-02T15:04:05Z07:00 MST -0700" }};{{ end }}"#,
    r#"{{ range .Alerts }}{{ .StartsAt | tz "America/New_York" }} {{ (tz "Asia/Kolkata" .StartsAt).Format "15:04 -07:00" }};{{ end }}"#,
    "{{ range .Alerts }}{{ .EndsAt.Sub .StartsAt }};{{ end }}",
    r#"{{ range .Alerts }}{{ .StartsAt.Format "Jan _2 3:04PM" }};{{ end }}"#,
    r#"{{ toUpper "aßé" }} {{ toLower "ÀB" }} {{ title "hELLO wORLD it's a_b 1st foo.bar a:9é a..b a.'b x²y b中c a1,2b" }} {{ trimSpace " a b\n" }}"#,
    r#"{{ match "a+" "baa" }} {{ match "^a$" "b" }} {{ reReplaceAll "(a)(b)" "$2-${1}x" "abab" }}"#,
    r#"{{ safeHtml "<b>" }} {{ safeUrl "http://x/?a=<b>" }} {{ urlUnescape "a+b%20c%3D%C3%A9" }}"#,
    r#"{{ join "-" (stringSlice "a" "b" "c") }} {{ stringSlice }}{{ stringSlice "x" | len }}"#,
    "{{ humanizeDuration 3723 }} {{ humanizeDuration 0.0123 }} {{ humanizeDuration \"90061\" }} {{ humanizeDuration -5 }}",
    "{{ toJson .GroupLabels }} {{ toJson .CommonLabels.SortedPairs }} {{ toJson .Alerts.Firing }}",
    r#"{{ toJson . | reReplaceAll ",.routeLabels.:.[}]" "" }}"#,
    r#"{{ toJson (dict "b" 1 "a" (list "x" 2.5 nil true 1e21 1e-7)) }} {{ toJson "<&> \u2028 \" \\ \t\x01" }}"#,
    r#"{{ $l := list 1 "a" }}{{ $l = append $l 2 3 }}{{ $l }} {{ len $l }} {{ index $l 3 }}"#,
    r#"{{ $d := dict "x" 1 "y" (dict "z" "w") }}{{ $d.x }} {{ $d.y.z }} {{ $d.none }} {{ $d }}"#,
    r#"{{ with dict "Alerts" .Alerts "n" 2 }}{{ len .Alerts }}{{ .n }}{{ end }}"#,
    r#"{{ define "own" }}<{{ .Status }}>{{ end }}{{ template "own" . }}"#,
    r#"{{ define "slack.default.title" }}mine {{ .Receiver }}{{ end }}{{ template "slack.default.fallback" . }}"#,
    r#"{{ define "__subject" }}  {{ end }}{{ template "__subject" . }}"#,
    r#"{{ if and (eq .Status "firing") (gt (len .Alerts.Firing) 0) }}yes{{ else if .CommonLabels.severity }}perhaps{{ else }}no{{ end }}"#,
    r#"{{ with .CommonAnnotations.summary }}{{ . | toUpper }}{{ else }}-{{ end }}"#,
    r#"{{ printf "%s %v %q %d %5.2f" .Status .GroupLabels .Receiver (len .Alerts) 3.14159 }}"#,
    r#"{{ range .CommonLabels.SortedPairs }}{{ .Name }}={{ .Value | printf "%q" }},{{ end }}{{ range $k, $v := .GroupLabels }}{{ $k }}:{{ $v }} {{ end }}"#,
    r#"{{ range .Alerts -}} {{ if .Annotations.summary }}{{ break }}{{ end }}x{{- end }}"#,
    r#"{{ .Receiver | urlquery }} {{ html "<a & 'b'>" }} {{ js "it's <x>" }} {{ index .CommonLabels "severity" }}"#,
    r#"{{ (index .Alerts 0).Labels.severity }} {{ slice "abcdef" 1 3 }} {{ not .Status }} {{ or .GroupLabels.none "default" }}"#,
    r#"{{ (index .Alerts 0).GeneratorURL }} {{ .ExternalURL }}"#,
    r#"{{/* nothing */}}{{- "a" -}}  {{ "b" }}"#,
    "{{ .Alerts.Firing }}",
    "{{ eq 1 2 1 }} {{ ne .Status .Receiver }} {{ lt 1.5 2.5 }} {{ len \"äb\" }} {{ print 1 2 \"a\" nil true }}",
];

/// Each fails, here as there.
const BAD: &[&str] = &[
    "{{ .Nothing }}",
    "{{ .Alerts.Nothing }}",
    r#"{{ template "not.there" . }}"#,
    "{{ toUpper 1 }}",
    r#"{{ join "," .GroupLabels }}"#,
    r#"{{ list "a" | join "," }}"#,
    r#"{{ dict "a" }}"#,
    r#"{{ dict 1 2 }}"#,
    r#"{{ append (stringSlice "a") 1 }}"#,
    r#"{{ tz "Nowhere/Else" now }}"#,
    r#"{{ urlUnescape "%zz" }}"#,
    r#"{{ match "(" "a" }}"#,
    "{{ if }}x{{ end }}",
    "{{ range .Alerts }}",
    "{{ unknownFunction . }}",
    r#"{{ .CommonLabels.Remove "a" }}"#,
    "{{ .GroupLabels.Names.Join }}",
    "{{ index .Alerts 99 }}",
    "{{ $x }}",
    r#"{{ define "a" }}x{{ end }}{{ define "a" }}y{{ end }}"#,
];

#[test]
fn what_amtool_renders_is_rendered_alike() {
    let Some(amtool) = programs::find_kept("amtool") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let language = Language::alertmanager();
    for case in Case::all() {
        // Definitions would reach into the others' texts.
        let (alone, together): (Vec<&str>, Vec<&str>) = GOOD.iter().partition(|text| text.contains("define"));
        let mut texts: Vec<String> = alone.into_iter().map(str::to_owned).collect();
        texts.push(together.join("\n⁂\n"));
        for text in texts {
            let wanted = case.amtool(&amtool, folder.path(), &text, None).unwrap();
            let got = case.render(&language, &text).unwrap();
            for ((got, wanted), text) in got
                .split("\n⁂\n")
                .zip(wanted.split("\n⁂\n"))
                .zip(text.split("\n⁂\n"))
            {
                assert_eq!(got, wanted, "{text}");
            }
            assert_eq!(got, wanted);
        }
    }
}

#[test]
fn a_page_is_escaped_as_amtool_escapes_it() {
    let Some(amtool) = programs::find_kept("amtool") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let language = Language::alertmanager();
    let mut wrong = Vec::new();
    for case in Case::all() {
        for text in PAGES {
            let wanted = case.amtool_as("html", &amtool, folder.path(), text, None);
            let got = case.render_as(&language, text, Template::render_html);
            if got != wanted {
                wrong.push((text, got, wanted));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_value_in_a_script_is_refused_and_the_page_of_a_mail_is_not() {
    let language = Language::alertmanager();
    for case in Case::all() {
        for text in [
            "<script>var a = {{ .Status }}</script>",
            r#"<b onclick="{{ .Status }}">x</b>"#,
        ] {
            let refused = case.render_as(&language, text, Template::render_html);
            assert!(refused.unwrap_err().contains("within a script"), "{text}");
        }
        let page = r#"{{ template "email.default.html" . }}"#;
        let page = case.render_as(&language, page, Template::render_html).unwrap();
        assert!(
            page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"),
            "{page}"
        );
        for one in &case.alerts {
            let name = one.labels.value("alertname").replace('\'', "&#39;");
            assert!(page.contains(&format!("alertname={name}")), "{page}");
        }
        // Of a summary.
        assert!(!page.contains("soon <b>"), "{page}");
    }
}

#[test]
fn what_amtool_refuses_is_refused() {
    let Some(amtool) = programs::find_kept("amtool") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let case = Case::all().remove(0);
    for text in BAD {
        let theirs = case.amtool(&amtool, folder.path(), text, None);
        let ours = case.render(&Language::alertmanager(), text);
        assert!(theirs.is_err(), "{text}: amtool takes it: {theirs:?}");
        assert!(ours.is_err(), "{text}: {ours:?}");
    }
}

#[test]
fn files_of_templates_are_taken_as_amtool_takes_them() {
    let Some(amtool) = programs::find_kept("amtool") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let files = [
        (
            "a.tmpl",
            r#"{{ define "x" }}first{{ end }}{{ define "y" }}kept{{ end }}"#,
        ),
        (
            "b.tmpl",
            r#"{{ define "x" }}second {{ .Status }}{{ end }}{{ define "y" }} {{ end }}{{ define "slack.default.color" }}#ff00ff{{ end }}"#,
        ),
        ("c.tmpl", r#"said outside by {{ template "x" . }}"#),
    ];
    let mut language = Language::alertmanager();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
        language.add(name, text).unwrap();
    }
    let text = r#"{{ template "x" . }}|{{ template "y" . }}|{{ template "slack.default.color" . }}|{{ template "c.tmpl" . }}"#;
    for case in Case::all() {
        let wanted = case
            .amtool(&amtool, folder.path(), text, Some(&folder.path().join("*.tmpl")))
            .unwrap();
        assert_eq!(case.render(&language, text).unwrap(), wanted);
    }
}

/// Of Alertmanager 0.34, which amtool does not have yet.
#[test]
fn newer_functions_answer_as_go_does() {
    let case = Case::all().remove(0);
    let language = Language::alertmanager();
    for (text, wanted) in [
        (
            r#"{{ toDate "2006-01-02" "2024-02-29" }} {{ toDate "2006-01-02" "nonsense" }}"#,
            "2024-02-29 00:00:00 +0000 UTC 0001-01-01 00:00:00 +0000 UTC",
        ),
        (
            r#"{{ (mustToDate "2006-01-02 15:04 -0700" "2024-02-29 12:30 +0530").UTC }}"#,
            "2024-02-29 07:00:00 +0000 UTC",
        ),
        (
            r#"{{ base64encode "a?>~ü" }} {{ base64decode "YT8-fsO8" }}{{ base64encode "" }} {{ base64encode "a" }}"#,
            "YT8-fsO8 a?>~ü YQ==",
        ),
        (r#"{{ routeLabels "team" }}."#, "."),
        (
            "{{ .NotificationReason }} {{ .RouteLabels }}.",
            "first notification .",
        ),
        (r#"{{ .GroupLabels.Values.Join ":" }}"#, "DiskFilling"),
    ] {
        assert_eq!(case.render(&language, text).unwrap(), wanted, "{text}");
    }
    for text in [
        r#"{{ mustToDate "2006-01-02" "x" }}"#,
        r#"{{ base64decode "%%" }}"#,
    ] {
        assert!(case.render(&language, text).is_err(), "{text}");
    }
}

/// Texts of expressions that have a value for every message.
fn expressions() -> impl Strategy<Value = String> {
    use proptest::prop_oneof;
    use proptest::sample::select;
    let texts = select(vec![
        ".Status",
        ".Receiver",
        ".ExternalURL",
        ".GroupLabels.alertname",
        ".CommonLabels.severity",
        ".CommonLabels.none",
        ".CommonAnnotations.runbook_url",
        "(index .Alerts 0).Annotations.summary",
        "(index .Alerts 0).Labels.instance",
        r#""a B_c é""#,
    ]);
    let lists = select(vec![
        ".GroupLabels.Names",
        ".CommonLabels.Values",
        ".CommonLabels.SortedPairs.Names",
        r#"(.CommonLabels.Remove (stringSlice "severity")).Values"#,
    ]);
    let joined =
        (lists, select(vec![",", " ", "é", ""])).prop_map(|(list, by)| format!("({list} | join {by:?})"));
    let text = prop_oneof![texts.prop_map(str::to_owned), joined];
    text.prop_recursive(4, 12, 3, |inner| {
        let functions = select(vec![
            "toUpper",
            "toLower",
            "title",
            "trimSpace",
            "html",
            "js",
            "urlquery",
            "toJson",
            "printf \"%q\"",
            "printf \"%-12s|%.3s\" \"x\"",
            "reReplaceAll \"[aeiou]\" \"<$0>\"",
            "print 1",
        ]);
        let called = (functions, inner.clone()).prop_map(|(function, of)| format!("({of} | {function})"));
        let chosen = (inner.clone(), inner.clone(), inner)
            .prop_map(|(left, right, other)| format!("(or (and {left} {right}) {other})"));
        prop_oneof![called, chosen]
    })
}

#[test]
fn any_expression_is_rendered_as_amtool_does() {
    let Some(amtool) = programs::find_kept("amtool") else {
        return;
    };
    let is_long = std::env::var_os("SKOPOS_TEST_LONG").is_some();
    let (rounds, each) = (if is_long { 150 } else { 3 }, 60);
    let folder = tempfile::tempdir().unwrap();
    let language = Language::alertmanager();
    let mut runner = TestRunner::default();
    for _ in 0..rounds {
        let texts: Vec<String> = (0..each)
            .map(|_| expressions().new_tree(&mut runner).unwrap().current())
            .collect();
        let lines: Vec<String> = texts.iter().map(|text| format!("{{{{ {text} }}}}")).collect();
        let whole = lines.join("\n⁂\n");
        for case in Case::all() {
            let wanted = case.amtool(&amtool, folder.path(), &whole, None).unwrap();
            let got = case.render(&language, &whole).unwrap();
            for ((got, wanted), text) in got.split("\n⁂\n").zip(wanted.split("\n⁂\n")).zip(&texts) {
                assert_eq!(got, wanted, "{text}");
            }
            assert_eq!(got, wanted);
        }
    }
}
