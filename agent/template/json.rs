//! Values as Go's `encoding/json` writes them, for `toJson`.

use crate::error::Problem;
use crate::time;
use crate::value::Value;

/// # Errors
/// Longer than `limit`, or a number that JSON does not have.
pub(crate) fn to_json(value: &Value, limit: usize) -> Result<String, Problem> {
    let mut text = String::new();
    write(value, &mut text, limit)?;
    Ok(text)
}

fn write(value: &Value, text: &mut String, limit: usize) -> Result<(), Problem> {
    if text.len() > limit {
        return Err(format!("more than {limit} bytes of JSON").into());
    }
    match value {
        Value::Nil => text.push_str("null"),
        Value::Bool(truth) => text.push_str(if *truth { "true" } else { "false" }),
        Value::Int(number) | Value::Duration(number) => text.push_str(&number.to_string()),
        Value::Float(number) if number.is_finite() => text.push_str(&float(*number)),
        Value::Float(number) => return Err(format!("json: unsupported value: {number}").into()),
        Value::Text(word) => quote(word, text),
        Value::Time(moment) => quote(&time::layout(moment, "2006-01-02T15:04:05.999999999Z07:00"), text),
        Value::List(list) => {
            return joined(('[', ']'), &list.items, text, |item, text| {
                write(item, text, limit)
            });
        }
        Value::Map(map) => {
            return joined(('{', '}'), &map.entries, text, |(key, item), text| {
                quote(key, text);
                text.push(':');
                write(item, text, limit)
            });
        }
        Value::Record(record) => {
            let is_told = matches!(record.type_name, "*template.Data" | "template.Alert");
            return joined(('{', '}'), &record.fields, text, |(name, item), text| {
                quote(&if is_told { key(name) } else { (*name).to_owned() }, text);
                text.push(':');
                write(item, text, limit)
            });
        }
    }
    Ok(())
}

fn joined<T>(
    (open, close): (char, char),
    items: impl IntoIterator<Item = T>,
    text: &mut String,
    mut each: impl FnMut(T, &mut String) -> Result<(), Problem>,
) -> Result<(), Problem> {
    text.push(open);
    for (nth, item) in items.into_iter().enumerate() {
        if nth > 0 {
            text.push(',');
        }
        each(item, text)?;
    }
    text.push(close);
    Ok(())
}

/// The tags of Alertmanager's data.
fn key(field: &str) -> String {
    match field {
        "NotificationReason" => "notification_reason".to_owned(),
        _ => {
            let mut letters = field.chars();
            let first = letters.next().map(|letter| letter.to_ascii_lowercase());
            first.into_iter().chain(letters).collect()
        }
    }
}

/// Plain from 1e-6 up to 1e21; an exponent has no needless zero.
fn float(number: f64) -> String {
    let text = model::text::float::api(number);
    match text.split_once("e-0") {
        Some((digits, exponent)) => format!("{digits}e-{exponent}"),
        None => text,
    }
}

/// `<`, `>` and `&` are escaped, as by Go, so that the text can stand in HTML.
fn quote(word: &str, text: &mut String) {
    text.push('"');
    for letter in word.chars() {
        match letter {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\u{8}' => text.push_str("\\b"),
            '\u{c}' => text.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                text.push_str(&format!("\\u{:04x}", u32::from(letter)));
            }
            other => text.push(other),
        }
    }
    text.push('"');
}
