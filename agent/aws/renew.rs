//! The task that fetches credentials before anybody misses them.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::Aws;

/// Looks at all of them at least so often.
const LONGEST_REST: Duration = Duration::from_secs(3600);

pub struct Renewer(pub(crate) Arc<Aws>);

impl Renewer {
    pub async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled_owned(self.renew()).await;
    }

    async fn renew(self) {
        let aws = self.0;
        loop {
            let mut next = aws.clock.now() + LONGEST_REST;
            for keeping in aws.all() {
                keeping.renew().await;
                next = next.min(keeping.due());
            }
            tokio::select! {
                () = aws.clock.sleep_until(next) => {}
                () = aws.grown.notified() => {}
            }
        }
    }
}
