//! Remote write 1.0 and 2.0, from the body of a request to samples in a store.
//!
//! The receiver goes on from input to input, as it does from request to request: what one leaves behind is met by the
//! next. Its accounts balance after each.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

use journal::{Disk, Journal};
use model::Clock;
use model::outside::{Call, Identity, Role};
use prometheus::Registry;
use remote::receive::{Config, Receiver};
use remote::wire::decode;
use store::{History, Store};
use tempfile::TempDir;

use crate::clock::{NOW, Standing};

pub(crate) const WORDS: &[&str] = &[
    "__name__", "job", "instance", "node", "\n", "\u{12}", "\u{1a}", "\"", "*",
];
/// After so many a receiver gives way to a new one, so that what went wrong can be found again.
const REQUESTS: u32 = 500;
const BODY_BYTES_MAX: usize = 1 << 20;

struct Bench {
    receiver: Arc<Receiver>,
    store: Arc<Store>,
    left: u32,
    _folder: TempDir,
}

thread_local! {
    static BENCH: RefCell<Option<Bench>> = const { RefCell::new(None) };
}

fn bench() -> Bench {
    let (folder, registry, clock) = (
        TempDir::new().expect("a folder"),
        Registry::new(),
        Arc::new(Standing),
    );
    let journal = Journal::open(Disk::new(folder.path()), Path::new("state")).expect("an empty folder");
    let keeping = store::Config {
        history: History::None,
        series_max: 5_000,
        ..store::Config::default()
    };
    let store = Store::open(folder.path(), keeping, clock.clone(), &registry).expect("an empty folder");
    let config = Config {
        body_bytes_max: BODY_BYTES_MAX,
        ..Config::default()
    };
    Bench {
        receiver: Receiver::new(config, store.clone(), journal, clock as Arc<dyn Clock>, &registry),
        store,
        left: REQUESTS,
        _folder: folder,
    }
}

pub(crate) fn one(bytes: &[u8]) {
    write(bytes, "application/x-protobuf");
}

pub(crate) fn two(bytes: &[u8]) {
    write(
        bytes,
        "application/x-protobuf;proto=io.prometheus.write.v2.Request",
    );
}

/// The first byte says whether the rest is packed already, and who sends it.
fn write(bytes: &[u8], kind: &str) {
    let Some((first, rest)) = bytes.split_first() else {
        return;
    };
    let body = if first % 2 == 0 {
        snap::raw::Encoder::new().compress_vec(rest).expect("it is short")
    } else {
        unpacked(rest);
        rest.to_vec()
    };
    let role = if first & 2 == 0 { Role::Node } else { Role::Writer };
    let call = Call {
        method: "POST".to_owned(),
        path: "/api/v1/write".to_owned(),
        headers: vec![
            ("content-type".to_owned(), kind.to_owned()),
            ("content-encoding".to_owned(), "snappy".to_owned()),
        ],
        body,
        from: Some(Identity {
            role,
            name: "sender".into(),
        }),
        ..Call::default()
    };
    BENCH.with_borrow_mut(|kept| {
        let bench = kept.get_or_insert_with(bench);
        let status = bench.receiver.write(&call).status;
        assert!([200, 204, 400, 413, 503].contains(&status), "status {status}");
        // The same again, as a sender does that has not heard the answer.
        bench.receiver.write(&call);
        let (taken, kept_there) = (bench.receiver.ledger(), bench.store.ledger());
        assert!(
            taken.balances() && kept_there.balances(),
            "{taken:?} {kept_there:?}"
        );
        bench.left -= 1;
        if bench.left == 0 {
            *kept = None;
        }
    });
}

/// Unpacking gives as many bytes as were declared, and never more than may be.
fn unpacked(packed: &[u8]) {
    let mut room = Vec::new();
    let declared = decode::unpacked_bytes(packed, BODY_BYTES_MAX).ok();
    if let Ok(bytes) = decode::unpack(packed, BODY_BYTES_MAX, &mut room) {
        assert_eq!(Some(bytes.len()), declared);
        assert!(bytes.len() <= BODY_BYTES_MAX);
    }
}

fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn field(number: u64, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    varint(number << 3 | 2, &mut out);
    varint(bytes.len() as u64, &mut out);
    out.extend_from_slice(bytes);
    out
}

