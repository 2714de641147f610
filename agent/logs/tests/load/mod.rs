//! Containers that write at a given speed and rotate as the kubelet lets them, a place where all of it is counted, and a
//! small OpenSearch that counts.
//!
//! What is counted is a count for each line of each container: lost, doubled, in another order than written, corrupt. No
//! such figure can make up for another one.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::allow_attributes,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "each test that includes this uses a part of it, and says what it counted"
)]

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use memchr::memmem;

const WORDS: &str = "cache miss for user order checkout retry upstream timeout after commit offset partition connection closed by peer token expires in queue depth worker idle ";
/// Lines whose number has this rest of this many are written in two pieces.
const PIECES: (usize, usize) = (49, 50);

/// The text of a line, 230 bytes.
pub fn text(container: usize, number: usize) -> String {
    let mut text = format!(
        "#{container:03}-{number:08}# INFO GET /api/v1/orders/{} status=200 ",
        number * 7919
    );
    text.push_str(&WORDS[number * 13 % WORDS.len()..]);
    while text.len() < 230 {
        text.push_str(WORDS);
    }
    text.truncate(230);
    text
}

/// When it was written: later than the one before.
pub fn time(number: usize) -> String {
    let second = number / 10_000;
    format!(
        "2026-11-27T{:02}:{:02}:{:02}.{:09}Z",
        second / 3600,
        second / 60 % 60,
        second % 60,
        number % 10_000 * 100_000
    )
}

pub fn rest(time: Duration) {
    let (_keep, never) = std::sync::mpsc::sync_channel::<()>(0);
    _ = never.recv_timeout(time);
}

/// What a whole line takes in its file.
pub const LINE_BYTES: u64 = 230 + 30 + 10 + 1;

struct Container {
    number: usize,
    folder: PathBuf,
    file: File,
    next: usize,
    /// The rest of a line whose front was written.
    open: Option<String>,
    rotated: VecDeque<PathBuf>,
    rotations: usize,
}

impl Container {
    fn new(root: &Path, number: usize) -> Self {
        let folder = root.join(format!("load_app-{number:03}_uid/main"));
        fs::create_dir_all(&folder).unwrap();
        Self {
            number,
            file: File::create(folder.join("0.log")).unwrap(),
            folder,
            next: 0,
            open: None,
            rotated: VecDeque::new(),
            rotations: 0,
        }
    }

    fn close_line(&mut self, lines: &mut String) {
        if let Some(rest) = self.open.take() {
            lines.push_str(&format!("{} stdout F {rest}\n", time(self.next)));
            self.next += 1;
        }
    }

    fn open_line(&mut self, lines: &mut String) {
        let text = text(self.number, self.next);
        let (front, rest) = text.split_at(100);
        lines.push_str(&format!("{} stdout P {front}\n", time(self.next)));
        self.open = Some(rest.to_owned());
    }

    fn write(&mut self, bytes: usize, in_pieces: bool) {
        let mut lines = String::with_capacity(bytes + 512);
        self.close_line(&mut lines);
        while lines.len() < bytes {
            if in_pieces && self.next % PIECES.1 == PIECES.0 {
                self.open_line(&mut lines);
                self.close_line(&mut lines);
            } else {
                lines.push_str(&format!(
                    "{} stdout F {}\n",
                    time(self.next),
                    text(self.number, self.next)
                ));
                self.next += 1;
            }
        }
        self.file.write_all(lines.as_bytes()).unwrap();
    }

    /// As the kubelet: the file gets the time as its name's end, the one before it is packed, and the oldest goes.
    fn rotate(&mut self, keep: usize, in_pieces: bool) {
        if in_pieces && self.open.is_none() {
            let mut lines = String::new();
            self.open_line(&mut lines);
            self.file.write_all(lines.as_bytes()).unwrap();
        }
        self.rotations += 1;
        let (live, to) = (
            self.folder.join("0.log"),
            self.folder.join(format!("0.log.20261127-{:06}", self.rotations)),
        );
        if let Some(last) = self.rotated.back_mut() {
            *last = pack(last);
        }
        fs::rename(&live, &to).unwrap();
        self.file = File::create(&live).unwrap();
        self.rotated.push_back(to);
        while self.rotated.len() + 1 > keep {
            fs::remove_file(self.rotated.pop_front().unwrap()).unwrap();
        }
    }
}

