//! Values as Go's `fmt` prints them: `print`, `println`, `printf`, and what an action leaves in the text.
//!
//! Everything is written into a bounded text; what does not fit makes the caller fail, so nothing is cut
//! in silence.

use std::fmt::Write;
use std::sync::Arc;

use crate::spec::{Arguments, Spec};
use crate::time;
use crate::value::Value;

/// What an action such as `{{ $value }}` leaves. It may be longer than `limit` by one piece of text, which
/// the caller refuses.
pub(crate) fn printed(value: &Value, limit: usize) -> String {
    match value {
        Value::Nil => "<no value>".to_owned(),
        Value::Text(text) => text.to_string(),
        other => {
            let mut sink = Sink::new(limit);
            sink.value(other, 'v', &Spec::default());
            sink.text
        }
    }
}

/// Go's `fmt.Sprint`: a space between two values neither of which is a string.
pub(crate) fn print(values: &[Value], limit: usize) -> String {
    let mut sink = Sink::new(limit);
    let mut after_text = true;
    for value in values {
        let text = matches!(value, Value::Text(_));
        if !after_text && !text {
            sink.push(" ");
        }
        after_text = text;
        sink.value(value, 'v', &Spec::default());
    }
    sink.text
}

/// Go's `fmt.Sprintln`.
pub(crate) fn println(values: &[Value], limit: usize) -> String {
    let mut sink = Sink::new(limit);
    for (nth, value) in values.iter().enumerate() {
        if nth > 0 {
            sink.push(" ");
        }
        sink.value(value, 'v', &Spec::default());
    }
    sink.push("\n");
    sink.text
}

/// Go's `fmt.Sprintf`, its complaints in the text included: `%!d(string=a)`.
pub(crate) fn printf(format: &str, values: &[Value], limit: usize) -> String {
    let mut sink = Sink::new(limit);
    let mut arguments = Arguments {
        values,
        next: 0,
        reordered: false,
    };
    let mut rest = format;
    while let Some(percent) = rest.find('%') {
        sink.push(rest.get(..percent).unwrap_or_default());
        rest = rest.get(percent + 1..).unwrap_or_default();
        let mut letters = rest.chars();
        match Spec::read(&mut letters, &mut arguments) {
            Err(complaint) => sink.push(complaint),
            Ok(mut spec) => match letters.next() {
                None => sink.push("%!(NOVERB)"),
                Some('%') => sink.push("%"),
                Some(verb) => {
                    // With %v a plus asks for field names, not for a sign.
                    spec.plus &= verb != 'v';
                    sink.argument(arguments.take(), verb, &spec);
                }
            },
        }
        rest = letters.as_str();
        if sink.full() {
            return sink.text;
        }
    }
    sink.push(rest);
    sink.extra(&arguments);
    sink.text
}

/// A text that stops growing once it is past its limit.
struct Sink {
    text: String,
    limit: usize,
}

impl Sink {
    fn new(limit: usize) -> Self {
        Self {
            text: String::new(),
            limit,
        }
    }

    fn full(&self) -> bool {
        self.text.len() > self.limit
    }

    fn push(&mut self, text: &str) {
        if !self.full() {
            self.text.push_str(text);
        }
    }

    fn pad(&mut self, text: &str, spec: &Spec) {
        let missing = spec.width.saturating_sub(text.chars().count());
        let spaces = " ".repeat(missing);
        if spec.minus {
            self.push(text);
            self.push(&spaces);
        } else {
            self.push(&spaces);
            self.push(text);
        }
    }

    /// Sign and digits, with zeros between them when asked for.
    fn pad_number(&mut self, sign: &str, digits: &str, spec: &Spec, zeros: bool) {
        let missing = spec.width.saturating_sub(sign.len() + digits.len());
        if zeros && spec.zero {
            self.push(sign);
            self.push(&"0".repeat(missing));
            self.push(digits);
        } else {
            self.pad(&format!("{sign}{digits}"), spec);
        }
    }

