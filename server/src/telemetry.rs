//! Log lines on stderr, and spans exported by OTLP if a collector is configured. Without a collector
//! no span is recorded.

use std::io::IsTerminal;

use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

const SERVICE: &str = "clipdb";

/// The spans that must be exported before the process ends.
pub struct Telemetry {
    spans: Option<SdkTracerProvider>,
}

#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("the log filter '{filter}' ('log') is invalid: {reason}")]
    Log { filter: String, reason: String },
    #[error(
        "'{endpoint}' ('otlp') is not the address of a collector, such as http://127.0.0.1:4317: {reason}"
    )]
    Otlp { endpoint: String, reason: String },
}

impl Telemetry {
    /// Starts logging and, if a collector is given, tracing. Must be called within a tokio runtime,
    /// which then exports the spans.
    pub fn start(filter: &str, otlp: Option<&str>) -> Result<Self, TelemetryError> {
        let events = EnvFilter::try_new(filter).map_err(|error| TelemetryError::Log {
            filter: filter.to_owned(),
            reason: error.to_string(),
        })?;
        #[allow(
            clippy::redundant_closure_for_method_calls,
            reason = "a method is not general enough"
        )]
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
            .with_filter(filter_fn(|metadata| metadata.is_event()))
            .with_filter(events);
        let spans = otlp.map(provider).transpose()?;
        let traces = spans.as_ref().map(|provider| {
            tracing_opentelemetry::layer()
                .with_tracer(provider.tracer(SERVICE))
                .with_filter(filter_fn(|metadata| {
                    metadata.is_span() && metadata.target().starts_with(SERVICE)
                }))
        });
        tracing_subscriber::registry()
            .with(lines)
            .with(traces)
            .init();
        Ok(Self { spans })
    }

    /// Exports the remaining spans. Blocks for at most five seconds.
    pub fn finish(self) {
        if let Some(spans) = self.spans
            && let Err(error) = spans.shutdown()
        {
            tracing::warn!(%error, "could not export the last spans");
        }
    }
}

fn provider(endpoint: &str) -> Result<SdkTracerProvider, TelemetryError> {
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .build()
        .map_err(|error| TelemetryError::Otlp {
            endpoint: endpoint.to_owned(),
            reason: error.to_string(),
        })?;
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(Resource::builder().with_service_name(SERVICE).build())
        .build())
}
