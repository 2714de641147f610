//! Quantities as Kubernetes writes them: `500m`, `2`, `1Gi`, `12e6`.

/// Above this a quantity has no thousandths any more, as in apimachinery.
const MILLI_MAX: i128 = i64::MAX as i128 / 1_000;

/// A number of millionths of millionths would be exact enough for anybody; `n` is the smallest suffix there is.
const NANO: i128 = 1_000_000_000;

/// Whole, or with thousandths that are rounded up.
pub(crate) fn value(text: &str) -> Option<f64> {
    let nano = nano(text)?;
    let whole = divide_up(nano, NANO);
    if whole > MILLI_MAX {
        return Some(whole as f64);
    }
    Some(divide_up(nano, NANO / 1_000) as f64 / 1_000.0)
}

/// Rounded up to a whole number.
pub(crate) fn whole(text: &str) -> Option<f64> {
    Some(divide_up(nano(text)?, NANO) as f64)
}

/// As near as a float comes to it, without rounding up.
pub(crate) fn approximate(text: &str) -> Option<f64> {
    let exact = nano(text)? as f64 / NANO as f64;
    let end = text.rfind(|letter: char| letter.is_ascii_digit() || letter == '.')? + 1;
    let (number, suffix) = text.split_at_checked(end)?;
    let exponent: i32 = match suffix {
        "n" => -9,
        "u" => -6,
        "m" => -3,
        "" => 0,
        "k" => 3,
        "M" => 6,
        "G" => 9,
        "T" => 12,
        "P" => 15,
        "E" => 18,
        _ => return Some(exact),
    };
    // In the steps of apimachinery, so that it comes to the same float: digits, and then a power of ten.
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let places = i32::try_from(fraction.len()).ok()?;
    let (Ok(digits), Ok(power)) = (
        format!("{whole}{fraction}").parse::<i64>(),
        format!("1e{}", exponent - places).parse::<f64>(),
    ) else {
        return Some(exact);
    };
    match exponent == places {
        true => Some(digits as f64),
        false => Some(digits as f64 * power),
    }
}

fn divide_up(number: i128, by: i128) -> i128 {
    number.div_euclid(by) + i128::from(number.rem_euclid(by) != 0)
}

fn nano(text: &str) -> Option<i128> {
    let (sign, text) = match text.as_bytes().first()? {
        b'-' => (-1, text.get(1..)?),
        b'+' => (1, text.get(1..)?),
        _ => (1, text),
    };
    let end = text
        .bytes()
        .take_while(|byte| byte.is_ascii_digit() || *byte == b'.')
        .count();
    let (number, suffix) = text.split_at_checked(end)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let digits = format!("{whole}{fraction}").parse::<i128>().ok()?;
    let (base, exponent): (i128, i32) = match suffix {
        "n" => (10, -9),
        "u" => (10, -6),
        "m" => (10, -3),
        "" => (10, 0),
        "k" => (10, 3),
        "M" => (10, 6),
        "G" => (10, 9),
        "T" => (10, 12),
        "P" => (10, 15),
        "E" => (10, 18),
        "Ki" => (2, 10),
        "Mi" => (2, 20),
        "Gi" => (2, 30),
        "Ti" => (2, 40),
        "Pi" => (2, 50),
        "Ei" => (2, 60),
        _ => (10, suffix.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    let scale = |number: i128, power: i32| -> Option<i128> {
        match u32::try_from(power) {
            Ok(power) => number.checked_mul(base.checked_pow(power)?),
            Err(_) => Some(divide_up(number, base.checked_pow(power.unsigned_abs())?)),
        }
    };
    let scaled = match exponent {
        // What is small stays exact for as long as it can be.
        ..0 => scale(digits.checked_mul(NANO)?, exponent)?,
        _ => scale(digits, exponent)?.checked_mul(NANO)?,
    };
    let places = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    Some(sign * divide_up(scaled, places))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_are_those_of_kubernetes() {
        for (text, want) in [
            ("0", 0.0),
            ("2", 2.0),
            ("500m", 0.5),
            ("100u", 0.001),
            ("1n", 0.001),
            ("0.1", 0.1),
            ("1.5", 1.5),
            (".5", 0.5),
            ("5.", 5.0),
            ("1k", 1e3),
            ("128Mi", 134_217_728.0),
            ("1.5Gi", 1_610_612_736.0),
            ("12e6", 12e6),
            ("1E3", 1e3),
            ("1E", 1e18),
            ("2Ei", 2_305_843_009_213_693_952.0),
            ("8141000Ki", 8_336_384_000.0),
            ("-1", -1.0),
            ("-100m", -0.1),
            ("+3", 3.0),
        ] {
            assert_eq!(value(text), Some(want), "{text}");
        }
        for text in ["", "m", "1.2.3", "1 Gi", "1gi", "x", "1e", "--1", "1ei"] {
            assert_eq!(value(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_is_only_looked_at_is_not_rounded_up() {
        for (text, want) in [
            // As Go multiplies: not the float that is nearest.
            ("100u", 100.0 * 1e-6),
            ("250m", 0.25),
            ("0.5", 0.5),
            ("1.5Gi", 1_610_612_736.0),
            ("-3k", -3_000.0),
            ("12e6", 12e6),
        ] {
            assert_eq!(approximate(text), Some(want), "{text}");
        }
        assert_eq!(approximate("x"), None);
    }

    #[test]
    fn what_must_be_whole_is_rounded_up() {
        assert_eq!(whole("1500m"), Some(2.0));
        assert_eq!(whole("1Gi"), Some(1_073_741_824.0));
        assert_eq!(whole("100m"), Some(1.0));
        assert_eq!(whole("0.5Gi"), Some(536_870_912.0));
    }
}