    fn argument(&mut self, value: Option<&Value>, verb: char, spec: &Spec) {
        match value {
            Some(value) => self.value(value, verb, spec),
            None => self.push(&format!("%!{verb}(MISSING)")),
        }
    }

    fn extra(&mut self, arguments: &Arguments<'_>) {
        if arguments.reordered || arguments.next >= arguments.values.len() {
            return;
        }
        self.push("%!(EXTRA ");
        for (nth, value) in arguments.values.iter().skip(arguments.next).enumerate() {
            if nth > 0 {
                self.push(", ");
            }
            self.push(value.type_name());
            if !matches!(value, Value::Nil) {
                self.push("=");
                self.value(value, 'v', &Spec::default());
            }
        }
        self.push(")");
    }

    fn wrong(&mut self, value: &Value, verb: char) {
        self.push(&format!("%!{verb}("));
        self.push(value.type_name());
        if !matches!(value, Value::Nil) {
            self.push("=");
            self.value(value, 'v', &Spec::default());
        }
        self.push(")");
    }

    fn value(&mut self, value: &Value, verb: char, spec: &Spec) {
        if self.full() {
            return;
        }
        if verb == 'T' {
            return self.pad(value.type_name(), spec);
        }
        match value {
            Value::Nil if verb == 'v' => self.pad("<nil>", spec),
            Value::Bool(truth) if matches!(verb, 't' | 'v') => self.pad(&truth.to_string(), spec),
            Value::Int(number) => self.int(*number, value, verb, spec),
            Value::Float(number) => self.float(*number, value, verb, spec),
            Value::Text(text) => self.text(text, value, verb, spec),
            Value::Duration(nanos) if matches!(verb, 'v' | 's' | 'q') => {
                self.text(&time::duration_text(*nanos), value, verb, spec);
            }
            Value::Duration(nanos) => self.int(*nanos, value, verb, spec),
            Value::Time(at) if matches!(verb, 'v' | 's' | 'q') => {
                self.text(&time::time_text(at), value, verb, spec);
            }
            Value::List(_) | Value::Map(_) | Value::Record(_)
                if matches!(verb, 'v' | 's' | 'q' | 'x' | 'X') && own_text(value).is_some() =>
            {
                let text = own_text(value).unwrap_or_default();
                self.text(&text, value, verb, spec);
            }
            Value::List(list) => {
                self.push("[");
                for (nth, item) in list.items.iter().enumerate() {
                    if nth > 0 {
                        self.push(" ");
                    }
                    self.value(item, verb, spec);
                }
                self.push("]");
            }
            Value::Map(map) => {
                self.push("map[");
                for (nth, (key, item)) in map.entries.iter().enumerate() {
                    if nth > 0 {
                        self.push(" ");
                    }
                    self.value(&Value::Text(key.clone()), verb, spec);
                    self.push(":");
                    self.value(item, verb, spec);
                }
                self.push("]");
            }
            Value::Record(record) => {
                self.push("{");
                for (nth, (_, item)) in record.fields.iter().enumerate() {
                    if nth > 0 {
                        self.push(" ");
                    }
                    self.value(item, verb, spec);
                }
                self.push("}");
            }
            _ => self.wrong(value, verb),
        }
    }

    fn text(&mut self, text: &str, value: &Value, verb: char, spec: &Spec) {
        let cut: String = match spec.precision {
            Some(most) => text.chars().take(most).collect(),
            None => text.to_owned(),
        };
        match verb {
            'v' | 's' => self.pad(&cut, spec),
            'q' if spec.sharp && !cut.contains('`') && !cut.chars().any(|c| c.is_control() && c != '\t') => {
                self.pad(&format!("`{cut}`"), spec);
            }
            'q' => self.pad(&model::text::quote(&cut), spec),
            'x' | 'X' => {
                let mut hex = String::with_capacity(2 * text.len());
                for byte in text.bytes().take(spec.precision.unwrap_or(usize::MAX)) {
                    // Writing to a string cannot fail.
                    _ = write!(hex, "{byte:02x}");
                }
                self.pad(&if verb == 'X' { hex.to_uppercase() } else { hex }, spec);
            }
            _ => self.wrong(value, verb),
        }
    }

