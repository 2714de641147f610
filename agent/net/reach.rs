//! How a server is reached, and who we say we are: what a configuration has said, ready to be used.
//!
//! Secrets are read anew for each message. A redirect that keeps the message (307, 308) is followed, of a question (GET) any, and
//! nobody but the host that was meant is told who we are. A token that is refused is fetched anew, once.

use std::sync::Arc;
use std::time::Duration;

use model::outside::{Client, ClientError, Method, Request, Response};
use model::way::{self, Identity, ProxyServer, TlsVersion, Way};
use model::{BoxFuture, SigV4};
use tokio::time::Instant;

use crate::oauth::OAuth;
use crate::{Place, Secret, basic, tls};

const AUTHORIZATION: &str = "authorization";
/// Redirects that are followed in a row.
const REDIRECTS_MAX: usize = 10;

/// Equal ones reach the same server in the same way, as the same person.
#[derive(Clone, Debug, PartialEq)]
pub struct Reach {
    pub credential: Credential,
    pub(crate) headers: Vec<(String, Place)>,
    pub(crate) trust: Trust,
    pub(crate) proxy: ProxyPlan,
    pub(crate) follows_redirects: bool,
}

impl Default for Reach {
    fn default() -> Self {
        Self {
            credential: Credential::None,
            headers: Vec::new(),
            trust: Trust::default(),
            proxy: ProxyPlan::Environment,
            follows_redirects: true,
        }
    }
}

/// Who we say we are.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Credential {
    #[default]
    None,
    Token {
        scheme: String,
        credentials: Place,
    },
    Basic {
        username: Place,
        password: Place,
    },
    OAuth(Arc<OAuth>),
    /// Signed for AWS, by whoever does that for the client.
    Signed(Arc<SigV4>),
}

/// Whose certificate is taken, and which one we show.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Trust {
    pub(crate) authorities: Option<Place>,
    /// Our certificate and its key.
    pub(crate) identity: Option<(Place, Place)>,
    pub(crate) server_name: Option<String>,
    pub(crate) takes_any: bool,
    pub(crate) oldest: Option<TlsVersion>,
    pub(crate) newest: Option<TlsVersion>,
}

/// What stands in between.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ProxyPlan {
    Environment,
    None,
    At {
        url: Secret,
        no_proxy: String,
        connect_headers: Vec<(String, Secret)>,
    },
}

impl Credential {
    #[must_use]
    pub fn bearer(credentials: Place) -> Self {
        Self::Token {
            scheme: "Bearer".to_owned(),
            credentials,
        }
    }

    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::None
    }

    async fn header(&self, client: &dyn Client) -> Result<Option<String>, String> {
        Ok(match self {
            // A signature is of the whole request, and made when that is there.
            Self::None | Self::Signed(_) => None,
            Self::Token { scheme, credentials } => {
                Some(format!("{scheme} {}", credentials.read().await?.expose()))
            }
            Self::Basic { username, password } => {
                let (username, password) = (username.read().await?, password.read().await?);
                Some(basic(username.expose(), password.expose()))
            }
            Self::OAuth(oauth) => Some(oauth.header(client).await?),
        })
    }
}

impl Trust {
    /// # Errors
    /// Something that stands in the configuration itself is not what it should be.
    pub(crate) fn check(&self) -> Result<(), String> {
        let here = |place: &Place| match place {
            Place::Here(text) => Some(text.expose().to_owned()),
            Place::File(_) => None,
        };
        let authorities = self.authorities.as_ref().and_then(here);
        let identity = self.identity.as_ref().and_then(|(certificate, key)| {
            Some(Identity {
                certificate: here(certificate)?,
                key: here(key)?,
            })
        });
        let is_identity = identity.is_some();
        if authorities.is_none() && !is_identity {
            return Ok(());
        }
        let tls = way::Tls {
            authorities,
            identity,
            // The machine's own certificates may come later.
            takes_any: self.authorities.is_none(),
            ..way::Tls::default()
        };
        let key = if is_identity { "cert" } else { "ca" };
        tls::config(&tls).map(drop).map_err(|why| format!("{key}: {why}"))
    }

    async fn read(&self) -> Result<way::Tls, String> {
        let authorities = match &self.authorities {
            Some(place) => Some(place.read().await?.expose().to_owned()),
            None => None,
        };
        let identity = match &self.identity {
            Some((certificate, key)) => Some(Identity {
                certificate: certificate.read().await?.expose().to_owned(),
                key: key.read().await?.expose().to_owned(),
            }),
            None => None,
        };
        Ok(way::Tls {
            authorities,
            identity,
            server_name: self.server_name.clone(),
            takes_any: self.takes_any,
            oldest: self.oldest,
            newest: self.newest,
        })
    }
}

