//! One series of a kind, or one for each element of a list or field of an object.

use std::collections::BTreeMap;

use serde_json::Value;

use super::path::Path;
use super::value;
use crate::draft::Draft;
use crate::meta;

pub(crate) struct Family {
    pub(super) name: String,
    pub(super) help: String,
    /// The same on every object.
    pub(super) labels: BTreeMap<String, String>,
    /// From the object.
    pub(super) from: Sources,
    /// To that of which there may be many.
    pub(super) path: Path,
    pub(super) each: Each,
}

pub(super) enum Each {
    /// A number.
    Gauge {
        /// Label that says under which field it was found.
        key: String,
        value: Path,
        is_nil_zero: bool,
        from: Sources,
    },
    /// Words, as labels of a 1.
    Info { key: String, from: Sources },
    /// Which of some words it is.
    StateSet {
        label: String,
        list: Vec<String>,
        value: Path,
        from: Sources,
    },
}

/// Where labels come from.
#[derive(Default)]
pub(super) struct Sources {
    /// All fields of an object, with what stands before their names.
    copied: Vec<(String, Path)>,
    named: Vec<(String, Path)>,
}

type Words = BTreeMap<String, String>;

impl Sources {
    /// `*` copies an object, `lorem_*` with `lorem_` before each name.
    pub(super) fn add(&mut self, label: &str, path: Path) {
        match label.strip_suffix('*') {
            Some(prefix) => self.copied.push((prefix.to_owned(), path)),
            None if label.starts_with('*') => self.copied.push((String::new(), path)),
            None => self.named.push((label_name(label), path)),
        }
    }

    /// What is named wins over what is copied.
    fn write(&self, from: &Value, words: &mut Words) {
        for (prefix, path) in &self.copied {
            if let Some(Value::Object(object)) = path.get(from) {
                for (key, value) in object {
                    words.insert(label_name(&format!("{prefix}{key}")), value::text(value));
                }
            }
        }
        for (label, path) in &self.named {
            if let Some(value) = path.get(from) {
                words.insert(label.clone(), value::text(value));
            }
        }
    }
}

fn label_name(text: &str) -> String {
    let name = meta::sanitized(text);
    match name.starts_with(|letter: char| letter.is_ascii_digit()) {
        true => format!("_{name}"),
        false => name,
    }
}

impl Family {
    pub(crate) fn write(&self, object: &Value, draft: &mut Draft<'_>) {
        let mut base = self.labels.clone();
        self.from.write(object, &mut base);
        let mut found = Vec::new();
        if let Err(why) = self.find(object, &mut found) {
            draft.mistake(|| format!("{}: {why}", self.name));
        }
        for (words, value) in found {
            let mut labels = base.clone();
            labels.extend(words);
            let labels: Vec<(&str, &str)> = labels
                .iter()
                .map(|(label, value)| (label.as_str(), value.as_str()))
                .collect();
            draft.gauge(&self.name, &self.help, &labels, value);
        }
    }

