//! Addresses of names, which outlive their server for a while: who cannot be looked up any more can often still be reached, and
//! people have to be told of that very outage.
//!
//! A name is looked up for each connection, by the system, once at a time. Where its server says nothing, or not within two seconds,
//! the last addresses are taken, for up to a day ([RFC 8767](https://www.rfc-editor.org/rfc/rfc8767)). A server that says that
//! there is no such name is believed: its addresses may be somebody else's by now. What the API of the cluster tells of a name goes
//! before both.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Duration;

use dns_lookup::{AddrInfoHints, LookupErrorKind, SockType};
use futures_util::FutureExt;
use futures_util::future::Shared;
use hyper_util::client::legacy::connect::dns::Name;
use model::BoxFuture;
use model::text::duration::spoken;
use model::view::Checkup;
use parking_lot::Mutex;
use tokio::time::Instant;
use tower_service::Service;

/// How long the last addresses wait for new ones.
const PATIENCE: Duration = Duration::from_millis(1_800);
/// After that they do not wait at all for so long.
const REST: Duration = Duration::from_secs(30);
/// How long they are good.
const KEPT: Duration = Duration::from_secs(24 * 3_600);
/// What nobody has waited for in vain for so long is well, as far as is known.
const LATELY: Duration = Duration::from_secs(300);
/// Names whose addresses are kept; beyond, the one that was looked up longest ago is forgotten.
const NAMES_MAX: usize = 1_000;

type Addresses = Arc<[IpAddr]>;
type Answer = Result<Addresses, Missing>;
type Ask = Arc<dyn Fn(String) -> BoxFuture<'static, Answer> + Send + Sync>;

/// Why a name has no addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Missing {
    /// Its server says that there is no such name.
    Unknown,
    /// Its server says nothing, or that it cannot say.
    Silent(Arc<str>),
}

/// The resolver of this process, as the system's own is one.
static OURS: LazyLock<Names> = LazyLock::new(|| Names::new(Arc::new(|name| Box::pin(system(name)))));

#[derive(Clone)]
pub struct Names(Arc<Inner>);

struct Inner {
    ask: Ask,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By the API of the cluster.
    told: HashMap<String, Addresses>,
    known: HashMap<String, Known>,
    asked: HashMap<String, Shared<BoxFuture<'static, Answer>>>,
}

struct Known {
    addresses: Addresses,
    at: Instant,
    /// They were used although they are old.
    silence: Option<Silence>,
}

/// Nobody says where a name is now.
struct Silence {
    since: Instant,
    /// When somebody last waited in vain.
    last: Instant,
    why: Arc<str>,
}

impl Names {
    fn new(ask: Ask) -> Self {
        let state = Mutex::default();
        Self(Arc::new(Inner { ask, state }))
    }

    /// Those of this process.
    #[must_use]
    pub fn ours() -> Self {
        OURS.clone()
    }

    /// Where these names are, from somebody who knows better than their server; in place of all that was told before.
    pub fn tell(&self, names: impl IntoIterator<Item = (String, IpAddr)>) {
        let mut told: HashMap<String, Vec<IpAddr>> = HashMap::new();
        for (name, address) in names {
            told.entry(name.to_ascii_lowercase()).or_default().push(address);
        }
        let told = told.into_iter();
        self.0.state.lock().told = told.map(|(name, all)| (name, all.into())).collect();
    }