fn pack(path: &Path) -> PathBuf {
    let name = path.to_string_lossy();
    let (half, whole) = (format!("{name}.tmp"), PathBuf::from(format!("{name}.gz")));
    let mut encoder = GzEncoder::new(File::create(&half).unwrap(), Compression::fast());
    std::io::copy(&mut File::open(path).unwrap(), &mut encoder).unwrap();
    encoder.finish().unwrap();
    fs::rename(&half, &whole).unwrap();
    fs::remove_file(path).unwrap();
    whole
}

/// Many containers.
pub struct Load {
    containers: Vec<Container>,
    /// Files of each, the one being written among them.
    keep: usize,
    in_pieces: bool,
}

impl Load {
    pub fn new(root: &Path, containers: usize, keep: usize, in_pieces: bool) -> Self {
        Self {
            containers: (0..containers)
                .map(|number| Container::new(root, number))
                .collect(),
            keep,
            in_pieces,
        }
    }

    /// So many bytes a second in all, and a rotation somewhere `every` so often, or at this size.
    pub fn run(&mut self, bytes_per_second: usize, every: Duration, time: Duration) {
        let (begun, mut written, mut rotations, mut turn) = (Instant::now(), 0, 0, 0);
        while begun.elapsed() < time {
            let due = (begun.elapsed().as_secs_f64() * bytes_per_second as f64) as usize;
            // A tenth of a second of each container at a time at most.
            let share = (bytes_per_second / self.containers.len() / 10).max(300);
            while written < due {
                let nth = turn % self.containers.len();
                self.containers[nth].write(share, self.in_pieces);
                written += share;
                turn += 1;
            }
            while every * (rotations + 1) < begun.elapsed() {
                let nth = rotations as usize % self.containers.len();
                self.containers[nth].rotate(self.keep, self.in_pieces);
                rotations += 1;
            }
            rest(Duration::from_millis(5));
        }
        for container in &mut self.containers {
            container.write(1, self.in_pieces);
        }
        println!(
            "{} MB in {:.1} s, {rotations} rotations",
            written / 1_000_000,
            begun.elapsed().as_secs_f64()
        );
    }

    pub fn written(&self) -> Vec<usize> {
        self.containers.iter().map(|container| container.next).collect()
    }
}

/// Every line that has come.
#[derive(Default)]
pub struct Tally {
    ids: HashSet<[u8; 20]>,
    counts: Vec<Vec<u8>>,
    /// Of each file of a container, where each of its lines stands.
    places: HashMap<(usize, u64), Vec<(u64, usize)>>,
    pub corrupt: Vec<String>,
    /// Came again under the same id.
    pub again: usize,
    pub documents: usize,
}

/// How many lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    pub lost: usize,
    pub doubled: usize,
    pub reordered: usize,
    pub corrupt: usize,
}

impl Tally {
    /// False when there is a document of this id.
    pub fn note(&mut self, id: &str, message: &str) -> bool {
        let mut bytes = [0; 20];
        let whole = BASE64_URL_SAFE_NO_PAD.decode_slice(id, &mut bytes);
        assert_eq!(whole, Ok(20), "no id of ours: {id}");
        if !self.ids.insert(bytes) {
            self.again += 1;
            return false;
        }
        self.documents += 1;
        let Some((container, number)) = place_of(message).filter(|place| text(place.0, place.1) == message)
        else {
            self.corrupt.push(message.to_owned());
            return true;
        };
        if self.counts.len() <= container {
            self.counts.resize_with(container + 1, Vec::new);
        }
        let counts = &mut self.counts[container];
        if counts.len() <= number {
            counts.resize(number + 1, 0);
        }
        counts[number] = counts[number].saturating_add(1);
        let file = u64::from_be_bytes(bytes[6..14].try_into().unwrap());
        let mut offset = [0; 8];
        offset[2..].copy_from_slice(&bytes[14..]);
        let places = self.places.entry((container, file)).or_default();
        places.push((u64::from_be_bytes(offset), number));
        true
    }

    fn count(&self, container: usize, number: usize) -> u8 {
        let counts = self.counts.get(container);
        counts.and_then(|counts| counts.get(number)).copied().unwrap_or(0)
    }

