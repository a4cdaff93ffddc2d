//! One request in, one response out, whichever protocol it came by.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prost::Message;
use prost_types::{Struct, Timestamp};
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
use clipdb_engine::{Engine, excerpt};

/// The executor that responses name.
const EXECUTOR: &str = "clipdb";

/// A failure echoes its request's parameters up to this size, in bytes.
const MAX_ECHO: usize = 4 << 10;

/// Executes calls, whichever protocol they came by.
#[derive(Clone)]
pub struct Executor {
    pub(super) engine: Arc<Engine>,
    pub(super) settings: ClipAsServiceSettings,
    statistics: CallStatistics,
    traceparent: Option<String>,
}

/// A request once its envelope is opened.
struct Request {
    header: Header,
    parameters: Option<Struct>,
    documents: Vec<Document>,
    /// Documents in docarray's own format, which is not supported.
    has_docs_bytes: bool,
}

/// When a call was received, began to execute and ended.
#[derive(Clone, Copy)]
struct Times {
    received: SystemTime,
    started: SystemTime,
    ended: SystemTime,
}

impl Executor {
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

    /// Continues the caller's trace, for a protocol whose requests have no span of their own.
    pub fn in_trace(mut self, traceparent: Option<&str>) -> Self {
        self.traceparent = traceparent.map(str::to_owned);
        self
    }

    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Executes `request`, which came at `received`.
    ///
    /// A failure is a response too, as in CLIP-as-service: its status has the reason, and its
    /// documents have their ids only.
    pub async fn execute(&self, request: DataRequest, received: SystemTime) -> DataRequest {
        let span = tracing::info_span!("call", endpoint = tracing::field::Empty);
        trace_context::set_parent(&span, self.traceparent.as_deref());
        let _pending = self.statistics.begun();
        let request_bytes = request.encoded_len();
        let (response, times, has_failed) = self.respond(request, received).instrument(span).await;
        self.statistics.ended(CallSeen {
            total: times.total(),
            processing: times.processing(),
            documents: response.documents().len(),
            request_bytes,
            response_bytes: response.encoded_len(),
            // The response's own status would not do: a request may bring one.
            failed: has_failed,
        });
        response
    }

    /// The response, its times, and whether the call failed.
    async fn respond(
        &self,
        request: DataRequest,
        received: SystemTime,
    ) -> (DataRequest, Times, bool) {
        let request = Request::open(request);
        let ids: Vec<String> = request
            .documents
            .iter()
            .map(|document| document.id.clone())
            .collect();
        let endpoint = request.header.exec_endpoint().to_owned();
        tracing::Span::current().record("endpoint", tracing::field::display(excerpt(&endpoint)));
        let Request {
            header,
            parameters,
            documents,
            has_docs_bytes,
        } = request;
        let started = SystemTime::now();
        let outcome = if has_docs_bytes {
            Err(ApiError::InvalidField(
                "'docs_bytes' is not supported; send the documents as 'docs'".to_owned(),
            ))
        } else {
            self.dispatch(&endpoint, parameters.as_ref(), documents)
                .await
        };
        let times = Times {
            received,
            started,
            ended: SystemTime::now(),
        };
        log(&outcome, ids.len(), times);
        let has_failed = outcome.is_err();
        let documents = outcome.map(|(_, documents)| documents);
        let response = response(header, parameters, documents, ids, times);
        (response, times, has_failed)
    }

    async fn dispatch(
        &self,
        endpoint: &str,
        parameters: Option<&Struct>,
        documents: Vec<Document>,
    ) -> Result<(Call, Vec<Document>), ApiError> {
        let (call, model) = endpoint::parse(endpoint)?;
        let mut parameters = Parameters::read(parameters)?;
        if let Some(model) = model {
            // The client's async methods name it in both places, the others in the endpoint only.
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

impl Request {
    fn open(request: DataRequest) -> Self {
        let mut header = request.header.unwrap_or_default();
        // As Jina's gateway does.
        if header.exec_endpoint().is_empty() {
            header.exec_endpoint = Some("/".to_owned());
        }
        let data = request.data.unwrap_or_default();
        Self {
            header,
            parameters: request.parameters,
            documents: data.docs.unwrap_or_default().docs,
            has_docs_bytes: !data.docs_bytes.is_empty(),
        }
    }
}

impl Times {
    fn total(self) -> Duration {
        self.ended.duration_since(self.received).unwrap_or_default()
    }

    fn processing(self) -> Duration {
        self.ended.duration_since(self.started).unwrap_or_default()
    }
}

fn log(outcome: &Result<(Call, Vec<Document>), ApiError>, documents: usize, times: Times) {
    let ms = times.total().as_secs_f64() * 1e3;
    match outcome {
        Ok((call, _)) => tracing::info!(call = call.name(), documents, ms, "call"),
        Err(error) => tracing::info!(code = problem::code(error), documents, ms, "call"),
    }
}

fn response(
    mut header: Header,
    parameters: Option<Struct>,
    outcome: Result<Vec<Document>, ApiError>,
    ids: Vec<String>,
    times: Times,
) -> DataRequest {
    let (docs, parameters) = match outcome {
        Ok(documents) => (documents, parameters),
        Err(error) => {
            header.status = Some(failure(&error));
            let echoed = parameters.filter(|echo| echo.encoded_len() <= MAX_ECHO);
            (ids.into_iter().map(with_id).collect(), echoed)
        }
    };
    header.target_executor.get_or_insert_default();
    DataRequest {
        routes: routes(&header, times),
        header: Some(header),
        parameters,
        data: Some(Data {
            docs: Some(DocumentArray { docs }),
            ..Data::default()
        }),
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

/// The gateway's time and the executor's within it, which the client's `profile()` shows as a
/// tree.
///
/// `profile()` needs two routes, and divides by the whole milliseconds of the first one. To spare
/// it a ZeroDivisionError, the gateway's start is rounded down to a whole millisecond and its end
/// up to the next one.
fn routes(header: &Header, times: Times) -> Vec<Route> {
    let begin = whole_milliseconds(times.received);
    let end = whole_milliseconds(times.ended) + Duration::from_millis(1);
    let route = |executor: &str, start: SystemTime, end: SystemTime| Route {
        executor: executor.to_owned(),
        start_time: Some(Timestamp::from(start)),
        end_time: Some(Timestamp::from(end)),
        // The header's status has the exception.
        status: header.status.as_ref().map(|status| Status {
            exception: None,
            ..status.clone()
        }),
    };
    vec![
        route("gateway", begin, end),
        route(EXECUTOR, times.started, times.ended),
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
            let [received, started, ended] = times.map(at);
            let routes = routes(
                &Header::default(),
                Times {
                    received,
                    started,
                    ended,
                },
            );
            let took =
                |route: &Route| milliseconds(route.end_time) - milliseconds(route.start_time);
            assert_eq!(routes.len(), 2);
            assert!(took(&routes[0]) >= 1, "{times:?}");
            assert!(took(&routes[1]) <= took(&routes[0]), "{times:?}");
        }
    }
}
