//! Who calls, by a token of a ServiceAccount: the API server is asked whose it is (TokenReview).
//!
//! Only tokens made for our audience count, and only those of the accounts that the configuration names, of our own namespace: one
//! for agents on nodes, one for replicas. What a replica shows an agent is for another audience than what it shows the other
//! replica: whoever has taken over a node cannot speak for the pair. The node or pod that a caller speaks for is what the token says, never the body. An answer
//! is good for a minute. While the API server is away a token that was reviewed stays good until it expires.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use kube::Api;
use kube::api::PostParams;
use model::outside::{Call, Identify, Identity, Role};
use model::{BoxFuture, Timestamp};
use parking_lot::Mutex;
use prometheus::{IntCounterVec, Registry};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use telemetry::metrics::counters;
use tokio::sync::Semaphore;

use crate::Cluster;
use crate::follow::plain;

/// For whom a token has to be made with which agents and replicas come to a replica.
pub const AUDIENCE: &str = "skopos";
/// … and with which a replica comes to an agent.
pub const AGENT_AUDIENCE: &str = "skopos-node";
/// How long an answer is good, and how long a refusal.
const GOOD: Duration = Duration::from_secs(60);
const BAD: Duration = Duration::from_secs(5);
/// The API server is waited for so long.
const PATIENCE: Duration = Duration::from_secs(5);
/// Reviews at a time, and answers that are remembered: whoever sends rubbish costs no more.
const REVIEWS_MAX: usize = 8;
const KNOWN_MAX: usize = 4_096;
/// What bound tokens say of their pod and its node.
const NODE: &str = "authentication.kubernetes.io/node-name";
const POD: &str = "authentication.kubernetes.io/pod-name";

pub(crate) struct Reviews {
    cluster: Cluster,
    audience: &'static str,
    /// By the hash of the token.
    known: Mutex<HashMap<[u8; 32], Known>>,
    turns: Semaphore,
    reviewed: IntCounterVec,
}

/// What was answered of a token.
#[derive(Clone)]
struct Known {
    who: Result<Identity, String>,
    asked: Timestamp,
    expires: Timestamp,
}

/// What a token says of itself; it is believed of how long it lasts only, once it has been reviewed.
#[derive(Deserialize)]
struct Claims {
    exp: i64,
}

impl Reviews {
    pub(crate) fn new(cluster: Cluster, audience: &'static str, registry: &Registry) -> Self {
        Self {
            cluster,
            audience,
            known: Mutex::default(),
            turns: Semaphore::new(REVIEWS_MAX),
            reviewed: counters(
                registry,
                "skopos_kubernetes_token_reviews_total",
                "Tokens that the API server was asked about: taken, refused, or not answered.",
                &["outcome"],
            ),
        }
    }

    async fn who(&self, call: &Call) -> Result<Identity, String> {
        let token = call.bearer().ok_or_else(|| {
            format!(
                "no token: send \"Authorization: Bearer <token>\" with a token of the ServiceAccount for the audience {}",
                self.audience
            )
        })?;
        let Some(expires) = expiry(token) else {
            return Err("unknown token: neither is it in web.tokens_file of this process, nor is it one of a ServiceAccount".to_owned());
        };
        let (now, key) = (self.now(), <[u8; 32]>::from(Sha256::digest(token.as_bytes())));
        if now >= expires {
            return Err("the token has expired; its file is to be read again".to_owned());
        }
        let known = self.known.lock().get(&key).cloned();
        if let Some(known) = &known {
            let good = if known.who.is_ok() { GOOD } else { BAD };
            if now.since(known.asked) < good {
                return known.who.clone();
            }
        }
        match self.review(token).await {
            Ok(who) => {
                self.reviewed
                    .with_label_values(&[if who.is_ok() { "taken" } else { "refused" }])
                    .inc();
                self.remember(
                    key,
                    Known {
                        who: who.clone(),
                        asked: now,
                        expires,
                    },
                );
                who
            }
            Err(away) => {
                self.reviewed.with_label_values(&["unanswered"]).inc();
                match known {
                    Some(Known { who: Ok(who), .. }) => Ok(who),
                    _ => Err(format!("the API server cannot say whose token this is: {away}")),
                }
            }
        }
    }