    pub fn report(&mut self, written: &[usize], what: &str) -> Report {
        let lines = |wanted: &dyn Fn(u8) -> bool| -> usize {
            let of = |(container, written): (usize, &usize)| {
                (0..*written)
                    .filter(|number| wanted(self.count(container, *number)))
                    .count()
            };
            written.iter().enumerate().map(of).sum()
        };
        let (lost, doubled) = (lines(&|count| count == 0), lines(&|count| count > 1));
        let mut reordered = 0;
        for places in self.places.values_mut() {
            places.sort_unstable();
            reordered += places.windows(2).filter(|pair| pair[0].1 >= pair[1].1).count();
        }
        let report = Report {
            lost,
            doubled,
            reordered,
            corrupt: self.corrupt.len(),
        };
        println!(
            "{what}: {} lines of {} containers: {} lost, {} doubled, {} reordered, {} corrupt; {} came again under their id",
            written.iter().sum::<usize>(),
            written.len(),
            report.lost,
            report.doubled,
            report.reordered,
            report.corrupt,
            self.again,
        );
        report
    }
}

/// `#003-00000017#…`
fn place_of(message: &str) -> Option<(usize, usize)> {
    let (container, number) = message
        .get(..14)?
        .strip_prefix('#')?
        .strip_suffix('#')?
        .split_once('-')?;
    Some((container.parse().ok()?, number.parse().ok()?))
}

/// Takes bulk requests as OpenSearch does, and knows ids.
pub struct Sink {
    pub port: u16,
    pub tally: Arc<Mutex<Tally>>,
    /// Of documents that it takes in a second; zero: as many as come.
    pub bytes_per_second: Arc<Mutex<usize>>,
}

impl Sink {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let sink = Self {
            port: listener.local_addr().unwrap().port(),
            tally: Arc::default(),
            bytes_per_second: Arc::default(),
        };
        let (tally, speed) = (Arc::clone(&sink.tally), Arc::clone(&sink.bytes_per_second));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (tally, speed) = (Arc::clone(&tally), Arc::clone(&speed));
                thread::spawn(move || serve(stream, &tally, &speed));
            }
        });
        sink
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

fn serve(stream: TcpStream, tally: &Mutex<Tally>, speed: &Mutex<usize>) {
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::with_capacity(1 << 16, stream);
    while let Some((head, body)) = request(&mut reader) {
        let answer = if head.contains("_bulk") {
            let mut plain = Vec::new();
            if head.to_lowercase().contains("content-encoding: gzip") {
                MultiGzDecoder::new(&body[..]).read_to_end(&mut plain).unwrap();
            } else {
                plain = body;
            }
            let begun = Instant::now();
            while begun.elapsed().as_secs_f64() * (*speed.lock().unwrap() as f64) < plain.len() as f64
                && *speed.lock().unwrap() > 0
            {
                rest(Duration::from_millis(10));
            }
            bulk(&plain, &mut tally.lock().unwrap())
        } else {
            r#"{"version":{"number":"3.8.0","distribution":"opensearch"}}"#.to_owned()
        };
        let front = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            answer.len()
        );
        if writer.write_all((front + &answer).as_bytes()).is_err() {
            return;
        }
    }
}

fn bulk(plain: &[u8], tally: &mut Tally) -> String {
    let (mut items, mut errors) = (String::new(), false);
    let mut lines = plain.split(|byte| *byte == b'\n');
    while let (Some(action), Some(document)) = (lines.next(), lines.next()) {
        let id = between(action, b"\"_id\":\"").expect("an id");
        let message = between(document, b"\"message\":\"").expect("a message");
        let is_new = tally.note(id, message);
        errors |= !is_new;
        if !items.is_empty() {
            items.push(',');
        }
        items.push_str(if is_new {
            r#"{"create":{"status":201}}"#
        } else {
            r#"{"create":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"x"}}}"#
        });
    }
    format!("{{\"errors\":{errors},\"items\":[{items}]}}")
}

/// What stands between `front` and the next quote; nothing is escaped in what is looked for.
fn between<'a>(line: &'a [u8], front: &[u8]) -> Option<&'a str> {
    let start = memmem::find(line, front)? + front.len();
    let rest = line.get(start..)?;
    std::str::from_utf8(rest.get(..memchr::memchr(b'"', rest)?)?).ok()
}

fn request(reader: &mut BufReader<TcpStream>) -> Option<(String, Vec<u8>)> {
    let mut head = String::new();
    loop {
        let before = head.len();
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
        if head[before..].trim().is_empty() {
            break;
        }
    }
    let length = head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().unwrap())
    });
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    Some((head, body))
}
