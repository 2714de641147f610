//! Numbers as Go reads them, the common ones by hand.

/// Powers of ten that a float holds exactly.
const EXACT: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];
/// Digits that a float holds exactly.
const DIGITS_MAX: u32 = 15;

pub(super) fn parse(word: &str) -> Option<f64> {
    quick(word.as_bytes()).or_else(|| model::text::float::parse(word))
}

/// A number of at most 15 digits and a small exponent: both parts are exact, so one operation rounds rightly.
/// None says only that it is not of these.
fn quick(bytes: &[u8]) -> Option<f64> {
    let (negative, bytes) = match bytes {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let (mut mantissa, mut digits, mut fraction, mut dot) = (0_u64, 0_u32, 0_i32, false);
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        match first {
            b'0'..=b'9' => {
                mantissa = mantissa * 10 + u64::from(first - b'0');
                digits += 1;
                fraction += i32::from(dot);
                if digits > DIGITS_MAX {
                    return None;
                }
            }
            b'.' if !dot => dot = true,
            b'e' | b'E' => break,
            _ => return None,
        }
        rest = tail;
    }
    if digits == 0 {
        return None;
    }
    let exponent = exponent(rest)? - fraction;
    let power = *EXACT.get(exponent.unsigned_abs() as usize)?;
    let magnitude = if exponent < 0 {
        mantissa as f64 / power
    } else {
        mantissa as f64 * power
    };
    Some(if negative { -magnitude } else { magnitude })
}

fn exponent(bytes: &[u8]) -> Option<i32> {
    let (negative, digits) = match bytes {
        [] => return Some(0),
        [_, b'-', digits @ ..] => (true, digits),
        [_, b'+', digits @ ..] | [_, digits @ ..] => (false, digits),
    };
    if digits.is_empty() || digits.len() > 3 {
        return None;
    }
    let mut value = 0;
    for digit in digits {
        value = value * 10 + i32::from(digit.is_ascii_digit().then(|| digit - b'0')?);
    }
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quick_way_reads_as_the_library_does() {
        for word in [
            "0",
            "-0",
            "1",
            "12.5",
            "-3.25",
            "1e+06",
            "1.631329e+06",
            "5.13708655616e+11",
            "1.305e-06",
            "10870.69",
            "1.7956614840998585e+09",
            "0.1",
            "123456789012345",
            "1e22",
            "1e-22",
            "5.",
            ".5",
            "00012",
            "1E3",
            "9e307",
            "4.9e-324",
            "9007199254740993",
        ] {
            let expected: f64 = word.parse().unwrap();
            assert_eq!(parse(word).map(f64::to_bits), Some(expected.to_bits()), "{word}");
        }
    }

    #[test]
    fn what_go_or_prometheus_refuses_is_refused() {
        for word in [
            "", "-", ".", "e5", "1e", "1e+", "1e5x", "0x1p-2", "1_000", "1e400", "+NaN", "--1", "1.2.3",
            "1e1e1", "é",
        ] {
            assert_eq!(parse(word), None, "{word:?}");
        }
        assert_eq!(parse("+Inf"), Some(f64::INFINITY));
        assert_eq!(parse("-inf"), Some(f64::NEG_INFINITY));
        assert!(parse("NaN").is_some_and(f64::is_nan));
    }
}
