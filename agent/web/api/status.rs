//! `/api/v1/status/*`: what runs here.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use model::text::duration;
use serde::Serialize;

use super::answer::success;
use super::rules::moment;
use crate::Rooms;
use crate::desk::Desk;

/// The release whose API this is. Grafana reads it to know what it may ask for (from 2.24.0 on labels take
/// `match[]`); our own version stands beside it.
const API_VERSION: &str = "3.5.0";

/// `features` is left out on purpose: Grafana takes whoever has it for Mimir and offers to edit rules here.
pub(super) async fn build(State(rooms): State<Rooms>) -> Response {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Build {
        version: &'static str,
        revision: &'static str,
        branch: &'static str,
        build_user: &'static str,
        build_date: &'static str,
        go_version: &'static str,
        skopos: &'static str,
        role: &'static str,
    }
    let own = (rooms.own)();
    success(&Build {
        version: API_VERSION,
        revision: own.revision,
        branch: "skopos",
        build_user: "",
        build_date: "",
        go_version: "",
        skopos: own.version,
        role: own.role,
    })
}

pub(super) async fn runtime(State(rooms): State<Rooms>) -> Response {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Runtime {
        start_time: String,
        #[serde(rename = "CWD")]
        folder: String,
        hostname: String,
        server_time: String,
        reload_config_success: bool,
        last_config_time: String,
        corruption_count: u64,
        goroutine_count: u64,
        #[serde(rename = "GOMAXPROCS")]
        processors: usize,
        #[serde(rename = "GOMEMLIMIT")]
        memory_limit_bytes: u64,
        #[serde(rename = "GOGC")]
        gogc: &'static str,
        #[serde(rename = "GODEBUG")]
        godebug: &'static str,
        storage_retention: &'static str,
    }
    let (own, config) = ((rooms.own)(), (rooms.config)());
    let folder = std::env::current_dir().map(|folder| folder.display().to_string());
    success(&Runtime {
        start_time: moment(Some(own.started)),
        folder: folder.unwrap_or_default(),
        hostname: own.name,
        server_time: moment(Some(rooms.clock.now())),
        reload_config_success: config.refused.is_empty(),
        last_config_time: moment(Some(config.loaded_at)),
        corruption_count: 0,
        goroutine_count: 0,
        processors: std::thread::available_parallelism().map_or(1, usize::from),
        memory_limit_bytes: own.memory_limit_bytes,
        gogc: "",
        godebug: "",
        storage_retention: "",
    })
}

/// Where the configuration is, not what it says: it may hold what is nobody's business.
pub(super) async fn config(State(rooms): State<Rooms>) -> Response {
    #[derive(Serialize)]
    struct Yaml {
        yaml: String,
    }
    let config = (rooms.config)();
    success(&Yaml {
        yaml: format!("# in force: {}\n", config.file),
    })
}

pub(super) async fn flags(State(rooms): State<Rooms>, Extension(desk): Extension<Arc<Desk>>) -> Response {
    let (own, config, engine) = ((rooms.own)(), (rooms.config)(), rooms.engine.options());
    let flags = BTreeMap::from([
        ("config.file", config.file),
        ("query.lookback-delta", duration::short(engine.lookback)),
        ("query.max-concurrency", desk.places_max().to_string()),
        ("query.max-samples", engine.samples_max.to_string()),
        (
            "query.timeout",
            duration::short(engine.timeout.min(desk.patience())),
        ),
        ("storage.tsdb.path", own.data_dir),
    ]);
    success(&flags)
}
