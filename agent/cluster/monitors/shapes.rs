//! From a monitor to sections of `scrape_configs`, as prometheus-operator does it for a Prometheus with one shard.

use serde_json::{Value, json};

use super::fields::{Fields, LeftOut, Outcome};
use super::words::{
    Look, Manner, Rules, Section, Selector, http, label, limits, namespaces, proxy, rules_of, scheme,
    selects_by_rules, series_rules, times, timestamps,
};

const TIMES: [&str; 2] = ["interval", "scrapeTimeout"];

/// The object's own place and its spec.
pub(super) struct Monitor<'a> {
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
    pub(super) spec: Fields,
}

fn named(job: String) -> Section {
    Section::from_iter([("job_name".to_owned(), Value::String(job))])
}

/// What an endpoint says of how it is read.
fn endpoint(fields: &mut Fields, section: &mut Section, manner: &Manner) -> Outcome<()> {
    let honors = fields.truth("honorLabels")?.unwrap_or_default();
    section.insert("honor_labels".to_owned(), honors.into());
    timestamps(fields, section)?;
    times(fields, section, manner, TIMES)?;
    if let Some(path) = fields.word("path")? {
        section.insert("metrics_path".to_owned(), path.into());
    }
    fields.pass("params", section, "params");
    scheme(fields, section)?;
    http(fields, section, manner)
}

/// By name, or by number; the text of what it is called.
struct Port {
    /// As `endpoint` has it.
    shown: Option<String>,
    filter: Option<(Filter, String)>,
}

enum Filter {
    Name,
    ContainerName,
    ContainerNumber,
}

impl Port {
    fn read(fields: &mut Fields) -> Outcome<Self> {
        let (name, number) = (fields.word("port")?, fields.number("portNumber")?);
        let target = fields.number_or_text("targetPort")?;
        let shown = match (&name, &target) {
            (Some(name), _) => Some(name.clone()),
            (None, Some((target, _))) if !target.is_empty() => Some(target.clone()),
            _ => None,
        };
        let by_target = || match target {
            Some((text, true)) if text != "0" => Some((Filter::ContainerNumber, text)),
            Some((text, false)) if !text.is_empty() => Some((Filter::ContainerName, text)),
            _ => None,
        };
        let filter = match (name, number) {
            (Some(name), _) => Some((Filter::Name, name)),
            (None, Some(number)) if number > 0 => Some((Filter::ContainerNumber, number.to_string())),
            _ => by_target(),
        };
        Ok(Self { shown, filter })
    }

    fn sift(&self, rules: &mut Rules, names: &str) {
        if let Some((filter, text)) = &self.filter {
            let from = match filter {
                Filter::Name => names,
                Filter::ContainerName => "__meta_kubernetes_pod_container_port_name",
                Filter::ContainerNumber => "__meta_kubernetes_pod_container_port_number",
            };
            rules.sift("keep", &[from], text);
        }
    }
}

pub(super) fn pod_monitor(monitor: Monitor<'_>, manner: &Manner) -> Outcome<Vec<Section>> {
    let Monitor {
        namespace,
        name,
        mut spec,
    } = monitor;
    let by_rules = selects_by_rules(&mut spec)?;
    let selector = Selector::read(spec.inner_or_empty("selector")?)?;
    let places = namespaces(&mut spec, namespace)?;
    let (job_label, pod_labels) = (spec.word("jobLabel")?, spec.texts("podTargetLabels")?);
    let attach = spec.take("attachMetadata");
    let mut common = Section::new();
    limits(&mut spec, &mut common)?;
    let endpoints = spec.list("podMetricsEndpoints")?;
    spec.end()?;
    let mut sections = Vec::with_capacity(endpoints.len());
    for (nth, mut fields) in endpoints.into_iter().enumerate() {
        let mut section = named(format!("podMonitor/{namespace}/{name}/{nth}"));
        section.extend(common.clone());
        let attach = attach
            .clone()
            .map(|attach| Fields::new("spec.attachMetadata", attach));
        let look = Look {
            role: "pod",
            namespaces: places.clone(),
            selected: (!by_rules).then_some((&["pod"], &selector)),
            attach: attach.transpose()?,
        };
        look.into_section(&mut section)?;
        endpoint(&mut fields, &mut section, manner)?;
        let port = Port::read(&mut fields)?;
        let mut rules = Rules::new();
        if fields.truth("filterRunning")?.unwrap_or(true) {
            rules.drop_ended();
        }
        if by_rules {
            rules.select("pod", &selector);
        }
        port.sift(&mut rules, "__meta_kubernetes_pod_container_port_name");
        rules.copy("__meta_kubernetes_namespace", "namespace");
        rules.copy("__meta_kubernetes_pod_container_name", "container");
        rules.copy("__meta_kubernetes_pod_name", "pod");
        rules.copy_labels("pod", &pod_labels);
        rules.set("job", &format!("{namespace}/{name}"));
        if let Some(name) = &job_label {
            rules.copy_some(&format!("__meta_kubernetes_pod_label_{}", label(name)), "job");
        }
        if let Some(shown) = &port.shown {
            rules.set("endpoint", shown);
        }
        sections.push(finished(section, rules, fields)?);
    }
    Ok(sections)
}

