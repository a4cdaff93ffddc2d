//! Continues a caller's trace: W3C Trace Context's `traceparent`
//! (<https://www.w3.org/TR/trace-context/>), from a header or from gRPC's metadata.

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

pub(crate) const TRACEPARENT: &str = "traceparent";

/// Makes `span` a child of the caller's span. An invalid `traceparent` is ignored, as the standard
/// requires: the span begins its own trace.
pub(crate) fn set_parent(span: &Span, traceparent: Option<&str>) {
    if let Some(caller) = traceparent.and_then(parse) {
        // Fails if no collector is configured.
        let _ = span.set_parent(Context::new().with_remote_span_context(caller));
    }
}

/// `version-trace-parent-flags`, in lower-case hex; later versions may append more fields.
///
/// By hand: opentelemetry_sdk's propagator also accepts ids and flags that are too short.
fn parse(text: &str) -> Option<SpanContext> {
    let mut parts = text.split('-');
    let mut part = |length: usize| {
        parts.next().filter(|part| {
            part.len() == length && part.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
        })
    };
    let version = part(2)?;
    let (trace, parent, flags) = (part(32)?, part(16)?, part(2)?);
    if version == "ff" || (version == "00" && parts.next().is_some()) {
        return None;
    }
    let caller = SpanContext::new(
        TraceId::from_hex(trace).ok()?,
        SpanId::from_hex(parent).ok()?,
        TraceFlags::new(u8::from_str_radix(flags, 16).ok()?),
        true,
        TraceState::NONE,
    );
    caller.is_valid().then_some(caller)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_traceparent_is_ignored() {
        let (trace, parent) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        let good = parse(&format!("00-{trace}-{parent}-01")).unwrap();
        assert_eq!(good.trace_id().to_string(), trace);
        assert_eq!(good.span_id().to_string(), parent);
        assert!(good.is_sampled() && good.is_remote());
        assert!(parse(&format!("cc-{trace}-{parent}-00-more")).is_some());
        for wrong in [
            String::new(),
            format!("00-{trace}-{parent}"),
            format!("00-{trace}-{parent}-01-more"),
            format!("ff-{trace}-{parent}-01"),
            format!("00-{}-{parent}-01", "0".repeat(32)),
            format!("00-{trace}-{}-01", "0".repeat(16)),
            format!("00-{}-{parent}-01", trace.to_uppercase()),
            format!("00-{trace}-{parent}-1"),
        ] {
            assert!(parse(&wrong).is_none(), "{wrong}");
        }
    }
}
