//! What answers on a node: the Pod Identity agent, and the machine's metadata (IMDSv2).

use std::collections::{BTreeSet, VecDeque};

use model::Timestamp;
use serde_json::json;

use crate::asked::{Answer, Asked};
use crate::keys::Key;
use crate::{ACCOUNT, Estate, sts, token};

/// The agent answers so many requests a second.
const PER_SECOND: usize = 3;
const ROLE: &str = "node-role";
const LIFETIME: &str = "x-aws-ec2-metadata-token-ttl-seconds";
const METADATA_TOKEN: &str = "metadata-token==";

#[derive(Default)]
pub(crate) struct Pods {
    associated: BTreeSet<String>,
    asked: VecDeque<Timestamp>,
}

impl Pods {
    pub(crate) fn associate(&mut self, service_account: &str) {
        self.associated.insert(service_account.to_owned());
    }

    fn is_busy(&mut self, now: Timestamp) -> bool {
        while self
            .asked
            .front()
            .is_some_and(|at| now.millis() - at.millis() >= 1000)
        {
            self.asked.pop_front();
        }
        let is_busy = self.asked.len() >= PER_SECOND;
        if !is_busy {
            self.asked.push_back(now);
        }
        is_busy
    }
}

pub(crate) fn operation(asked: &Asked) -> Option<String> {
    let operation = match asked.path.as_str() {
        "/v1/credentials" => "Credentials",
        path if path.starts_with("/latest/") => "Metadata",
        _ => return None,
    };
    Some(operation.to_owned())
}

pub(crate) fn answer(estate: &Estate, operation: &str, asked: &Asked) -> (Option<Key>, Answer) {
    let answer = match operation {
        "Credentials" => credentials(estate, asked),
        _ => metadata(estate, asked),
    };
    (None, answer)
}

fn credentials(estate: &Estate, asked: &Asked) -> Answer {
    let now = estate.clock.now();
    let refused = |status: u16, message: &str| Answer::json(status, &json!({ "message": message }));
    if estate.pods.lock().is_busy(now) {
        return refused(429, "Rate exceeded");
    }
    let said = asked.header("authorization").unwrap_or_default();
    let account = match token::read(said, token::PODS, now) {
        Ok(account) => account,
        Err("expired") => return refused(400, "(ExpiredTokenException): Service account token has expired"),
        Err("audience") => {
            return refused(
                400,
                "(InvalidTokenException): The audience of the service account token is not pods.eks.amazonaws.com",
            );
        }
        Err(_) => return refused(400, "Service account token cannot be empty"),
    };
    if !estate.pods.lock().associated.contains(&account) {
        return refused(
            404,
            "(ResourceNotFoundException): No Pod Identity association was found for the service account",
        );
    }
    let expiry = estate.roles.lock().expiry(now, None);
    let arn = format!(
        "arn:aws:sts::{ACCOUNT}:assumed-role/pods/eks-{}",
        account.replace(':', "-")
    );
    let key = estate.keys.lock().session(arn, expiry);
    Answer::json(
        200,
        &json!({
            "AccessKeyId": key.access_key,
            "SecretAccessKey": key.secret_key,
            "Token": key.session,
            "AccountId": ACCOUNT,
            "Expiration": sts::written(expiry),
        }),
    )
}

fn metadata(estate: &Estate, asked: &Asked) -> Answer {
    let text = |text: &str| Answer {
        status: 200,
        kind: "text/plain",
        body: text.as_bytes().to_vec(),
        ..Answer::default()
    };
    if asked.path == "/latest/api/token" {
        return match asked.method.as_str() {
            "PUT" => {
                let lifetime = asked.header(LIFETIME).unwrap_or("60").to_owned();
                Answer {
                    headers: vec![(LIFETIME, lifetime)],
                    ..text(METADATA_TOKEN)
                }
            }
            _ => Answer::empty(405),
        };
    }
    if asked.header("x-aws-ec2-metadata-token") != Some(METADATA_TOKEN) {
        return Answer::empty(401);
    }
    let path = asked.path.strip_prefix("/latest/meta-data/").unwrap_or_default();
    let (now, place) = (estate.clock.now(), "iam/security-credentials/");
    match path.strip_prefix(place) {
        Some("") => text(ROLE),
        Some(ROLE) => {
            let expiry = estate.roles.lock().expiry(now, None);
            let arn = format!("arn:aws:sts::{ACCOUNT}:assumed-role/{ROLE}/i-0123456789abcdef0");
            let key = estate.keys.lock().session(arn, expiry);
            Answer::json(
                200,
                &json!({
                    "Code": "Success",
                    "Type": "AWS-HMAC",
                    "LastUpdated": sts::written(now),
                    "AccessKeyId": key.access_key,
                    "SecretAccessKey": key.secret_key,
                    "Token": key.session,
                    "Expiration": sts::written(expiry),
                }),
            )
        }
        _ => Answer::empty(404),
    }
}
