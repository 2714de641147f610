//! Where senders connect, who may, and how much they may take up.

use std::net::{IpAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use net::{Place, Secret};
use serde::Deserialize;

/// `logs.forward`: the Forward protocol of Fluentd and Fluent Bit as an input. Without the section it is off.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address and port; UDP heartbeats are answered on the same. One that other machines reach needs a shared key.
    pub listen: String, // listen: 127.0.0.1:24224
    /// What senders must know, for example `${FORWARD_KEY}` from the environment.
    pub shared_key: Option<Secret>,
    /// File that holds it, read again for each connection.
    pub shared_key_file: Option<PathBuf>,
    /// Certificate and key: senders must speak TLS. Without them nobody may.
    pub tls: Option<Tls>,
    /// Names and passwords of which senders must have one as well; only with a shared key.
    pub users: Vec<User>,
    /// What we are called to senders; empty: `skopos-` and this machine's name. No sender may have the same name.
    pub self_hostname: String,
    /// Senders beyond this are turned away.
    pub connections_max: usize, // connections_max: 256
    /// Longest message taken, as it comes over the wire. A sender's chunks must be smaller.
    #[serde(deserialize_with = "crate::config::size")]
    pub message_bytes_max: usize, // message_bytes_max: 16MiB
    /// Longest message taken, unpacked.
    #[serde(deserialize_with = "crate::config::size")]
    pub unpacked_bytes_max: u64, // unpacked_bytes_max: 256MiB
    /// Room for messages of more than 64 KiB of all connections; senders beyond it wait.
    #[serde(deserialize_with = "crate::config::size")]
    pub memory_bytes_max: usize, // memory_bytes_max: 64MiB
    /// A connection of which nothing is heard for so long is closed.
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    pub idle_timeout: Duration, // idle_timeout: 10m
}

/// In PEM; read again when they change.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate, then those between it and its authority.
    pub cert_file: PathBuf,
    pub key_file: PathBuf,
}

/// Who may send, beside knowing the shared key.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct User {
    pub username: String,
    pub password: Option<Secret>,
    /// File that holds it, read again for each connection.
    pub password_file: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:24224".to_owned(),
            shared_key: None,
            shared_key_file: None,
            tls: None,
            users: Vec::new(),
            self_hostname: String::new(),
            connections_max: 256,
            message_bytes_max: 16 << 20,
            unpacked_bytes_max: 256 << 20,
            memory_bytes_max: 64 << 20,
            idle_timeout: Duration::from_secs(600),
        }
    }
}

fn place(here: Option<&Secret>, file: Option<&PathBuf>) -> Option<Place> {
    match (here, file) {
        (_, Some(file)) => Some(Place::File(file.clone())),
        (Some(secret), None) => Some(Place::Here(secret.clone())),
        (None, None) => None,
    }
}

impl User {
    pub(super) fn password(&self) -> Option<Place> {
        place(self.password.as_ref(), self.password_file.as_ref())
    }
}

impl Config {
    pub(super) fn key(&self) -> Option<Place> {
        place(self.shared_key.as_ref(), self.shared_key_file.as_ref())
    }

    /// Paths in the configuration, which are meant from where it lies.
    pub fn files_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let users = self.users.iter_mut();
        let users = users.filter_map(|user| user.password_file.as_mut());
        let tls = self.tls.iter_mut();
        let tls = tls.flat_map(|tls| [&mut tls.cert_file, &mut tls.key_file]);
        users.chain(tls).chain(&mut self.shared_key_file)
    }

    /// # Errors
    /// A sentence for each value that cannot work.
    pub(crate) fn check(&self) -> Result<(), String> {
        let mut wrong = Vec::new();
        match self.listen.to_socket_addrs() {
            Err(error) => wrong.push(format!(
                "listen: {:?} is no address with a port, for example 0.0.0.0:24224: {error}",
                self.listen
            )),
            Ok(mut addresses) => {
                let is_open = addresses.any(|address| !is_loopback(address.ip()));
                if is_open && self.key().is_none() {
                    wrong.push(format!(
                        "listen: other machines reach {}, so senders must show a key: set shared_key_file or shared_key",
                        self.listen
                    ));
                }
            }
        }
        if self.shared_key.is_some() && self.shared_key_file.is_some() {
            wrong.push("shared_key: set it or shared_key_file, not both".to_owned());
        }
        if self.shared_key.as_ref().is_some_and(Secret::is_empty) {
            wrong.push("shared_key: empty".to_owned());
        }
        if !self.users.is_empty() && self.key().is_none() {
            wrong.push(
                "users: the protocol asks for them only with a key: set shared_key_file or shared_key"
                    .to_owned(),
            );
        }
        for (nth, user) in self.users.iter().enumerate() {
            if user.username.is_empty() || user.password().is_none() {
                wrong.push(format!(
                    "users[{nth}]: set username, and password_file or password"
                ));
            }
        }
        if !(1..=65_536).contains(&self.connections_max) {
            wrong.push("connections_max: not between 1 and 65536".to_owned());
        }
        if !((64 << 10)..=(256 << 20)).contains(&self.message_bytes_max) {
            wrong.push("message_bytes_max: not between 64KiB and 256MiB".to_owned());
        }
        if self.unpacked_bytes_max < self.message_bytes_max as u64 {
            wrong.push("unpacked_bytes_max: less than message_bytes_max".to_owned());
        }
        if self.memory_bytes_max < self.message_bytes_max {
            wrong.push("memory_bytes_max: less than message_bytes_max".to_owned());
        }
        if self.idle_timeout < Duration::from_secs(1) {
            wrong.push("idle_timeout: less than 1s".to_owned());
        }
        let wrong: Vec<String> = wrong
            .into_iter()
            .map(|why| format!("logs.forward.{why}"))
            .collect();
        match wrong.is_empty() {
            true => Ok(()),
            false => Err(wrong.join("\n")),
        }
    }
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}
