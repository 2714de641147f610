//! Remote write as its specification says, written plainly and apart from the product's own encoder, so that each
//! checks the other.

use std::collections::BTreeMap;

/// Labels and samples (value, milliseconds) of one series.
#[derive(Clone, Debug)]
pub struct Series {
    pub labels: BTreeMap<String, String>,
    pub samples: Vec<(f64, i64)>,
}

pub fn series(labels: &[(&str, &str)], samples: &[(f64, i64)]) -> Series {
    Series {
        labels: labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        samples: samples.to_vec(),
    }
}

fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number as u8 & 0x7f) | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn field(out: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    varint(out, number << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend(bytes);
}

fn sample(value: f64, time: i64) -> Vec<u8> {
    let mut out = vec![1 << 3 | 1];
    out.extend(value.to_le_bytes());
    out.push(2 << 3);
    varint(&mut out, time as u64);
    out
}

/// `prometheus.WriteRequest`, as it is before snappy.
pub fn request_1(all: &[Series]) -> Vec<u8> {
    let mut request = Vec::new();
    for series in all {
        let mut one = Vec::new();
        for (name, value) in &series.labels {
            let mut label = Vec::new();
            field(&mut label, 1, name.as_bytes());
            field(&mut label, 2, value.as_bytes());
            field(&mut one, 1, &label);
        }
        for (value, time) in &series.samples {
            field(&mut one, 2, &sample(*value, *time));
        }
        field(&mut request, 1, &one);
    }
    request
}

/// `io.prometheus.write.v2.Request`, as it is before snappy.
pub fn request_2(all: &[Series]) -> Vec<u8> {
    let mut symbols: Vec<&str> = vec![""];
    let mut known: BTreeMap<&str, u64> = BTreeMap::from([("", 0)]);
    let mut bodies = Vec::new();
    for series in all {
        let mut refs = Vec::new();
        for text in series
            .labels
            .iter()
            .flat_map(|(name, value)| [name.as_str(), value.as_str()])
        {
            let next = symbols.len() as u64;
            let number = *known.entry(text).or_insert(next);
            if number == next {
                symbols.push(text);
            }
            varint(&mut refs, number);
        }
        let mut one = Vec::new();
        field(&mut one, 1, &refs);
        for (value, time) in &series.samples {
            field(&mut one, 2, &sample(*value, *time));
        }
        bodies.push(one);
    }
    let mut request = Vec::new();
    for symbol in symbols {
        field(&mut request, 4, symbol.as_bytes());
    }
    for body in bodies {
        field(&mut request, 5, &body);
    }
    request
}

pub fn snappy(raw: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(raw).unwrap()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    One,
    Two,
}

/// Posts one request; status, headers and text of the answer.
pub async fn post(
    client: &reqwest::Client,
    url: &str,
    token: Option<&str>,
    version: Version,
    body: Vec<u8>,
) -> (u16, BTreeMap<String, String>, String) {
    let (kind, number) = match version {
        Version::One => ("application/x-protobuf", "0.1.0"),
        Version::Two => (
            "application/x-protobuf;proto=io.prometheus.write.v2.Request",
            "2.0.0",
        ),
    };
    let mut call = client
        .post(url)
        .header("content-encoding", "snappy")
        .header("content-type", kind)
        .header("x-prometheus-remote-write-version", number)
        .body(body);
    if let Some(token) = token {
        call = call.header("authorization", format!("Bearer {token}"));
    }
    let answer = call.send().await.unwrap();
    let status = answer.status().as_u16();
    let headers = answer.headers().iter();
    let headers =
        headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned()));
    let headers = headers.collect();
    (status, headers, answer.text().await.unwrap_or_default())
}
