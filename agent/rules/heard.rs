//! Whether enough has been heard since the start to believe that a restored alert is over.
//!
//! An empty answer right after a restart may mean that all is well, or that nothing has been read yet. So a
//! restored alert that is missing in an answer is left alone until, for each selector of its expression,
//! its target has sent a newer sample than the start *and* the selector's range is covered by history; at
//! the latest until the longest range and the lookback have passed since the start.

use std::time::Duration;

use model::{Ask, AskError, Labels, Timestamp};

use crate::expr::Expr;
use crate::world::World;

/// How long a sample answers for its series.
const LOOKBACK: Duration = Duration::from_secs(300);

/// Whether an alert restored from before, whose sample had the labels `source`, may end at `at`.
///
/// # Errors
/// There was no answer: nothing is known.
pub(crate) async fn is_heard(
    world: &World,
    expr: &Expr,
    source: &Labels,
    at: Timestamp,
) -> Result<bool, AskError> {
    let started = world.started_at;
    if at.since(started) >= expr.longest() + LOOKBACK {
        return Ok(true);
    }
    for read in expr.reads() {
        let selector = read.of_target(source);
        let newest = newest(&*world.near.ask, &format!("max(timestamp({selector}))"), at).await?;
        if newest.is_none_or(|newest| newest <= started) {
            return Ok(false);
        }
        let begins = at - read.back;
        let covered = read.back.is_zero()
            || begins >= started
            || newest_at(&*world.near.ask, &selector, begins).await?;
        if !covered {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn newest(ask: &dyn Ask, expr: &str, at: Timestamp) -> Result<Option<Timestamp>, AskError> {
    let answer = ask.ask(expr, at).await?;
    Ok(answer
        .points
        .first()
        .map(|point| Timestamp::from_seconds(point.value)))
}

/// Whether there was anything at all at `at`.
async fn newest_at(ask: &dyn Ask, selector: &str, at: Timestamp) -> Result<bool, AskError> {
    let answer = ask.ask(&format!("count({selector})"), at).await?;
    Ok(!answer.points.is_empty())
}