    /// What there is; what is not there yet is no mistake, what is something else is.
    fn find(&self, object: &Value, found: &mut Vec<(Words, f64)>) -> Result<(), String> {
        let there = self.path.get(object);
        match &self.each {
            Each::Gauge {
                key,
                value,
                is_nil_zero,
                from,
            } => {
                let gauge = Gauge {
                    path: &self.path,
                    value,
                    is_nil_zero: *is_nil_zero,
                };
                match there {
                    Some(Value::Object(fields)) => gauge.of_fields(fields, key, from, found),
                    Some(Value::Array(list)) => {
                        let mut result = Ok(());
                        for element in list {
                            match gauge.of(Some(element)) {
                                Ok(number) => found.extend(number.map(|number| {
                                    let mut words = Words::new();
                                    from.write(element, &mut words);
                                    (words, number)
                                })),
                                Err(why) => result = Err(why),
                            }
                        }
                        result
                    }
                    there => {
                        let mut words = Words::new();
                        if let Some(there) = there {
                            from.write(there, &mut words);
                        }
                        found.extend(gauge.of(there)?.map(|number| (words, number)));
                        Ok(())
                    }
                }
            }
            Each::Info { key, from } => {
                let mut add = |words: Words| {
                    if !words.is_empty() {
                        found.push((words, 1.0));
                    }
                };
                let of = |element: &Value, mut words: Words| {
                    from.write(element, &mut words);
                    words
                };
                match there {
                    None => {}
                    Some(Value::Array(list)) => list
                        .iter()
                        .filter(|element| !element.is_null())
                        .for_each(|element| add(of(element, Words::new()))),
                    Some(whole) => {
                        for (field, element) in whole.as_object().into_iter().flatten() {
                            let mut words = Words::new();
                            if !field.is_empty() && !key.is_empty() {
                                words.insert(key.clone(), field.clone());
                            }
                            add(of(element, words));
                        }
                        add(of(whole, Words::new()));
                    }
                }
                Ok(())
            }
            Each::StateSet {
                label,
                list,
                value,
                from,
            } => {
                let elements: Vec<&Value> = match there {
                    Some(Value::Array(elements)) => elements.iter().collect(),
                    other => other.into_iter().collect(),
                };
                let mut result = Ok(());
                for element in elements {
                    let state = match value.get(element) {
                        None => continue,
                        Some(Value::String(state)) => state,
                        Some(other) => {
                            result = Err(format!("{}: expected a word, there is {other}", self.path));
                            continue;
                        }
                    };
                    for word in list {
                        let mut words = Words::from([(label.clone(), word.clone())]);
                        from.write(element, &mut words);
                        found.push((words, f64::from(word == state)));
                    }
                }
                result
            }
        }
    }
}

struct Gauge<'a> {
    path: &'a Path,
    value: &'a Path,
    is_nil_zero: bool,
}