fn sample(number: u64, value: f64, time: i64) -> Vec<u8> {
    let mut out = vec![1 << 3 | 1];
    out.extend(value.to_bits().to_le_bytes());
    out.push(2 << 3);
    varint(time.cast_unsigned(), &mut out);
    field(number, &out)
}

/// A native histogram of 3 and 4 above zero and 2 below, in buckets or with bounds of its own.
fn histogram(number: u64, time: i64, custom: bool) -> Vec<u8> {
    let whole = |number: u64, value: u64| {
        let mut out = Vec::new();
        varint(number << 3, &mut out);
        varint(value, &mut out);
        out
    };
    let float = |number: u64, value: f64| {
        let mut out = Vec::new();
        varint(number << 3 | 1, &mut out);
        out.extend(value.to_bits().to_le_bytes());
        out
    };
    let span = [whole(1, 0), whole(2, 2)].concat();
    let message = if custom {
        let bounds: Vec<u8> = [0.1_f64, 1.0]
            .iter()
            .flat_map(|bound| bound.to_le_bytes())
            .collect();
        let counts: Vec<u8> = [3.5_f64, 4.5]
            .iter()
            .flat_map(|count| count.to_le_bytes())
            .collect();
        [
            float(2, 8.0),
            float(3, 5.5),
            whole(4, 105),
            field(11, &span),
            field(13, &counts),
            whole(14, 3),
            whole(15, time.cast_unsigned()),
            field(16, &bounds),
        ]
        .concat()
    } else {
        [
            whole(1, 9),
            float(3, 5.5),
            whole(4, 6),
            float(5, 0.001),
            whole(6, 0),
            field(8, &whole(2, 1)),
            field(9, &[4]),
            field(11, &span),
            field(12, &[6, 2]),
            whole(15, time.cast_unsigned()),
        ]
        .concat()
    };
    field(number, &message)
}

fn both(request: &[u8]) -> Vec<Vec<u8>> {
    let packed = snap::raw::Encoder::new()
        .compress_vec(request)
        .expect("it is short");
    vec![
        [&[0], request].concat(),
        [&[2], request].concat(),
        [&[1], packed.as_slice()].concat(),
    ]
}

pub(crate) fn seeds_one() -> Vec<Vec<u8>> {
    let label = |name: &str, value: &str| {
        field(
            1,
            &[field(1, name.as_bytes()), field(2, value.as_bytes())].concat(),
        )
    };
    let series = |name: &str, nth: i64| {
        let labels = [
            label("__name__", name),
            label("job", "j"),
            label("node", "elsewhere"),
        ]
        .concat();
        let samples = [sample(2, 1.5, NOW + nth), sample(2, f64::NAN, NOW + nth + 1)].concat();
        let histograms = [
            field(4, &[]),
            histogram(4, NOW + nth, false),
            histogram(4, NOW + nth, true),
        ]
        .concat();
        field(1, &[labels, samples, histograms].concat())
    };
    let mut about = vec![1 << 3, 1];
    about.extend([field(2, b"x"), field(4, b"What it is."), field(5, b"s")].concat());
    both(&[series("x", 0), series("y", 7), series("x", 5), field(3, &about)].concat())
}

pub(crate) fn seeds_two() -> Vec<Vec<u8>> {
    let symbols = ["", "__name__", "x", "job", "j", "What it is.", "y"];
    let symbols: Vec<u8> = symbols
        .iter()
        .flat_map(|text| field(4, text.as_bytes()))
        .collect();
    let series = |name: u8, nth: i64| {
        let labels = field(1, &[1, name, 3, 4]);
        let samples = [sample(2, 1.5, NOW + nth), sample(2, -0.0, NOW + nth + 1)].concat();
        let about = field(5, &[1 << 3, 1, 3 << 3, 5, 4 << 3, 0]);
        let histograms = [
            field(3, &[]),
            histogram(3, NOW + nth, false),
            histogram(3, NOW + nth, true),
        ]
        .concat();
        field(5, &[labels, samples, histograms, about].concat())
    };
    both(&[symbols, series(2, 0), series(6, 7), series(2, 5)].concat())
}