/// The way of a plan, if it is another than the usual one.
pub(crate) async fn way(trust: &Trust, proxy: &ProxyPlan) -> Result<Option<Arc<Way>>, String> {
    let proxy = match proxy {
        ProxyPlan::Environment => way::Proxy::Environment,
        ProxyPlan::None => way::Proxy::None,
        ProxyPlan::At {
            url,
            no_proxy,
            connect_headers,
        } => {
            let headers = connect_headers.iter();
            let headers = headers.map(|(name, value)| (name.clone(), value.expose().to_owned()));
            way::Proxy::At(Box::new(ProxyServer {
                url: url.expose().to_owned(),
                no_proxy: no_proxy.clone(),
                connect_headers: headers.collect(),
            }))
        }
    };
    let way = Way {
        proxy,
        tls: trust.read().await?,
    };
    Ok((!way.is_usual()).then(|| Arc::new(way)))
}

impl From<Credential> for Reach {
    fn from(credential: Credential) -> Self {
        Self {
            credential,
            ..Self::default()
        }
    }
}

impl Reach {
    /// Reads all secrets, and fetches a token where there is none yet. `may` is asked before each request but the first one,
    /// which is the caller's: the process may have stood still in between.
    ///
    /// # Errors
    /// A secret cannot be read, or the server of tokens gives none; a sentence without secrets.
    pub async fn open<'a>(
        &'a self,
        client: &'a dyn Client,
        may: &'a (dyn Fn() -> bool + Sync),
    ) -> Result<Via<'a>, String> {
        let mut headers = Vec::new();
        for (name, value) in &self.headers {
            headers.push((name.clone(), value.read().await?.expose().to_owned()));
        }
        Ok(Via {
            way: way(&self.trust, &self.proxy).await?,
            credential: self.credential.header(client).await?,
            headers,
            is_anonymous: false,
            reach: self,
            client,
            may,
        })
    }
}

/// A client for one message, by a way of its own.
pub struct Via<'a> {
    client: &'a dyn Client,
    reach: &'a Reach,
    way: Option<Arc<Way>>,
    /// What stands in the header `Authorization`.
    credential: Option<String>,
    headers: Vec<(String, String)>,
    /// For a host that need not know who we are.
    is_anonymous: bool,
    may: &'a (dyn Fn() -> bool + Sync),
}

impl Client for Via<'_> {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, ClientError>> {
        Box::pin(self.deliver(request, None))
    }
}