    fn int(&mut self, number: i64, value: &Value, verb: char, spec: &Spec) {
        let magnitude = number.unsigned_abs();
        let digits = match verb {
            'd' | 'v' => magnitude.to_string(),
            'b' => format!("{magnitude:b}"),
            'o' | 'O' => format!("{magnitude:o}"),
            'x' => format!("{magnitude:x}"),
            'X' => format!("{magnitude:X}"),
            'c' | 'q' => {
                let letter = u32::try_from(number)
                    .ok()
                    .and_then(char::from_u32)
                    .unwrap_or('\u{fffd}');
                let shown = match (verb, letter) {
                    ('c', letter) => letter.to_string(),
                    (_, '\'') => r"'\''".to_owned(),
                    (_, '"') => "'\"'".to_owned(),
                    (_, letter) => format!("'{}'", model::text::quote(&letter.to_string()).trim_matches('"')),
                };
                return self.pad(&shown, spec);
            }
            'U' => return self.pad(&format!("U+{number:04X}"), spec),
            _ => return self.wrong(value, verb),
        };
        let prefix = match (verb, spec.sharp) {
            ('O', _) => "0o",
            ('x', true) => "0x",
            ('X', true) => "0X",
            ('b', true) => "0b",
            ('o', true) => "0",
            _ => "",
        };
        let least = spec.precision.unwrap_or(1);
        let zeros = "0".repeat(least.saturating_sub(digits.len()));
        let digits = if spec.precision == Some(0) && number == 0 {
            String::new()
        } else {
            digits
        };
        let sign = format!("{}{prefix}", spec.sign(number < 0));
        self.pad_number(&sign, &format!("{zeros}{digits}"), spec, spec.precision.is_none());
    }

    fn float(&mut self, number: f64, value: &Value, verb: char, spec: &Spec) {
        let digits = match verb {
            'v' | 'g' | 'G' => general(number.abs(), spec.precision),
            'e' | 'E' => scientific(number.abs(), spec.precision.unwrap_or(6)),
            'f' | 'F' => format!("{:.*}", spec.precision.unwrap_or(6), number.abs()),
            _ => return self.wrong(value, verb),
        };
        let negative = number.is_sign_negative() && !number.is_nan();
        if !number.is_finite() {
            let word = if number.is_nan() { "NaN" } else { "Inf" };
            let sign = match spec.sign(negative) {
                // An infinity always shows its sign, a NaN only when asked.
                "" if number.is_infinite() => "+",
                sign => sign,
            };
            return self.pad(&format!("{sign}{word}"), spec);
        }
        let digits = if verb.is_ascii_uppercase() {
            digits.to_uppercase()
        } else {
            digits
        };
        self.pad_number(spec.sign(negative), &digits, spec, true);
    }
}

/// What a method `String` says, which Go's `fmt` asks first.
fn own_text(value: &Value) -> Option<Arc<str>> {
    match (value.methods())(value, "String", &[])? {
        Ok(Value::Text(text)) => Some(text),
        _ => None,
    }
}