impl Gauge<'_> {
    /// None where nothing is said.
    fn of(&self, element: Option<&Value>) -> Result<Option<f64>, String> {
        match element.and_then(|element| self.value.get(element)) {
            None => Ok(self.is_nil_zero.then_some(0.0)),
            Some(value) => self.number(value).map(Some),
        }
    }

    fn number(&self, value: &Value) -> Result<f64, String> {
        if value.is_null() && self.is_nil_zero {
            return Ok(0.0);
        }
        value::number(value).ok_or_else(|| {
            let place = match self.value.is_empty() {
                true => self.path.to_string(),
                false => format!("{}.{}", self.path, self.value),
            };
            format!("{place}: expected a number, there is {value}")
        })
    }

    /// Of an object every field is looked at: the one that is named, and those that have one so named in them. The others are
    /// passed over.
    fn of_fields(
        &self,
        fields: &serde_json::Map<String, Value>,
        key: &str,
        from: &Sources,
        found: &mut Vec<(Words, f64)>,
    ) -> Result<(), String> {
        let mut result = Ok(());
        let whole = Value::Object(fields.clone());
        for (field, element) in fields {
            let number = match self.value.field() == Some(field) {
                true => match self.number(element) {
                    Ok(number) => number,
                    Err(why) => {
                        result = Err(why);
                        continue;
                    }
                },
                false => match self.of(Some(element)) {
                    Ok(Some(number)) => number,
                    _ => continue,
                },
            };
            let mut words = Words::new();
            if !field.is_empty() && !key.is_empty() {
                words.insert(key.to_owned(), field.clone());
            }
            from.write(element, &mut words);
            from.write(&whole, &mut words);
            found.push((words, number));
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Document;
    use super::*;

    /// `{labels} value` of each series, in order.
    fn found(metric: &str) -> Result<Vec<String>, String> {
        let object = json!({
            "metadata": {"name": "foo", "labels": {"foo": "bar"}, "annotations": {"bar": "baz", "4x/y": "z"}},
            "spec": {"refs": ["one", "two"], "limits": {"cpu": "10", "memory": "1Gi"}, "when": "now"},
            "status": {
                "phase": "Pending", "uptime": 43.21,
                "active": {"type-a": 1, "type-b": 3},
                "sub": {"type-a": {"active": 1, "ready": 2}, "type-b": {"active": 3, "ready": 4}},
                "conditions": [{"type": "Ready", "status": "True"}, {"type": "Idle", "status": "Unknown"}, {"type": "Odd"}],
            },
        });
        let text = format!(
            "spec: {{resources: [{{groupVersionKind: {{group: a.io, version: v1, kind: Foo}}, metrics: [{{name: x, each: {metric}}}]}}]}}"
        );
        let document: Document = yaml::read("custom.yaml", &text).unwrap();
        assert_eq!(document.complaints(), [""; 0]);
        let readings = document.readings(false);
        let mut found = Vec::new();
        readings[0].families[0].find(&object, &mut found)?;
        let line = |(words, value): (Words, f64)| {
            let words: Vec<String> = words
                .iter()
                .map(|(label, value)| format!("{label}={value}"))
                .collect();
            format!("{} {value}", words.join(","))
        };
        Ok(found.into_iter().map(line).collect())
    }

    #[test]
    fn a_gauge_is_a_number_or_one_of_each_element_or_field() {
        let gauge = |text: &str| found(&format!("{{type: Gauge, gauge: {{{text}}}}}"));
        assert_eq!(gauge("path: [status, uptime]").unwrap(), [" 43.21"]);
        assert_eq!(gauge("path: [status], valueFrom: [uptime]").unwrap(), [" 43.21"]);
        assert_eq!(
            gauge("path: [status, sub], labelFromKey: type, valueFrom: [ready], labelsFromPath: {active: [active]}").unwrap(),
            ["active=1,type=type-a 2", "active=3,type=type-b 4"]
        );
        assert_eq!(
            gauge("path: [spec, limits], labelFromKey: resource").unwrap(),
            ["resource=cpu 10", "resource=memory 1073741824"]
        );
        assert_eq!(
            gauge("path: [status, conditions], valueFrom: [status], labelsFromPath: {type: [type]}").unwrap(),
            ["type=Ready 1", "type=Idle 0"]
        );
        assert_eq!(gauge("path: [status, gone]").unwrap(), [""; 0]);
        assert_eq!(gauge("path: [status, gone], nilIsZero: true").unwrap(), [" 0"]);
        assert_eq!(
            gauge("path: [spec, when]").unwrap_err(),
            r#"spec.when: expected a number, there is "now""#
        );
        assert_eq!(
            gauge("path: [spec], valueFrom: [when]").unwrap_err(),
            r#"spec.when: expected a number, there is "now""#
        );
    }

    #[test]
    fn words_become_labels_of_a_one() {
        let info = |text: &str| found(&format!("{{type: Info, info: {{{text}}}}}")).unwrap();
        assert_eq!(
            info("path: [spec, refs], labelsFromPath: {ref: []}"),
            ["ref=one 1", "ref=two 1"]
        );
        assert_eq!(info("labelsFromPath: {version: [spec, when]}"), ["version=now 1"]);
        assert_eq!(info("labelsFromPath: {version: [spec, gone]}"), [""; 0]);
        assert_eq!(
            info(r#"path: [metadata], labelsFromPath: {"*": [labels], "a_*": [annotations], name: [name]}"#),
            ["a_4x_y=z,a_bar=baz,foo=bar,name=foo 1"]
        );
        assert_eq!(
            info("path: [status, sub], labelFromKey: type, labelsFromPath: {active: [active]}"),
            ["active=1,type=type-a 1", "active=3,type=type-b 1"]
        );
    }

    #[test]
    fn a_set_of_states_has_a_one_where_it_is() {
        let set = |text: &str| found(&format!("{{type: StateSet, stateSet: {{{text}}}}}"));
        assert_eq!(
            set("path: [status, phase], labelName: phase, list: [Pending, Bar]").unwrap(),
            ["phase=Pending 1", "phase=Bar 0"]
        );
        assert_eq!(
            set("path: [status, gone], labelName: phase, list: [Bar]").unwrap(),
            [""; 0]
        );
        assert_eq!(
            set("path: [status, uptime], labelName: phase, list: [Bar]").unwrap_err(),
            "status.uptime: expected a word, there is 43.21"
        );
    }
}
