//! One request in, one response out, whichever door it came by.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prost::Message;
use prost_types::Timestamp;
use tracing::Instrument;

use crate::clip_as_service::endpoint;
use crate::clip_as_service::endpoint::Call;
use crate::clip_as_service::message::{
    Data, DataRequest, Document, DocumentArray, Exception, Header, Route, Status,
};
use crate::clip_as_service::metrics::CallSeen;
use crate::clip_as_service::metrics::CallStatistics;
use crate::clip_as_service::parameters::Parameters;
use crate::http::error::ApiError;
use crate::http::problem;
use crate::http::state::ClipAsServiceSettings;
use crate::http::trace_context;
use clipdb_engine::{Engine, quoted};

/// The name under which the server signs what it did.
const EXECUTOR: &str = "clipdb";

/// What a failure echoes of its request's parameters at most.
const ECHO: usize = 4 << 10;

/// What the doors call.
#[derive(Clone)]
pub struct Calls {
    pub(super) engine: Arc<Engine>,
    pub(super) settings: ClipAsServiceSettings,
    statistics: CallStatistics,
    traceparent: Option<String>,
}

impl Calls {
    pub fn new(
        engine: Arc<Engine>,
        settings: ClipAsServiceSettings,
        statistics: CallStatistics,
    ) -> Self {
        Self {
            engine,
            settings,
            statistics,
            traceparent: None,
        }
    }

    /// Calls whose spans go on a caller's trace, where a door has no span of its own.
    pub fn in_trace(mut self, traceparent: Option<&str>) -> Self {
        self.traceparent = traceparent.map(str::to_owned);
        self
    }

    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Does what `request`, which came at `received`, asks for.
    ///
    /// A failure is a response too, as of CLIP-as-service: its status says what happened,
    /// and its documents have their ids alone.
    pub async fn answer(&self, request: DataRequest, received: SystemTime) -> DataRequest {
        let span = tracing::info_span!("call", endpoint = tracing::field::Empty);
        trace_context::go_on(&span, self.traceparent.as_deref());
        self.counted(request, received).instrument(span).await
    }

    async fn counted(&self, request: DataRequest, received: SystemTime) -> DataRequest {
        let statistics = &self.statistics;
        let _pending = statistics.begun();
        let request_bytes = request.encoded_len();
        let DataRequest {
            header,
            parameters,
            data,
            ..
        } = request;
        let mut header = header.unwrap_or_default();
        // As jina's gateway fills it in.
        if header.exec_endpoint().is_empty() {
            header.exec_endpoint = Some("/".to_owned());
        }
        let data = data.unwrap_or_default();
        let documents = data.docs.unwrap_or_default().docs;
        let ids: Vec<String> = documents
            .iter()
            .map(|document| document.id.clone())
            .collect();
        let started = SystemTime::now();
        let endpoint = header.exec_endpoint().to_owned();
        let span = tracing::Span::current();
        span.record("endpoint", tracing::field::display(quoted(&endpoint)));
        let outcome = if data.docs_bytes.is_empty() {
            self.perform(&endpoint, parameters.as_ref(), documents)
                .await
        } else {
            Err(ApiError::InvalidField(
                "'docs_bytes' is not read here; send the documents as 'docs'".to_owned(),
            ))
        };
        let ended = SystemTime::now();
        let took = |since| ended.duration_since(since).unwrap_or_default();
        let ms = took(received).as_secs_f64() * 1e3;
        let count = ids.len();
        let failed = outcome.is_err();
        let docs = match outcome {
            Ok((call, documents)) => {
                tracing::info!(call = call.name(), documents = count, ms, "call");
                documents
            }
            Err(error) => {
                tracing::info!(code = problem::code(&error), documents = count, ms, "call");
                header.status = Some(failure(&error));
                ids.into_iter().map(with_id).collect()
            }
        };
        header.target_executor.get_or_insert_default();
        let response = DataRequest {
            routes: routes(&header, [received, started, ended]),
            header: Some(header),
            parameters: parameters.filter(|echo| !failed || echo.encoded_len() <= ECHO),
            data: Some(Data {
                docs: Some(DocumentArray { docs }),
                ..Data::default()
            }),
        };
        statistics.ended(CallSeen {
            whole: took(received),
            processing: took(started),
            documents: count,
            request_bytes,
            response_bytes: response.encoded_len(),
            failed,
        });
        response
    }

    async fn perform(
        &self,
        endpoint: &str,
        parameters: Option<&prost_types::Struct>,
        documents: Vec<Document>,
    ) -> Result<(Call, Vec<Document>), ApiError> {
        let (call, model) = endpoint::parse(endpoint)?;
        let mut parameters = Parameters::read(parameters)?;
        if let Some(model) = model {
            // The client's async methods say it in both places, its others here alone.
            parameters.model = Some(model.to_owned());
        }
        let documents = match call {
            Call::Encode => self.encode(documents, &parameters).await?,
            Call::Rank => self.rank(documents, &parameters).await?,
            Call::Index => self.index(documents, &parameters).await?,
            Call::Search => self.search(documents, &parameters).await?,
        };
        Ok((call, documents))
    }
}

fn with_id(id: String) -> Document {
    Document {
        id,
        ..Document::default()
    }
}

fn failure(error: &ApiError) -> Status {
    let (code, detail) = (problem::code(error), problem::detail(error));
    Status {
        code: Status::ERROR,
        description: format!("{code}: {detail}"),
        exception: Some(Exception {
            name: code.to_owned(),
            args: vec![detail],
            stacks: Vec::new(),
            executor: EXECUTOR.to_owned(),
        }),
    }
}

/// The gateway's stay and the executor's within it, which `profile()` makes a tree of.
///
/// It needs two routes and divides by the first one's whole milliseconds, so that of a
/// server which answers within one it makes a ZeroDivisionError: the gateway's end is
/// therefore rounded up to the next whole millisecond, and its begin down.
fn routes(header: &Header, [received, started, ended]: [SystemTime; 3]) -> Vec<Route> {
    let begin = whole_milliseconds(received);
    let end = whole_milliseconds(ended) + Duration::from_millis(1);
    let route = |executor: &str, start: SystemTime, end: SystemTime| Route {
        executor: executor.to_owned(),
        start_time: Some(Timestamp::from(start)),
        end_time: Some(Timestamp::from(end)),
        // What happened is told in whole by the header's.
        status: header.status.as_ref().map(|status| Status {
            exception: None,
            ..status.clone()
        }),
    };
    vec![
        route("gateway", begin, end),
        route(EXECUTOR, started, ended),
    ]
}

fn whole_milliseconds(time: SystemTime) -> SystemTime {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::new(since.as_secs(), since.subsec_millis() * 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn milliseconds(time: Option<Timestamp>) -> i64 {
        let time = time.unwrap();
        time.seconds * 1000 + i64::from(time.nanos) / 1_000_000
    }

    #[test]
    fn the_gateway_took_a_millisecond_at_least_and_the_executor_no_more_than_it() {
        let at = |micros| UNIX_EPOCH + Duration::from_micros(micros);
        for times in [
            [0, 0, 0],
            [100, 200, 300],
            [900, 950, 1100],
            [999, 1001, 5999],
        ] {
            let routes = routes(&Header::default(), times.map(at));
            let took =
                |route: &Route| milliseconds(route.end_time) - milliseconds(route.start_time);
            assert_eq!(routes.len(), 2);
            assert!(took(&routes[0]) >= 1, "{times:?}");
            assert!(took(&routes[1]) <= took(&routes[0]), "{times:?}");
        }
    }
}
