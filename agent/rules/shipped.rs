//! The rule files of the repository, for tests.

use std::path::Path;

/// Name and text of each, sorted by name.
pub(crate) fn files() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules");
    let paths = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let rules = paths.filter(|path| path.extension().is_some_and(|kind| kind == "yaml"));
    let read = |path: std::path::PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, std::fs::read_to_string(path).unwrap())
    };
    let mut files: Vec<(String, String)> = rules.map(read).collect();
    files.sort();
    files
}
