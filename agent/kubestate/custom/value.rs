//! A value of an object as a number, and as the text of a label, as Go makes them.

use model::text::float;
use serde_json::Value;

use crate::meta;
use crate::quantity;

/// None where it is neither a number nor a text that stands for one.
pub(crate) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Bool(flag) => Some(f64::from(*flag)),
        Value::Number(number) => number.as_f64(),
        Value::String(text) => number_of(text),
        _ => None,
    }
}

/// Of a condition, a time, an amount, a percentage or a plain number.
pub(crate) fn number_of(text: &str) -> Option<f64> {
    match text.to_lowercase().as_str() {
        "true" | "yes" => return Some(1.0),
        "false" | "no" | "unknown" => return Some(0.0),
        _ => {}
    }
    if is_time(text)
        && let Some(time) = meta::seconds(Some(text))
    {
        return Some(time);
    }
    if let Some(amount) = quantity::approximate(text) {
        return Some(amount);
    }
    let digits = text.strip_suffix('%');
    if let Some(digits) = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit())) {
        return digits.parse::<f64>().ok().map(|percent| percent / 100.0);
    }
    float::parse(text)
}

/// `2026-11-28T05:00:00Z`: other forms of a time are none to Go.
fn is_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 20 && bytes.get(4) == Some(&b'-') && bytes.get(10) == Some(&b'T')
}

/// As `%v` prints it.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::String(text) => text.clone(),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => whole.to_string(),
            (None, Some(value)) => float::go(value),
            (None, None) => number.to_string(),
        },
        Value::Array(list) => {
            let all: Vec<String> = list.iter().map(text).collect();
            format!("[{}]", all.join(" "))
        }
        Value::Object(object) => {
            let mut all: Vec<(&String, String)> =
                object.iter().map(|(key, value)| (key, text(value))).collect();
            all.sort_unstable();
            let all: Vec<String> = all
                .into_iter()
                .map(|(key, value)| format!("{key}:{value}"))
                .collect();
            format!("map[{}]", all.join(" "))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_that_stand_for_numbers_are_read() {
        for (value, want) in [
            (json!(true), Some(1.0)),
            (json!(43.21), Some(43.21)),
            (json!("True"), Some(1.0)),
            (json!("Unknown"), Some(0.0)),
            (json!("no"), Some(0.0)),
            (json!("2022-06-28T00:00:00Z"), Some(1_656_374_400.0)),
            (json!("250m"), Some(0.25)),
            (json!("1234m"), Some(1.234)),
            (json!("5Gi"), Some(5_368_709_120.0)),
            (json!("262144k"), Some(262_144_000.0)),
            (json!("28%"), Some(0.28)),
            (json!("+Inf"), Some(f64::INFINITY)),
            (json!("1e-3"), Some(0.001)),
            (json!("soon"), None),
            (json!("2022-06-28"), None),
            (json!([1]), None),
            (json!({}), None),
            (json!(null), None),
        ] {
            assert_eq!(number(&value), want, "{value}");
        }
    }

    #[test]
    fn labels_say_what_go_prints() {
        for (value, want) in [
            (json!(3), "3"),
            (json!(2.0), "2"),
            (json!(0.5), "0.5"),
            (json!(1e21), "1e+21"),
            (json!(100_000_000.5), "1.000000005e+08"),
            (json!(true), "true"),
            (json!(["a", 1, null]), "[a 1 <nil>]"),
            (json!({"b": 1, "a": {"c": "d"}}), "map[a:map[c:d] b:1]"),
        ] {
            assert_eq!(text(&value), want);
        }
    }

    #[test]
    fn a_number_of_many_digits_is_the_nearest_that_there_is() {
        let read: Value = serde_json::from_str("92744310500000000000").unwrap();
        assert_eq!(text(&read), "9.27443105e+19");
    }
}
