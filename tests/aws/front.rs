//! Services with paths of their own (Managed Prometheus, OpenSearch): who asks is verified, and the test answers.

use std::sync::Arc;

use crate::Estate;
use crate::asked::{Answer, Asked};
use crate::keys::Key;

pub(crate) const SERVICES: [&str; 3] = ["aps", "es", "aoss"];

pub(crate) struct Front {
    pub(crate) answer: Arc<dyn Fn(&Asked) -> Answer + Send + Sync>,
    pub(crate) taken: Vec<Asked>,
}

impl Default for Front {
    fn default() -> Self {
        Self {
            answer: Arc::new(|_| Answer::empty(204)),
            taken: Vec::new(),
        }
    }
}

pub(crate) fn answer(estate: &Estate, asked: &Asked) -> (Option<Key>, Answer) {
    match estate.verify(asked, &SERVICES) {
        Ok(signer) => {
            let answer = {
                let mut front = estate.front.lock();
                front.taken.push(asked.clone());
                Arc::clone(&front.answer)
            };
            (Some(signer), answer(asked))
        }
        Err(refusal) => (None, refusal.rest()),
    }
}