/// `%e` of a number that is not negative: `1.234560e+06`.
fn scientific(number: f64, decimals: usize) -> String {
    let text = format!("{number:.decimals$e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
}

/// `%g` of a number that is not negative; without a precision, the fewest digits that read back.
fn general(number: f64, precision: Option<usize>) -> String {
    let Some(precision) = precision else {
        return model::text::float::go(number);
    };
    if !number.is_finite() {
        return String::new();
    }
    let precision = precision.max(1);
    // As many digits as asked, rounded, without the zeros at the end.
    let text = format!("{number:.*e}", precision - 1);
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits = digits.replace('.', "");
    let digits = digits.trim_end_matches('0');
    let count = digits.len();
    let whole = i64::from(exponent) + 1;
    let count_signed = i64::try_from(count).unwrap_or(i64::MAX);
    let enough = precision > count && count_signed >= whole;
    let limit = if enough { count } else { precision };
    if exponent < -4 || i64::from(exponent) >= i64::try_from(limit).unwrap_or(i64::MAX) {
        return scientific(number, count.saturating_sub(1));
    }
    let decimals = usize::try_from(count_signed - whole).unwrap_or(0);
    format!("{number:.decimals$}")
}

/// Go's `%.4g`, which Prometheus' humanising functions print.
pub(crate) fn four_digits(number: f64) -> String {
    printf("%.4g", &[Value::Float(number)], usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(format: &str, value: impl Into<Value>, expected: &str) {
        assert_eq!(printf(format, &[value.into()], 1000), expected, "{format}");
    }

    #[test]
    fn floats_print_as_in_go() {
        check("%v", 1e6, "1e+06");
        check("%v", 0.1, "0.1");
        check("%.2f", 2.345, "2.35");
        check("%.0f", 0.5, "0");
        check("%8.3f|", 2.3456, "   2.346|");
        check("%-8.1f|", 2.3456, "2.3     |");
        check("%08.2f", -2.3456, "-0002.35");
        check("%+.1e", 123_456.0, "+1.2e+05");
        check("%.3g", 1_234_567.0, "1.23e+06");
        check("%.3g", 100.0, "100");
        check("%.10g", 100.0, "100");
        check("%g", 100_000.0, "100000");
        check("%.4g", 0.000_012_345_6, "1.235e-05");
        check("%d", 1.5, "%!d(float64=1.5)");
        check("%5.1f|", f64::NAN, "  NaN|");
        check("%f", f64::INFINITY, "+Inf");
        check("%.4g", f64::NEG_INFINITY, "-Inf");
    }

    #[test]
    fn texts_and_integers_print_as_in_go() {
        check("%q", "a\"b", r#""a\"b""#);
        check("%-5s|", "ab", "ab   |");
        check("%.2s", "abc", "ab");
        check("%x", "hi", "6869");
        check("%d%%", Value::Int(7), "7%");
        check("%05d", Value::Int(-42), "-0042");
        check("%#x", Value::Int(255), "0xff");
        check("%c", Value::Int(65), "A");
        check("%s", Value::Nil, "%!s(<nil>)");
        check("%s", Value::Bool(true), "%!s(bool=true)");
        check("%z", "a", "%!z(string=a)");
        assert_eq!(printf("%d %s", &[Value::Int(1)], 100), "1 %!s(MISSING)");
        assert_eq!(printf("x", &[Value::Int(1)], 100), "x%!(EXTRA int=1)");
        assert_eq!(printf("%[2]d %[1]d", &[Value::Int(1), Value::Int(2)], 100), "2 1");
        assert_eq!(
            printf("%*d|%", &[Value::Int(4), Value::Int(2)], 100),
            "   2|%!(NOVERB)"
        );
    }

    #[test]
    fn print_puts_a_space_between_two_that_are_no_strings() {
        let values = [
            Value::Int(1),
            Value::Int(2),
            "a".into(),
            "b".into(),
            Value::Int(3),
        ];
        assert_eq!(print(&values, 100), "1 2ab3");
        assert_eq!(println(&values, 100), "1 2 a b 3\n");
    }

    #[test]
    fn what_does_not_end_is_stopped() {
        let mut value = Value::list(vec![Value::Int(1)]);
        for _ in 0..60 {
            value = Value::list(vec![value.clone(), value]);
        }
        let text = print(&[value], 1000);
        assert!(text.len() < 1100, "{} bytes", text.len());
    }
}
