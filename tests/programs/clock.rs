//! What makes a process see another time than the true one, and lets it jump.

use std::fs;
use std::path::{Path, PathBuf};

/// The wall clock of a process. How much time passes stays true, and so does when a file was made.
pub struct Clock {
    library: PathBuf,
    file: PathBuf,
}

impl Clock {
    /// Read from a file in this folder, true at first; none, with a loud word, where the library is not there.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Option<Self> {
        let found = ["x86_64", "aarch64"].iter().find_map(|machine| {
            super::known_in_cache(&format!(
                "faketime/usr/lib/{machine}-linux-gnu/faketime/libfaketimeMT.so.1"
            ))
        });
        let Some(library) = found else {
            super::skipped("libfaketime (run tests/setup): a real process whose clock jumps");
            return None;
        };
        let clock = Self {
            library,
            file: folder.join("time"),
        };
        clock.set(0);
        Some(clock)
    }

    /// So many seconds ahead of the true time, from now on.
    ///
    /// # Panics
    /// The file cannot be written.
    pub fn set(&self, seconds: i64) {
        let half = self.file.with_extension("half");
        let said = fs::write(&half, format!("{seconds:+}")).and_then(|()| fs::rename(half, &self.file));
        said.expect("the file with the time can be written");
    }

    /// For the process that is to believe it.
    #[must_use]
    pub fn variables(&self) -> [(&'static str, String); 5] {
        [
            ("LD_PRELOAD", self.library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("NO_FAKE_STAT", "1".to_owned()),
        ]
    }
}
