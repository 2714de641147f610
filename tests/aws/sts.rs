//! The Security Token Service: roles are taken on, by keys or by a service account's token.

use std::collections::BTreeMap;
use std::time::Duration;

use model::Timestamp;

use crate::asked::{Answer, Asked, REQUEST, Refusal, escaped};
use crate::keys::{Key, account_of};
use crate::{Estate, token};

const USUAL: Duration = Duration::from_secs(3600);

#[derive(Default)]
pub(crate) struct Roles {
    /// With the external id that each wants.
    known: BTreeMap<String, Option<String>>,
    pub(crate) lifetime: Option<Duration>,
}

impl Roles {
    pub(crate) fn add(&mut self, arn: &str, external_id: Option<&str>) {
        self.known.insert(arn.to_owned(), external_id.map(str::to_owned));
    }

    /// Until when credentials of now are good.
    pub(crate) fn expiry(&self, now: Timestamp, wished: Option<Duration>) -> Timestamp {
        now + self.lifetime.or(wished).unwrap_or(USUAL)
    }
}

pub(crate) fn operation(asked: &Asked) -> Option<String> {
    let is_form = asked
        .header("content-type")
        .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    (asked.path == "/" && is_form).then(|| field(asked, "Action"))?
}

fn field(asked: &Asked, name: &str) -> Option<String> {
    let mut fields = form_urlencoded::parse(&asked.body);
    fields.find_map(|(known, value)| (known == name).then(|| value.into_owned()))
}

/// By whom, and the answer.
pub(crate) fn answer(estate: &Estate, operation: &str, asked: &Asked) -> (Option<Key>, Answer) {
    let now = estate.clock.now();
    if operation == "AssumeRoleWithWebIdentity" {
        let outcome = by_token(estate, asked, now);
        return (None, outcome.unwrap_or_else(|refusal| refusal.xml()));
    }
    let signer = estate.verify(asked, &["sts"]);
    let signer = match signer {
        Ok(signer) => signer,
        Err(refusal) => return (None, refusal.xml()),
    };
    let outcome = match operation {
        "AssumeRole" => by_key(estate, asked, &signer, now),
        "GetCallerIdentity" => Ok(Answer::xml(
            200,
            format!(
                "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
                 <Arn>{}</Arn><UserId>{}</UserId><Account>{}</Account></GetCallerIdentityResult><ResponseMetadata>\
                 <RequestId>{REQUEST}</RequestId></ResponseMetadata></GetCallerIdentityResponse>",
                escaped(&signer.arn),
                signer.access_key,
                signer.account()
            ),
        )),
        other => Err(Refusal::new(
            "InvalidAction",
            format!("Could not find operation {other} for version 2011-06-15"),
        )),
    };
    (Some(signer), outcome.unwrap_or_else(|refusal| refusal.xml()))
}

fn by_key(estate: &Estate, asked: &Asked, signer: &Key, now: Timestamp) -> Result<Answer, Refusal> {
    let arn = field(asked, "RoleArn").unwrap_or_default();
    let said = field(asked, "ExternalId");
    let is_allowed = {
        let roles = estate.roles.lock();
        let wanted = roles.known.get(&arn);
        wanted.is_some_and(|wanted| wanted.is_none() || *wanted == said)
    };
    if !is_allowed {
        return Err(Refusal::new(
            "AccessDenied",
            format!(
                "User: {} is not authorized to perform: sts:AssumeRole on resource: {arn}",
                signer.arn
            ),
        ));
    }
    give(estate, asked, &arn, now, "AssumeRole", "")
}

fn by_token(estate: &Estate, asked: &Asked, now: Timestamp) -> Result<Answer, Refusal> {
    let arn = field(asked, "RoleArn").unwrap_or_default();
    let said = field(asked, "WebIdentityToken").unwrap_or_default();
    let subject = token::read(&said, token::STS, now).map_err(|wrong| match wrong {
        "expired" => Refusal::new(
            "ExpiredIdentityToken",
            "Token expired: current date/time must be before the expiration date/time",
        ),
        "audience" => Refusal::new("InvalidIdentityToken", "Incorrect token audience"),
        _ => Refusal::new(
            "InvalidIdentityToken",
            "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)",
        ),
    })?;
    if !estate.roles.lock().known.contains_key(&arn) {
        return Err(Refusal::new(
            "AccessDenied",
            "Not authorized to perform sts:AssumeRoleWithWebIdentity",
        ));
    }
    let subject = format!(
        "<SubjectFromWebIdentityToken>system:serviceaccount:{}</SubjectFromWebIdentityToken>",
        escaped(&subject)
    );
    give(estate, asked, &arn, now, "AssumeRoleWithWebIdentity", &subject)
}

fn give(
    estate: &Estate,
    asked: &Asked,
    arn: &str,
    now: Timestamp,
    operation: &str,
    more: &str,
) -> Result<Answer, Refusal> {
    let session = field(asked, "RoleSessionName").unwrap_or_default();
    let is_session = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
    if !(2..=64).contains(&session.len()) || !session.bytes().all(is_session) {
        return Err(Refusal::new(
            "ValidationError",
            format!(
                "1 validation error detected: Value '{session}' at 'roleSessionName' failed to satisfy constraint"
            ),
        ));
    }
    let seconds = field(asked, "DurationSeconds").and_then(|text| text.parse().ok());
    if seconds.is_some_and(|seconds: u64| !(900..=43_200).contains(&seconds)) {
        return Err(Refusal::new(
            "ValidationError",
            "1 validation error detected: Value at 'durationSeconds' failed to satisfy constraint",
        ));
    }
    let expiry = estate.roles.lock().expiry(now, seconds.map(Duration::from_secs));
    let role = arn.rsplit('/').next().unwrap_or_default();
    let assumed = format!("arn:aws:sts::{}:assumed-role/{role}/{session}", account_of(arn));
    let key = estate.keys.lock().session(assumed.clone(), expiry);
    Ok(Answer::xml(
        200,
        format!(
            "<{operation}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{operation}Result>{more}\
             <AssumedRoleUser><AssumedRoleId>AROAFAKE:{session}</AssumedRoleId><Arn>{assumed}</Arn></AssumedRoleUser>\
             <Credentials><AccessKeyId>{}</AccessKeyId><SecretAccessKey>{}</SecretAccessKey><SessionToken>{}</SessionToken>\
             <Expiration>{}</Expiration></Credentials></{operation}Result><ResponseMetadata><RequestId>{REQUEST}</RequestId>\
             </ResponseMetadata></{operation}Response>",
            key.access_key,
            key.secret_key,
            key.session.unwrap_or_default(),
            written(expiry)
        ),
    ))
}

/// To the second, as AWS writes it.
pub(crate) fn written(time: Timestamp) -> String {
    let time = jiff::Timestamp::from_millisecond(time.millis()).unwrap_or_default();
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
