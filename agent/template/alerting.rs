//! What Alertmanager gives its templates: its functions, its data with their methods, and its default templates.
//!
//! After `template/template.go` and `default.tmpl` of Alertmanager 0.34; what they print is held to `amtool template
//! render`.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use jiff::tz::TimeZone;
use model::labels::ALERT_NAME;
use model::{Labels, Timestamp};

use crate::error::Problem;
use crate::functions::{deeper, lower, matches, number, replace_all, text, title, upper};
use crate::language::{Entry, Language};
use crate::render::{Context, Limits};
use crate::time::{self, Moment};
use crate::value::{List, Map, Record, Value};
use crate::{human, json, stamp};

/// Items of a list made by functions.
const ITEMS_MAX: usize = 1_000;
/// For a message: far more than any receiver takes.
const LIMITS: Limits = Limits {
    bytes: 1024 * 1024,
    steps: 1_000_000,
    depth: 200,
};

const TABLE: &[Entry] = &[
    ("toUpper", 1, Some(1), |_, values| {
        Ok(upper(&text(values, 0)?).into())
    }),
    ("toLower", 1, Some(1), |_, values| {
        Ok(lower(&text(values, 0)?).into())
    }),
    ("title", 1, Some(1), |_, values| {
        Ok(title(&text(values, 0)?.to_lowercase()).into())
    }),
    ("trimSpace", 1, Some(1), |_, values| {
        Ok(Value::text(text(values, 0)?.trim()))
    }),
    ("join", 2, Some(2), join),
    ("match", 2, Some(2), matches),
    ("safeHtml", 1, Some(1), |_, values| {
        text(values, 0).map(Value::Text)
    }),
    ("safeUrl", 1, Some(1), |_, values| {
        text(values, 0).map(Value::Text)
    }),
    ("urlUnescape", 1, Some(1), |_, values| unescape(&text(values, 0)?)),
    ("reReplaceAll", 3, Some(3), replace_all),
    ("stringSlice", 0, None, |_, values| {
        for nth in 0..values.len() {
            text(values, nth)?;
        }
        list(values.to_vec(), "[]string", 0)
    }),
    ("routeLabels", 1, Some(1), route_label),
    ("date", 2, Some(2), |_, values| {
        Ok(time::layout(moment(values, 1)?, &text(values, 0)?).into())
    }),
    ("tz", 2, Some(2), |_, values| {
        let (name, at) = (text(values, 0)?, moment(values, 1)?.at);
        let zone = TimeZone::get(&name).map_err(|_| format!("unknown time zone {name}"))?;
        Ok(Value::Time(Moment { at, zone }))
    }),
    ("now", 0, Some(0), |context, _| Ok(context.now.into())),
    ("since", 1, Some(1), |context, values| {
        let gone = context
            .now
            .millis()
            .saturating_sub(moment(values, 0)?.at.millis());
        Ok(Value::Duration(gone.saturating_mul(1_000_000)))
    }),
    ("humanizeDuration", 1, Some(1), |_, values| {
        Ok(human::humanize_duration(number(values)?).into())
    }),
    ("toDate", 2, Some(2), |_, values| {
        let read = stamp::parse(&text(values, 0)?, &text(values, 1)?);
        Ok(Value::Time(read.unwrap_or_else(|_| Moment::zero())))
    }),
    ("mustToDate", 2, Some(2), |_, values| {
        Ok(Value::Time(stamp::parse(&text(values, 0)?, &text(values, 1)?)?))
    }),
    ("toJson", 1, Some(1), |context, values| {
        let value = values.first().unwrap_or(&Value::Nil);
        Ok(json::to_json(value, context.limits.bytes)?.into())
    }),
    ("base64encode", 1, Some(1), |_, values| {
        Ok(URL_SAFE.encode(&*text(values, 0)?).into())
    }),
    ("base64decode", 1, Some(1), |_, values| {
        let decoded = URL_SAFE.decode(&*text(values, 0)?);
        let decoded = decoded.map_err(|error| format!("illegal base64 data: {error}"))?;
        Ok(Value::text(String::from_utf8_lossy(&decoded)))
    }),
    ("list", 0, None, |_, values| {
        list(values.to_vec(), "[]interface {}", deeper(values)?)
    }),
    ("append", 1, None, append),
    ("dict", 0, None, dict),
];

