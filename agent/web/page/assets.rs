//! What the pages load: one sheet, small scripts, one graph library. All in the binary, nothing from a network.
//!
//! A file's address carries the hash of its bytes, so that it may be kept for ever and is never stale.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use model::labels::Fnv;

struct Asset {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

const SCRIPT: &str = "text/javascript; charset=utf-8";
const SHEET: &str = "text/css; charset=utf-8";

static ASSETS: [Asset; 10] = [
    Asset {
        name: "page.css",
        kind: SHEET,
        bytes: include_bytes!("../assets/page.css"),
    },
    Asset {
        name: "uplot.min.css",
        kind: SHEET,
        bytes: include_bytes!("../assets/uplot.min.css"),
    },
    Asset {
        name: "uplot.min.js",
        kind: SCRIPT,
        bytes: include_bytes!("../assets/uplot.min.js"),
    },
    Asset {
        name: "graph.js",
        kind: SCRIPT,
        bytes: include_bytes!("../assets/graph.js"),
    },
    Asset {
        name: "live.js",
        kind: SCRIPT,
        bytes: include_bytes!("../assets/live.js"),
    },
    Asset {
        name: "keys.js",
        kind: SCRIPT,
        bytes: include_bytes!("../assets/keys.js"),
    },
    Asset {
        name: "acts.js",
        kind: SCRIPT,
        bytes: include_bytes!("../assets/acts.js"),
    },
    Asset {
        name: "silence.js",
        kind: SCRIPT,
        bytes: include_bytes!("../assets/silence.js"),
    },
    Asset {
        name: "mark.svg",
        kind: "image/svg+xml",
        bytes: include_bytes!("../assets/mark.svg"),
    },
    Asset {
        name: "uplot.LICENSE",
        kind: "text/plain; charset=utf-8",
        bytes: include_bytes!("../assets/uplot.LICENSE"),
    },
];

/// Hashes in the order of `ASSETS`.
static HASHES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let hash = |asset: &Asset| {
        let mut hash = Fnv::default();
        hash.bytes(asset.bytes);
        format!("{:016x}", hash.0)
    };
    ASSETS.iter().map(hash).collect()
});

/// `/assets/page-<hash>.css`.
pub(super) fn address(name: &str) -> String {
    let at = ASSETS.iter().position(|asset| asset.name == name);
    let hash = at.and_then(|at| HASHES.get(at)).map_or("", String::as_str);
    let (stem, end) = name.split_once('.').unwrap_or((name, ""));
    format!("/assets/{stem}-{hash}.{end}")
}

pub(super) async fn serve(Path(asked): Path<String>) -> Response {
    let Some(asset) = ASSETS
        .iter()
        .find(|asset| address(asset.name).ends_with(&format!("/{asked}")))
    else {
        return (StatusCode::NOT_FOUND, "no such file; reload the page\n").into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, asset.kind),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, asset.bytes).into_response()
}

/// Browsers ask for it unasked; the answer keeps their console quiet.
pub(super) async fn favicon() -> Response {
    axum::response::Redirect::permanent(&address("mark.svg")).into_response()
}
