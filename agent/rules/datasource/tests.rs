//! An engine that answers, refuses, is away, or knows only a part; and a real Prometheus.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use model::outside::{Client, ClientError, Request, Response};
use model::{Ask, AskError, BoxFuture, Timestamp};
use parking_lot::Mutex;
use prometheus::Registry;

use super::{Config, Datasource};

/// Answers as it was told, one after another, and keeps what it was asked.
#[derive(Default)]
struct Engine {
    answers: Mutex<VecDeque<Result<Response, ClientError>>>,
    asked: Mutex<Vec<(Request, tokio::time::Instant)>>,
}

impl Client for Engine {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, ClientError>> {
        self.asked.lock().push((request, tokio::time::Instant::now()));
        let answer = self.answers.lock().pop_front();
        Box::pin(async { answer.unwrap_or(Err(ClientError::Connect("nobody".to_owned()))) })
    }
}

fn answer(status: u16, body: &str) -> Result<Response, ClientError> {
    Ok(Response {
        status,
        headers: vec![("retry-after".to_owned(), "3".to_owned())],
        body: body.as_bytes().to_vec(),
    })
}

const ONE: &str = r#"{"status":"success","data":{"resultType":"vector","result":[
    {"metric":{"__name__":"up","job":"a"},"value":[1700000000.5,"+Inf"]}]}}"#;

async fn ask(
    config: &str,
    answers: Vec<Result<Response, ClientError>>,
) -> (Arc<Engine>, Result<model::Answer, AskError>) {
    let engine = Arc::new(Engine {
        answers: Mutex::new(answers.into()),
        ..Engine::default()
    });
    let config: Config = serde_json::from_str(config).unwrap();
    assert_eq!(config.check(), Vec::<String>::new());
    let source = Datasource::new(config, Arc::clone(&engine) as Arc<dyn Client>, &Registry::new());
    let outcome = source.ask("up{a=\"b&c\"}", Timestamp(1_700_000_000_500)).await;
    (engine, outcome)
}

const PLAIN: &str = r#"{"url": "http://engine/prom/"}"#;

#[tokio::test(start_paused = true)]
async fn a_question_is_asked_as_the_api_takes_it() {
    let config = r#"{"url": "http://engine/prom/", "headers": {"X-Scope-OrgID": "shop"},
        "query_params": {"dedup": "true"}, "timeout": "7s",
        "basic_auth": {"username": "Aladdin", "password": "open sesame"}}"#;
    let (engine, outcome) = ask(config, vec![answer(200, ONE)]).await;
    let found = outcome.unwrap();
    assert_eq!(found.points.len(), 1);
    assert_eq!(found.points[0].labels.to_string(), "up{job=\"a\"}");
    assert!(found.points[0].value.is_infinite());
    let asked = engine.asked.lock();
    let (request, _) = &asked[0];
    assert_eq!(request.url, "http://engine/prom/api/v1/query");
    assert_eq!(request.timeout, Duration::from_secs(7));
    assert_eq!(
        String::from_utf8_lossy(&request.body),
        "query=up%7Ba%3D%22b%26c%22%7D&time=1700000000.500&dedup=true"
    );
    let header = |name: &str| {
        let found = request
            .headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    };
    assert_eq!(header("X-Scope-OrgID"), "shop");
    assert_eq!(header("Authorization"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
}

#[tokio::test(start_paused = true)]
async fn what_passes_is_asked_again_as_often_as_is_said_and_not_before_the_engine_wants_it() {
    let away = || Err(ClientError::Timeout(Duration::from_secs(30)));
    let (engine, outcome) = ask(PLAIN, vec![away(), answer(503, "busy"), answer(200, ONE)]).await;
    assert_eq!(outcome.unwrap().points.len(), 1);
    let waited = {
        let asked = engine.asked.lock();
        asked[2].1 - asked[1].1
    };
    assert!(waited >= Duration::from_secs(3), "{waited:?}");

    let (engine, outcome) = ask(PLAIN, Vec::new()).await;
    assert_eq!(engine.asked.lock().len(), 3);
    let Err(AskError::NoAnswer(why)) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(why, "asking http://engine/prom/: cannot connect: nobody");
}

#[tokio::test(start_paused = true)]
async fn a_bad_expression_is_not_asked_again() {
    let refused = r#"{"status":"error","errorType":"bad_data","error":"parse error: no"}"#;
    let (engine, outcome) = ask(PLAIN, vec![answer(400, refused), answer(200, ONE)]).await;
    assert_eq!(outcome, Err(AskError::BadQuestion("parse error: no".to_owned())));
    assert_eq!(engine.asked.lock().len(), 1);
    let matrix = r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#;
    let (_, outcome) = ask(PLAIN, vec![answer(200, matrix)]).await;
    assert!(matches!(outcome, Err(AskError::BadQuestion(why)) if why.contains("matrix")));
}

#[tokio::test(start_paused = true)]
async fn part_of_an_answer_is_none() {
    let part = |warning: &str| {
        format!(
            r#"{{"status":"success","data":{{"resultType":"vector","result":[]}},"warnings":["{warning}"]}}"#
        )
    };
    let away = part("No StoreAPIs matched for this query");
    let (_, outcome) = ask(PLAIN, vec![answer(200, &away)]).await;
    assert!(matches!(&outcome, Err(AskError::NoAnswer(why)) if why.contains("partial_answers")));
    let taken = r#"{"url": "http://engine", "partial_answers": true}"#;
    let (_, outcome) = ask(taken, vec![answer(200, &away)]).await;
    assert_eq!(outcome.unwrap().warnings, ["No StoreAPIs matched for this query"]);
    // What Prometheus says about the expression concerns all of the data there is.
    let remark = part("PromQL warning: quantile value should be between 0 and 1");
    let (_, outcome) = ask(PLAIN, vec![answer(200, &remark)]).await;
    assert_eq!(outcome.unwrap().points, []);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_answer_of_the_api_is_none() {
    for body in ["", "<html>", "{}", "[]", r#"{"status":"success"}"#] {
        let (_, outcome) = ask(PLAIN, vec![answer(200, body)]).await;
        assert!(
            matches!(outcome, Err(AskError::NoAnswer(_))),
            "{body}: {outcome:?}"
        );
    }
    // A login page, or another program.
    let (_, outcome) = ask(PLAIN, vec![answer(404, "<html>")]).await;
    assert!(matches!(&outcome, Err(AskError::NoAnswer(why)) if why.contains("404")));
}
