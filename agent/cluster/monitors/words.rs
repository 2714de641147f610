//! What all monitors have in common, in Prometheus' words: rules over labels, selectors, how servers are reached, limits.

use serde_json::{Map, Value, json};

use super::fields::{Fields, LeftOut, Outcome, Reason};

/// A section of `scrape_configs` as it comes to be.
pub(super) type Section = Map<String, Value>;

/// What is to be said beside what objects say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Manner {
    /// Of monitors that say none; empty: `global.scrape_interval`.
    pub(super) scrape_interval: String,
    /// Whether a monitor may name files of this process.
    pub(super) files: bool,
    /// Endpoints behind services are found by: `endpoints` or `endpointslice`.
    pub(super) behind_services: &'static str,
}

/// Dropped targets that are kept to be shown when nothing is said.
const DROPPED_KEPT: u64 = 100;

/// A name as a label has it.
pub(super) fn label(name: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    name.chars()
        .map(|letter| if plain(letter) { letter } else { '_' })
        .collect()
}

/// The rules of one section, in order.
pub(super) struct Rules(Vec<Value>);

impl Rules {
    /// The section's own name can be seen by rules that follow.
    pub(super) fn new() -> Self {
        let mut rules = Self(Vec::new());
        rules.copy("job", "__tmp_prometheus_job_name");
        rules
    }

    pub(super) fn add(&mut self, rule: Value) {
        self.0.push(rule);
    }

    pub(super) fn copy(&mut self, from: &str, to: &str) {
        self.add(json!({"source_labels": [from], "target_label": to}));
    }

    /// Where there is something to copy.
    pub(super) fn copy_some(&mut self, from: &str, to: &str) {
        self.add(
            json!({"source_labels": [from], "target_label": to, "regex": "(.+)", "replacement": "${1}"}),
        );
    }

    pub(super) fn set(&mut self, label: &str, value: &str) {
        self.add(json!({"target_label": label, "replacement": value}));
    }

    pub(super) fn sift(&mut self, action: &str, from: &[&str], regex: &str) {
        self.add(json!({"source_labels": from, "regex": regex, "action": action}));
    }

    /// Pods that have come to their end have nothing to say.
    pub(super) fn drop_ended(&mut self) {
        self.sift("drop", &["__meta_kubernetes_pod_phase"], "(Failed|Succeeded)");
    }

    /// Labels of pods or services onto their targets.
    pub(super) fn copy_labels(&mut self, of: &str, names: &[String]) {
        for name in names {
            let name = label(name);
            self.copy_some(&format!("__meta_kubernetes_{of}_label_{name}"), &name);
        }
    }

    pub(super) fn extend(&mut self, rules: Vec<Value>) {
        self.0.extend(rules);
    }

    /// Objects of a kind (`pod`, `service`, `ingress`) that have the labels wanted.
    pub(super) fn select(&mut self, of: &str, selector: &Selector) {
        for wish in &selector.0 {
            let name = label(&wish.key);
            let (value, there) = (
                format!("__meta_kubernetes_{of}_label_{name}"),
                format!("__meta_kubernetes_{of}_labelpresent_{name}"),
            );
            let any = format!("({});true", wish.values.join("|"));
            match wish.operator {
                Operator::Equals | Operator::In => self.sift("keep", &[&value, &there], &any),
                Operator::NotIn => self.sift("drop", &[&value, &there], &any),
                Operator::Exists => self.sift("keep", &[&there], "true"),
                Operator::Lacks => self.sift("drop", &[&there], "true"),
            }
        }
    }

