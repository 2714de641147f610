//! Where credentials are looked for, in AWS' own order: the environment, the profile, web identity, the container, and the
//! machine where that is asked for.
//!
//! A place that has something decides: if it cannot be had there, no other is tried, so that nobody is somebody else by accident.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use aws_config::ConfigLoader;
use aws_config::ecs::EcsCredentialsProvider;
use aws_config::environment::{EnvironmentVariableCredentialsProvider, EnvironmentVariableRegionProvider};
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::meta::region::ProvideRegion;
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider};
use aws_config::provider_config::ProviderConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::web_identity_token::WebIdentityTokenCredentialsProvider;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_types::region::Region;
use model::outside::Client;
use model::signature::{Account, Keys, Role};
use model::{BoxFuture, Clock};

use crate::clock::SdkClock;
use crate::config::Config;
use crate::http::Out;
use crate::{behavior, words};

/// Who we are in logs of AWS, when we take a role on.
const SESSION: &str = "skopos";

/// A place that had credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Keys,
    Environment,
    Profile,
    WebIdentity,
    Container,
    Machine,
}

impl Source {
    /// A closed set, fit for a label.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Keys => "keys",
            Self::Environment => "environment",
            Self::Profile => "profile",
            Self::WebIdentity => "web_identity",
            Self::Container => "container",
            Self::Machine => "imds",
        }
    }

    /// What to look at when it fails.
    fn advice(self) -> &'static str {
        match self {
            Self::Keys | Self::Environment => "see whether the keys are right and still valid",
            Self::Profile => "see what the profile says in ~/.aws/config and ~/.aws/credentials",
            Self::WebIdentity => {
                "see that the role trusts this cluster's identity provider for this service account, and that the \
                 token file can be read"
            }
            Self::Container => {
                "see that the service account has a Pod Identity association, and that the Pod Identity agent runs \
                 on this node"
            }
            Self::Machine => "see that the machine has a role and that its metadata can be reached from here",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keys => "the configuration's keys",
            Self::Environment => "the environment (AWS_ACCESS_KEY_ID)",
            Self::Profile => "the profile",
            Self::WebIdentity => "web identity (AWS_WEB_IDENTITY_TOKEN_FILE)",
            Self::Container => "the container (Pod Identity)",
            Self::Machine => "the machine's role (IMDS)",
        })
    }
}

pub(crate) struct Found {
    pub(crate) credentials: Credentials,
    pub(crate) source: Source,
}

/// Why there are none; a whole sentence.
#[derive(Debug)]
pub(crate) struct NotFound {
    /// The place that should have had some.
    pub(crate) source: Option<Source>,
    pub(crate) words: String,
}

pub(crate) trait Find: Send + Sync {
    fn find<'a>(&'a self, account: &'a Account) -> BoxFuture<'a, Result<Found, NotFound>>;

    fn region<'a>(&'a self, account: &'a Account) -> BoxFuture<'a, Option<String>>;

    /// What clients of the SDK are made of, but for the credentials.
    fn loader(&self, region: Option<String>) -> ConfigLoader;
}

pub(crate) struct Chain {
    config: Config,
    out: Out,
    clock: SdkClock,
}

impl Find for Chain {
    fn find<'a>(&'a self, account: &'a Account) -> BoxFuture<'a, Result<Found, NotFound>> {
        Box::pin(async {
            let region = self.region(account).await;
            let found = self.own(account, region.clone()).await?;
            match &account.role {
                Some(role) => self.take_on(role, found, region).await,
                None => Ok(found),
            }
        })
    }

    fn region<'a>(&'a self, account: &'a Account) -> BoxFuture<'a, Option<String>> {
        Box::pin(async {
            let mut found = EnvironmentVariableRegionProvider::new().region().await;
            if found.is_none() {
                // Files are read anew each time.
                let mut profile = ProfileFileRegionProvider::builder().configure(&self.provider(None));
                if let Some(name) = &account.profile {
                    profile = profile.profile_name(name);
                }
                found = profile.build().region().await;
            }
            let configured = Some(&self.config.region).filter(|region| !region.is_empty());
            found
                .map(|region| region.to_string())
                .or_else(|| configured.cloned())
        })
    }

    fn loader(&self, region: Option<String>) -> ConfigLoader {
        aws_config::defaults(behavior())
            .http_client(self.out.clone())
            .time_source(self.clock.clone())
            .sleep_impl(self.clock.clone())
            // None keeps the SDK from asking the machine.
            .region(region.map(Region::new))
    }
}

impl Chain {
    pub(crate) fn new(config: Config, client: Arc<dyn Client>, clock: Arc<dyn Clock>) -> Self {
        Self {
            config,
            out: Out::new(client),
            clock: SdkClock(clock),
        }
    }