impl Via<'_> {
    /// For a client of another make, which is to go the same way: none is the usual one.
    #[must_use]
    pub fn way(&self) -> Option<&Way> {
        self.way.as_deref()
    }

    /// Likewise, the headers that say who we are, and our own; a signature is of just this request.
    ///
    /// # Errors
    /// As those of a client.
    pub async fn headers(&self, request: &Request) -> Result<Vec<(String, String)>, ClientError> {
        let complete = self.complete(request, self.credential.as_deref()).await?;
        Ok(complete.headers)
    }

    /// The same way, without credentials and without headers of ours: to an address that a server named.
    #[must_use]
    pub fn anonymous(&self) -> Via<'_> {
        Via {
            client: self.client,
            reach: self.reach,
            way: self.way.clone(),
            credential: None,
            headers: Vec::new(),
            is_anonymous: true,
            may: self.may,
        }
    }

    /// Goes on from the first answer to a request that somebody else has sent already.
    ///
    /// # Errors
    /// As those of a client.
    pub async fn go_on(&self, request: Request, answer: Response) -> Result<Response, ClientError> {
        self.deliver(request, Some(answer)).await
    }

    async fn deliver(&self, request: Request, first: Option<Response>) -> Result<Response, ClientError> {
        let mut first = first;
        let (begun, patience) = (Instant::now(), request.timeout);
        let mut credential = self.newest_credential(self.credential.clone()).await;
        let mut next = request;
        let (mut is_home, mut is_renewed, mut redirects) = (!self.is_anonymous, false, 0);
        loop {
            let answer = match first.take() {
                Some(answer) => answer,
                None => self.once(&next, is_home, credential.as_deref()).await?,
            };
            let oauth = match &self.reach.credential {
                Credential::OAuth(oauth) if answer.status == 401 && is_home && !is_renewed => Some(oauth),
                _ => None,
            };
            let target = (self.reach.follows_redirects && redirects < REDIRECTS_MAX)
                .then(|| redirected(&next, &answer))
                .flatten();
            match (oauth, target) {
                (Some(oauth), _) => {
                    let refused = credential.take().unwrap_or_default();
                    let renewed = oauth.renewed(self.client, &refused).await;
                    credential = Some(renewed.map_err(ClientError::Connect)?);
                    is_renewed = true;
                }
                (None, Some(target)) => {
                    is_home &= is_same_host(&next.url, &target);
                    next.url = target;
                    redirects += 1;
                }
                (None, None) => return Ok(explained(&next, answer)),
            }
            if !(self.may)() {
                return Err(ClientError::Connect("another replica speaks now".to_owned()));
            }
            next.timeout = patience.saturating_sub(begun.elapsed());
            if next.timeout == Duration::ZERO {
                return Err(ClientError::Timeout(patience));
            }
        }
    }

    /// A message may be several requests, and an earlier one may have found out that the token is no longer good.
    async fn newest_credential(&self, known: Option<String>) -> Option<String> {
        match &self.reach.credential {
            Credential::OAuth(oauth) => oauth.held().await.or(known),
            _ => known,
        }
    }

    /// Elsewhere than where we were sent by the configuration nobody hears who we are.
    async fn once(
        &self,
        request: &Request,
        is_home: bool,
        credential: Option<&str>,
    ) -> Result<Response, ClientError> {
        let request = match is_home {
            true => self.complete(request, credential).await?,
            false => request.clone(),
        };
        match &self.way {
            Some(way) => self.client.send_by(way, request).await,
            None => self.client.send(request).await,
        }
    }

    /// With all that says who we are.
    async fn complete(&self, request: &Request, credential: Option<&str>) -> Result<Request, ClientError> {
        let mut request = request.clone();
        let credential = credential.map(|credential| (AUTHORIZATION.to_owned(), credential.to_owned()));
        request.headers.extend(credential);
        request.headers.extend(self.headers.iter().cloned());
        if let Credential::Signed(by) = &self.reach.credential {
            request.url = as_sent(&request.url)?;
            let signed = self.client.sign(by, &request).await;
            request.headers.extend(signed.map_err(ClientError::Unsigned)?);
        }
        Ok(request)
    }
}

/// What is signed is what is sent: every letter as HTTP has it, and no user in front of the host, who would be a second
/// credential.
fn as_sent(url: &str) -> Result<String, ClientError> {
    let bad = |why: String| ClientError::BadUrl(why);
    let mut url = reqwest::Url::parse(url).map_err(|error| bad(error.to_string()))?;
    url.set_fragment(None);
    if url.set_username("").is_err() || url.set_password(None).is_err() {
        return Err(bad("it names no host".to_owned()));
    }
    Ok(url.to_string())
}

/// Whether a status sends who asks for something (GET) elsewhere.
#[must_use]
pub fn is_redirect(status: u16) -> bool {
    matches!(status, 301..=303 | 307 | 308)
}

/// Where an answer sends the whole request, if it does. A message never goes from `https` to `http`; a question, which says
/// nothing, may.
fn redirected(request: &Request, answer: &Response) -> Option<String> {
    let is_question = request.method == Method::Get;
    if !(is_question && is_redirect(answer.status) || matches!(answer.status, 307 | 308)) {
        return None;
    }
    let from = reqwest::Url::parse(&request.url).ok()?;
    let target = from.join(answer.header("location")?).ok()?;
    let is_safe = match target.scheme() {
        "https" => true,
        "http" => is_question || from.scheme() == "http",
        _ => false,
    };
    is_safe.then(|| target.to_string())
}

/// Or a name below it, on the same port, and no less safe.
fn is_same_host(from: &str, to: &str) -> bool {
    let (Ok(from), Ok(to)) = (reqwest::Url::parse(from), reqwest::Url::parse(to)) else {
        return false;
    };
    if from.scheme() == "https" && to.scheme() != "https" {
        return false;
    }
    let (Some(old), Some(new)) = (from.domain(), to.domain()) else {
        return from.host() == to.host() && from.port_or_known_default() == to.port_or_known_default();
    };
    let is_below = new
        .strip_suffix(old)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    is_below && from.port_or_known_default() == to.port_or_known_default()
}

/// A redirect that makes another request of a message would lose it.
fn explained(request: &Request, answer: Response) -> Response {
    let words = match answer.status {
        301..=303 if request.method == Method::Get => "sends us elsewhere, and it is not followed there",
        301..=303 => {
            "sends the message elsewhere, where it would arrive without its content; write the address that it means"
        }
        307 | 308 => "sends the message elsewhere, and it is not followed there",
        _ => return answer,
    };
    Response {
        body: words.as_bytes().to_vec(),
        ..answer
    }
}
