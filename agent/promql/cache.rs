//! Expressions that were parsed before: rules ask the same ones every few seconds.

use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::ast::Expr;
use crate::error::ParseError;

/// Expressions kept: up to twice as many.
const GENERATION_MAX: usize = 1024;
/// A longer text is parsed each time.
const TEXT_BYTES_MAX: usize = 8 * 1024;

/// Two generations; what was not asked for while one filled is forgotten with it.
#[derive(Default)]
pub(crate) struct Cache(Mutex<Generations>);

#[derive(Default)]
struct Generations {
    young: HashMap<String, Arc<Expr>>,
    old: HashMap<String, Arc<Expr>>,
}

impl Cache {
    pub(crate) fn parse(&self, text: &str) -> Result<Arc<Expr>, ParseError> {
        if let Some(known) = self.0.lock().find(text) {
            return Ok(known);
        }
        let expr = Arc::new(crate::parse(text)?);
        if text.len() <= TEXT_BYTES_MAX {
            self.0.lock().keep(text.to_owned(), &expr);
        }
        Ok(expr)
    }
}

impl Generations {
    fn find(&mut self, text: &str) -> Option<Arc<Expr>> {
        if let Some(known) = self.young.get(text) {
            return Some(Arc::clone(known));
        }
        let (text, known) = self.old.remove_entry(text)?;
        self.keep(text, &known);
        Some(known)
    }

    fn keep(&mut self, text: String, expr: &Arc<Expr>) {
        if self.young.len() >= GENERATION_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(text, Arc::clone(expr));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_again_stays_and_the_rest_is_bounded() {
        let cache = Cache::default();
        let first = cache.parse("up").unwrap();
        for nth in 0..3 * GENERATION_MAX {
            cache.parse(&format!("up + {nth}")).unwrap();
            if nth % 100 == 0 {
                assert!(Arc::ptr_eq(&first, &cache.parse("up").unwrap()));
            }
        }
        let generations = cache.0.lock();
        assert!(generations.young.len() + generations.old.len() <= 2 * GENERATION_MAX);
    }
}
