//! The services there are: what each is called in policies, signatures and requests, and who answers for it.

use std::cell::Cell;
use std::time::Duration;

use model::Timestamp;
use serde_json::Value;

use crate::asked::{Answer, Asked, Refusal};
use crate::keys::Key;
use crate::place::{Place, arn};
use crate::protocol::Spoken;
use crate::protocol::fields::Fields;
use crate::protocol::page::{self, Pages};
use crate::protocol::tree::Tree;
use crate::{
    Estate, REGION, autoscaling, balancing, ec2, elasticache, health, kafka, metrics, rds, service_quotas,
    sqs, tagging,
};

pub(crate) struct Service {
    /// In policies, before the colon.
    pub(crate) iam: &'static str,
    /// In the scope of signatures.
    pub(crate) signs_as: &'static str,
    /// In `X-Amz-Target`, and in paths of CBOR.
    pub(crate) target: &'static str,
    /// Of the query protocol.
    pub(crate) version: &'static str,
    pub(crate) namespace: &'static str,
    /// Errors have a second name, as in the query protocol.
    pub(crate) was_query: bool,
    /// Which operation a path is, where there are paths.
    pub(crate) route: Option<fn(&Asked) -> Option<&'static str>>,
    /// One endpoint for all regions.
    pub(crate) is_global: bool,
    /// All that are known.
    pub(crate) operations: &'static [&'static str],
    pub(crate) answer: fn(&Call<'_>) -> Result<Tree, Refusal>,
}

const NONE: Service = Service {
    iam: "",
    signs_as: "",
    target: "-",
    version: "",
    namespace: "",
    was_query: false,
    route: None,
    is_global: false,
    operations: &[],
    answer: |call| Err(call.spoken.no_operation()),
};

pub(crate) static ALL: [Service; 11] = [
    Service {
        iam: "cloudwatch",
        signs_as: "monitoring",
        target: "GraniteServiceVersion20100801",
        was_query: true,
        operations: &metrics::OPERATIONS,
        answer: metrics::answer,
        ..NONE
    },
    Service {
        iam: "rds",
        signs_as: "rds",
        version: "2014-10-31",
        namespace: "http://rds.amazonaws.com/doc/2014-10-31/",
        operations: &rds::OPERATIONS,
        answer: rds::answer,
        ..NONE
    },
    Service {
        iam: "elasticache",
        signs_as: "elasticache",
        version: "2015-02-02",
        namespace: "http://elasticache.amazonaws.com/doc/2015-02-02/",
        operations: &elasticache::OPERATIONS,
        answer: elasticache::answer,
        ..NONE
    },
    Service {
        iam: "kafka",
        signs_as: "kafka",
        route: Some(kafka::route),
        operations: &kafka::OPERATIONS,
        answer: kafka::answer,
        ..NONE
    },
    Service {
        iam: "elasticloadbalancing",
        signs_as: "elasticloadbalancing",
        version: "2015-12-01",
        namespace: "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/",
        operations: &balancing::OPERATIONS,
        answer: balancing::answer,
        ..NONE
    },
    Service {
        iam: "tag",
        signs_as: "tagging",
        target: "ResourceGroupsTaggingAPI_20170126",
        operations: &tagging::OPERATIONS,
        answer: tagging::answer,
        ..NONE
    },
    Service {
        iam: "ec2",
        signs_as: "ec2",
        version: "2016-11-15",
        namespace: "http://ec2.amazonaws.com/doc/2016-11-15/",
        operations: &ec2::OPERATIONS,
        answer: ec2::answer,
        ..NONE
    },
    Service {
        iam: "autoscaling",
        signs_as: "autoscaling",
        version: "2011-01-01",
        namespace: "http://autoscaling.amazonaws.com/doc/2011-01-01/",
        operations: &autoscaling::OPERATIONS,
        answer: autoscaling::answer,
        ..NONE
    },
    Service {
        iam: "servicequotas",
        signs_as: "servicequotas",
        target: "ServiceQuotasV20190624",
        operations: &service_quotas::OPERATIONS,
        answer: service_quotas::answer,
        ..NONE
    },
    Service {
        iam: "health",
        signs_as: "health",
        target: "AWSHealth_20160804",
        is_global: true,
        operations: &health::OPERATIONS,
        answer: health::answer,
        ..NONE
    },
    Service {
        iam: "sqs",
        signs_as: "sqs",
        target: "AmazonSQS",
        was_query: true,
        operations: &sqs::OPERATIONS,
        answer: sqs::answer,
        ..NONE
    },
];