    fn now(&self) -> Timestamp {
        self.cluster.0.clock.now()
    }

    fn remember(&self, key: [u8; 32], answer: Known) {
        let mut known = self.known.lock();
        if known.len() >= KNOWN_MAX {
            let now = answer.asked;
            known.retain(|_, known| known.who.is_ok() && now < known.expires);
        }
        if known.len() < KNOWN_MAX {
            known.insert(key, answer);
        }
    }

    /// Whose it is, or why it is nobody's; an error when nobody can say.
    async fn review(&self, token: &str) -> Result<Result<Identity, String>, String> {
        let Ok(Ok(_turn)) = tokio::time::timeout(PATIENCE, self.turns.acquire()).await else {
            return Err("too many tokens are asked about".to_owned());
        };
        let review = TokenReview {
            spec: TokenReviewSpec {
                token: Some(token.to_owned()),
                // Empty would be any audience of the API server.
                audiences: Some(vec![self.audience.to_owned()]),
            },
            ..TokenReview::default()
        };
        let api: Api<TokenReview> = Api::all(self.cluster.0.client());
        let params = PostParams::default();
        let answer = tokio::time::timeout(PATIENCE, api.create(&params, &review)).await;
        let answer = answer.map_err(|_| "it does not answer".to_owned())?;
        let status = answer.map_err(|error| plain(&error))?.status.unwrap_or_default();
        let is_for_us = status
            .audiences
            .iter()
            .flatten()
            .any(|audience| audience == self.audience);
        if status.authenticated != Some(true) || !is_for_us {
            let why = status
                .error
                .unwrap_or_else(|| format!("it is not for the audience {}", self.audience));
            return Ok(Err(format!("the API server does not take this token: {why}")));
        }
        Ok(self.identity(&status.user.unwrap_or_default()))
    }

    fn identity(&self, user: &UserInfo) -> Result<Identity, String> {
        let inner = &self.cluster.0;
        let (name, accounts) = (
            user.username.as_deref().unwrap_or_default(),
            &inner.config.accounts,
        );
        let account = name
            .strip_prefix("system:serviceaccount:")
            .and_then(|rest| rest.strip_prefix(inner.namespace.as_str())?.strip_prefix(':'));
        let (role, of) = match account {
            Some(account) if account == accounts.node() => (Role::Node, NODE),
            Some(account) if account == accounts.replica() => (Role::Replica, POD),
            _ => {
                return Err(format!(
                    "{name} is neither {} nor {} of the namespace {} (kubernetes.accounts)",
                    accounts.node(),
                    accounts.replica(),
                    inner.namespace
                ));
            }
        };
        let said = user.extra.as_ref().and_then(|extra| extra.get(of)?.first());
        said.map(|said| Identity {
            role,
            name: said.as_str().into(),
        })
        .ok_or_else(|| format!("the token of {name} does not say {of}: it is not one that a pod was given"))
    }
}

impl Identify for Reviews {
    fn identify<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<Identity, String>> {
        Box::pin(self.who(call))
    }
}

/// When a token expires, if it is one of a ServiceAccount: three parts, the second of them its claims.
fn expiry(token: &str) -> Option<Timestamp> {
    let mut parts = token.split('.');
    let (_, claims, _, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else {
        return None;
    };
    let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
    let claims: Claims = serde_json::from_slice(&claims).ok()?;
    Some(Timestamp(claims.exp.checked_mul(1_000)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_of_an_account_says_when_it_expires_and_nothing_else_is_one() {
        let token = |claims: &str| format!("a.{}.c", URL_SAFE_NO_PAD.encode(claims));
        assert_eq!(
            expiry(&token(r#"{"exp":1795818383,"aud":["skopos"]}"#)),
            Some(Timestamp(1_795_818_383_000))
        );
        for other in [
            "",
            "a.b.c",
            "token-of-node-web-0123456789",
            &token("{}"),
            &format!("{}.d", token(r#"{"exp":1}"#)),
        ] {
            assert_eq!(expiry(other), None, "{other}");
        }
    }
}