    pub(super) fn into_section(self, section: &mut Section) {
        section.insert("relabel_configs".to_owned(), Value::Array(self.0));
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equals,
    In,
    NotIn,
    Exists,
    Lacks,
}

struct Wish {
    key: String,
    operator: Operator,
    values: Vec<String>,
}

/// Which labels an object has to have; none: any.
#[derive(Default)]
pub(super) struct Selector(Vec<Wish>);

impl Selector {
    pub(super) fn read(mut fields: Fields) -> Outcome<Self> {
        let mut wishes = Vec::new();
        let mut equal = fields.inner_or_empty("matchLabels")?;
        for (key, value) in texts_by_name(&mut equal)? {
            let values = vec![value];
            wishes.push(Wish {
                key,
                operator: Operator::Equals,
                values,
            });
        }
        for mut expression in fields.list("matchExpressions")? {
            let place = expression.place("operator");
            let key = expression.text("key")?.unwrap_or_default();
            let operator = match expression.text("operator")?.as_deref() {
                Some("In") => Operator::In,
                Some("NotIn") => Operator::NotIn,
                Some("Exists") => Operator::Exists,
                Some("DoesNotExist") => Operator::Lacks,
                other => {
                    let other = other.unwrap_or_default();
                    return Err(LeftOut::invalid(format!("{place}: no operator: {other:?}")));
                }
            };
            let values = expression.texts("values")?;
            if values.is_empty() == matches!(operator, Operator::In | Operator::NotIn) {
                return Err(LeftOut::invalid(format!(
                    "{place}: In and NotIn have values, and the others have none"
                )));
            }
            expression.end()?;
            wishes.push(Wish {
                key,
                operator,
                values,
            });
        }
        fields.end()?;
        Ok(Self(wishes))
    }

    /// As the API has it.
    pub(super) fn text(&self) -> String {
        let wish = |wish: &Wish| {
            let (key, values) = (&wish.key, wish.values.join(","));
            match wish.operator {
                Operator::Equals => format!("{key}={values}"),
                Operator::In => format!("{key} in ({values})"),
                Operator::NotIn => format!("{key} notin ({values})"),
                Operator::Exists => key.clone(),
                Operator::Lacks => format!("!{key}"),
            }
        };
        self.0.iter().map(wish).collect::<Vec<_>>().join(",")
    }
}

fn texts_by_name(fields: &mut Fields) -> Outcome<Vec<(String, String)>> {
    let mut all = Vec::new();
    for key in fields.keys() {
        let value = fields.text(&key)?.unwrap_or_default();
        all.push((key, value));
    }
    Ok(all)
}

/// Whether objects are sifted by rules, or by the API server.
pub(super) fn selects_by_rules(spec: &mut Fields) -> Outcome<bool> {
    let place = spec.place("selectorMechanism");
    match spec.text("selectorMechanism")?.as_deref() {
        None | Some("RelabelConfig") => Ok(true),
        Some("RoleSelector") => Ok(false),
        Some(other) => Err(LeftOut::invalid(format!("{place}: no mechanism: {other:?}"))),
    }
}

/// Rules as an object has them.
pub(super) fn rules_of(fields: &mut Fields, key: &str) -> Outcome<Vec<Value>> {
    let read = |mut rule: Fields| {
        let mut made = Section::new();
        for (from, to) in [
            ("sourceLabels", "source_labels"),
            ("separator", "separator"),
            ("modulus", "modulus"),
            ("replacement", "replacement"),
        ] {
            rule.pass(from, &mut made, to);
        }
        for (from, to) in [
            ("targetLabel", "target_label"),
            ("regex", "regex"),
            ("action", "action"),
        ] {
            // Empty is not said.
            if let Some(text) = rule.word(from)? {
                made.insert(to.to_owned(), text.into());
            }
        }
        rule.end()?;
        Ok(Value::Object(made))
    };
    fields.list(key)?.into_iter().map(read).collect()
}

pub(super) fn series_rules(fields: &mut Fields, section: &mut Section) -> Outcome<()> {
    let rules = rules_of(fields, "metricRelabelings")?;
    if !rules.is_empty() {
        section.insert("metric_relabel_configs".to_owned(), rules.into());
    }
    Ok(())
}

/// Where objects may lie: where the monitor does, unless it says otherwise.
pub(super) fn namespaces(fields: &mut Fields, own: &str) -> Outcome<Vec<String>> {
    let mut selector = fields.inner_or_empty("namespaceSelector")?;
    let (any, names) = (selector.truth("any")?, selector.texts("matchNames")?);
    selector.end()?;
    Ok(match (any, names.is_empty()) {
        (Some(true), _) => Vec::new(),
        (_, true) => vec![own.to_owned()],
        (_, false) => names,
    })
}

/// What is looked for among the objects of the cluster.
pub(super) struct Look<'a> {
    pub(super) role: &'a str,
    pub(super) namespaces: Vec<String>,
    /// Labels that the API server is asked for, and of which kinds.
    pub(super) selected: Option<(&'a [&'a str], &'a Selector)>,
    pub(super) attach: Option<Fields>,
}