    fn provider(&self, region: Option<String>) -> ProviderConfig {
        ProviderConfig::empty()
            .with_http_client(self.out.clone())
            .with_time_source(self.clock.clone())
            .with_sleep_impl(self.clock.clone())
            .with_behavior_version(Some(behavior()))
            .with_region(region.map(Region::new))
    }

    /// Those of the account without its role.
    async fn own(&self, account: &Account, region: Option<String>) -> Result<Found, NotFound> {
        if let Some(keys) = &account.keys {
            return Ok(of_keys(keys));
        }
        let provider = self.provider(region);
        let mut profile = ProfileFileCredentialsProvider::builder().configure(&provider);
        if let Some(name) = &account.profile {
            profile = profile.profile_name(name);
            return match profile.build().provide_credentials().await {
                Ok(credentials) => Ok(Found {
                    credentials,
                    source: Source::Profile,
                }),
                Err(error) => Err(failed(Source::Profile, &error)),
            };
        }
        let mut places: Vec<(Source, Box<dyn ProvideCredentials>)> = vec![
            (
                Source::Environment,
                Box::new(EnvironmentVariableCredentialsProvider::new()),
            ),
            (Source::Profile, Box::new(profile.build())),
            (
                Source::WebIdentity,
                Box::new(
                    WebIdentityTokenCredentialsProvider::builder()
                        .configure(&provider)
                        .build(),
                ),
            ),
            (
                Source::Container,
                Box::new(EcsCredentialsProvider::builder().configure(&provider).build()),
            ),
        ];
        if self.config.imds {
            let machine = ImdsCredentialsProvider::builder().configure(&provider).build();
            places.push((Source::Machine, Box::new(machine)));
        }
        for (source, place) in places {
            match place.provide_credentials().await {
                Ok(credentials) => return Ok(Found { credentials, source }),
                Err(CredentialsError::CredentialsNotLoaded(_)) => {}
                Err(error) => return Err(failed(source, &error)),
            }
        }
        Err(self.nowhere())
    }

    async fn take_on(&self, role: &Role, own: Found, region: Option<String>) -> Result<Found, NotFound> {
        let source = own.source;
        let mut loader = self.loader(region);
        if role.by_fips {
            loader = loader.use_fips(true);
        }
        let base = SharedCredentialsProvider::new(own.credentials);
        let sdk = loader.credentials_provider(base).load().await;
        let mut provider = AssumeRoleProvider::builder(&role.arn)
            .session_name(SESSION)
            .configure(&sdk);
        if let Some(external) = &role.external_id {
            provider = provider.external_id(external);
        }
        match provider.build().await.provide_credentials().await {
            Ok(credentials) => Ok(Found { credentials, source }),
            Err(error) => Err(NotFound {
                source: Some(source),
                words: format!(
                    "taking on the role {} with credentials of {source}: {}; see that the role trusts them",
                    role.arn,
                    words::explained(&error)
                ),
            }),
        }
    }

    fn nowhere(&self) -> NotFound {
        let (machine, advice) = if self.config.imds {
            (", nor in the machine's metadata", "")
        } else {
            ("", ", or take the machine's role by aws.imds: true")
        };
        NotFound {
            source: None,
            words: format!(
                "there are no AWS credentials: none in the environment (AWS_ACCESS_KEY_ID), in the profile, by web identity \
                 (AWS_WEB_IDENTITY_TOKEN_FILE), in the container (AWS_CONTAINER_CREDENTIALS_FULL_URI){machine}; give the \
                 service account a role by EKS Pod Identity or IRSA, name a profile or keys{advice}"
            ),
        }
    }
}

fn of_keys(keys: &Keys) -> Found {
    Found {
        credentials: Credentials::new(&keys.access_key, &keys.secret_key, None, None, "configuration"),
        source: Source::Keys,
    }
}

fn failed(source: Source, error: &CredentialsError) -> NotFound {
    let words = match unreadable_token(source) {
        Some(words) => words,
        None => words::explained(error),
    };
    NotFound {
        source: Some(source),
        words: format!("AWS credentials of {source}: {words}; {}", source.advice()),
    }
}

/// The SDK says why a token cannot be read, and not which.
fn unreadable_token(source: Source) -> Option<String> {
    let variable = match source {
        Source::WebIdentity => "AWS_WEB_IDENTITY_TOKEN_FILE",
        Source::Container => "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        _ => return None,
    };
    let path = std::env::var(variable).ok()?;
    let error = std::fs::File::open(Path::new(&path)).err()?;
    Some(format!("reading {path}: {error}"))
}
