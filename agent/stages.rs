//! Tasks in data-flow order: what is upstream stops first, and what is downstream gets to finish what it holds.

use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

/// Stages in the order they stop.
pub(crate) struct Stages {
    stages: Vec<Stage>,
}

struct Stage {
    name: &'static str,
    stop: CancellationToken,
    tasks: JoinSet<&'static str>,
}

impl Stages {
    pub(crate) fn new(names: &[&'static str]) -> Self {
        let stage = |name: &&'static str| Stage {
            name,
            stop: CancellationToken::new(),
            tasks: JoinSet::new(),
        };
        Self {
            stages: names.iter().map(stage).collect(),
        }
    }

    /// Starts a task of a stage; it is given the stage's stop signal.
    pub(crate) fn spawn<F, T>(&mut self, stage: &str, task: &'static str, start: F)
    where
        F: FnOnce(CancellationToken) -> T,
        T: Future<Output = ()> + Send + 'static,
    {
        if let Some(stage) = self.stages.iter_mut().find(|known| known.name == stage) {
            let running = start(stage.stop.child_token());
            stage.tasks.spawn(async move {
                running.await;
                task
            });
        }
    }

    /// The same of a room that this role may not have.
    pub(crate) fn room<R, F, T>(&mut self, stage: &str, task: &'static str, room: Option<R>, run: F)
    where
        F: FnOnce(R, CancellationToken) -> T,
        T: Future<Output = ()> + Send + 'static,
    {
        if let Some(room) = room {
            self.spawn(stage, task, |stop| run(room, stop));
        }
    }

    /// Resolves when a task ends without having been asked to: its name, and how it ended.
    pub(crate) async fn any_ended(&mut self) -> String {
        let ends = self.stages.iter_mut().filter(|stage| !stage.tasks.is_empty());
        let ends = ends.map(|stage| Box::pin(stage.tasks.join_next()));
        match futures(ends.collect()).await {
            Some(Ok(task)) => format!("{task} ended by itself"),
            Some(Err(error)) => describe(&error),
            None => "no task is left".to_owned(),
        }
    }

    /// Stops stage after stage, all within `grace`. Returns what did not finish.
    pub(crate) async fn stop(mut self, grace: Duration) -> Vec<&'static str> {
        let deadline = Instant::now() + grace;
        let mut late = Vec::new();
        for stage in &mut self.stages {
            stage.stop.cancel();
            let ended = timeout_at(deadline, async {
                while let Some(end) = stage.tasks.join_next().await {
                    if let Err(error) = end {
                        tracing::error!(stage = stage.name, "{}", describe(&error));
                    }
                }
            });
            if ended.await.is_err() {
                late.push(stage.name);
            }
        }
        late
    }
}

/// The first of several joins to resolve.
async fn futures<F: Future<Output = Option<Result<&'static str, JoinError>>> + Unpin>(
    mut joins: Vec<F>,
) -> Option<Result<&'static str, JoinError>> {
    std::future::poll_fn(|context| {
        for join in &mut joins {
            if let std::task::Poll::Ready(end) = std::pin::Pin::new(join).poll(context) {
                return std::task::Poll::Ready(end);
            }
        }
        if joins.is_empty() {
            std::task::Poll::Ready(None)
        } else {
            std::task::Poll::Pending
        }
    })
    .await
}

fn describe(error: &JoinError) -> String {
    if error.is_panic() {
        format!("a task panicked: {error}")
    } else {
        error.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn stages_stop_in_order_and_a_late_one_is_named() {
        let (told, mut heard) = tokio::sync::mpsc::channel(8);
        let mut stages = Stages::new(&["sources", "rules", "stuck"]);
        for name in ["rules", "sources"] {
            let told = told.clone();
            stages.spawn(name, name, |stop| async move {
                stop.cancelled().await;
                tokio::time::sleep(Duration::from_secs(1)).await;
                _ = told.send(name).await;
            });
        }
        stages.spawn("stuck", "stuck", |_| std::future::pending());
        assert_eq!(stages.stop(Duration::from_secs(5)).await, ["stuck"]);
        assert_eq!(
            (heard.recv().await, heard.recv().await),
            (Some("sources"), Some("rules"))
        );
    }

    #[tokio::test]
    async fn a_task_that_ends_unasked_is_named() {
        let mut stages = Stages::new(&["sources", "rules"]);
        stages.spawn("sources", "node", |stop| async move { stop.cancelled().await });
        stages.spawn("rules", "manager", |_| async {});
        assert_eq!(stages.any_ended().await, "manager ended by itself");
    }
}
