//! What is in the image is enough: unpacked, and run where nothing else is.

use std::path::{Path, PathBuf};
use std::process::Command;

use image::layout;

use crate::fakes::gates::{Gate, Hidden, given};

/// The image that is installed in tests: an archive that `image` has written, named by `SKOPOS_TEST_IMAGE`, or else the program
/// under test with what it is linked to. Both are `lab.local/skopos:1`.
pub(crate) fn archive(folder: &Path, authorities: &Path) -> PathBuf {
    if let Some(given) = std::env::var_os("SKOPOS_TEST_IMAGE") {
        return given.into();
    }
    let file = folder.join("skopos.tar");
    let program = Path::new(env!("CARGO_BIN_EXE_skopos"));
    let image = layout::of("lab.local/skopos:1", program, authorities);
    let image = image.with_libraries_of(program).unwrap();
    image.write(&file).unwrap();
    file
}

/// What is in its layer.
fn unpack(archive: &Path, folder: &Path) {
    let tar = |words: &[&str], from: &Path, to: &Path| {
        std::fs::create_dir_all(to).unwrap();
        let mut tar = Command::new("tar");
        let (code, said) = programs::run(tar.arg("-xf").arg(from).arg("-C").arg(to).args(words));
        assert_eq!(code, 0, "{said}");
    };
    let parts = folder.join("parts");
    tar(&[], archive, &parts);
    let told = std::fs::read(parts.join("manifest.json")).unwrap();
    let told: serde_json::Value = serde_json::from_slice(&told).unwrap();
    let layer = parts.join(told[0]["Layers"][0].as_str().unwrap());
    tar(&["--same-permissions"], &layer, &folder.join("root"));
}

#[tokio::test(flavor = "multi_thread")]
async fn names_authorities_and_time_zones_are_there_where_nothing_else_is() {
    if !rustix::process::geteuid().is_root() {
        programs::skipped("the image, run where nothing else is (chroot needs root)");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let authorities = given("ca.pem");
    unpack(&archive(folder.path(), &authorities), folder.path());
    let root = folder.path().join("root");
    let mode = Command::new("stat")
        .args(["-c", "%a"])
        .arg(root.join("data"))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&mode.stdout), "777\n");
    // As the kubelet gives each pod its own.
    std::fs::write(root.join("etc/hosts"), "127.0.0.1 hooks.example\n").unwrap();
    // One that the test's server is of; an image that is given has others.
    std::fs::copy(
        &authorities,
        root.join(layout::AUTHORITIES.trim_start_matches('/')),
    )
    .unwrap();
    let inside = |words: &[&str]| {
        let mut command = Command::new("chroot");
        command
            .arg(format!("--userspec={}", layout::USER))
            .arg(&root)
            .arg(layout::PROGRAM);
        // Of where people test, nothing is known inside.
        programs::run(
            command
                .args(words)
                .env_clear()
                .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
        )
    };

    let answer = r#"{"status":"success","data":{"resultType":"scalar","result":[1,"42"]}}"#;
    let kind = ("Content-Type".to_owned(), "application/json".to_owned());
    let server = Gate::server(Some(Hidden::default()), move |_| {
        (200, vec![kind.clone()], answer.to_owned())
    })
    .await;
    let url = format!("https://hooks.example:{}", server.port);
    let (code, said) = tokio::task::block_in_place(|| inside(&["query", "--url", &url, "scalar(up)"]));
    assert!(code == 0 && said.contains("42"), "{said}");
    assert_eq!(server.asked()[0].server_name.as_deref(), Some("hooks.example"));

    let write = |name: &str, text: &str| std::fs::write(root.join(name), text).unwrap();
    write("skopos.yaml", "notifier: { config_file: /routes.yaml }\n");
    let routes = "route: { receiver: nobody, routes: [{ mute_time_intervals: [night] }] }\nreceivers: [{ name: nobody }]\n\
                  time_intervals:\n- name: night\n  time_intervals:\n  - { location: Europe/Berlin, times: [{ start_time: '00:00', end_time: '06:00' }] }\n";
    write("routes.yaml", routes);
    let (code, said) = inside(&["check", "/skopos.yaml"]);
    assert_eq!(code, 0, "{said}");
    write("routes.yaml", &routes.replace("Berlin", "Atlantis"));
    let (code, said) = inside(&["check", "/skopos.yaml"]);
    assert!(code != 0 && said.contains("Europe/Atlantis"), "{said}");
}
