//! What a file says of certificates: whose are taken, and which we show.

use std::path::Path;

use model::mail::Trust;

use super::file::Tls;
use super::http::Wrong;

/// With what a reader should know, if there is anything.
pub(super) fn trust(base: &Path, tls: &Tls) -> Result<(Trust, Option<String>), Wrong> {
    for (key, is_there) in [
        ("ca", tls.ca.is_some()),
        ("cert", tls.cert.is_some()),
        ("key", tls.key.is_some()),
        ("max_version", tls.max_version.is_some()),
    ] {
        if is_there {
            return Err(format!(
                "tls_config.{key} is not supported; certificates are read from ca_file, cert_file and key_file"
            ));
        }
    }
    let path = |file: &Option<String>| {
        let file = file.as_ref().filter(|file| !file.is_empty());
        file.map(|file| base.join(file))
    };
    let is_newest = match tls.min_version.as_deref() {
        None | Some("" | "TLS10" | "TLS11" | "TLS12") => false,
        Some("TLS13") => true,
        Some(other) => return Err(format!("tls_config.min_version: unknown TLS version: {other}")),
    };
    let trust = Trust {
        ca_file: path(&tls.ca_file),
        cert_file: path(&tls.cert_file),
        key_file: path(&tls.key_file),
        server_name: tls.server_name.clone().filter(|name| !name.is_empty()),
        takes_any: tls.insecure_skip_verify,
        is_newest,
    };
    if trust.cert_file.is_some() != trust.key_file.is_some() {
        return Err(
            "tls_config: cert_file and key_file belong together, and one of them is missing".to_owned(),
        );
    }
    let note = trust.takes_any.then(|| {
        "tls_config.insecure_skip_verify: any certificate is taken, so whoever is in between reads along; name the \
         authority in ca_file"
            .to_owned()
    });
    Ok((trust, note))
}
