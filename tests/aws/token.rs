//! Tokens of service accounts, as a projected volume of Kubernetes holds them. Nobody signs them, and nobody asks who did.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::Timestamp;
use serde_json::{Value, json};

/// For STS by web identity.
pub const STS: &str = "sts.amazonaws.com";
/// For the Pod Identity agent.
pub const PODS: &str = "pods.eks.amazonaws.com";

/// Of a service account (`namespace:name`).
#[must_use]
pub fn make(service_account: &str, audience: &str, expiry: Timestamp) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let head = part(&json!({"alg": "RS256", "kid": "fake"}));
    let body = part(&json!({
        "aud": [audience],
        "exp": expiry.millis() / 1000,
        "iss": "https://oidc.eks.eu-west-1.amazonaws.com/id/FAKE",
        "sub": format!("system:serviceaccount:{service_account}"),
    }));
    format!("{head}.{body}.{}", URL_SAFE_NO_PAD.encode("signature"))
}

/// Whose it is, if it is one, for this audience, and has not expired.
pub(crate) fn read(token: &str, audience: &str, now: Timestamp) -> Result<String, &'static str> {
    let mut parts = token.split('.');
    let (Some(_), Some(body), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err("malformed");
    };
    let body = URL_SAFE_NO_PAD.decode(body).map_err(|_| "malformed")?;
    let body: Value = serde_json::from_slice(&body).map_err(|_| "malformed")?;
    let audiences = body.get("aud").and_then(Value::as_array);
    if !audiences.is_some_and(|all| all.iter().any(|one| one == audience)) {
        return Err("audience");
    }
    let expiry = body.get("exp").and_then(Value::as_i64).unwrap_or(0);
    if expiry <= now.millis() / 1000 {
        return Err("expired");
    }
    let subject = body.get("sub").and_then(Value::as_str).unwrap_or_default();
    let account = subject
        .strip_prefix("system:serviceaccount:")
        .ok_or("malformed")?;
    Ok(account.to_owned())
}
