//! The benchmark runs to its end and prints every row; what it prints is not looked at.

use std::process::Command;

#[test]
fn every_row_is_printed() {
    let output = Command::new(env!("CARGO_BIN_EXE_beside"))
        .arg("--small")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    for row in [
        "over 10 series",
        "over 1000 series",
        "over 2000 series",
        "a sample, commit",
        "with its log",
        "RSS bytes a series",
        "start CPU",
        "start s by the clock",
        "12 h of sum",
        "ms by the clock",
        "logs, text: 1,000 lines a CPU-second, beside vlagent",
        "logs, json: bytes a line on the wire, beside rsyslog",
    ] {
        assert_eq!(text.matches(row).count(), 1, "{row} in\n{text}");
    }
    assert!(!text.contains("NaN"), "{text}");
}
