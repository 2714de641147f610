//! Pages: a token says after which item the next one begins, so that one that went away meanwhile does no harm.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;

use super::fields::Fields;
use crate::asked::Refusal;

/// How a service cuts its lists.
pub(crate) struct Pages {
    /// What the token is called in a request, and in an answer.
    pub(crate) token: &'static str,
    pub(crate) next: &'static str,
    /// What the number of items is called, how many there are usually, and how many there may be.
    pub(crate) size: &'static str,
    pub(crate) usual: usize,
    pub(crate) least: usize,
    pub(crate) most: usize,
    /// The error of a wrong token, and that of a wrong number.
    pub(crate) wrong_token: &'static str,
    pub(crate) wrong_size: &'static str,
}

impl Pages {
    pub(crate) fn size(&self, fields: Fields<'_>) -> Result<usize, Refusal> {
        let Some(asked) = fields.whole(self.size) else {
            return Ok(self.usual);
        };
        let size = usize::try_from(asked).ok();
        let size = size.filter(|size| (self.least..=self.most).contains(size));
        size.ok_or_else(|| {
            Refusal::new(
                self.wrong_size,
                format!(
                    "Invalid value {asked} for {}. Must be between {} and {}",
                    self.size, self.least, self.most
                ),
            )
        })
    }
}

/// The token of the page that begins after `last`; it is of use to this operation only.
pub(crate) fn token(operation: &str, last: &str) -> String {
    BASE64.encode(format!("{operation}\n{last}"))
}

/// After which item a page begins; none if the token is not one.
pub(crate) fn after(operation: &str, token: &str) -> Option<String> {
    let bytes = BASE64.decode(token).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (of, last) = text.split_once('\n')?;
    (of == operation).then(|| last.to_owned())
}

/// One page of `items`, which stand in the order of their names, and the name after which the next one begins.
pub(crate) fn page<T>(
    items: impl IntoIterator<Item = (String, T)>,
    after: Option<&str>,
    size: usize,
) -> (Vec<T>, Option<String>) {
    let mut items = items
        .into_iter()
        .filter(|(name, _)| after.is_none_or(|after| name.as_str() > after));
    let (mut page, mut last) = (Vec::new(), None);
    for (name, item) in items.by_ref().take(size) {
        page.push(item);
        last = Some(name);
    }
    let more = items.next().and(last);
    (page, more)
}
