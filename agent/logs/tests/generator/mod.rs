//! Numbered log lines, the same on every run: who wrote a line, and which one it is, can be read off it.
//!
//! Standard library only, so that other test crates can include the file by its path.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::allow_attributes,
    reason = "each test that includes this uses a part of it"
)]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The time of every container line.
pub const TIME: &str = "2024-03-01T10:00:00.123456789Z";

/// One writer: a file, the lines it has written so far, and the files it has rotated away.
pub struct Writer {
    path: PathBuf,
    number: usize,
    container: bool,
    file: File,
    /// The next line's number: so many are written.
    pub next: usize,
    rotated: Vec<PathBuf>,
    rotations: usize,
    random: u64,
    /// The rest of a container's line whose front is written.
    open: Option<String>,
}

impl Writer {
    /// A plain file `<folder>/app-<number>.log`.
    pub fn plain(folder: &Path, number: usize) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Self::open(folder.join(format!("app-{number}.log")), number, false)
    }

    /// The file of a container: `<root>/shop_app-<number>_uid/main/0.log`.
    pub fn container(root: &Path, number: usize) -> io::Result<Self> {
        let folder = root.join(format!("shop_app-{number}_uid/main"));
        fs::create_dir_all(&folder)?;
        Self::open(folder.join("0.log"), number, true)
    }

    fn open(path: PathBuf, number: usize, container: bool) -> io::Result<Self> {
        Ok(Self {
            file: appending(&path)?,
            path,
            number,
            container,
            next: 0,
            rotated: Vec::new(),
            rotations: 0,
            random: number as u64 + 1,
            open: None,
        })
    }

    /// Appends lines, in two writes that part somewhere inside a line.
    pub fn write(&mut self, lines: usize) -> io::Result<()> {
        let mut text = String::new();
        if let Some(rest) = self.open.take() {
            // A record may have several lines.
            for line in rest.lines() {
                text.push_str(&format!("{TIME} stdout F {line}\n"));
            }
        }
        for _ in 0..lines {
            let record = line(self.number, self.next);
            let mut lines = record.lines();
            let line = lines.next().unwrap_or_default();
            if !self.container {
                text.push_str(&format!("{line}\n"));
            } else if self.next.is_multiple_of(7) {
                // In two pieces, with a line of the other stream between them.
                let (front, back) = line.split_at(20);
                text.push_str(&format!("{TIME} stdout P {front}\n"));
                text.push_str(&format!("{TIME} stderr F between\n"));
                text.push_str(&format!("{TIME} stdout F {back}\n"));
            } else {
                text.push_str(&format!("{TIME} stdout F {line}\n"));
            }
            let front = if self.container {
                format!("{TIME} stdout F ")
            } else {
                String::new()
            };
            for line in lines {
                text.push_str(&format!("{front}{line}\n"));
            }
            self.next += 1;
        }
        let cut = usize::try_from(self.below(text.len() as u64)).unwrap_or(0);
        let (front, back) = text.as_bytes().split_at(cut);
        self.file.write_all(front)?;
        self.file.write_all(back)
    }

    /// Begins a line of a container that the next [`Self::write`] ends, in whatever file that is.
    pub fn begin_line(&mut self) -> io::Result<()> {
        // The next one that is written in two pieces anyway.
        self.write((7 - self.next % 7) % 7)?;
        let line = line(self.number, self.next);
        let (front, rest) = line.split_at(20);
        self.next += 1;
        self.open = Some(rest.to_owned());
        self.file
            .write_all(format!("{TIME} stdout P {front}\n{TIME} stderr F between\n").as_bytes())
    }

    /// Packs the newest file that was rotated away, as logrotate does: by the program, and under everybody's eyes.
    pub fn pack(&mut self) -> io::Result<()> {
        let Some(last) = self.rotated.last_mut() else {
            return Ok(());
        };
        let name = last.to_string_lossy().into_owned();
        if !name.ends_with(".gz") {
            std::process::Command::new("gzip").args(["-1", &name]).status()?;
            *last = PathBuf::from(format!("{name}.gz"));
        }
        Ok(())
    }

    /// Renames the file and begins a new one, keeping at most `keep` old ones.
    pub fn rotate(&mut self, keep: usize) -> io::Result<()> {
        self.rotations += 1;
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let to = self.path.with_file_name(format!("{name}.{:06}", self.rotations));
        fs::rename(&self.path, &to)?;
        self.rotated.push(to);
        self.file = appending(&self.path)?;
        while self.rotated.len() > keep {
            fs::remove_file(self.rotated.remove(0))?;
        }
        Ok(())
    }

    /// Pseudo-random, below `most`.
    pub fn below(&mut self, most: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % most.max(1)
    }
}

