//! One mail per message, as text and as a page, in one thread for each group.
//!
//! What comes from alerts can add no header, no recipient and nothing that a reader's program would run. A mail that is
//! sent again after a doubt is a new mail: mail has no keys.

mod card;

use std::time::{Duration, SystemTime};

use lettre::address::Envelope;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, Mailboxes, MessageBuilder, MultiPart, SinglePart};
use model::mail::{Encryption, Letter, MailLogin, MailServer, Trust};
use xxhash_rust::xxh3::xxh3_128;

use crate::look::{Seen, Text, View};
use crate::message::Message;
use crate::receiver::Place;

/// The page where the file writes none: Skopos' own, unless a template of the file has its name.
pub(crate) const PAGE: &str = r#"{{ template "email.default.html" . }}"#;
/// Characters of a subject; what is longer programs cut.
const SUBJECT: usize = 200;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Email {
    pub(crate) server: Server,
    pub(crate) from: Text,
    /// Several, with commas between them.
    pub(crate) to: Text,
    /// Instead of ours.
    pub(crate) subject: Option<Text>,
    /// Whatever else stands above the message.
    pub(crate) headers: Vec<(String, Text)>,
    pub(crate) text: Words,
    pub(crate) html: Option<Text>,
    pub(crate) threads: Threads,
}

/// What those read whose program shows no pages.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Words {
    Ours,
    Written(Text),
    None,
}

/// Which mails programs show as one conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Threads {
    /// Those of one group and one day (UTC).
    #[default]
    Daily,
    /// All of one group, for ever.
    Group,
    /// Each stands alone.
    None,
}

/// As the configuration has it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Server {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) hello: String,
    pub(crate) encryption: Encryption,
    pub(crate) trust: Trust,
    /// A name and where its password is.
    pub(crate) login: Option<(String, Place)>,
}

impl Server {
    /// With the password, which is read each time.
    pub(crate) async fn read(&self) -> Result<MailServer, String> {
        let login = match &self.login {
            Some((username, password)) => Some(MailLogin {
                username: username.clone(),
                password: password.read().await?.expose().to_owned(),
            }),
            None => None,
        };
        Ok(MailServer {
            host: self.host.clone(),
            port: self.port,
            hello: self.hello.clone(),
            encryption: self.encryption,
            trust: self.trust.clone(),
            login,
        })
    }

    /// Whether a password would go over a network for all to read.
    pub(crate) fn tells_all(&self) -> bool {
        let is_here = matches!(self.host.as_str(), "localhost" | "127.0.0.1" | "::1");
        self.login.is_some() && self.encryption == Encryption::None && !is_here
    }
}

/// `mail.example.org:587`, `[::1]:25`.
pub(crate) fn host_and_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    let is_v6 = bare != host;
    let is_host = !bare.is_empty() && (is_v6 || !bare.contains(':'));
    let port = port.parse().ok().filter(|port| *port > 0)?;
    is_host.then(|| (bare.to_owned(), port))
}

/// What templates have made of a message, or we.
struct Filled {
    subject: String,
    headers: Vec<(String, String)>,
    text: Option<String>,
    html: Option<String>,
}

impl Email {
    /// Whether a header of this name can be written, and is not one that makes the mail what it is.
    pub(crate) fn check_header(name: &str) -> Result<(), String> {
        const OURS: [&str; 4] = [
            "content-type",
            "content-transfer-encoding",
            "mime-version",
            "date",
        ];
        if HeaderName::new_from_ascii(name.to_owned()).is_err() {
            return Err(format!("headers: {name:?} cannot be the name of a header"));
        }
        if OURS.contains(&name.to_ascii_lowercase().as_str()) {
            return Err(format!("headers: {name} is written by Skopos"));
        }
        Ok(())
    }

    /// # Errors
    /// An address is none, or a template of one failed: there is nobody to send it to. `fill` gives what the templates
    /// make of a message, or none if one of them failed.
    pub(crate) fn letter(
        &self,
        message: &Message,
        team: &str,
        (server, timeout): (MailServer, Duration),
        failed: impl FnOnce(&str),
    ) -> Result<Letter, String> {
        let seen = Seen::new(message, team);
        let view = seen.view();
        let from = addresses("from", &self.from, &view)?;
        let [sender] = from.as_slice() else {
            return Err(format!(
                "from: one address is needed, and there are {}",
                from.len()
            ));
        };
        let to = addresses("to", &self.to, &view)?;
        if to.is_empty() {
            return Err("to: there is no address".to_owned());
        }
        let filled = match self.fill(message, &view) {
            Ok(filled) => filled,
            Err(error) => {
                failed(&error);
                Filled {
                    subject: card::subject(message),
                    headers: Vec::new(),
                    text: Some(card::text(message, true)),
                    html: None,
                }
            }
        };
        let text = self.compose(message, sender, &to, filled)?;
        Ok(Letter {
            server,
            from: sender.email.to_string(),
            to: to.iter().map(|to| to.email.to_string()).collect(),
            text,
            timeout,
        })
    }

