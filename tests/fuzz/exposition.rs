//! Metrics pages: what is read of a line is in it, and the place of a mistake is in the page.

use scrape::text::{Cursor, Format, Keys, Pairs, ParseError, Start, body};

pub(crate) const WORDS: &[&str] = &[
    "# HELP ",
    "# TYPE ",
    "# UNIT ",
    "# EOF",
    " counter\n",
    " histogram\n",
    " untyped\n",
    "x_bucket{le=\"+Inf\"} 1\n",
    "x{a=\"b\",c=\"\\\"\\\\\\n\"} ",
    "{\"x.y\",a=\"b\"} ",
    "{\"a b\"=\"c\"}",
    "NaN",
    "+Inf",
    "-Inf",
    "0x1p-2",
    "1e400",
    "1_0",
    " 1700000000000\n",
    " 1.5 # {trace_id=\"1\"} 1\n",
    "\t",
    "\r\n",
    "\n\n",
    "{",
    "}",
    "\"",
    "=",
    ",",
    "\u{feff}",
    "\0",
    "é",
];

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let pages = [
        "# HELP x What \\\\ it \\n is.\n# TYPE x counter\nx{a=\"b\",c=\"d\\\"\\n\"} 1 1700000000000\nx 2\n\n# a comment\n",
        "# TYPE \"x.y\" histogram\n{\"x.y_bucket\",le=\"+Inf\"} 3\n{\"x.y_sum\"} 1.5e-3\nx:y{} NaN -5\n",
        "# TYPE x counter\n# UNIT x y\nx_total{a=\"b\"} 1 1.5 # {trace_id=\"1\"} 0.5 1.25\nx_total 2 # {} 1\n# EOF\n",
        "a{b=\"é\",\"c d\"=\"\"}  +Inf\nb 0x1f\nb{,} -0\n  \n",
    ];
    pages.map(|text| text.as_bytes().to_vec()).to_vec()
}

pub(crate) fn run(bytes: &[u8]) {
    match body(bytes) {
        Ok(text) => {
            for format in [Format::Text, Format::OpenMetrics] {
                if let Err(error) = read(text, format) {
                    placed(text.as_bytes(), &error);
                }
            }
        }
        Err(error) => placed(bytes, &error),
    }
}

fn placed(bytes: &[u8], error: &ParseError) {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let line = lines.nth(error.line - 1);
    let length = line.expect("the line of a mistake is in the page").len();
    assert!(error.column <= length + 2, "{error}");
}

fn read(text: &str, format: Format) -> Result<(), ParseError> {
    let keys = Keys::default();
    let mut cursor = Cursor::new(text, format);
    let mut pairs = Pairs::new();
    loop {
        match cursor.start()? {
            Start::End => return Ok(()),
            Start::Comment => drop(cursor.comment().meta()?),
            Start::Sample => {
                let before = cursor.clone();
                let series = cursor.series(&mut pairs)?;
                assert!(!series.key.is_empty() && text.contains(series.key));
                // What a later scrape does instead, when it knows the series.
                let key = keys.of(series.key);
                let mut warm = before;
                let taken = warm.take(&key, &keys);
                let (cold, warm) = (cursor.value()?, taken.then(|| warm.value()));
                if let Some(warm) = warm {
                    let (value, time) = warm?;
                    assert_eq!((value.to_bits(), time), (cold.0.to_bits(), cold.1));
                }
                let example = cursor.example()?;
                assert!(example.is_none() || format == Format::OpenMetrics);
            }
        }
    }
}
