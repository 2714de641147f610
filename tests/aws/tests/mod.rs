//! The fake is held to AWS' own vectors, to AWS' own client, and to another fake.

mod beside_moto;
mod boto;
mod estates;
mod events;
mod metrics;
mod signature;

use std::sync::Arc;

use aws::{Aws, Config};
use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cloudwatchlogs::types::InputLogEvent;
use model::signature::{Account, Keys};
use telemetry::clock::RuntimeClock;

use crate::{FakeAws, REGION};

/// AWS' own client by our way out, which tries everything once.
async fn client(url: &str, keys: (&str, &str), clock: Arc<RuntimeClock>) -> Client {
    let http = net::HttpClient::new().unwrap();
    let aws = Aws::new(Config::default(), http, clock, &prometheus::Registry::new());
    let account = Account {
        keys: Some(Keys {
            access_key: keys.0.to_owned(),
            secret_key: keys.1.to_owned(),
        }),
        ..Account::default()
    };
    let config = aws.unwrap().sdk_config(Some(REGION), &account).await;
    let config = aws_sdk_cloudwatchlogs::config::Builder::from(&config)
        .endpoint_url(url)
        .retry_config(aws_sdk_cloudwatchlogs::config::retry::RetryConfig::disabled());
    Client::from_conf(config.build())
}

/// With a stream `s` in a group `g`.
async fn fake() -> (Arc<RuntimeClock>, FakeAws, Client) {
    let clock = RuntimeClock::system();
    let fake = FakeAws::start(clock.clone());
    let user = fake.user();
    let client = client(&fake.url(), (&user.access_key, &user.secret_key), clock.clone()).await;
    client
        .create_log_group()
        .log_group_name("g")
        .send()
        .await
        .unwrap();
    let stream = client.create_log_stream().log_group_name("g");
    stream.log_stream_name("s").send().await.unwrap();
    (clock, fake, client)
}

fn event(timestamp: i64, message: &str) -> InputLogEvent {
    let event = InputLogEvent::builder().timestamp(timestamp).message(message);
    event.build().unwrap()
}

/// By its name.
fn code<T: std::fmt::Debug, E: ProvideErrorMetadata + std::fmt::Debug>(
    outcome: Result<T, SdkError<E>>,
) -> String {
    match outcome {
        Err(SdkError::ServiceError(error)) => error.err().code().unwrap_or("no code").to_owned(),
        other => format!("{other:?}"),
    }
}
