//! One log line per request: its id, route, status and timings; never a document's content, a
//! query or a key. The response returns the id in `x-request-id`.

use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, web};
use prometheus::{IntCounterVec, Opts, Registry};
use tracing::Instrument;

use crate::http::trace_context;
use crate::http::trace_context::TRACEPARENT;
use clipdb_engine::SearchTimings;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Requests answered, by status.
#[derive(Clone)]
pub(super) struct RequestStatistics(IntCounterVec);

impl RequestStatistics {
    /// # Errors
    /// The registry has this metric already.
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let opts = Opts::new("clipdb_http_requests_total", "Requests answered, by status");
        let answered = IntCounterVec::new(opts, &["status"])?;
        registry.register(Box::new(answered.clone()))?;
        Ok(Self(answered))
    }

    fn answered(&self, status: u16) {
        self.0
            .with_label_values(&[status.to_string().as_str()])
            .inc();
    }
}

pub(crate) async fn log<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    let started = Instant::now();
    let id = request_id(&request);
    let method = request.method().clone();
    let statistics = request.app_data::<web::Data<RequestStatistics>>().cloned();
    let span = tracing::info_span!("request", %id, %method, route = tracing::field::Empty, status = tracing::field::Empty);
    let traceparent = request.headers().get(TRACEPARENT);
    trace_context::set_parent(&span, traceparent.and_then(|value| value.to_str().ok()));
    let mut response = next.call(request).instrument(span.clone()).await?;
    let status = response.status().as_u16();
    if let Some(statistics) = statistics {
        statistics.answered(status);
    }
    // The pattern, not the path: ids and names belong to the user.
    let route = response
        .request()
        .match_pattern()
        .unwrap_or_else(|| "-".to_owned());
    span.record("route", route.as_str())
        .record("status", status);
    let ms = started.elapsed().as_secs_f64() * 1e3;
    let timings = response
        .request()
        .extensions()
        .get::<SearchTimings>()
        .copied();
    match timings {
        Some(timings) => tracing::info!(%id, %method, route, status, ms, ?timings, "request"),
        None => tracing::info!(%id, %method, route, status, ms, "request"),
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    Ok(response)
}

/// The client's id if it is short and printable ASCII, otherwise a new one.
fn request_id(request: &ServiceRequest) -> String {
    let given = request
        .headers()
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok());
    match given {
        Some(id)
            if !id.is_empty() && id.len() <= 64 && id.chars().all(|c| c.is_ascii_graphic()) =>
        {
            id.to_owned()
        }
        _ => uuid::Uuid::now_v7().simple().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_client_s_id_is_kept_if_it_is_short_and_printable() {
        let id = |given: &str| {
            let request = TestRequest::get().insert_header((REQUEST_ID, given));
            request_id(&request.to_srv_request())
        };
        let longest = "x".repeat(64);
        for given in ["a", "7d3c-1", "~!", &longest] {
            assert_eq!(id(given), given);
        }
        for given in ["", "a b", &"x".repeat(65)] {
            let made = id(given);
            assert_eq!(made.len(), 32, "{given}");
            assert_ne!(made, id(given));
        }
        let none = request_id(&TestRequest::get().to_srv_request());
        assert_eq!(none.len(), 32);
    }
}