    /// What `skopos doctor` says of it: nothing where every name has been answered lately.
    #[must_use]
    pub fn checkup(&self) -> Option<Checkup> {
        let state = self.0.state.lock();
        let silent = state.known.iter().filter_map(|(name, known)| {
            let silence = known.silence.as_ref()?;
            (silence.last.elapsed() < LATELY).then_some((silence.since, name, silence))
        });
        let silent: Vec<_> = silent.collect();
        let (since, name, silence) = silent.iter().min_by_key(|(since, ..)| *since)?;
        let more = match silent.len() - 1 {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let seen = format!(
            "{name}{more} cannot be looked up since {}: {}; the last addresses are used, for a day",
            spoken(since.elapsed()),
            silence.why
        );
        let advice =
            "see whether the server of names runs: in a cluster CoreDNS, elsewhere that of /etc/resolv.conf";
        Some(Checkup::fail("net", "names", seen).advise(advice))
    }

    /// Where a host is, whether it is named or is an address itself.
    pub(crate) async fn at(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![(address, port).into()]);
        }
        let addresses = self.resolve(host).await?;
        Ok(addresses.iter().map(|address| (*address, port).into()).collect())
    }

    async fn resolve(&self, name: &str) -> io::Result<Addresses> {
        let name = name.to_ascii_lowercase();
        let failed = |why: &str| io::Error::other(format!("{name} cannot be looked up: {why}"));
        let (asked, known) = {
            let mut state = self.0.state.lock();
            if let Some(told) = state.told.get(&name) {
                return Ok(Arc::clone(told));
            }
            let known = state.known.get(&name).filter(|known| known.at.elapsed() < KEPT);
            let known = known.map(|known| {
                let silence = known.silence.as_ref();
                let rests = silence.is_some_and(|silence| silence.last.elapsed() < REST);
                (Arc::clone(&known.addresses), rests)
            });
            (self.ask(&mut state, &name), known)
        };
        let Some((last, rests)) = known else {
            return asked.await.map_err(|missing| match missing {
                Missing::Unknown => failed("there is no such name"),
                Missing::Silent(why) => failed(&why),
            });
        };
        if rests {
            return Ok(last);
        }
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(addresses)) => Ok(addresses),
            Ok(Err(Missing::Unknown)) => Err(failed("there is no such name any more")),
            Ok(Err(Missing::Silent(why))) => Ok(self.fall_back(&name, last, &why)),
            Err(_) => Ok(self.fall_back(&name, last, "its server does not answer")),
        }
    }

    /// One question for a name at a time, which goes on when nobody waits for it any more.
    fn ask(&self, state: &mut State, name: &str) -> Shared<BoxFuture<'static, Answer>> {
        if let Some(asked) = state.asked.get(name) {
            return asked.clone();
        }
        let (names, key) = (self.clone(), name.to_owned());
        let task = tokio::spawn(async move {
            let answer = (names.0.ask)(key.clone()).await;
            names.answered(&key, &answer);
            answer
        });
        let answer: BoxFuture<'static, Answer> = Box::pin(async move {
            task.await
                .unwrap_or_else(|error| Err(Missing::Silent(error.to_string().into())))
        });
        let asked = answer.shared();
        state.asked.insert(name.to_owned(), asked.clone());
        asked
    }

    fn answered(&self, name: &str, answer: &Answer) {
        let mut state = self.0.state.lock();
        state.asked.remove(name);
        match answer {
            Ok(addresses) => {
                if state.known.len() >= NAMES_MAX && !state.known.contains_key(name) {
                    let oldest = state.known.iter().min_by_key(|(_, known)| known.at);
                    let oldest = oldest.map(|(name, _)| name.clone());
                    oldest.and_then(|oldest| state.known.remove(&oldest));
                }
                let known = Known {
                    addresses: Arc::clone(addresses),
                    at: Instant::now(),
                    silence: None,
                };
                let before = state.known.insert(name.to_owned(), known);
                if let Some(silence) = before.and_then(|before| before.silence) {
                    let lasted = spoken(silence.since.elapsed());
                    tracing::info!(name, "looked up again, after {lasted}");
                }
            }
            Err(Missing::Unknown) => drop(state.known.remove(name)),
            Err(Missing::Silent(_)) => {}
        }
    }

    fn fall_back(&self, name: &str, last: Addresses, why: &str) -> Addresses {
        let now = Instant::now();
        let mut state = self.0.state.lock();
        let Some(known) = state.known.get_mut(name) else {
            return last;
        };
        if !Arc::ptr_eq(&known.addresses, &last) {
            // They came in the very moment.
            return Arc::clone(&known.addresses);
        }
        match &mut known.silence {
            Some(silence) => silence.last = now,
            silence => {
                tracing::warn!(name, why, "cannot be looked up: its last addresses are used");
                let why = why.into();
                *silence = Some(Silence {
                    since: now,
                    last: now,
                    why,
                });
            }
        }
        last
    }
}

/// As the system looks it up, by its files and servers.
async fn system(name: String) -> Answer {
    let asked = tokio::task::spawn_blocking(move || {
        let hints = AddrInfoHints {
            socktype: SockType::Stream.into(),
            ..AddrInfoHints::default()
        };
        let found = dns_lookup::getaddrinfo(Some(&name), None, Some(hints));
        let found = found.map_err(|error| match error.kind() {
            LookupErrorKind::NoName | LookupErrorKind::NoData => Missing::Unknown,
            _ => Missing::Silent(io::Error::from(error).to_string().into()),
        })?;
        let found = found.filter_map(Result::ok).map(|found| found.sockaddr.ip());
        Ok(found.collect())
    });
    asked
        .await
        .unwrap_or_else(|error| Err(Missing::Silent(error.to_string().into())))
}

type Sockets = std::vec::IntoIter<SocketAddr>;

impl Names {
    /// The port is that of the address that is asked for.
    async fn sockets(self, name: String) -> io::Result<Sockets> {
        Ok(self.at(&name, 0).await?.into_iter())
    }
}

impl Service<Name> for Names {
    type Response = Sockets;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Sockets>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        Box::pin(self.clone().sockets(name.as_str().to_owned()))
    }
}

