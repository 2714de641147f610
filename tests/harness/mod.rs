//! Runs the real program in a folder of its own and asks it things as a user would.

pub mod aws;
pub mod browser;
pub mod estate;
pub mod generator;
pub mod skopos;
pub mod write;

pub use programs as components;
pub use skopos::Skopos;

/// Whether the long run was asked for (`SKOPOS_TEST_LONG=1`).
pub fn long_run() -> bool {
    std::env::var("SKOPOS_TEST_LONG").is_ok_and(|value| value == "1")
}

/// The repository's root.
pub fn root() -> &'static std::path::Path {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
}