impl Look<'_> {
    pub(super) fn into_section(self, section: &mut Section) -> Outcome<()> {
        let mut look = Section::new();
        look.insert("role".to_owned(), self.role.into());
        if !self.namespaces.is_empty() {
            look.insert("namespaces".to_owned(), json!({"names": self.namespaces}));
        }
        if let Some((roles, selector)) = self.selected {
            let selector = selector.text();
            let all = roles.iter().map(|role| json!({"role": role, "label": selector}));
            look.insert("selectors".to_owned(), Value::Array(all.collect()));
        }
        if let Some(mut attach) = self.attach {
            let node = attach.truth("node")?.unwrap_or_default();
            attach.end()?;
            look.insert("attach_metadata".to_owned(), json!({"node": node}));
        }
        section.insert("kubernetes_sd_configs".to_owned(), json!([look]));
        Ok(())
    }
}

/// `HTTP` and `https` are schemes, too.
pub(super) fn scheme(fields: &mut Fields, section: &mut Section) -> Outcome<()> {
    if let Some(scheme) = fields.word("scheme")? {
        section.insert("scheme".to_owned(), scheme.to_lowercase().into());
    }
    Ok(())
}

/// How often, and for how long at most.
pub(super) fn times(
    fields: &mut Fields,
    section: &mut Section,
    manner: &Manner,
    [interval, timeout]: [&str; 2],
) -> Outcome<()> {
    let interval = fields.word(interval)?;
    let interval = interval.unwrap_or_else(|| manner.scrape_interval.clone());
    if !interval.is_empty() {
        section.insert("scrape_interval".to_owned(), interval.into());
    }
    if let Some(timeout) = fields.word(timeout)? {
        section.insert("scrape_timeout".to_owned(), timeout.into());
    }
    Ok(())
}

/// Who we are, whom we trust, and by what way.
pub(super) fn http(fields: &mut Fields, section: &mut Section, manner: &Manner) -> Outcome<()> {
    fields.no_secret("basicAuth")?;
    fields.no_secret("oauth2")?;
    if let Some(mut authorization) = fields.inner("authorization")? {
        authorization.no_secret("credentials")?;
        // A word without a token says nothing.
        authorization.take("type");
        authorization.end()?;
    }
    if let Some(mut token) = fields.inner("bearerTokenSecret")? {
        // Without a name it is there because somebody wrote down all fields.
        if token.word("name")?.is_some() {
            return Err(LeftOut {
                reason: Reason::Secret,
                why: format!("{}: is in a Secret, and Skopos reads none", token.place("name")),
            });
        }
    }
    if let Some(file) = file(fields, "bearerTokenFile", manner)? {
        section.insert("bearer_token_file".to_owned(), file.into());
    }
    fields.pass("followRedirects", section, "follow_redirects");
    // Either spelling is in use.
    fields.pass("enableHttp2", section, "enable_http2");
    fields.pass("enableHTTP2", section, "enable_http2");
    if let Some(mut tls) = fields.inner("tlsConfig")? {
        let mut made = Section::new();
        for key in ["ca", "cert", "keySecret"] {
            tls.no_secret(key)?;
        }
        for (key, name) in [
            ("caFile", "ca_file"),
            ("certFile", "cert_file"),
            ("keyFile", "key_file"),
        ] {
            if let Some(file) = file(&mut tls, key, manner)? {
                made.insert(name.to_owned(), file.into());
            }
        }
        for (key, name) in [
            ("serverName", "server_name"),
            ("minVersion", "min_version"),
            ("maxVersion", "max_version"),
        ] {
            if let Some(word) = tls.word(key)? {
                made.insert(name.to_owned(), word.into());
            }
        }
        tls.pass("insecureSkipVerify", &mut made, "insecure_skip_verify");
        tls.end()?;
        if !made.is_empty() {
            section.insert("tls_config".to_owned(), Value::Object(made));
        }
    }
    proxy(fields, section)
}

