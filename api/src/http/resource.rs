//! Routes, as every protocol declares them.

use actix_web::{Resource, Route, web};

/// A path with one method; `app::methods` answers the others.
pub(crate) fn resource(path: &str, route: Route) -> Resource {
    web::resource(path).route(route)
}