impl reqwest::dns::Resolve for Names {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let sockets = self.clone().sockets(name.as_str().to_owned());
        Box::pin(async move {
            let sockets: reqwest::dns::Addrs = Box::new(sockets.await?);
            Ok(sockets)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const NAME: &str = "hooks.example";
    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    /// A server of names that does as it is told.
    #[derive(Clone)]
    struct Server {
        answer: Arc<Mutex<(Duration, Answer)>>,
        asked: Arc<AtomicUsize>,
    }

    impl Server {
        fn new() -> (Self, Names) {
            let server = Self {
                answer: Arc::new(Mutex::new((Duration::ZERO, Ok([ONE].into())))),
                asked: Arc::default(),
            };
            let own = server.clone();
            let names = Names::new(Arc::new(move |_| {
                own.asked.fetch_add(1, Ordering::Relaxed);
                let (wait, answer) = own.answer.lock().clone();
                Box::pin(async move {
                    tokio::time::sleep(wait).await;
                    answer
                })
            }));
            (server, names)
        }

        fn says(&self, wait: u64, answer: Answer) {
            *self.answer.lock() = (Duration::from_secs(wait), answer);
        }

        fn asked(&self) -> usize {
            self.asked.load(Ordering::Relaxed)
        }
    }

    fn silent() -> Answer {
        Err(Missing::Silent("Temporary failure in name resolution".into()))
    }

    async fn at(names: &Names) -> Result<IpAddr, String> {
        let found = names.resolve(NAME).await.map_err(|error| error.to_string())?;
        Ok(found[0])
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_addresses_are_used_while_the_server_is_silent_and_new_ones_afterwards() {
        let (server, names) = Server::new();
        assert_eq!(at(&names).await, Ok(ONE));
        assert!(names.checkup().is_none());
        // It says after a while that it cannot say.
        server.says(40, silent());
        let begun = Instant::now();
        assert_eq!(at(&names).await, Ok(ONE));
        assert_eq!(begun.elapsed(), PATIENCE);
        let said = names.checkup().unwrap();
        assert!(said.seen.starts_with(NAME), "{}", said.seen);
        // Nobody else waits for it for a while, and it is asked once at a time.
        let begun = Instant::now();
        for _ in 0..100 {
            assert_eq!(at(&names).await, Ok(ONE));
        }
        assert_eq!((begun.elapsed(), server.asked()), (Duration::ZERO, 2));
        tokio::time::sleep(Duration::from_secs(60)).await;
        server.says(0, Ok([OTHER].into()));
        assert_eq!(at(&names).await, Ok(OTHER));
        assert!(names.checkup().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_comes_late_is_taken_by_who_asks_then() {
        let (server, names) = Server::new();
        assert_eq!(at(&names).await, Ok(ONE));
        server.says(5, Ok([OTHER].into()));
        assert_eq!(at(&names).await, Ok(ONE));
        tokio::time::sleep(Duration::from_secs(5)).await;
        server.says(0, silent());
        assert_eq!(at(&names).await, Ok(OTHER));
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_is_no_more_is_not_reached_where_somebody_else_may_be() {
        let (server, names) = Server::new();
        assert_eq!(at(&names).await, Ok(ONE));
        server.says(0, Err(Missing::Unknown));
        let gone = at(&names).await.unwrap_err();
        assert!(gone.contains("no such name"), "{gone}");
        server.says(0, silent());
        assert!(at(&names).await.is_err(), "nothing is left of it");
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_of_yesterday_are_good_for_nobody() {
        let (server, names) = Server::new();
        assert_eq!(at(&names).await, Ok(ONE));
        server.says(0, silent());
        tokio::time::sleep(KEPT).await;
        assert!(at(&names).await.unwrap_err().contains("Temporary failure"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_cluster_says_goes_before_the_server() {
        let (server, names) = Server::new();
        names.tell([(NAME.to_uppercase(), OTHER)]);
        assert_eq!((at(&names).await, server.asked()), (Ok(OTHER), 0));
        names.tell([]);
        assert_eq!((at(&names).await, server.asked()), (Ok(ONE), 1));
    }

    #[tokio::test(start_paused = true)]
    async fn names_beyond_the_limit_are_forgotten_the_oldest_first() {
        let (server, names) = Server::new();
        for nth in 0..=NAMES_MAX {
            tokio::time::sleep(Duration::from_millis(1)).await;
            names.resolve(&format!("{nth}.example")).await.unwrap();
        }
        server.says(0, silent());
        assert!(names.resolve("0.example").await.is_err());
        assert!(names.resolve("1.example").await.is_ok());
        assert_eq!(names.0.state.lock().known.len(), NAMES_MAX);
    }

    #[tokio::test]
    async fn the_system_knows_this_machine_and_not_what_cannot_be() {
        let here = system("localhost".to_owned()).await.unwrap();
        assert!(here.iter().all(IpAddr::is_loopback) && !here.is_empty());
    }
}