impl Language {
    /// What Alertmanager's messages are written in, its default templates included.
    #[must_use]
    pub fn alertmanager() -> Self {
        let mut language = Self::go().with(TABLE);
        // A test holds them to be right.
        _ = language.add("default.tmpl", DEFAULTS);
        _ = language.add("mail.tmpl", MAIL);
        language
    }
}

/// Those that Skopos' receivers have use for.
pub(crate) const DEFAULTS: &str = r#"
{{- define "__alertmanager" }}Alertmanager{{ end }}
{{- define "__alertmanagerURL" }}{{ .ExternalURL }}/#/alerts?receiver={{ .Receiver | urlquery }}{{ end }}
{{- define "__subject" }}
  {{- $names := .GroupLabels.SortedPairs.Values | join " " }}
  {{- "[" }}{{ toUpper .Status }}{{ if eq .Status "firing" }}:{{ len .Alerts.Firing }}{{ end }}] {{ $names }}{{ " " }}
  {{- if gt (len .CommonLabels) (len .GroupLabels) }}
    {{- with .CommonLabels.Remove .GroupLabels.Names }}({{ join " " .Values }}){{ end }}
  {{- end }}
{{- end }}
{{- define "__description" }}{{ end }}
{{- define "__text_alert_list" }}
  {{- range . }}{{ "Labels:\n" }}
    {{- range .Labels.SortedPairs }}{{ printf " - %s = %s\n" .Name .Value }}{{ end }}{{ "Annotations:\n" }}
    {{- range .Annotations.SortedPairs }}{{ printf " - %s = %s\n" .Name .Value }}{{ end }}
    {{- printf "Source: %s\n" .GeneratorURL }}
  {{- end }}
{{- end }}
{{- define "__text_alert_list_markdown" }}
  {{- range . }}{{ "\nLabels:\n" }}
    {{- range .Labels.SortedPairs }}{{ printf "  - %s = %s\n" .Name .Value }}{{ end }}{{ "\nAnnotations:\n" }}
    {{- range .Annotations.SortedPairs }}{{ printf "  - %s = %s\n" .Name .Value }}{{ end }}
    {{- printf "\nSource: %s\n" .GeneratorURL }}
  {{- end }}{{ "\n" }}
{{- end }}
{{- define "slack.default.title" }}{{ template "__subject" . }}{{ end }}
{{- define "slack.default.username" }}{{ template "__alertmanager" . }}{{ end }}
{{- define "slack.default.fallback" }}
  {{- template "slack.default.title" . }} | {{ template "slack.default.titlelink" . }}
{{- end }}
{{- define "slack.default.callbackid" }}{{ end }}
{{- define "slack.default.pretext" }}{{ end }}
{{- define "slack.default.titlelink" }}{{ template "__alertmanagerURL" . }}{{ end }}
{{- define "slack.default.iconemoji" }}{{ end }}
{{- define "slack.default.iconurl" }}{{ end }}
{{- define "slack.default.text" }}{{ end }}
{{- define "slack.default.footer" }}{{ end }}
{{- define "slack.default.color" }}{{ if eq .Status "firing" }}danger{{ else }}good{{ end }}{{ end }}
{{- define "pagerduty.default.description" }}{{ template "__subject" . }}{{ end }}
{{- define "pagerduty.default.client" }}{{ template "__alertmanager" . }}{{ end }}
{{- define "pagerduty.default.clientURL" }}{{ template "__alertmanagerURL" . }}{{ end }}
{{- define "pagerduty.default.instances" }}{{ template "__text_alert_list" . }}{{ end }}
{{- define "email.default.subject" }}{{ template "__subject" . }}{{ end }}
"#;

