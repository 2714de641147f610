//! Failures on demand: by operation and region, a number of times or until a time.

use model::Timestamp;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 500, and nothing is done.
    Broken,
    /// 400 with `ThrottlingException`, and nothing is done.
    Throttled,
    /// Whoever signs may not do it; the sentence names the permission.
    Denied,
    /// The credentials have expired.
    Expired,
    /// 200, and a page that is nothing AWS ever said.
    Garbage,
    /// The connection stays open without an answer, and nothing is done.
    Hangs,
    /// All is done, and the connection ends before the answer.
    LosesAnswer,
}

struct Rule {
    operation: String,
    region: Option<String>,
    left: usize,
    until: Timestamp,
    fault: Fault,
}

/// The oldest rule that fits is the one that acts.
#[derive(Default)]
pub(crate) struct Faults(Vec<Rule>);

impl Faults {
    pub(crate) fn add(&mut self, operation: &str, times: usize, fault: Fault) {
        self.0.push(Rule {
            operation: operation.to_owned(),
            region: None,
            left: times,
            until: Timestamp::MAX,
            fault,
        });
    }

    pub(crate) fn add_until(
        &mut self,
        operation: &str,
        region: Option<&str>,
        until: Timestamp,
        fault: Fault,
    ) {
        self.0.push(Rule {
            operation: operation.to_owned(),
            region: region.map(str::to_owned),
            left: usize::MAX,
            until,
            fault,
        });
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn next(&mut self, operation: &str, region: &str, now: Timestamp) -> Option<Fault> {
        self.0.retain(|rule| rule.left > 0 && rule.until > now);
        let rule = self.0.iter_mut().find(|rule| {
            fits(&rule.operation, operation) && rule.region.as_ref().is_none_or(|wanted| wanted == region)
        })?;
        rule.left -= 1;
        Some(rule.fault)
    }
}

/// `rds:DescribeEvents`, `DescribeEvents` of any service, `rds:*`, or `*`.
pub(crate) fn fits(pattern: &str, operation: &str) -> bool {
    let Some(start) = pattern.strip_suffix('*') else {
        let own = operation.rsplit_once(':').map(|(_, own)| own);
        return pattern == operation || own == Some(pattern);
    };
    operation.starts_with(start)
}
