//! Metrics whose values are kept elsewhere and read when they are collected: a table defines them, and
//! each is evaluated for every subject.

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, Gauge, LabelPair, MetricFamily, MetricType, Summary};

/// A metric that is read from values of `T`.
pub struct Metric<T> {
    /// Its name in Prometheus.
    pub name: &'static str,
    /// Its description in Prometheus.
    pub help: &'static str,
    /// Its type, and how it is read.
    pub value: Value<T>,
}

/// The type of a metric and the function that reads its value.
pub enum Value<T> {
    /// A value that only increases.
    Counter(fn(&T) -> f64),
    /// A value that rises and falls.
    Gauge(fn(&T) -> f64),
    /// A count of events and the sum of their durations in seconds.
    Summary(fn(&T) -> (u64, f64)),
}

/// The names and values of a sample's labels.
pub type Labels = Vec<(&'static str, String)>;

impl<T> Metric<T> {
    /// A metric family with one sample for each of `subjects`.
    pub fn family<'a>(
        &self,
        subjects: impl IntoIterator<Item = (&'a Labels, &'a T)>,
    ) -> MetricFamily
    where
        T: 'a,
    {
        let mut family = MetricFamily::default();
        family.set_name(self.name.to_owned());
        family.set_help(self.help.to_owned());
        family.set_field_type(match self.value {
            Value::Counter(_) => MetricType::COUNTER,
            Value::Gauge(_) => MetricType::GAUGE,
            Value::Summary(_) => MetricType::SUMMARY,
        });
        let samples = subjects.into_iter();
        family.set_metric(
            samples
                .map(|(labels, subject)| self.sample(labels, subject))
                .collect(),
        );
        family
    }

    fn sample(&self, labels: &Labels, subject: &T) -> prometheus::proto::Metric {
        let mut sample = prometheus::proto::Metric::default();
        sample.set_label(labels.iter().map(pair).collect());
        match self.value {
            Value::Counter(value) => {
                let mut counter = Counter::default();
                counter.set_value(value(subject));
                sample.set_counter(counter);
            }
            Value::Gauge(value) => {
                let mut gauge = Gauge::default();
                gauge.set_value(value(subject));
                sample.set_gauge(gauge);
            }
            Value::Summary(value) => {
                let (count, seconds) = value(subject);
                let mut summary = Summary::default();
                summary.set_sample_count(count);
                summary.set_sample_sum(seconds);
                sample.set_summary(summary);
            }
        }
        sample
    }

    fn describe(&self) -> Result<Desc, prometheus::Error> {
        let (name, help) = (self.name.to_owned(), self.help.to_owned());
        Desc::new(name, help, Vec::new(), std::collections::HashMap::new())
    }
}

fn pair((name, value): &(&'static str, String)) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name((*name).to_owned());
    pair.set_value(value.clone());
    pair
}

/// The descriptions of a table's metrics, for a [`TableCollector`].
///
/// # Errors
/// A name is not valid in Prometheus, or a description is empty.
pub fn describe<T>(metrics: &[Metric<T>]) -> Result<Vec<Desc>, prometheus::Error> {
    metrics.iter().map(Metric::describe).collect()
}

/// A collector that reads tables of metrics for a registry.
pub struct TableCollector {
    descriptions: Vec<Desc>,
    read: Box<dyn Fn() -> Vec<MetricFamily> + Send + Sync>,
}

impl TableCollector {
    /// A collector of the metrics in `descriptions`, whose values `read` returns.
    pub fn new(
        descriptions: Vec<Desc>,
        read: impl Fn() -> Vec<MetricFamily> + Send + Sync + 'static,
    ) -> Self {
        Self {
            descriptions,
            read: Box::new(read),
        }
    }
}

impl Collector for TableCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        (self.read)()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use prometheus::{Registry, TextEncoder};

    use super::*;

    const METRICS: [Metric<f64>; 3] = [
        Metric {
            name: "sizes",
            help: "How large",
            value: Value::Gauge(|size| *size),
        },
        Metric {
            name: "reads_total",
            help: "How many",
            value: Value::Counter(|size| 2.0 * *size),
        },
        Metric {
            name: "waits_seconds",
            help: "How long",
            value: Value::Summary(|size| (3, *size)),
        },
    ];

    #[test]
    fn tables_are_read_on_collection() {
        let registry = Registry::new();
        let subjects = [(vec![("of", "a\"b".to_owned())], 1.5)];
        let collector = TableCollector::new(describe(&METRICS).unwrap(), move || {
            let subjects = || subjects.iter().map(|(labels, size)| (labels, size));
            METRICS
                .iter()
                .map(|metric| metric.family(subjects()))
                .collect()
        });
        registry.register(Box::new(collector)).unwrap();
        let text = TextEncoder::new().encode_to_string(&registry.gather());
        assert_eq!(
            text.unwrap(),
            "# HELP reads_total How many\n\
             # TYPE reads_total counter\n\
             reads_total{of=\"a\\\"b\"} 3\n\
             # HELP sizes How large\n\
             # TYPE sizes gauge\n\
             sizes{of=\"a\\\"b\"} 1.5\n\
             # HELP waits_seconds How long\n\
             # TYPE waits_seconds summary\n\
             waits_seconds_sum{of=\"a\\\"b\"} 1.5\n\
             waits_seconds_count{of=\"a\\\"b\"} 3\n"
        );
    }
}