/// The object's own rules come after ours, and no field of it is left over.
fn finished(mut section: Section, mut rules: Rules, mut fields: Fields) -> Outcome<Section> {
    rules.extend(rules_of(&mut fields, "relabelings")?);
    rules.into_section(&mut section);
    series_rules(&mut fields, &mut section)?;
    fields.end()?;
    Ok(section)
}

pub(super) fn service_monitor(monitor: Monitor<'_>, manner: &Manner) -> Outcome<Vec<Section>> {
    let Monitor {
        namespace,
        name,
        mut spec,
    } = monitor;
    let by_rules = selects_by_rules(&mut spec)?;
    let selector = Selector::read(spec.inner_or_empty("selector")?)?;
    let places = namespaces(&mut spec, namespace)?;
    let job_label = spec.word("jobLabel")?;
    let (labels, pod_labels) = (spec.texts("targetLabels")?, spec.texts("podTargetLabels")?);
    let attach = spec.take("attachMetadata");
    let place = spec.place("serviceDiscoveryRole");
    // The labels of an endpoint are called otherwise.
    let (role, meta) = match spec.word("serviceDiscoveryRole")?.as_deref() {
        None if manner.behind_services == "endpointslice" => ("endpointslice", "endpointslice"),
        None | Some("Endpoints") => ("endpoints", "endpoint"),
        Some("EndpointSlice") => ("endpointslice", "endpointslice"),
        Some(other) => return Err(LeftOut::invalid(format!("{place}: no role: {other:?}"))),
    };
    let both = [role, "service"];
    let mut common = Section::new();
    limits(&mut spec, &mut common)?;
    let endpoints = spec.list("endpoints")?;
    spec.end()?;
    let mut sections = Vec::with_capacity(endpoints.len());
    for (nth, mut fields) in endpoints.into_iter().enumerate() {
        let mut section = named(format!("serviceMonitor/{namespace}/{name}/{nth}"));
        section.extend(common.clone());
        let attach = attach
            .clone()
            .map(|attach| Fields::new("spec.attachMetadata", attach));
        let look = Look {
            role,
            namespaces: places.clone(),
            selected: (!by_rules).then_some((&both, &selector)),
            attach: attach.transpose()?,
        };
        look.into_section(&mut section)?;
        endpoint(&mut fields, &mut section, manner)?;
        let port = Port::read(&mut fields)?;
        let mut rules = Rules::new();
        if by_rules {
            rules.select("service", &selector);
        }
        port.sift(&mut rules, &format!("__meta_kubernetes_{meta}_port_name"));
        let behind = [
            format!("__meta_kubernetes_{meta}_address_target_kind"),
            format!("__meta_kubernetes_{meta}_address_target_name"),
        ];
        for (kind, to) in [("Node", "node"), ("Pod", "pod")] {
            let regex = format!("{kind};(.*)");
            rules.add(json!({"source_labels": behind, "separator": ";", "regex": regex,
                "replacement": "${1}", "target_label": to}));
        }
        for (from, to) in [
            ("namespace", "namespace"),
            ("service_name", "service"),
            ("pod_name", "pod"),
            ("pod_container_name", "container"),
        ] {
            rules.copy(&format!("__meta_kubernetes_{from}"), to);
        }
        if fields.truth("filterRunning")?.unwrap_or(true) {
            rules.drop_ended();
        }
        rules.copy_labels("service", &labels);
        rules.copy_labels("pod", &pod_labels);
        rules.copy("__meta_kubernetes_service_name", "job");
        if let Some(name) = &job_label {
            rules.copy_some(&format!("__meta_kubernetes_service_label_{}", label(name)), "job");
        }
        if let Some(shown) = &port.shown {
            rules.set("endpoint", shown);
        }
        sections.push(finished(section, rules, fields)?);
    }
    Ok(sections)
}

