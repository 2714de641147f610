//! Who calls, by a shared token: a file with a line `role name token` for everybody who may.
//!
//! A token is never printed, and comparing it takes the same time whichever of the known ones it resembles.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::outside::{Call, Identify, Identity, Role};
use model::{BoxFuture, Complaint};
use subtle::{ConditionallySelectable, ConstantTimeEq};

use crate::watched::Watched;

/// A shorter one could be guessed.
const TOKEN_LETTERS_MIN: usize = 16;
const FRESH_BYTES: usize = 32;
const FILE_BYTES_MAX: u64 = 1024 * 1024;
const LOOK_EVERY: Duration = Duration::from_secs(1);
const ROLES: [Role; 4] = [Role::Node, Role::Replica, Role::Writer, Role::Reader];
/// The name of whoever calls from this machine while no tokens are configured.
const LOCAL: &str = "local";
/// Where the other replica calls; only a replica may.
const PEER: &str = "/peer/";
/// Where log lines are asked for.
const LOGS: &str = "/api/v1/logs/";

/// Everybody who may call. A changed file is read again within a second; one with a mistake is not in force.
pub struct Tokens {
    file: Option<Watched<Known>>,
}

type Known = Vec<(Identity, String)>;

impl Tokens {
    /// # Errors
    /// What is wrong with the file, each with its line.
    pub fn open(path: &Path) -> Result<Arc<Self>, Vec<Complaint>> {
        let file = path.to_owned();
        let read = move || read(&file).map_err(Complaints);
        let watched = Watched::open(vec![path.to_owned()], LOOK_EVERY, read).map_err(|wrong| wrong.0)?;
        Ok(Arc::new(Self { file: Some(watched) }))
    }

    /// For when no file is configured: whoever calls from this machine may, and nobody else.
    #[must_use]
    pub fn none() -> Arc<Self> {
        Arc::new(Self { file: None })
    }

    /// Whether the file has a line for somebody of this role and name.
    #[must_use]
    pub fn names(&self, role: Role, name: &str) -> bool {
        let is_named = |(known, _): &(Identity, String)| known.role == role && &*known.name == name;
        self.file
            .as_ref()
            .is_some_and(|file| file.get().iter().any(is_named))
    }

    fn who(&self, call: &Call) -> Result<Identity, String> {
        let Some(file) = &self.file else {
            return local(call);
        };
        let token = call.bearer().ok_or(
            "no token: send \"Authorization: Bearer <token>\" with one of those in web.tokens_file of this process",
        )?;
        let known = file.get();
        let mut found = 0u64;
        for ((_, own), nth) in known.iter().zip(1u64..) {
            found.conditional_assign(&nth, own.as_bytes().ct_eq(token.as_bytes()));
        }
        let nth = usize::try_from(found).ok().and_then(|nth| nth.checked_sub(1));
        let known = nth.and_then(|nth| known.get(nth));
        known
            .map(|(identity, _)| identity.clone())
            .ok_or_else(|| "unknown token: it is not in web.tokens_file of this process".to_owned())
    }
}

impl Identify for Tokens {
    fn identify<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<Identity, String>> {
        Box::pin(std::future::ready(self.who(call)))
    }
}

fn local(call: &Call) -> Result<Identity, String> {
    if !call.local {
        return Err(
            "nobody is known here: name a file of tokens under web.tokens_file of this process, or let it listen \
             on 127.0.0.1 only"
                .to_owned(),
        );
    }
    Ok(Identity {
        role: if call.path.starts_with(PEER) {
            Role::Replica
        } else if call.path.starts_with(LOGS) {
            Role::Reader
        } else {
            Role::Writer
        },
        name: LOCAL.into(),
    })
}

/// A line of the file with a fresh token, for a node, replica, writer or reader of this name.
///
/// # Errors
/// The name does not fit into a line, or the system gives no random numbers.
pub fn line(role: Role, name: &str) -> Result<String, String> {
    if name.is_empty() || name.contains(char::is_whitespace) {
        return Err(format!(
            "{} is no name for a line of tokens: it must be one word",
            model::text::quote(name)
        ));
    }
    let mut bytes = [0; FRESH_BYTES];
    let random = rustls::crypto::aws_lc_rs::default_provider().secure_random;
    random
        .fill(&mut bytes)
        .map_err(|_| "the system gives no random numbers".to_owned())?;
    let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{} {name} {token}", role.word()))
}

#[derive(Debug)]
struct Complaints(Vec<Complaint>);

impl fmt::Display for Complaints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&all.join("\n"))
    }
}

fn read(path: &Path) -> Result<Known, Vec<Complaint>> {
    let file = path.display().to_string();
    let text = text(path).map_err(|why| vec![Complaint::about(&file, format!("reading tokens: {why}"))])?;
    parse(&file, &text)
}

fn text(path: &Path) -> std::io::Result<String> {
    if std::fs::metadata(path)?.len() > FILE_BYTES_MAX {
        return Err(std::io::Error::other(format!(
            "the file is longer than {FILE_BYTES_MAX} bytes"
        )));
    }
    std::fs::read_to_string(path)
}

fn parse(file: &str, text: &str) -> Result<Known, Vec<Complaint>> {
    let (mut known, mut wrong) = (Known::new(), Vec::new());
    let (mut names, mut tokens) = (BTreeMap::new(), BTreeMap::new());
    for (written, number) in text.lines().zip(1..) {
        let written = written.trim();
        if written.is_empty() || written.starts_with('#') {
            continue;
        }
        let entry = entry(written).and_then(|(role, name, token)| {
            if let Some(first) = names.insert((role.word(), name), number) {
                return Err(Complaint::about(
                    file,
                    format!("{} {name} has a token already, in line {first}", role.word()),
                ));
            }
            if let Some(first) = tokens.insert(token, number) {
                return Err(
                    Complaint::about(file, format!("this token is that of line {first}"))
                        .suggest("make another with `skopos token`"),
                );
            }
            let name = name.into();
            Ok((Identity { role, name }, token.to_owned()))
        });
        match entry {
            Ok(entry) => known.push(entry),
            // Without an excerpt, for the line holds a secret.
            Err(complaint) => wrong.push(Complaint {
                file: file.to_owned(),
                line: number,
                column: 1,
                ..complaint
            }),
        }
    }
    if wrong.is_empty() { Ok(known) } else { Err(wrong) }
}

fn entry(written: &str) -> Result<(Role, &str, &str), Complaint> {
    let mut words = written.split_whitespace();
    let (Some(role), Some(name), Some(token), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Complaint::about(
            "",
            "a line is made of three words: role name token",
        ));
    };
    let known = ROLES.into_iter().find(|known| known.word() == role);
    let known = known.ok_or_else(|| {
        let complaint = Complaint::about("", format!("there is no role {}", model::text::quote(role)));
        let words = ROLES.map(Role::word);
        match model::complaint::nearest(role, words) {
            Some(near) => complaint.suggest(format!("did you mean \"{near}\"?")),
            None => complaint.suggest(format!("the roles are {}", words.join(", "))),
        }
    })?;
    if token.len() < TOKEN_LETTERS_MIN {
        let short = format!("the token of {role} {name} is shorter than {TOKEN_LETTERS_MIN} characters");
        return Err(Complaint::about("", short).suggest("make one with `skopos token`"));
    }
    Ok((known, name, token))
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
