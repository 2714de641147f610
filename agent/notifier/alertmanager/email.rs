//! A file's mail: whom it is for, and which server takes it; what is not said is said by `global`.

use std::collections::BTreeSet;
use std::time::Duration;

use model::mail::Encryption;
use net::Reach;
use yaml::Spanned;

use super::file::Email as Written;
use super::http::{Wrong, one, place};
use super::looks::text;
use super::receivers::Common;
use super::tls::trust;
use crate::config::IMPLICIT_TLS;
use crate::email::{Email, PAGE, Server, Threads, Words, host_and_port, read_addresses};
use crate::look::Text;
use crate::receiver::{Kind, Place, Receiver};

/// Alertmanager's.
const SUBJECT: &str = r#"{{ template "email.default.subject" . }}"#;
/// Longest wait for a server; the file cannot say.
const PATIENCE: Duration = Duration::from_secs(30);

impl Common<'_> {
    /// With what a reader should know of it.
    pub(super) fn email(&self, nth: usize, written: &Written) -> Result<(Receiver, Vec<String>), Wrong> {
        let (server, mut notes) = self.server(written)?;
        let needed = |key: &'static str, own: Option<&Spanned<String>>, missing: &str| {
            let found = text(self.language, key, own)?.ok_or_else(|| missing.to_owned())?;
            if !found.source().contains("{{") {
                read_addresses(found.source()).map_err(|why| format!("{key}: {why}"))?;
            }
            Ok::<_, Wrong>(found)
        };
        let to = needed("to", written.to.as_ref(), "missing to address in email config")?;
        let from = written.from.as_ref().filter(|from| !from.value.is_empty());
        let from = from.or(self.global.smtp_from.as_ref());
        let from = needed("from", from, "no global SMTP from set")?;
        let (subject, headers) = self.headers(written)?;
        let html = match &written.html {
            None => Some(Text::new(self.language, "html", PAGE)?),
            html => text(self.language, "html", html.as_ref())?,
        };
        let words = match (&written.text, &written.html) {
            // Whoever shows no pages gets our words with Alertmanager's subject.
            (None, None) => Words::Ours,
            (words, _) => text(self.language, "text", words.as_ref())?.map_or(Words::None, Words::Written),
        };
        if server.tells_all() {
            notes.push("the password goes over the network for all to read; set require_tls".to_owned());
        }
        let email = Email {
            server,
            from,
            to,
            subject: Some(subject),
            headers,
            text: words,
            html,
            threads: threads(written)?,
        };
        let kind = Kind::Email(Box::new(email));
        let receiver = self.build(self.name("email", nth), kind, Place::default(), Reach::default());
        Ok((receiver.with(written.send_resolved, PATIENCE), notes))
    }

    fn server(&self, written: &Written) -> Result<(Server, Vec<String>), Wrong> {
        let global = self.global;
        let or = |own: &Option<String>, all: &Option<String>| {
            let own = own.as_ref().filter(|own| !own.is_empty());
            own.or(all.as_ref()).filter(|found| !found.is_empty()).cloned()
        };
        let smarthost =
            or(&written.smarthost, &global.smtp_smarthost).ok_or("no global SMTP smarthost set")?;
        let (host, port) = host_and_port(&smarthost).ok_or_else(|| {
            format!("smarthost: {smarthost:?} is not a host and its port, such as smtp.example.org:587")
        })?;
        let is_tls = written.force_implicit_tls.or(global.smtp_force_implicit_tls);
        let encryption = if is_tls.unwrap_or(port == IMPLICIT_TLS) {
            Encryption::Tls
        } else if written.require_tls.or(global.smtp_require_tls).unwrap_or(true) {
            Encryption::StartTls
        } else {
            Encryption::None
        };
        let tls = written.tls_config.as_ref().or(global.smtp_tls_config.as_ref());
        let (trust, note) = tls
            .map(|tls| trust(self.base, tls))
            .transpose()?
            .unwrap_or_default();
        let server = Server {
            host,
            port,
            hello: or(&written.hello, &global.smtp_hello).unwrap_or_else(|| "localhost".to_owned()),
            encryption,
            trust,
            login: self.login(written)?,
        };
        Ok((server, note.into_iter().collect()))
    }

    fn login(&self, written: &Written) -> Result<Option<(String, Place)>, Wrong> {
        let global = self.global;
        one(
            ("auth_password", "auth_password_file"),
            written.auth_password.as_ref(),
            written.auth_password_file.as_ref(),
        )?;
        one(
            ("smtp_auth_password", "smtp_auth_password_file"),
            global.smtp_auth_password.as_ref(),
            global.smtp_auth_password_file.as_ref(),
        )?;
        let own = |own: &Option<String>| own.clone().filter(|own| !own.is_empty());
        let username = own(&written.auth_username).or_else(|| own(&global.smtp_auth_username));
        let identity = own(&written.auth_identity).or_else(|| own(&global.smtp_auth_identity));
        let Some(username) = username else {
            return Ok(None);
        };
        if identity.is_some_and(|identity| identity != username) {
            return Err(
                "auth_identity is not supported: who logs in is who acts; take it out, or write the same as \
                 auth_username"
                    .to_owned(),
            );
        }
        let of = |here, file| place(self.base, here, file);
        let password = of(
            written.auth_password.as_ref(),
            written.auth_password_file.as_ref(),
        );
        let password = password.or_else(|| {
            of(
                global.smtp_auth_password.as_ref(),
                global.smtp_auth_password_file.as_ref(),
            )
        });
        let secret = of(written.auth_secret.as_ref(), written.auth_secret_file.as_ref());
        let secret = secret.or_else(|| {
            of(
                global.smtp_auth_secret.as_ref(),
                global.smtp_auth_secret_file.as_ref(),
            )
        });
        match (password, secret) {
            (Some(password), _) => Ok(Some((username, password))),
            (None, Some(_)) => Err(
                "auth_secret is for CRAM-MD5, which is not supported; write auth_password, for PLAIN or LOGIN \
                 within TLS"
                    .to_owned(),
            ),
            (None, None) => Err("auth_username: set auth_password or auth_password_file as well".to_owned()),
        }
    }

    /// The subject, and the others.
    fn headers(&self, written: &Written) -> Result<(Text, Vec<(String, Text)>), Wrong> {
        let mut names = BTreeSet::new();
        let mut subject = None;
        let mut headers = Vec::new();
        for (name, value) in &written.headers {
            let lower = name.to_ascii_lowercase();
            Email::check_header(name)?;
            if !names.insert(lower.clone()) {
                return Err(format!("duplicate header {name:?} in email config"));
            }
            if written.threading.enabled && matches!(lower.as_str(), "references" | "in-reply-to") {
                return Err(format!(
                    "conflicting configuration: threading.enabled conflicts with custom {name} header"
                ));
            }
            let value = Text::new(self.language, &format!("headers.{name}"), &value.value)?;
            match lower.as_str() {
                "subject" => subject = Some(value),
                _ => headers.push((name.clone(), value)),
            }
        }
        let subject = match subject {
            Some(subject) => subject,
            None => Text::new(self.language, "subject", SUBJECT)?,
        };
        Ok((subject, headers))
    }
}

fn threads(written: &Written) -> Result<Threads, Wrong> {
    let threading = &written.threading;
    match threading.thread_by_date.as_str() {
        _ if !threading.enabled => Ok(Threads::None),
        "daily" => Ok(Threads::Daily),
        "none" => Ok(Threads::Group),
        _ => Err("threading.thread_by_date must be either 'none' or 'daily'".to_owned()),
    }
}