/// A mail's page: in place of Alertmanager's, under its name, so that files which write one of their own, or call it,
/// mean the same here.
const MAIL: &str = include_str!("mail.tmpl");

fn list(items: Vec<Value>, type_name: &'static str, depth: u8) -> Result<Value, Problem> {
    if items.len() > ITEMS_MAX {
        return Err(format!("a list of more than {ITEMS_MAX}").into());
    }
    Ok(Value::List(Arc::new(List {
        items,
        depth,
        type_name,
        ..List::default()
    })))
}

fn append(_: &Context<'_>, values: &[Value]) -> Result<Value, Problem> {
    let (first, more) = values.split_first().ok_or("append needs a list")?;
    let Value::List(old) = first else {
        return Err(unlike("[]interface {}", Some(first)));
    };
    if old.type_name != "[]interface {}" {
        return Err(unlike("[]interface {}", Some(first)));
    }
    let depth = deeper(more)?.max(old.depth);
    list(
        old.items.iter().chain(more).cloned().collect(),
        "[]interface {}",
        depth,
    )
}

fn dict(_: &Context<'_>, values: &[Value]) -> Result<Value, Problem> {
    if !values.len().is_multiple_of(2) {
        return Err("dict requires an even number of arguments".into());
    }
    let mut map = Map {
        depth: deeper(values)?,
        ..Map::default()
    };
    for pair in values.chunks_exact(2) {
        let [Value::Text(key), value] = pair else {
            return Err("dict keys must be strings".into());
        };
        map.entries.insert(Arc::clone(key), value.clone());
    }
    Ok(Value::Map(Arc::new(map)))
}

/// `| join ","`: what is joined comes last.
fn join(_: &Context<'_>, values: &[Value]) -> Result<Value, Problem> {
    let (between, strings) = (text(values, 0)?, strings(values.get(1))?);
    Ok(strings.join(&*between).into())
}

/// A `[]string`, by whatever name.
fn strings(value: Option<&Value>) -> Result<Vec<Arc<str>>, Problem> {
    let Some(Value::List(list)) = value else {
        return Err(unlike("[]string", value));
    };
    if !matches!(list.type_name, "[]string" | "template.Strings") {
        return Err(unlike("[]string", value));
    }
    let texts = list.items.iter().map(|item| match item {
        Value::Text(text) => Ok(Arc::clone(text)),
        other => Err(unlike("string", Some(other))),
    });
    texts.collect()
}

fn moment(values: &[Value], nth: usize) -> Result<&Moment, Problem> {
    match values.get(nth) {
        Some(Value::Time(moment)) => Ok(moment),
        other => Err(unlike("time.Time", other)),
    }
}

fn unlike(wanted: &str, got: Option<&Value>) -> Problem {
    let got = got.map_or("nothing", Value::type_name);
    format!("wrong type for value; expected {wanted}; got {got}").into()
}

/// Of the route that the message comes by.
fn route_label(context: &Context<'_>, values: &[Value]) -> Result<Value, Problem> {
    let name = text(values, 0)?;
    let labels = match &context.data {
        Value::Record(data) => data.get("RouteLabels"),
        _ => None,
    };
    Ok(match labels {
        Some(Value::Map(labels)) => labels.entries.get(&name).unwrap_or(&labels.zero).clone(),
        _ => Value::text(""),
    })
}

/// Go's `url.QueryUnescape`.
fn unescape(text: &str) -> Result<Value, Problem> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits = rest.split_at_checked(2);
                let byte = digits.and_then(|(digits, _)| {
                    let digits = std::str::from_utf8(digits).ok()?;
                    u8::from_str_radix(digits, 16)
                        .ok()
                        .filter(|_| !digits.starts_with('+'))
                });
                let (Some(byte), Some((_, behind))) = (byte, digits) else {
                    return Err(format!("invalid URL escape in {text:?}").into());
                };
                bytes.push(byte);
                rest = behind;
            }
            other => bytes.push(*other),
        }
    }
    Ok(Value::text(String::from_utf8_lossy(&bytes)))
}

