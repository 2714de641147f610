//! The pages for people.

use crate::Rooms;

pub(crate) fn routes() -> axum::Router<Rooms> {
    axum::Router::new()
}
