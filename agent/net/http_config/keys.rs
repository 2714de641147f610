//! The keys of [`HttpConfig`](super::HttpConfig) beside the own ones of a section, as Prometheus writes them in `scrape_configs` and
//! `remote_write`, and we in `rules.datasource`.
//!
//! An unknown key beside them has its line and a suggestion, and a number may stand for a text, as without them. (What serde
//! flattens has neither.)

/// A section of a configuration: its own keys, and those of `HttpConfig`, which it gets as `http`. Beside it stands a `Keys`, which is
/// what is read; the section's `Default` is written by whoever uses this.
#[macro_export]
macro_rules! http_keys {
    (
        $(#[doc = $manual:literal])*
        pub struct $Section:ident {
            $($(#[$note:meta])* pub $key:ident: $Kind:ty,)*
        }
    ) => {
        $(#[doc = $manual])*
        #[derive(Clone, Debug, serde::Deserialize)]
        #[serde(from = "Keys")]
        pub struct $Section {
            $($(#[$note])* pub $key: $Kind,)*
            /// How servers are reached; its keys stand beside the others.
            pub http: $crate::HttpConfig,
        }

        $crate::http_keys! {
            @keys $Section {
                $($(#[$note])* $key: $Kind,)*
            } {
                basic_auth: Option<$crate::http_config::Basic<$crate::Secret>>,
                authorization: Option<$crate::http_config::Token<$crate::Secret>>,
                oauth2: Option<$crate::http_config::OAuth2<$crate::Secret>>,
                bearer_token: Option<$crate::Secret>,
                bearer_token_file: Option<std::path::PathBuf>,
                tls_config: Option<$crate::http_config::TlsConfig<$crate::Secret>>,
                proxy_url: Option<$crate::Secret>,
                no_proxy: Option<String>,
                proxy_from_environment: Option<bool>,
                proxy_connect_header: std::collections::BTreeMap<String, Vec<$crate::Secret>>,
                http_headers: std::collections::BTreeMap<String, $crate::http_config::Header<$crate::Secret>>,
                follow_redirects: bool,
                enable_http2: bool,
            }
        }
    };
    (
        @keys $Section:ident {
            $($(#[$note:meta])* $key:ident: $Kind:ty,)*
        } {
            $($word:ident: $Value:ty,)*
        }
    ) => {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields, default)]
        struct Keys {
            $($(#[$note])* $key: $Kind,)*
            $($word: $Value,)*
        }

        impl Default for Keys {
            fn default() -> Self {
                let $Section { $($key,)* http } = $Section::default();
                let $crate::HttpConfig { $($word,)* } = http;
                Self { $($key,)* $($word,)* }
            }
        }

        impl From<Keys> for $Section {
            fn from(keys: Keys) -> Self {
                let Keys { $($key,)* $($word,)* } = keys;
                Self { $($key,)* http: $crate::HttpConfig { $($word,)* } }
            }
        }
    };
}