/// One alert of a message.
pub struct Alerted<'a> {
    pub labels: &'a Labels,
    pub annotations: &'a Labels,
    pub starts_at: Timestamp,
    /// None while it fires.
    pub ended_at: Option<Timestamp>,
    pub generator_url: &'a str,
    pub fingerprint: u64,
}

/// What a message is about.
pub struct Told<'a> {
    pub receiver: &'a str,
    /// Alertmanager's word.
    pub reason: &'a str,
    pub alerts: Vec<Alerted<'a>>,
    pub group_labels: &'a Labels,
    pub common_labels: &'a Labels,
    pub common_annotations: &'a Labels,
    pub route_labels: &'a Labels,
    pub external_url: &'a str,
}

impl<'a> Context<'a> {
    /// The data of one of Alertmanager's messages.
    #[must_use]
    pub fn message(told: &Told<'a>, now: Timestamp) -> Self {
        let is_firing = told.alerts.iter().any(|alert| alert.ended_at.is_none());
        let alerts = told.alerts.iter().map(Alerted::value).collect();
        let data = Value::record(
            "*template.Data",
            vec![
                ("Receiver", quoted(told.receiver).into()),
                ("Status", status(is_firing)),
                ("Alerts", alerts_of(alerts, "template.Alerts")),
                ("NotificationReason", Value::text(told.reason)),
                ("GroupLabels", kv(told.group_labels)),
                ("CommonLabels", kv(told.common_labels)),
                ("CommonAnnotations", kv(told.common_annotations)),
                ("RouteLabels", kv(told.route_labels)),
                ("ExternalURL", Value::text(told.external_url)),
            ],
        );
        Self {
            data,
            variables: Vec::new(),
            now,
            external_url: told.external_url,
            queries: &|_| Some(Err("there are no queries here".to_owned())),
            limits: LIMITS,
        }
    }
}

impl Alerted<'_> {
    fn value(&self) -> Value {
        let ends_at = self.ended_at.map_or_else(Moment::zero, Moment::from);
        Value::record(
            "template.Alert",
            vec![
                ("Status", status(self.ended_at.is_none())),
                ("Labels", kv(self.labels)),
                ("Annotations", kv(self.annotations)),
                ("StartsAt", self.starts_at.into()),
                ("EndsAt", Value::Time(ends_at)),
                ("GeneratorURL", Value::text(self.generator_url)),
                ("Fingerprint", format!("{:016x}", self.fingerprint).into()),
            ],
        )
    }
}

fn status(is_firing: bool) -> Value {
    Value::text(if is_firing { "firing" } else { "resolved" })
}

/// Go's `regexp.QuoteMeta`, which Alertmanager puts over a receiver's name.
fn quoted(name: &str) -> String {
    let mut quoted = String::with_capacity(name.len());
    for letter in name.chars() {
        if r"\.+*?()|[]{}^$".contains(letter) {
            quoted.push('\\');
        }
        quoted.push(letter);
    }
    quoted
}

fn alerts_of(items: Vec<Value>, type_name: &'static str) -> Value {
    Value::List(Arc::new(List {
        items,
        type_name,
        methods: alerts_method,
        ..List::default()
    }))
}

type Answer = Option<Result<Value, Problem>>;

fn alerts_method(receiver: &Value, name: &str, arguments: &[Value]) -> Answer {
    let Value::List(list) = receiver else {
        return None;
    };
    if list.type_name != "template.Alerts" {
        return None;
    }
    let wanted = match name {
        "Firing" => "firing",
        "Resolved" => "resolved",
        _ => return None,
    };
    let is_wanted = |alert: &&Value| match alert {
        Value::Record(alert) => matches!(alert.get("Status"), Some(Value::Text(is)) if &**is == wanted),
        _ => false,
    };
    let found = list.items.iter().filter(is_wanted).cloned().collect();
    Some(none(arguments, name).map(|()| alerts_of(found, "[]template.Alert")))
}

