//! What a URL of a configuration says before it is used.

/// Whether it is an absolute `http://` or `https://` URL.
#[must_use]
pub fn is_http(url: &str) -> bool {
    let rest = url
        .strip_prefix("http://")
        .or_else(|| url.strip_prefix("https://"));
    let host = rest.and_then(|rest| rest.split(['/', '?']).next());
    host.is_some_and(|host| !host.is_empty()) && !url.contains(char::is_whitespace)
}

/// A URL without user, password and query.
#[must_use]
pub fn without_secrets(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = host.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}{path}")
}

/// A URL whose password, if it has one, is shown as `xxxxx`; the rest is as it was.
#[must_use]
pub fn without_password(url: &str) -> String {
    let hidden = url.split_once("://").and_then(|(scheme, rest)| {
        let host = rest.split(['/', '?', '#']).next()?;
        let (user, _) = host.rsplit_once('@')?;
        let (name, _) = user.split_once(':')?;
        let after = rest.get(user.len()..)?;
        Some(format!("{scheme}://{name}:xxxxx{after}"))
    });
    hidden.unwrap_or_else(|| url.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_secret_in_a_url_is_not_shown() {
        for (url, shown) in [
            ("https://user:pass@mimir/api?x=1#y", "https://mimir/api"),
            ("http://a:1", "http://a:1"),
            ("a/b?c", "a/b"),
        ] {
            assert_eq!(without_secrets(url), shown);
        }
    }

    #[test]
    fn a_password_in_a_url_is_hidden_and_the_rest_shown() {
        for (url, shown) in [
            (
                "http://user:p@ss:word@proxy:3128/x?y",
                "http://user:xxxxx@proxy:3128/x?y",
            ),
            ("http://user@proxy", "http://user@proxy"),
            ("http://proxy/a:b@c", "http://proxy/a:b@c"),
            ("no url", "no url"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }

    #[test]
    fn only_whole_urls_of_http_are_taken() {
        assert!(is_http("http://a") && is_http("https://a:1/b?c"));
        assert!(!is_http("http:///b") && !is_http("a/b") && !is_http("http://a b") && !is_http("ftp://a"));
    }
}
