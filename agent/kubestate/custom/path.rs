//! A way to a field of an object: names of fields, places of lists (`"0"`, from the end `"-1"`), and what to look for in a list
//! (`"[type=Ready]"`).

use serde_json::Value;

use super::value;

#[derive(Clone, Debug, Default)]
pub(crate) struct Path(Vec<Step>);

#[derive(Clone, Debug)]
enum Step {
    /// The first element that has a field of this value.
    Find {
        key: String,
        value: String,
        number: Option<f64>,
        flag: Option<bool>,
    },
    /// A field of an object, or the place in a list.
    Key(String),
}

impl Path {
    /// # Errors
    /// Which step, and why.
    pub(crate) fn new(steps: &[String]) -> Result<Self, String> {
        let step = |(nth, text): (usize, &String)| {
            let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            let Some(inner) = inner else {
                return Ok(Step::Key(text.clone()));
            };
            let (key, value) = inner
                .split_once('=')
                .ok_or_else(|| format!("[{nth}]: {text:?}: in a list one looks by [field=value]"))?;
            Ok(Step::Find {
                key: key.to_owned(),
                value: value.to_owned(),
                number: value::number_of(value),
                flag: flag(value),
            })
        };
        steps
            .iter()
            .enumerate()
            .map(step)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// None where there is nothing, or null.
    pub(crate) fn get<'a>(&self, from: &'a Value) -> Option<&'a Value> {
        let mut here = from;
        for step in &self.0 {
            here = step.take(here)?;
        }
        (!here.is_null()).then_some(here)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The only step, if it is the name of a field.
    pub(crate) fn field(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Step::Key(name)] if !name.is_empty() && !name.contains(',') => Some(name),
            _ => None,
        }
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (nth, step) in self.0.iter().enumerate() {
            if nth > 0 {
                f.write_str(".")?;
            }
            match step {
                Step::Key(name) => f.write_str(name)?,
                Step::Find { key, value, .. } => write!(f, "[{key}={value}]")?,
            }
        }
        Ok(())
    }
}

impl Step {
    fn take<'a>(&self, from: &'a Value) -> Option<&'a Value> {
        match (self, from) {
            (
                Self::Find {
                    key,
                    value,
                    number,
                    flag,
                },
                Value::Array(list),
            ) => list.iter().find(|element| {
                let Some(there) = element.as_object().and_then(|object| object.get(key)) else {
                    return false;
                };
                there.as_str() == Some(value)
                    || number.is_some_and(|number| value::number(there) == Some(number))
                    || flag.is_some_and(|flag| there.as_bool() == Some(flag))
            }),
            (Self::Key(name), Value::Object(object)) => {
                let equal = name.split_once('=').filter(|(_, value)| !value.contains('='));
                let same = equal.and_then(|(key, value)| {
                    let there = object.get(key)?;
                    (there.as_str() == Some(value)).then_some(there)
                });
                same.or_else(|| object.get(name))
            }
            (Self::Key(name), Value::Array(list)) => {
                let place: i64 = name.parse().ok()?;
                let place = match place {
                    0.. => usize::try_from(place).ok()?,
                    _ => list
                        .len()
                        .checked_sub(usize::try_from(place.unsigned_abs()).ok()?)?,
                };
                list.get(place)
            }
            _ => None,
        }
    }
}

/// As Go reads one.
fn flag(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_places_and_what_is_looked_for_are_found() {
        let object = json!({
            "spec": {"order": [{"id": 1, "value": true}, {"id": 3, "value": false}], "mode": "fast", "none": null},
            "status": {"conditions": [{"name": "a", "value": 45}, {"name": "b", "value": 66, "on": true}]},
        });
        let get = |steps: &[&str]| {
            let steps: Vec<String> = steps.iter().map(|step| (*step).to_owned()).collect();
            Path::new(&steps).unwrap().get(&object).cloned()
        };
        assert_eq!(get(&["spec", "order", "0", "value"]), Some(json!(true)));
        assert_eq!(get(&["spec", "order", "-1", "id"]), Some(json!(3)));
        assert_eq!(get(&["spec", "order", "2"]), None);
        assert_eq!(get(&["spec", "order", "-3"]), None);
        assert_eq!(get(&["spec", "order", "first"]), None);
        assert_eq!(get(&["spec", "mode=fast"]), Some(json!("fast")));
        assert_eq!(get(&["spec", "mode=slow"]), None);
        assert_eq!(get(&["spec", "none"]), None);
        assert_eq!(get(&["spec", "mode", "more"]), None);
        assert_eq!(
            get(&["status", "conditions", "[name=b]", "value"]),
            Some(json!(66))
        );
        assert_eq!(
            get(&["status", "conditions", "[value=66]", "name"]),
            Some(json!("b"))
        );
        assert_eq!(
            get(&["status", "conditions", "[on=true]", "name"]),
            Some(json!("b"))
        );
        assert_eq!(get(&["status", "conditions", "[name=c]"]), None);
        assert_eq!(get(&["status", "[name=c]"]), None);
    }
}