/// A request of somebody known.
pub(crate) struct Call<'a> {
    pub(crate) estate: &'a Estate,
    pub(crate) spoken: &'a Spoken,
    /// Whose account it is about.
    pub(crate) account: &'a str,
    pub(crate) region: &'a str,
    pub(crate) now: Timestamp,
    pub(crate) wish: &'a Value,
    wait: Cell<Duration>,
}

impl Call<'_> {
    pub(crate) fn operation(&self) -> &str {
        &self.spoken.operation
    }

    pub(crate) fn fields(&self) -> Fields<'_> {
        Fields(self.wish)
    }

    /// What is in this account and region.
    pub(crate) fn place<T>(&self, look: impl FnOnce(&mut Place) -> T) -> T {
        self.estate.place(self.account, self.region, look)
    }

    /// After which item the page begins that is asked for.
    pub(crate) fn after(
        &self,
        token: Option<&str>,
        refuse: impl FnOnce() -> Refusal,
    ) -> Result<Option<String>, Refusal> {
        match token.filter(|token| !token.is_empty()) {
            Some(token) => page::after(self.operation(), token).map(Some).ok_or_else(refuse),
            None => Ok(None),
        }
    }

    /// One page of items by their names, which is their order.
    pub(crate) fn paged(
        &self,
        pages: &Pages,
        (list, member): (&'static str, &'static str),
        mut items: Vec<(String, Tree)>,
    ) -> Result<Tree, Refusal> {
        items.sort_by(|one, other| one.0.cmp(&other.0));
        let size = self.page_size(pages.size(self.fields())?);
        let refused = || {
            let message = format!("The parameter {} is invalid.", pages.token);
            Refusal::new(pages.wrong_token, message)
        };
        let after = self.after(self.fields().text(pages.token), refused)?;
        let (page, more) = page::page(items, after.as_deref(), size);
        Ok(Tree::Map(vec![
            (list, Tree::list(member, page)),
            (pages.next, Tree::from(self.token(more))),
        ]))
    }

    /// The answer comes so much later.
    pub(crate) fn waits(&self, wait: Duration) {
        self.wait.set(wait);
    }

    pub(crate) fn arn(&self, service: &str, rest: &str) -> String {
        arn(service, self.region, self.account, rest)
    }

    pub(crate) fn token(&self, last: Option<String>) -> Option<String> {
        last.map(|last| page::token(self.operation(), &last))
    }

    /// A smaller page, if a test wants one.
    pub(crate) fn page_size(&self, size: usize) -> usize {
        let set = self.estate.page_sizes.lock().get(&self.spoken.name()).copied();
        set.map_or(size, |set| set.min(size))
    }
}

/// By whom, and the answer.
pub(crate) fn answer(estate: &Estate, spoken: &Spoken, asked: &Asked) -> (Option<Key>, Answer) {
    let signer = match estate.signer(asked, spoken.service) {
        Ok(signer) => signer,
        Err(refusal) => return (None, spoken.refuse(&refusal)),
    };
    let by = Some(signer.key.clone());
    if !spoken.service.operations.contains(&spoken.operation.as_str()) {
        return (by, spoken.refuse(&spoken.no_operation()));
    }
    // Five hundred queries deserve better than a tree.
    if let Some(answer) = metrics::quick(estate, spoken, &signer, asked) {
        return (by, answer.unwrap_or_else(|refusal| spoken.refuse(&refusal)));
    }
    let outcome = spoken.read(asked).and_then(|wish| {
        let call = Call {
            estate,
            spoken,
            account: signer.key.account(),
            region: match spoken.service.is_global {
                true => REGION,
                false => &signer.region,
            },
            now: estate.clock.now(),
            wish: &wish,
            wait: Cell::default(),
        };
        let said = (spoken.service.answer)(&call)?;
        Ok((said, call.wait.get()))
    });
    let (outcome, after) = match outcome {
        Ok((said, after)) => (Ok(said), after),
        Err(refusal) => (Err(refusal), Duration::ZERO),
    };
    let answer = Answer {
        after,
        ..spoken.write(outcome)
    };
    (by, answer)
}