pub(super) fn proxy(fields: &mut Fields, section: &mut Section) -> Outcome<()> {
    fields.no_secret("proxyConnectHeader")?;
    if let Some(url) = fields.word("proxyUrl")? {
        // What stands in an object must not name the environment of this process.
        section.insert("proxy_url".to_owned(), url.replace('$', "$$").into());
    }
    if let Some(hosts) = fields.word("noProxy")? {
        section.insert("no_proxy".to_owned(), hosts.into());
    }
    fields.pass("proxyFromEnvironment", section, "proxy_from_environment");
    Ok(())
}

fn file(fields: &mut Fields, key: &str, manner: &Manner) -> Outcome<Option<String>> {
    let (place, file) = (fields.place(key), fields.word(key)?);
    match file {
        Some(_) if !manner.files => Err(LeftOut {
            reason: Reason::File,
            why: format!(
                "{place}: is a file of the process that scrapes; kubernetes.monitors.files: true lets monitors name them"
            ),
        }),
        file => Ok(file),
    }
}

/// Limits, formats, and what is said of a section as a whole.
pub(super) fn limits(fields: &mut Fields, section: &mut Section) -> Outcome<()> {
    for (key, name) in [
        ("sampleLimit", "sample_limit"),
        ("labelLimit", "label_limit"),
        ("labelNameLengthLimit", "label_name_length_limit"),
        ("labelValueLengthLimit", "label_value_length_limit"),
        ("keepDroppedTargets", "keep_dropped_targets"),
    ] {
        if let Some(number) = fields.number(key)? {
            section.insert(name.to_owned(), number.into());
        }
    }
    // There may be hundreds of sections, each of which drops what the others take.
    let kept = section.entry("keep_dropped_targets");
    kept.or_insert_with(|| DROPPED_KEPT.into());
    if let Some(size) = fields.word("bodySizeLimit")? {
        section.insert("body_size_limit".to_owned(), size.into());
    }
    let is_zero = |value: &Value| value.as_u64() == Some(0);
    fields.only("targetLimit", is_zero, "write 0, or take it away")?;
    fields.only("nativeHistogramBucketLimit", is_zero, "write 0, or take it away")?;
    for key in [
        "scrapeNativeHistograms",
        "scrapeClassicHistograms",
        "convertClassicHistogramsToNHCB",
    ] {
        fields.only(
            key,
            |value| *value == Value::Bool(false),
            "text formats are read alone",
        )?;
    }
    fields.only(
        "scrapeClass",
        |value| value.as_str() == Some(""),
        "classes belong to Prometheus objects",
    )?;
    let (place, protocols) = (fields.place("scrapeProtocols"), fields.texts("scrapeProtocols")?);
    if !protocols.is_empty() && protocols.iter().all(|name| name == "PrometheusProto") {
        return Err(LeftOut::field(format!("{place}: text formats are read alone")));
    }
    if let Some(name) = fields.word("fallbackScrapeProtocol")? {
        section.insert("fallback_scrape_protocol".to_owned(), name.into());
    }
    Ok(())
}

/// How the times of samples are taken.
pub(super) fn timestamps(fields: &mut Fields, section: &mut Section) -> Outcome<()> {
    fields.pass("honorTimestamps", section, "honor_timestamps");
    let is_off = |value: &Value| *value == Value::Bool(false);
    fields.only("trackTimestampsStaleness", is_off, "write false, or take it away")
}
