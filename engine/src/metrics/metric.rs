//! Metrics in Prometheus' text format that are read when somebody asks, since the figures live
//! elsewhere: a table names them, and each is told of everything that has it.

use std::fmt::Write;

/// A metric of `T`s.
pub(crate) struct Metric<T> {
    pub name: &'static str,
    pub help: &'static str,
    pub value: Value<T>,
}

pub(crate) enum Value<T> {
    Counter(fn(&T) -> f64),
    Gauge(fn(&T) -> f64),
    /// How often, and seconds.
    Summary(fn(&T) -> (u64, f64)),
}

impl<T> Metric<T> {
    /// `of` are the things it is told of, each with its labels.
    pub fn write<'a>(&self, text: &mut String, of: impl IntoIterator<Item = (&'a str, &'a T)>)
    where
        T: 'a,
    {
        let Self { name, help, value } = self;
        let kind = match value {
            Value::Counter(_) => "counter",
            Value::Gauge(_) => "gauge",
            Value::Summary(_) => "summary",
        };
        // Writing to a String can't fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, one) in of {
            let _ = match value {
                Value::Counter(value) | Value::Gauge(value) => {
                    writeln!(text, "{name}{{{labels}}} {}", value(one))
                }
                Value::Summary(value) => {
                    let (count, seconds) = value(one);
                    writeln!(
                        text,
                        "{name}_sum{{{labels}}} {seconds}\n{name}_count{{{labels}}} {count}"
                    )
                }
            };
        }
    }
}

/// A label's value may hold anything but these three as they are.
pub(crate) fn label(name: &str) -> String {
    name.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