pub(super) fn probe(monitor: Monitor<'_>, manner: &Manner) -> Outcome<Vec<Section>> {
    let Monitor {
        namespace,
        name,
        mut spec,
    } = monitor;
    let mut section = named(format!("probe/{namespace}/{name}"));
    let mut prober = spec.inner_or_empty("prober")?;
    let place = prober.place("url");
    let Some(url) = prober.word("url")? else {
        return Err(LeftOut::invalid(format!("{place}: is missing")));
    };
    let path = prober.word("path")?.unwrap_or_else(|| "/probe".to_owned());
    section.insert("metrics_path".to_owned(), path.into());
    scheme(&mut prober, &mut section)?;
    proxy(&mut prober, &mut section)?;
    prober.end()?;
    times(&mut spec, &mut section, manner, TIMES)?;
    limits(&mut spec, &mut section)?;
    http(&mut spec, &mut section, manner)?;

    let mut params = Section::new();
    for mut param in spec.list("params")? {
        let name = param.word("name")?.unwrap_or_default();
        params.insert(name, param.texts("values")?.into());
        param.end()?;
    }
    if let Some(module) = spec.word("module")? {
        params.insert("module".to_owned(), json!([module]));
    }
    if !params.is_empty() {
        section.insert("params".to_owned(), Value::Object(params));
    }

    let mut rules = Rules::new();
    if let Some(job) = spec.word("jobName")? {
        rules.set("job", &job);
    }
    let mut targets = spec.inner_or_empty("targets")?;
    let place = targets.place("staticConfig");
    let named = targets.inner("staticConfig")?;
    match (named, targets.inner("ingress")?) {
        // Where both are, the names count alone.
        (Some(mut named), _) => {
            let mut group = Section::new();
            group.insert("targets".to_owned(), named.texts("static")?.into());
            let mut labels = match named.take("labels") {
                Some(Value::Object(labels)) => labels,
                _ => Section::new(),
            };
            labels.entry("namespace").or_insert_with(|| namespace.into());
            group.insert("labels".to_owned(), Value::Object(labels));
            section.insert("static_configs".to_owned(), json!([group]));
            rules.copy("__address__", "__param_target");
            rules.copy("__param_target", "instance");
            rules.set("__address__", &url);
            rules.extend(rules_of(&mut named, "relabelingConfigs")?);
            named.end()?;
        }
        (None, Some(mut ingress)) => {
            rules.select("ingress", &Selector::read(ingress.inner_or_empty("selector")?)?);
            let look = Look {
                role: "ingress",
                namespaces: namespaces(&mut ingress, namespace)?,
                selected: None,
                attach: None,
            };
            look.into_section(&mut section)?;
            let parts = [
                "__meta_kubernetes_ingress_scheme",
                "__address__",
                "__meta_kubernetes_ingress_path",
            ];
            rules.add(
                json!({"source_labels": parts, "separator": ";", "regex": "(.+);(.+);(.+)",
                "target_label": "__param_target", "replacement": "${1}://${2}${3}"}),
            );
            rules.copy("__meta_kubernetes_namespace", "namespace");
            rules.copy("__meta_kubernetes_ingress_name", "ingress");
            rules.copy("__address__", "__tmp_ingress_address");
            rules.copy("__param_target", "instance");
            rules.set("__address__", &url);
            rules.extend(rules_of(&mut ingress, "relabelingConfigs")?);
            ingress.end()?;
        }
        (None, None) => {
            return Err(LeftOut::invalid(format!(
                "{place}: is missing, and so is ingress"
            )));
        }
    }
    targets.end()?;
    rules.into_section(&mut section);
    series_rules(&mut spec, &mut section)?;
    spec.end()?;
    Ok(vec![section])
}

