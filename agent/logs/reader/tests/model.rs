//! Random writing, rotating, truncating and dying against the one promise: every line once.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use proptest::prelude::*;

use super::rig::{Rig, append, pack};
use crate::segment::list;

#[derive(Clone, Debug)]
enum Step {
    /// So many lines to one of the files; the last one is left unfinished now and then.
    Write {
        file: usize,
        lines: usize,
        unfinished: bool,
    },
    Rotate {
        file: usize,
    },
    /// Oldest rotated file, once everything is kept.
    DeleteOldest {
        file: usize,
    },
    /// The newest rotated file that is not packed, as the kubelet packs it; also while we are dead.
    Pack {
        file: usize,
        dead: bool,
    },
    /// Once everything is kept, since what is written between the copy and the cut is lost by design.
    Truncate {
        file: usize,
    },
    Turn,
    Wait {
        tenths: u64,
    },
    Full {
        full: bool,
    },
    Stop,
    Kill,
    /// Killed while a frame was being written: so much of it, in percent, is there.
    Tear {
        percent: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..3usize, 1..60usize, any::<bool>()).prop_map(|(file, lines, unfinished)| Step::Write { file, lines, unfinished }),
        3 => (0..3usize).prop_map(|file| Step::Rotate { file }),
        1 => (0..3usize).prop_map(|file| Step::DeleteOldest { file }),
        2 => (0..3usize, any::<bool>()).prop_map(|(file, dead)| Step::Pack { file, dead }),
        1 => (0..3usize).prop_map(|file| Step::Truncate { file }),
        4 => Just(Step::Turn),
        3 => (1..80u64).prop_map(|tenths| Step::Wait { tenths }),
        1 => any::<bool>().prop_map(|full| Step::Full { full }),
        1 => Just(Step::Stop),
        1 => Just(Step::Kill),
        1 => (0..100usize).prop_map(|percent| Step::Tear { percent }),
    ]
}

/// Files 0 and 1 are plain, 2 is a container's.
struct World {
    rig: Rig,
    written: Vec<String>,
    rotated: [Vec<PathBuf>; 3],
    next: usize,
}

impl World {
    fn new() -> Self {
        Self {
            rig: Rig::with(|config| config.segment_bytes = 64 << 10),
            written: Vec::new(),
            rotated: Default::default(),
            next: 0,
        }
    }

    fn path(&self, file: usize) -> PathBuf {
        match file {
            0 => self.rig.path("a.log"),
            1 => self.rig.path("b.log"),
            _ => self.rig.container("0.log"),
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Write {
                file,
                lines,
                unfinished,
            } => self.write(*file, *lines, *unfinished),
            Step::Rotate { file } => self.rotate(*file),
            Step::DeleteOldest { file } => {
                self.catch_up();
                if !self.rotated[*file].is_empty() {
                    fs::remove_file(self.rotated[*file].remove(0)).unwrap();
                }
            }
            Step::Pack { file, dead } => {
                if *dead {
                    self.rig.kill();
                }
                let newest = self.rotated[*file].last_mut();
                if let Some(newest) = newest.filter(|path| path.extension().is_none_or(|end| end != "gz")) {
                    *newest = pack(newest);
                }
                if *dead {
                    self.rig.start();
                }
            }
            Step::Truncate { file } => {
                self.finish_line(*file);
                self.catch_up();
                if let Ok(open) = OpenOptions::new().write(true).open(self.path(*file)) {
                    open.set_len(0).unwrap();
                    // One that is not seen empty is told by its content, which must not be the same.
                    self.rig.turn();
                }
            }
            Step::Turn => drop(self.rig.turn()),
            Step::Wait { tenths } => self.rig.run(Duration::from_millis(tenths * 100)),
            Step::Full { full } => self.rig.full(*full),
            Step::Stop => {
                self.rig.stop();
                self.rig.start();
            }
            Step::Kill => self.rig.restart(),
            Step::Tear { percent } => {
                self.rig.kill();
                self.tear(*percent);
                self.rig.start();
            }
        }
    }

    fn write(&mut self, file: usize, lines: usize, unfinished: bool) {
        self.finish_line(file);
        let mut text = String::new();
        for nth in 0..lines {
            let name = format!("line {:06} of {file}", self.next);
            self.next += 1;
            match (file, nth % 3) {
                (0 | 1, _) => text.push_str(&format!("{name}\n")),
                (_, 0) => text.push_str(&format!("2024-03-01T10:00:00Z stdout F {name}\n")),
                (_, 1) => {
                    // In two pieces, with a line of the other stream in between.
                    text.push_str(&format!("2024-03-01T10:00:00Z stdout P {}\n", &name[..5]));
                    text.push_str(&format!("2024-03-01T10:00:00Z stderr F {name} err\n"));
                    text.push_str(&format!("2024-03-01T10:00:00Z stdout F {}\n", &name[5..]));
                    self.written.push(format!("{name} err"));
                }
                _ => text.push_str(&format!("2024-03-01T10:00:00Z stderr F {name}\n")),
            }
            self.written.push(name);
        }
        if unfinished {
            text.pop();
        }
        append(&self.path(file), &text);
    }

    /// What stands unfinished at the end of a file gets its line feed.
    fn finish_line(&self, file: usize) {
        let path = self.path(file);
        if fs::read(&path).is_ok_and(|bytes| bytes.last().is_some_and(|last| *last != b'\n')) {
            append(&path, "\n");
        }
    }

    fn rotate(&mut self, file: usize) {
        let path = self.path(file);
        if !path.exists() {
            return;
        }
        let name = format!("{}.{:06}", path.file_name().unwrap().to_str().unwrap(), self.next);
        self.next += 1;
        let to = path.with_file_name(name);
        fs::rename(&path, &to).unwrap();
        self.rotated[file].push(to);
        append(&path, "");
    }

    fn catch_up(&mut self) {
        self.rig.full(false);
        self.rig.run(Duration::from_secs(12));
    }

    /// Leaves a part of a frame at the end of the newest segment.
    fn tear(&self, percent: usize) {
        let newest = list(&self.rig.segments()).unwrap().pop().unwrap();
        let bytes = fs::read(&newest.path).unwrap();
        let frame = &bytes[40..];
        let length = 64 + u32::from_le_bytes(frame[8..12].try_into().unwrap()) as usize;
        let torn = &frame[..length * percent / 100];
        let mut file = OpenOptions::new().append(true).open(&newest.path).unwrap();
        file.write_all(torn).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if std::env::var_os("SKOPOS_TEST_LONG").is_some() { 1000 } else { 60 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_line_once_whatever_happens(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
        }
        for file in 0..3 {
            world.finish_line(file);
        }
        world.catch_up();
        world.written.sort_unstable();
        prop_assert_eq!(world.rig.texts(), world.written);
        prop_assert!(world.rig.account.ledger().balances());
    }
}
