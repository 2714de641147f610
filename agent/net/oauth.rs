//! Tokens by OAuth 2.0, for a client's own credentials (RFC 6749, 4.4).
//!
//! A token is kept until shortly before it expires, and one that was refused is fetched anew. Those who want one at the same time
//! wait for one request. No secret is in what is said of a failure.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use model::outside::{Client, Method, Request, Response};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::reach::{ProxyPlan, Trust, way};
use crate::{Place, basic, without_secrets};

/// A token that is good for less than this is no longer used.
const MARGIN: Duration = Duration::from_secs(10);
/// Longest wait for a token.
const PATIENCE: Duration = Duration::from_secs(10);
const ANSWER_BYTES_MAX: usize = 256 << 10;
/// Characters kept of what the server says.
const WORDS_MAX: usize = 200;

/// What is asked of whom.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Asked {
    pub(crate) client_id: String,
    pub(crate) client_secret: Place,
    pub(crate) token_url: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) parameters: BTreeMap<String, String>,
    pub(crate) trust: Trust,
    pub(crate) proxy: ProxyPlan,
}

pub struct OAuth {
    asked: Asked,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    token: Option<Token>,
    /// Whether this server wants our credentials in the body; found out by trying.
    in_body: bool,
}

struct Token {
    header: String,
    good_until: Option<Instant>,
}

/// What the server answers (RFC 6749, 5.1); some write the seconds as a text.
#[derive(Deserialize)]
struct Granted {
    access_token: String,
    #[serde(default)]
    token_type: String,
    #[serde(default)]
    expires_in: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Refused {
    error: String,
    #[serde(default)]
    error_description: String,
}

impl fmt::Debug for OAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.asked.fmt(f)
    }
}

impl PartialEq for OAuth {
    fn eq(&self, other: &Self) -> bool {
        self.asked == other.asked
    }
}

impl OAuth {
    pub(crate) fn new(asked: Asked) -> Self {
        Self {
            asked,
            held: Mutex::default(),
        }
    }

    /// What stands in the header `Authorization`.
    pub(crate) async fn header(&self, client: &dyn Client) -> Result<String, String> {
        let mut held = self.held.lock().await;
        if let Some(header) = held.good() {
            return Ok(header);
        }
        self.fetch(client, &mut held).await
    }

    /// The token that is known to be good now, without asking for one.
    pub(crate) async fn held(&self) -> Option<String> {
        self.held.lock().await.good()
    }

    /// A token in place of one that was refused; somebody else may have fetched it meanwhile.
    pub(crate) async fn renewed(&self, client: &dyn Client, refused: &str) -> Result<String, String> {
        let mut held = self.held.lock().await;
        match held.good() {
            Some(header) if header != refused => Ok(header),
            _ => self.fetch(client, &mut held).await,
        }
    }

    async fn fetch(&self, client: &dyn Client, held: &mut Held) -> Result<String, String> {
        held.token = None;
        let url = without_secrets(&self.asked.token_url);
        let failed = |why: String| format!("fetching a token from {url}: {why}");
        let way = way(&self.asked.trust, &self.asked.proxy).await.map_err(failed)?;
        let secret = self.asked.client_secret.read().await.map_err(failed)?;
        let send = async |in_body: bool| {
            let request = self.request(secret.expose(), in_body);
            match &way {
                Some(way) => client.send_by(way, request).await,
                None => client.send(request).await,
            }
        };
        let mut answer = send(held.in_body)
            .await
            .map_err(|error| failed(error.to_string()))?;
        if matches!(answer.status, 400 | 401 | 403) {
            // Servers differ in where they want the credentials, and a wrong place looks like a wrong secret.
            let other = send(!held.in_body)
                .await
                .map_err(|error| failed(error.to_string()))?;
            if other.status == 200 {
                held.in_body = !held.in_body;
                answer = other;
            }
        }
        let token = read(&answer).map_err(failed)?;
        let header = token.header.clone();
        held.token = Some(token);
        Ok(header)
    }

    fn request(&self, secret: &str, in_body: bool) -> Request {
        let asked = &self.asked;
        let escape = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let mut fields: BTreeMap<&str, &str> = BTreeMap::from([("grant_type", "client_credentials")]);
        let scopes = asked.scopes.join(" ");
        if !scopes.is_empty() {
            fields.insert("scope", &scopes);
        }
        fields.extend(
            asked
                .parameters
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        );
        let mut headers = vec![
            (
                "content-type".to_owned(),
                "application/x-www-form-urlencoded".to_owned(),
            ),
            ("accept".to_owned(), "application/json".to_owned()),
        ];
        if in_body {
            fields.extend([("client_id", asked.client_id.as_str()), ("client_secret", secret)]);
        } else {
            let user = basic(&escape(&asked.client_id), &escape(secret));
            headers.push(("authorization".to_owned(), user));
        }
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        Request {
            method: Method::Post,
            url: asked.token_url.clone(),
            headers,
            body: body.into(),
            timeout: PATIENCE,
            answer_bytes_max: ANSWER_BYTES_MAX,
        }
    }
}

impl Held {
    fn good(&self) -> Option<String> {
        let token = self.token.as_ref()?;
        let is_good = token.good_until.is_none_or(|end| Instant::now() < end);
        is_good.then(|| token.header.clone())
    }
}

fn read(answer: &Response) -> Result<Token, String> {
    if answer.status != 200 {
        let said = match serde_json::from_slice::<Refused>(&answer.body) {
            Ok(refused) => format!("{} {}", refused.error, refused.error_description),
            Err(_) => String::from_utf8_lossy(&answer.body)
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned(),
        };
        let said = said.trim().chars().filter(|letter| !letter.is_control());
        let said: String = said.take(WORDS_MAX).collect();
        return Err(format!("{} {said}", answer.status).trim_end().to_owned());
    }
    // The parser's words could quote what came.
    let granted: Granted = serde_json::from_slice(&answer.body)
        .map_err(|_| "the answer is no JSON with an access_token".to_owned())?;
    let is_plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_plain(&granted.access_token) {
        return Err("the access_token is none that a header can hold".to_owned());
    }
    let scheme = match granted.token_type.as_str() {
        scheme if scheme.eq_ignore_ascii_case("bearer") || !is_plain(scheme) => "Bearer",
        scheme => scheme,
    };
    let seconds = granted.expires_in.and_then(|seconds| match seconds {
        serde_json::Value::String(text) => text.parse().ok(),
        number => number.as_f64(),
    });
    let lasts = seconds
        .filter(|seconds| *seconds > 0.0)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let good_until = lasts.and_then(|lasts| Instant::now().checked_add(lasts.saturating_sub(MARGIN)));
    Ok(Token {
        header: format!("{scheme} {}", granted.access_token),
        good_until,
    })
}
