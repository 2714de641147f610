//! Which kills are told, of two that tell of the same.

use super::*;

fn watch() -> Watch {
    let nowhere = Path::new("/nowhere");
    let watch = Watch::new(nowhere, &nowhere.join("kmsg"));
    assert!(
        watch.log_error().starts_with("/nowhere/kmsg: "),
        "{}",
        watch.log_error()
    );
    watch
}

fn counted(container: &str, count: u64) -> Kill {
    Kill {
        pod_uid: "u".to_owned(),
        container_id: container.to_owned(),
        count,
        usage_bytes: Some(30),
        limit_bytes: Some(32),
        ..Kill::default()
    }
}

fn logged(container: &str, name: &str) -> Kill {
    Kill {
        usage_bytes: Some(31),
        limit_bytes: None,
        process: Some(Process {
            name: name.to_owned(),
            pid: 7,
            own_bytes: None,
        }),
        ..counted(container, 1)
    }
}

/// `name count usage/limit`
fn words(kills: &[Kill]) -> Vec<String> {
    let one = |kill: &Kill| {
        let name = kill.process.as_ref().map_or("?", |process| &process.name);
        let figure = |value: Option<u64>| value.map_or_else(|| "?".to_owned(), |value| value.to_string());
        format!(
            "{name} {} {}/{}",
            kill.count,
            figure(kill.usage_bytes),
            figure(kill.limit_bytes)
        )
    };
    kills.iter().map(one).collect()
}

#[test]
fn a_kill_that_both_tell_of_is_told_once_and_with_its_name() {
    let mut watch = watch();
    let kills = watch.merge(vec![counted("a", 1)], vec![logged("a", "tail")]);
    assert_eq!(words(&kills), ["tail 1 31/32"]);
    // Three more, of which the log has lost one.
    let kills = watch.merge(
        vec![counted("a", 4)],
        vec![logged("a", "one"), logged("a", "two")],
    );
    assert_eq!(words(&kills), ["one 1 31/32", "two 1 31/32", "? 1 30/32"]);
}

#[test]
fn whoever_comes_first_tells_it() {
    let mut watch = watch();
    // The log has it before the count is looked at.
    assert_eq!(
        words(&watch.merge(vec![], vec![logged("a", "tail")])),
        ["tail 1 31/?"]
    );
    assert_eq!(watch.merge(vec![counted("a", 1)], vec![]), []);
    // And the other way about.
    assert_eq!(words(&watch.merge(vec![counted("b", 1)], vec![])), ["? 1 30/32"]);
    assert_eq!(watch.merge(vec![], vec![logged("b", "tail")]), []);
    assert_eq!(
        words(&watch.merge(vec![counted("b", 2)], vec![logged("b", "more")])),
        ["more 1 31/32"]
    );
}

#[test]
fn each_kill_outside_of_containers_is_told() {
    let mut watch = watch();
    let kills = watch.merge(vec![], vec![logged("", "db"), logged("", "db")]);
    assert_eq!(kills.len(), 2);
}