pub(super) fn scrape_config(monitor: Monitor<'_>, manner: &Manner) -> Outcome<Vec<Section>> {
    let Monitor {
        namespace,
        name,
        mut spec,
    } = monitor;
    let mut section = named(format!("scrapeConfig/{namespace}/{name}"));
    let mut rules = Rules::new();
    if let Some(job) = spec.text("jobName")? {
        rules.set("job", &job);
    }
    spec.pass("honorLabels", &mut section, "honor_labels");
    timestamps(&mut spec, &mut section)?;
    times(
        &mut spec,
        &mut section,
        manner,
        ["scrapeInterval", "scrapeTimeout"],
    )?;
    spec.pass("metricsPath", &mut section, "metrics_path");
    spec.pass("params", &mut section, "params");
    scheme(&mut spec, &mut section)?;
    http(&mut spec, &mut section, manner)?;
    limits(&mut spec, &mut section)?;
    let is_on = |value: &Value| *value == Value::Bool(true);
    spec.only("enableCompression", is_on, "write true, or take it away")?;
    for (key, followed) in [
        ("nameValidationScheme", "UTF8"),
        ("nameEscapingScheme", "AllowUTF8"),
    ] {
        let is_followed = |value: &Value| value.as_str() == Some(followed);
        spec.only(key, is_followed, &format!("write {followed}, or take it away"))?;
    }
    let mut groups = Vec::new();
    for mut group in spec.list("staticConfigs")? {
        let mut made = Section::new();
        group.pass("targets", &mut made, "targets");
        group.pass("labels", &mut made, "labels");
        group.end()?;
        groups.push(Value::Object(made));
    }
    if !groups.is_empty() {
        section.insert("static_configs".to_owned(), groups.into());
    }
    let mut looks = Vec::new();
    for fields in spec.list("kubernetesSDConfigs")? {
        looks.push(Value::Object(look(fields)?));
    }
    if !looks.is_empty() {
        section.insert("kubernetes_sd_configs".to_owned(), looks.into());
    }
    rules.extend(rules_of(&mut spec, "relabelings")?);
    rules.into_section(&mut section);
    series_rules(&mut spec, &mut section)?;
    // Other ways to find targets are among these.
    spec.end()?;
    Ok(vec![section])
}

/// An entry of `kubernetesSDConfigs`.
fn look(mut fields: Fields) -> Outcome<Section> {
    let mut look = Section::new();
    let role = fields.text("role")?.unwrap_or_default().to_lowercase();
    look.insert("role".to_owned(), role.as_str().into());
    for key in [
        "basicAuth",
        "oauth2",
        "proxyConnectHeader",
        "authorization",
        "tlsConfig",
    ] {
        fields.no_secret(key)?;
    }
    if let Some(mut places) = fields.inner("namespaces")? {
        let mut made = Section::new();
        places.pass("names", &mut made, "names");
        places.pass("ownNamespace", &mut made, "own_namespace");
        places.end()?;
        look.insert("namespaces".to_owned(), Value::Object(made));
    }
    let mut selectors = Vec::new();
    for mut selector in fields.list("selectors")? {
        let mut made = Section::new();
        let role = selector.text("role")?.unwrap_or_default().to_lowercase();
        made.insert("role".to_owned(), role.into());
        selector.pass("label", &mut made, "label");
        selector.pass("field", &mut made, "field");
        selector.end()?;
        selectors.push(Value::Object(made));
    }
    if !selectors.is_empty() {
        look.insert("selectors".to_owned(), selectors.into());
    }
    if let Some(mut attach) = fields.inner("attachMetadata")? {
        let node = attach.truth("node")?.unwrap_or_default();
        attach.end()?;
        // Of other roles Prometheus is not told of it either.
        if matches!(role.as_str(), "pod" | "endpoints" | "endpointslice") {
            look.insert("attach_metadata".to_owned(), json!({"node": node}));
        }
    }
    fields.end()?;
    Ok(look)
}
