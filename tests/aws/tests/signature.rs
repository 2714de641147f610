//! What is verified, and what is refused.

use model::Clock;
use model::signature::{Account, Keys};

use telemetry::clock::RuntimeClock;

use super::{client, code, fake};
use crate::signature::{Paths, expected};
use crate::{REGION, vectors};

#[test]
fn signatures_that_aws_publishes_are_found_right() {
    let Some(vectors) = vectors::all() else {
        return programs::skipped("the published signatures (cargo's sources of aws-sigv4)");
    };
    let mut verified = 0;
    for vector in &vectors {
        let signed = &vector.signed;
        let secret = match vector.context.pointer("/credentials/secret_access_key") {
            Some(secret) => secret.as_str().unwrap(),
            // Two old ones stand without, and one of them says that its keys are not real.
            None if vector.name == "double-url-encode" => "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            None => continue,
        };
        let paths = Paths {
            are_normal: vector.context["normalize"] != false,
        };
        let said = signed.header("authorization").unwrap();
        let (_, said) = said.split_once("Signature=").unwrap();
        assert_eq!(
            expected(signed, secret, paths).as_deref(),
            Some(said),
            "{}",
            vector.name
        );
        verified += 1;
    }
    assert!(verified >= 35, "{verified} of {}", vectors.len());
}

#[tokio::test]
async fn a_wrong_secret_an_unknown_key_and_a_wrong_clock_are_refused_in_aws_own_words() {
    let (clock, fake, good) = fake().await;
    assert!(good.describe_log_groups().send().await.is_ok());
    let user = fake.user();
    let other = RuntimeClock::system;
    let wrong = client(&fake.url(), (&user.access_key, "guessed"), other()).await;
    assert_eq!(
        code(wrong.describe_log_groups().send().await),
        "InvalidSignatureException"
    );
    let unknown = client(&fake.url(), ("AKIANOBODY", "guessed"), other()).await;
    assert_eq!(
        code(unknown.describe_log_groups().send().await),
        "UnrecognizedClientException"
    );
    let late = client(&fake.url(), (&user.access_key, &user.secret_key), other()).await;
    clock.skew(6 * 60 * 1000);
    assert!(good.describe_log_groups().send().await.is_ok());
    assert_eq!(
        code(late.describe_log_groups().send().await),
        "InvalidSignatureException"
    );
    let last = fake.seen().pop().unwrap();
    assert_eq!(
        (last.operation.as_str(), last.by, last.status),
        ("DescribeLogGroups", None, 400)
    );
    assert!(clock.now().since(last.at).as_secs() < 60);
}

/// Whatever is changed on the way is noticed.
#[tokio::test]
async fn a_changed_request_is_no_longer_signed() {
    let clock = RuntimeClock::system();
    let fake = crate::FakeAws::start(clock.clone());
    let user = fake.user();
    let credentials = Account {
        keys: Some(Keys {
            access_key: user.access_key.clone(),
            secret_key: user.secret_key.clone(),
        }),
        ..Account::default()
    };
    let http = net::HttpClient::new().unwrap();
    let registry = prometheus::Registry::new();
    let aws = aws::Aws::new(aws::Config::default(), http.clone(), clock, &registry).unwrap();
    let by = model::SigV4 {
        service: "aps".to_owned(),
        region: Some(REGION.to_owned()),
        account: credentials,
    };
    let request = model::outside::Request {
        method: model::outside::Method::Post,
        url: format!("{}/workspaces/ws-1/a%20b/api/v1/query?a=1&b=c%2Fd", fake.url()),
        headers: vec![("content-type".to_owned(), "text/plain".to_owned())],
        body: b"sum(up)".to_vec().into(),
        timeout: std::time::Duration::from_secs(5),
        answer_bytes_max: 1000,
    };
    let send = async |change: &dyn Fn(&mut model::outside::Request)| {
        let mut request = request.clone();
        request.headers.extend(aws.sign(&by, &request).await.unwrap());
        change(&mut request);
        let answer = model::outside::Client::send(&*http, request).await.unwrap();
        (answer.status, String::from_utf8(answer.body).unwrap())
    };
    assert_eq!(send(&|_| {}).await.0, 204);
    assert_eq!(
        send(&|request| request.headers[0].1 = "text/plain ".to_owned())
            .await
            .0,
        204
    );
    let changes: [&dyn Fn(&mut model::outside::Request); 5] = [
        &|request| request.body = b"sum(down)".to_vec().into(),
        &|request| request.method = model::outside::Method::Put,
        &|request| request.url = request.url.replace("ws-1", "ws-2"),
        &|request| request.url = request.url.replace("a=1", "a=2"),
        &|request| request.headers[0].1 = "text/html".to_owned(),
    ];
    for change in changes {
        let (status, words) = send(change).await;
        assert_eq!(status, 403);
        assert!(
            words.contains("signature we calculated does not match"),
            "{words}"
        );
    }
    let (status, words) = send(&|request| request.headers.truncate(1)).await;
    assert_eq!(
        (status, words.as_str()),
        (403, r#"{"message":"Missing Authentication Token"}"#)
    );
    assert_eq!(fake.taken().len(), 2);
}