fn appending(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// In front of records of several lines.
const GRAVE: &str = "ERROR: ";

/// The text of a record, about 150 bytes. Some have a stack trace below them.
pub fn line(writer: usize, number: usize) -> String {
    let filler = "lorem ipsum dolor sit amet consectetur adipiscing elit";
    let line = format!(
        "writer={writer:04} line={number:08} level=info GET /api/v1/orders/{:08x} status=200 took={}ms {}",
        number.wrapping_mul(2_654_435_761) & 0xffff_ffff,
        number % 997,
        filler.get(..20 + number % 30).unwrap_or_default(),
    );
    match number % 11 {
        5 => format!(
            "{GRAVE}{}\n\tat shop.Api.order(Api.java:{number})\n\tat shop.Main",
            line.replace("level=info", "level=error")
        ),
        _ => line,
    }
}

/// Which record a text is: writer and number. `None` when it is not one of [`line`], or not all of it.
pub fn number_of(text: &str) -> Option<(usize, usize)> {
    let line = text.strip_prefix(GRAVE).unwrap_or(text);
    let writer = line.strip_prefix("writer=")?.get(..4)?.parse().ok()?;
    let number = line.get(12..)?.strip_prefix("line=")?.get(..8)?.parse().ok()?;
    (text == self::line(writer, number)).then_some((writer, number))
}

/// Which lines have been seen, and how often.
#[derive(Default)]
pub struct Seen {
    writers: Vec<Vec<u8>>,
    /// Texts that are no line of ours.
    pub corrupt: Vec<String>,
}

impl Seen {
    pub fn add(&mut self, text: &str) {
        let Some((writer, number)) = number_of(text) else {
            self.corrupt.push(text.to_owned());
            return;
        };
        if self.writers.len() <= writer {
            self.writers.resize_with(writer + 1, Vec::new);
        }
        if let Some(lines) = self.writers.get_mut(writer) {
            if lines.len() <= number {
                lines.resize(number + 1, 0);
            }
            if let Some(count) = lines.get_mut(number) {
                *count = count.saturating_add(1);
            }
        }
    }

    /// How many of a writer's first `written` lines were not seen, and how many were seen more than once.
    pub fn lost_and_doubled(&self, writer: usize, written: usize) -> (usize, usize) {
        let lines = self.writers.get(writer).map_or(&[][..], Vec::as_slice);
        let seen = |number: usize| lines.get(number).copied().unwrap_or(0);
        let lost = (0..written).filter(|number| seen(*number) == 0).count();
        let doubled = (0..lines.len()).filter(|number| seen(*number) > 1).count();
        (lost, doubled)
    }
}

/// Old files stay: what nobody has read yet may not be deleted.
pub fn write_a_round(writers: &mut [Writer], chance: &mut Writer) -> io::Result<()> {
    for writer in writers {
        writer.write(100 + usize::try_from(chance.below(200)).unwrap_or(0))?;
        if chance.below(3) == 0 {
            // What is packed is as a rule the one before.
            if chance.below(2) == 0 {
                writer.pack()?;
            }
            if writer.container && chance.below(2) == 0 {
                writer.begin_line()?;
            }
            writer.rotate(usize::MAX)?;
            if chance.below(4) == 0 {
                writer.pack()?;
            }
        }
    }
    Ok(())
}

/// Ends all lines; returns how many each has written.
pub fn finish(writers: &mut [Writer]) -> io::Result<Vec<usize>> {
    let ended = writers.iter_mut().map(|writer| {
        writer.write(0)?;
        Ok(writer.next)
    });
    ended.collect()
}

/// Says what was counted, and fails where a line is not there once and whole.
#[allow(clippy::print_stdout, reason = "a test says what it counted")]
pub fn judge(seen: &Seen, written: &[usize], what: &str) {
    let (mut lost, mut doubled) = (0, 0);
    for (writer, written) in written.iter().enumerate() {
        let (writer_lost, writer_doubled) = seen.lost_and_doubled(writer, *written);
        if writer_lost + writer_doubled > 0 {
            println!("writer {writer}: {writer_lost} lost, {writer_doubled} doubled of {written}");
        }
        lost += writer_lost;
        doubled += writer_doubled;
    }
    println!(
        "{} lines in {} files, {what}: {lost} lost, {doubled} doubled, {} corrupt",
        written.iter().sum::<usize>(),
        written.len(),
        seen.corrupt.len()
    );
    assert_eq!((lost, doubled, seen.corrupt.first()), (0, 0, None));
}

pub fn wait(time: Duration) {
    let (_keep, never) = std::sync::mpsc::sync_channel::<()>(0);
    _ = never.recv_timeout(time);
}