fn none(arguments: &[Value], method: &str) -> Result<(), Problem> {
    if arguments.is_empty() {
        return Ok(());
    }
    let count = arguments.len();
    Err(format!("wrong number of args for {method}: want 0 got {count}").into())
}

fn kv(labels: &Labels) -> Value {
    let entries = labels.iter();
    kv_of(entries.map(|(name, value)| (name.into(), Value::text(value))))
}

fn kv_of(entries: impl Iterator<Item = (Arc<str>, Value)>) -> Value {
    Value::Map(Arc::new(Map {
        entries: entries.collect(),
        zero: Value::text(""),
        depth: 0,
        type_name: "template.KV",
        methods: kv_method,
    }))
}

fn kv_method(receiver: &Value, name: &str, arguments: &[Value]) -> Answer {
    let Value::Map(map) = receiver else {
        return None;
    };
    if name == "Remove" {
        let names = match arguments {
            [one] => strings(Some(one)),
            other => Err(format!("wrong number of args for Remove: want 1 got {}", other.len()).into()),
        };
        return Some(names.map(|names| {
            let names: BTreeSet<_> = names.into_iter().collect();
            let kept = map.entries.iter().filter(|(name, _)| !names.contains(*name));
            kv_of(kept.map(|(name, value)| (Arc::clone(name), value.clone())))
        }));
    }
    let pairs = pairs_of(map);
    if name == "SortedPairs" {
        return Some(none(arguments, name).map(|()| pairs));
    }
    pairs_method(&pairs, name, arguments)
}

/// The alert's name before all others.
fn pairs_of(map: &Map) -> Value {
    let first = map.entries.get_key_value(ALERT_NAME);
    let others = map.entries.iter().filter(|(name, _)| &***name != ALERT_NAME);
    let pair = |(name, value): (&Arc<str>, &Value)| {
        let fields = vec![("Name", Value::Text(Arc::clone(name))), ("Value", value.clone())];
        Value::Record(Arc::new(Record {
            fields,
            type_name: "template.Pair",
            ..Record::default()
        }))
    };
    Value::List(Arc::new(List {
        items: first.into_iter().chain(others).map(pair).collect(),
        type_name: "template.Pairs",
        methods: pairs_method,
        ..List::default()
    }))
}

fn pairs_method(receiver: &Value, name: &str, arguments: &[Value]) -> Answer {
    let Value::List(list) = receiver else {
        return None;
    };
    let field = match name {
        "Names" => "Name",
        "Values" => "Value",
        "String" => "",
        _ => return None,
    };
    let pairs = list.items.iter().filter_map(|pair| match pair {
        Value::Record(pair) => Some((pair.get("Name")?.clone(), pair.get("Value")?.clone())),
        _ => None,
    });
    if let Err(wrong) = none(arguments, name) {
        return Some(Err(wrong));
    }
    if field.is_empty() {
        let texts = pairs.map(|pair| match pair {
            (Value::Text(name), Value::Text(value)) => format!("{name}={value}"),
            _ => String::new(),
        });
        return Some(Ok(texts.collect::<Vec<_>>().join(", ").into()));
    }
    let items = pairs.map(|(name, value)| if field == "Name" { name } else { value });
    Some(Ok(Value::List(Arc::new(List {
        items: items.collect(),
        type_name: "template.Strings",
        methods: strings_method,
        ..List::default()
    }))))
}

fn strings_method(receiver: &Value, name: &str, arguments: &[Value]) -> Answer {
    if name != "Join" {
        return None;
    }
    let joined = match arguments {
        [Value::Text(between)] => strings(Some(receiver)).map(|strings| strings.join(&**between).into()),
        [other] => Err(unlike("string", Some(other))),
        other => Err(format!("wrong number of args for Join: want 1 got {}", other.len()).into()),
    };
    Some(joined)
}
