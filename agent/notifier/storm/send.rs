//! Hands a storm's message over.

use model::outside::{Client, Request};
use net::Via;

use super::{Digest, EDIT_PAUSE, POST_PAUSE};
use crate::receiver::{Kind, Receiver};
use crate::slack::{self, Said, Words, talk};
use crate::verdict::{Verdict, no_secret};

impl Receiver {
    /// How long after a storm's message the next one may go.
    pub(crate) fn storm_pause(&self) -> std::time::Duration {
        match self.kind() {
            Kind::Slack {
                has_threads: true, ..
            } => EDIT_PAUSE,
            _ => POST_PAUSE,
        }
    }

    /// Whether one message can be about groups of all kinds: it is Skopos' own, and all go to one channel.
    pub(crate) fn can_storm(&self) -> bool {
        match self.kind() {
            Kind::Slack { channel, look, .. } => {
                let is_ours = look.as_ref().is_none_or(|look| !look.is_whole);
                is_ours
                    && channel
                        .as_ref()
                        .is_none_or(|channel| !channel.source().contains("{{"))
            }
            _ => false,
        }
    }

    /// Asks `may` in the last moment before each request.
    pub(crate) async fn send_storm(
        &self,
        client: &dyn Client,
        digest: &Digest,
        may: impl Fn() -> bool + Sync,
    ) -> Said {
        let via = match self.open(client, &may).await {
            Ok(via) => via,
            Err(words) => return Said::only(no_secret(words)),
        };
        match self.request().await {
            Ok(request) => self.storm(&via, request, digest, &may).await,
            Err(words) => Said::only(no_secret(words)),
        }
    }

    async fn storm(
        &self,
        client: &Via<'_>,
        request: Request,
        digest: &Digest,
        may: impl Fn() -> bool,
    ) -> Said {
        let Kind::Slack {
            channel, has_threads, ..
        } = self.kind()
        else {
            // Then each group is told by itself.
            return Said::only(Verdict::Never {
                reason: "rejected",
                words: "only Slack is told of storms".to_owned(),
            });
        };
        let card = slack::storm::payload(digest);
        let channel = channel.as_ref().map(|channel| channel.source());
        if *has_threads {
            let words = Words {
                card,
                reply: slack::storm::reply(digest),
                lines: None,
                picture: None,
                thread: digest.thread.clone(),
            };
            let channel = channel.unwrap_or_default();
            return talk(client, request, words, channel, self.files(), may).await;
        }
        let card = match channel.filter(|channel| !channel.is_empty()) {
            Some(channel) => slack::with(card, "channel", channel),
            None => card,
        };
        let body = card.to_string().into_bytes();
        Said::only(
            self.hand_over(
                client,
                Request {
                    body: body.into(),
                    ..request
                },
                may,
            )
            .await,
        )
    }
}
