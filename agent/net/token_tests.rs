//! Tokens: who is known, what is refused, what a changed file does.

use super::*;

const NODE: &str = "0123456789abcdef";
const PEER_TOKEN: &str = "fedcba9876543210fedcba9876543210";

fn call(path: &str, token: Option<&str>) -> Call {
    let header = token.map(|token| ("authorization".to_owned(), format!("Bearer {token}")));
    Call {
        path: path.to_owned(),
        headers: header.into_iter().collect(),
        ..Call::default()
    }
}

fn who(tokens: &Tokens, token: &str) -> Result<(Role, String), String> {
    let identity = tokens.who(&call("/api/v1/write", Some(token)))?;
    Ok((identity.role, identity.name.to_string()))
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

#[test]
fn a_caller_is_who_its_token_says() {
    let text =
        format!("# who may call\n\nnode a {NODE}\n  replica\tskopos-1 {PEER_TOKEN}\nwriter a {NODE}-w\n");
    let file = file(&text);
    let tokens = Tokens::open(file.path()).unwrap();
    assert_eq!(who(&tokens, NODE), Ok((Role::Node, "a".to_owned())));
    assert_eq!(
        who(&tokens, PEER_TOKEN),
        Ok((Role::Replica, "skopos-1".to_owned()))
    );
    assert_eq!(
        who(&tokens, &format!("{NODE}-w")),
        Ok((Role::Writer, "a".to_owned()))
    );
    for token in [
        "",
        "0123456789abcdeF",
        "0123456789abcde",
        &format!("{NODE}0"),
        "a",
    ] {
        assert!(
            who(&tokens, token).unwrap_err().starts_with("unknown token"),
            "{token:?}"
        );
    }
    let none = tokens.who(&call("/api/v1/write", None)).unwrap_err();
    assert!(
        none.contains("Authorization: Bearer") && none.contains("web.tokens_file"),
        "{none}"
    );
    // A file that names somebody also holds for this machine.
    let local = Call {
        local: true,
        ..call("/api/v1/write", None)
    };
    assert!(tokens.who(&local).is_err());
}

#[test]
fn without_a_file_only_this_machine_may_call() {
    let tokens = Tokens::none();
    let called = |path, local| {
        let call = Call {
            local,
            ..call(path, None)
        };
        tokens
            .who(&call)
            .map(|identity| (identity.role, identity.name.to_string()))
    };
    assert_eq!(
        called("/api/v1/write", true),
        Ok((Role::Writer, "local".to_owned()))
    );
    assert_eq!(
        called("/peer/v1/hello", true),
        Ok((Role::Replica, "local".to_owned()))
    );
    assert_eq!(
        called("/api/v1/logs/tail", true),
        Ok((Role::Reader, "local".to_owned()))
    );
    for path in ["/api/v1/write", "/peer/v1/hello", "/api/v1/logs/tail"] {
        assert!(called(path, false).unwrap_err().contains("web.tokens_file"));
    }
}

#[test]
fn every_mistake_is_named_and_no_token_is_shown() {
    let text = format!(
        "node a {NODE}\nnod b {NODE}x\nnode c short\nnode a {NODE}y\nwriter d {NODE}\nnode e\nnode f {NODE}z # x\n"
    );
    let wrong = parse("tokens", &text).unwrap_err();
    let text: Vec<String> = wrong.iter().map(ToString::to_string).collect();
    assert_eq!(
        text,
        [
            "tokens:2:1: there is no role \"nod\"\n  did you mean \"node\"?",
            "tokens:3:1: the token of node c is shorter than 16 characters\n  make one with `skopos token`",
            "tokens:4:1: node a has a token already, in line 1",
            "tokens:5:1: this token is that of line 1\n  make another with `skopos token`",
            "tokens:6:1: a line is made of three words: role name token",
            "tokens:7:1: a line is made of three words: role name token",
        ]
    );
    let missing = Tokens::open(Path::new("/nowhere/tokens")).err().unwrap();
    assert!(
        missing[0]
            .to_string()
            .starts_with("/nowhere/tokens: reading tokens: No such file")
    );
}

#[tokio::test(start_paused = true)]
async fn a_changed_file_is_read_within_a_second_and_a_bad_one_is_not_in_force() {
    let file = file(&format!("node a {NODE}\n"));
    let write = |text: &str| std::fs::write(file.path(), text).unwrap();
    let tokens = Tokens::open(file.path()).unwrap();
    write(&format!("node b {NODE}\nnode c {NODE}-c\n"));
    tokio::time::advance(LOOK_EVERY - Duration::from_millis(1)).await;
    assert_eq!(who(&tokens, NODE).unwrap().1, "a", "not looked at again yet");
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(who(&tokens, NODE).unwrap().1, "b");
    assert_eq!(who(&tokens, &format!("{NODE}-c")).unwrap().1, "c");
    write("node b short\n");
    tokio::time::advance(LOOK_EVERY).await;
    assert_eq!(who(&tokens, NODE).unwrap().1, "b", "the old one is in force");
    std::fs::remove_file(file.path()).unwrap();
    tokio::time::advance(LOOK_EVERY).await;
    assert_eq!(who(&tokens, NODE).unwrap().1, "b");
    write(&format!("node d {NODE}\n"));
    tokio::time::advance(LOOK_EVERY).await;
    assert_eq!(who(&tokens, NODE).unwrap().1, "d");
}

#[test]
fn a_fresh_line_is_one_that_is_taken() {
    let (first, second) = (line(Role::Node, "a").unwrap(), line(Role::Writer, "b").unwrap());
    let known = parse("tokens", &format!("{first}\n{second}\n")).unwrap();
    assert_eq!((known[0].0.role, &*known[1].0.name), (Role::Node, "b"));
    assert_eq!(known[0].1.len(), 64);
    assert_ne!(known[0].1, known[1].1);
    assert!(line(Role::Node, "two words").is_err() && line(Role::Node, "").is_err());
}
