//! Reads requests of both versions for tests, as simply as can be and sharing nothing with the writer or the reader.

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlainSeries {
    pub(crate) labels: Vec<(String, String)>,
    /// Bits of the value, and time.
    pub(crate) samples: Vec<(u64, i64)>,
    /// Type, help, unit.
    pub(crate) metadata: (u64, String, String),
}

enum Field<'a> {
    Number(u64),
    Fixed(u64),
    Bytes(&'a [u8]),
}

fn number(bytes: &mut &[u8]) -> u64 {
    let mut found: u64 = 0;
    for shift in (0..).step_by(7) {
        let byte = bytes[0];
        *bytes = &bytes[1..];
        found |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return found;
        }
    }
    unreachable!()
}

fn fields(mut bytes: &[u8]) -> Vec<(u64, Field<'_>)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = number(&mut bytes);
        let field = match key & 7 {
            0 => Field::Number(number(&mut bytes)),
            1 => {
                let (own, rest) = bytes.split_at(8);
                bytes = rest;
                Field::Fixed(u64::from_le_bytes(own.try_into().unwrap()))
            }
            2 => {
                let length = number(&mut bytes) as usize;
                let (own, rest) = bytes.split_at(length);
                bytes = rest;
                Field::Bytes(own)
            }
            other => panic!("wire type {other}"),
        };
        found.push((key >> 3, field));
    }
    found
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn sample(bytes: &[u8]) -> (u64, i64) {
    let (mut value, mut time) = (0, 0);
    for field in fields(bytes) {
        match field {
            (1, Field::Fixed(bits)) => value = bits,
            (2, Field::Number(number)) => time = number as i64,
            (other, _) => panic!("field {other} of a sample"),
        }
    }
    (value, time)
}

/// `io.prometheus.write.v2.Request`, unpacked.
pub(crate) fn plain_two(request: &[u8]) -> Vec<PlainSeries> {
    let mut symbols: Vec<String> = Vec::new();
    let mut found = Vec::new();
    for field in fields(request) {
        match field {
            (4, Field::Bytes(symbol)) => symbols.push(text(symbol)),
            (5, Field::Bytes(series)) => found.push(series),
            (other, _) => panic!("field {other} of a request"),
        }
    }
    assert_eq!(symbols[0], "");
    let mut sorted = symbols.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(sorted.len(), symbols.len(), "a symbol is there twice");
    let read = |message: &[u8]| {
        let mut series = PlainSeries {
            labels: Vec::new(),
            samples: Vec::new(),
            metadata: (0, String::new(), String::new()),
        };
        for field in fields(message) {
            match field {
                (1, Field::Bytes(mut refs)) => {
                    while !refs.is_empty() {
                        let name = symbols[number(&mut refs) as usize].clone();
                        series
                            .labels
                            .push((name, symbols[number(&mut refs) as usize].clone()));
                    }
                }
                (2, Field::Bytes(bytes)) => series.samples.push(sample(bytes)),
                (5, Field::Bytes(metadata)) => {
                    for field in fields(metadata) {
                        match field {
                            (1, Field::Number(kind)) => series.metadata.0 = kind,
                            (3, Field::Number(help)) => series.metadata.1 = symbols[help as usize].clone(),
                            (4, Field::Number(unit)) => series.metadata.2 = symbols[unit as usize].clone(),
                            (other, _) => panic!("field {other} of metadata"),
                        }
                    }
                }
                (other, _) => panic!("field {other} of a series"),
            }
        }
        assert!(
            series.labels.is_sorted_by(|one, other| one.0 < other.0),
            "{:?}",
            series.labels
        );
        series
    };
    found.into_iter().map(read).collect()
}

/// Type, family, help and unit.
pub(crate) type PlainMetadata = (u64, String, String, String);

/// `prometheus.WriteRequest`, unpacked.
pub(crate) fn plain_one(request: &[u8]) -> (Vec<PlainSeries>, Vec<PlainMetadata>) {
    let (mut found, mut metadata) = (Vec::new(), Vec::new());
    for field in fields(request) {
        match field {
            (1, Field::Bytes(message)) => {
                let mut series = PlainSeries {
                    labels: Vec::new(),
                    samples: Vec::new(),
                    metadata: (0, String::new(), String::new()),
                };
                for field in fields(message) {
                    match field {
                        (1, Field::Bytes(label)) => {
                            let parts: Vec<_> = fields(label);
                            let [(1, Field::Bytes(name)), (2, Field::Bytes(value))] = parts[..] else {
                                panic!("a label of other fields");
                            };
                            series.labels.push((text(name), text(value)));
                        }
                        (2, Field::Bytes(bytes)) => series.samples.push(sample(bytes)),
                        (other, _) => panic!("field {other} of a series"),
                    }
                }
                assert!(
                    series.labels.is_sorted_by(|one, other| one.0 < other.0),
                    "{:?}",
                    series.labels
                );
                found.push(series);
            }
            (3, Field::Bytes(message)) => {
                let mut told = (0, String::new(), String::new(), String::new());
                for field in fields(message) {
                    match field {
                        (1, Field::Number(kind)) => told.0 = kind,
                        (2, Field::Bytes(family)) => told.1 = text(family),
                        (4, Field::Bytes(help)) => told.2 = text(help),
                        (5, Field::Bytes(unit)) => told.3 = text(unit),
                        (other, _) => panic!("field {other} of metadata"),
                    }
                }
                metadata.push(told);
            }
            (other, _) => panic!("field {other} of a request"),
        }
    }
    (found, metadata)
}
