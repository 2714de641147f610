//! Numbered log lines over many files, rotated while they are written.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Every line says its own number, so that a bitmap over what was kept shows what is missing or doubled.
pub struct Generator {
    files: Vec<(PathBuf, File)>,
    next: u64,
    rotated: u64,
}

impl Generator {
    pub fn new(folder: &Path, count: usize) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let open = |nth: usize| {
            let path = folder.join(format!("app-{nth:02}.log"));
            let file = append(&path);
            (path, file)
        };
        Self {
            files: (0..count).map(open).collect(),
            next: 0,
            rotated: 0,
        }
    }

    /// Lines written so far.
    pub fn written(&self) -> u64 {
        self.next
    }

    /// Writes `lines` more, spread over the files, in writes that do not end at line ends.
    pub fn write(&mut self, lines: u64) {
        let count = self.files.len() as u64;
        let mut held = vec![String::new(); self.files.len()];
        for number in self.next..self.next + lines {
            let level = if number.is_multiple_of(50) { "WARN" } else { "INFO" };
            let text = format!(
                "2026-01-02T03:04:05.678Z {level} line={number} {}\n",
                "x".repeat((number % 150) as usize)
            );
            held[(number % count) as usize].push_str(&text);
        }
        for ((_, file), text) in self.files.iter_mut().zip(&held) {
            let middle = text.len() / 2;
            file.write_all(&text.as_bytes()[..middle]).unwrap();
            file.write_all(&text.as_bytes()[middle..]).unwrap();
        }
        self.next += lines;
    }

    /// Renames one file, as logrotate does, and goes on in a new one of the old name.
    pub fn rotate(&mut self) {
        let nth = (self.rotated % self.files.len() as u64) as usize;
        self.rotated += 1;
        let (path, file) = &mut self.files[nth];
        std::fs::rename(&*path, path.with_extension(format!("log.{}", self.rotated))).unwrap();
        *file = append(path);
    }
}

fn append(path: &Path) -> File {
    OpenOptions::new().append(true).create(true).open(path).unwrap()
}

/// How often each line number is in `texts`: (lost, doubled).
pub fn account<'a>(texts: impl Iterator<Item = &'a str>, written: u64) -> (Vec<u64>, Vec<u64>) {
    let mut seen = vec![0u8; usize::try_from(written).unwrap()];
    for text in texts {
        let Some(rest) = text.split("line=").nth(1) else {
            continue;
        };
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        let number: usize = digits.parse().unwrap();
        seen[number] = seen[number].saturating_add(1);
    }
    let numbers = |wanted: fn(u8) -> bool| {
        (0u64..)
            .zip(&seen)
            .filter(|(_, times)| wanted(**times))
            .map(|(number, _)| number)
            .collect()
    };
    (numbers(|times| times == 0), numbers(|times| times > 1))
}