    fn fill(&self, message: &Message, view: &View<'_>) -> Result<Filled, String> {
        let headers = self
            .headers
            .iter()
            .map(|(name, text)| Ok((name.clone(), text.fill(view)?)));
        Ok(Filled {
            subject: match &self.subject {
                Some(subject) => subject.fill(view)?,
                None => card::subject(message),
            },
            headers: headers.collect::<Result<_, String>>()?,
            text: match &self.text {
                Words::Ours => Some(card::text(message, false)),
                Words::Written(text) => Some(text.fill(view)?),
                Words::None => None,
            },
            html: match &self.html {
                Some(html) => Some(html.fill_html(view)?),
                None => None,
            },
        })
    }

    fn compose(
        &self,
        message: &Message,
        sender: &Mailbox,
        to: &[Mailbox],
        filled: Filled,
    ) -> Result<Vec<u8>, String> {
        let key = xxh3_128(message.key.as_bytes());
        let millis = u64::try_from(message.time.0).unwrap_or_default();
        let id = format!("<{key:032x}.{millis}@{}>", sender.email.domain());
        let envelope = to.iter().map(|to| to.email.clone()).collect();
        let envelope = Envelope::new(Some(sender.email.clone()), envelope);
        let mut mail = lettre::Message::builder()
            .from(sender.clone())
            .date(SystemTime::UNIX_EPOCH + Duration::from_millis(millis))
            .message_id(Some(id))
            .envelope(envelope.map_err(|error| format!("to: {error}"))?);
        for to in to {
            mail = mail.to(to.clone());
        }
        mail = self.threaded(mail, message, (key >> 64) as u64);
        mail = raw(mail, "Subject", &filled.subject)?;
        // Nobody's absence is answered to a machine.
        mail = raw(mail, "Auto-Submitted", "auto-generated")?;
        for (name, value) in &filled.headers {
            mail = raw(mail, name, value)?;
        }
        // What a program should rather show comes last.
        let parts = [
            filled.text.map(SinglePart::plain),
            filled.html.map(SinglePart::html),
        ];
        let mut parts = parts.into_iter().flatten();
        let first = parts
            .next()
            .unwrap_or_else(|| SinglePart::plain(card::text(message, false)));
        let mut body = MultiPart::alternative().singlepart(first);
        for part in parts {
            body = body.singlepart(part);
        }
        let mail = mail
            .multipart(body)
            .map_err(|error| format!("the mail cannot be written: {error}"))?;
        Ok(mail.formatted())
    }

    /// The first of a conversation is never sent: all of it answer to a mail that nobody has.
    fn threaded(&self, mail: MessageBuilder, message: &Message, group: u64) -> MessageBuilder {
        let day = match self.threads {
            Threads::None => return mail,
            Threads::Group => String::new(),
            Threads::Daily => {
                let time = jiff::Timestamp::from_millisecond(message.time.0).unwrap_or_default();
                time.strftime("%Y-%m-%d").to_string()
            }
        };
        let root = format!("<alert-{group:016x}-{day}@skopos>");
        mail.references(root.clone()).in_reply_to(root)
    }
}

fn addresses(key: &str, text: &Text, view: &View<'_>) -> Result<Vec<Mailbox>, String> {
    let filled = text.fill(view).map_err(|error| format!("{key}: {error}"))?;
    read_addresses(&filled).map_err(|error| format!("{key}: {error}"))
}

/// # Errors
/// What is no address.
pub(crate) fn read_addresses(text: &str) -> Result<Vec<Mailbox>, String> {
    let read: Result<Mailboxes, _> = text.trim().trim_end_matches(',').parse();
    match read {
        Ok(mailboxes) => Ok(mailboxes.into_iter().collect()),
        Err(error) => Err(format!("{text:?} is no list of mail addresses: {error}")),
    }
}

/// A header on one line, whatever is in it.
fn raw(mail: MessageBuilder, name: &str, value: &str) -> Result<MessageBuilder, String> {
    let header = HeaderName::new_from_ascii(name.to_owned());
    let header = header.map_err(|_| format!("headers: {name:?} cannot be the name of a header"))?;
    let line: String = value
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    Ok(mail.raw_header(HeaderValue::new(header, line)))
}
