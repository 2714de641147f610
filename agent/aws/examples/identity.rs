//! Says who we are to AWS, once for each line of standard input: `cargo run -p aws --example identity [imds] [profile=NAME]
//! [role=ARN] [external=ID]`. A number on the line lets so many milliseconds go by first, on its own clock.

use std::io::Write;
use std::sync::Arc;

use aws::{Aws, Config};
use aws_credential_types::provider::ProvideCredentials;
use model::outside::Client;
use model::signature::{Account, Role};
use telemetry::clock::RuntimeClock;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut config, mut account) = (Config::default(), Account::default());
    let mut role = Role::default();
    for argument in std::env::args().skip(1) {
        match argument.split_once('=') {
            None if argument == "imds" => config.imds = true,
            Some(("profile", name)) => account.profile = Some(name.to_owned()),
            Some(("role", arn)) => arn.clone_into(&mut role.arn),
            Some(("external", id)) => role.external_id = Some(id.to_owned()),
            _ => return Err(format!("{argument}: nothing is known of it").into()),
        }
    }
    account.role = (!role.arn.is_empty()).then_some(role);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let client: Arc<dyn Client> = net::HttpClient::new()?;
        let clock = RuntimeClock::system();
        let aws = Aws::new(config, client, clock.clone(), &prometheus::Registry::new())?;
        for line in std::io::stdin().lines() {
            clock.skew(line?.trim().parse().unwrap_or(0));
            let found = aws.credentials(&account).provide_credentials().await;
            let region = aws.region(None, &account).await;
            let checkup = aws.checkups();
            let seen = checkup.first().map(|checkup| {
                let found = checkup.findings.first().cloned();
                format!(
                    "{}: {}",
                    checkup.verdict.word(),
                    found.unwrap_or(checkup.seen.clone())
                )
            });
            let key = found.as_ref().map_or("none", |found| found.access_key_id());
            writeln!(
                std::io::stdout(),
                "{key}\t{}\t{}",
                region.unwrap_or_else(|why| why),
                seen.unwrap_or_default()
            )?;
        }
        Ok(())
    })
}
