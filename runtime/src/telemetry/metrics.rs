//! Metrics: handles registered once in prometheus' default registry, made for `LazyLock` statics.
//!
//! Asking for a name again gives the same metric. A name that is taken by a metric of another kind or
//! with other labels gives a working handle that is not exported, and an error in the log: two rooms
//! disagreeing about a name must not stop either of them.

use std::collections::HashMap;
use std::sync::LazyLock;

use parking_lot::Mutex;
use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    TextEncoder, default_registry,
};

static KNOWN: LazyLock<Mutex<HashMap<&'static str, Known>>> = LazyLock::new(Mutex::default);

#[derive(Clone)]
struct Known {
    labels: &'static [&'static str],
    metric: Metric,
}

#[derive(Clone)]
enum Metric {
    Counter(IntCounter),
    CounterVec(IntCounterVec),
    Gauge(IntGauge),
    GaugeVec(IntGaugeVec),
    Histogram(Histogram),
    HistogramVec(HistogramVec),
}

/// A handle that can be kept in, and found again in, the table of known metrics.
trait Handle: Collector + Clone + 'static {
    fn wrap(self) -> Metric;
    fn unwrap_from(metric: &Metric) -> Option<Self>;
}

macro_rules! handle {
    ($type:ident, $variant:ident) => {
        impl Handle for $type {
            fn wrap(self) -> Metric {
                Metric::$variant(self)
            }
            fn unwrap_from(metric: &Metric) -> Option<Self> {
                if let Metric::$variant(handle) = metric {
                    Some(handle.clone())
                } else {
                    None
                }
            }
        }
    };
}

handle!(IntCounter, Counter);
handle!(IntCounterVec, CounterVec);
handle!(IntGauge, Gauge);
handle!(IntGaugeVec, GaugeVec);
handle!(Histogram, Histogram);
handle!(HistogramVec, HistogramVec);

/// Returns the counter `name`, registered at the first call.
///
/// # Panics
///
/// This and the functions below panic when a name, label or bucket list, all literals, is malformed.
pub fn counter(name: &'static str, help: &'static str) -> IntCounter {
    register(name, &[], || IntCounter::new(name, help))
}

/// Returns the counters `name` with `labels`, registered at the first call. Label values must come from
/// a closed set.
pub fn counter_vec(name: &'static str, help: &'static str, labels: &'static [&'static str]) -> IntCounterVec {
    register(name, labels, || IntCounterVec::new(Opts::new(name, help), labels))
}

/// Returns the gauge `name`, registered at the first call.
pub fn gauge(name: &'static str, help: &'static str) -> IntGauge {
    register(name, &[], || IntGauge::new(name, help))
}

/// Returns the gauges `name` with `labels`, registered at the first call. Label values must come from a
/// closed set.
pub fn gauge_vec(name: &'static str, help: &'static str, labels: &'static [&'static str]) -> IntGaugeVec {
    register(name, labels, || IntGaugeVec::new(Opts::new(name, help), labels))
}

/// Returns the histogram `name` with the upper bounds `buckets` in ascending order and in the unit that
/// the name ends in, registered at the first call.
pub fn histogram(name: &'static str, help: &'static str, buckets: &[f64]) -> Histogram {
    let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
    register(name, &[], || Histogram::with_opts(opts))
}

/// Returns the histograms `name` with `labels`; otherwise as [`histogram`]. Label values must come from
/// a closed set.
pub fn histogram_vec(
    name: &'static str,
    help: &'static str,
    buckets: &[f64],
    labels: &'static [&'static str],
) -> HistogramVec {
    let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
    register(name, labels, || HistogramVec::new(opts, labels))
}

/// Returns all metrics of the default registry in Prometheus' text format.
pub fn metrics_text() -> String {
    encode(default_registry().gather())
}

fn register<M: Handle>(
    name: &'static str,
    labels: &'static [&'static str],
    make: impl FnOnce() -> prometheus::Result<M>,
) -> M {
    let mut known = KNOWN.lock();
    if let Some(entry) = known.get(name)
        && entry.labels == labels
        && let Some(handle) = M::unwrap_from(&entry.metric)
    {
        return handle;
    }
    let handle = made(name, make());
    match default_registry().register(Box::new(handle.clone())) {
        Ok(()) => {
            known.insert(
                name,
                Known {
                    labels,
                    metric: handle.clone().wrap(),
                },
            );
        }
        Err(error) => {
            tracing::error!(metric = name, %error, "metric name is taken and this one is not exported")
        }
    }
    handle
}

#[allow(
    clippy::panic,
    reason = "names are literals: the first test that touches a malformed one fails"
)]
fn made<M>(name: &'static str, result: prometheus::Result<M>) -> M {
    match result {
        Ok(handle) => handle,
        Err(error) => panic!("metric {name} is malformed: {error}"),
    }
}

fn encode(families: Vec<MetricFamily>) -> String {
    let encoder = TextEncoder::new();
    let mut text = String::new();
    // One family at a time, so that a bad one does not take the others with it.
    for family in families {
        let name = family.name().to_owned();
        let before = text.len();
        if let Err(error) = encoder.encode_utf8(&[family], &mut text) {
            text.truncate(before);
            tracing::error!(metric = name, %error, "metric could not be written");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_name_gives_the_same_metric() {
        counter("peerway_runtime_test_same_total", "Test.").inc();
        counter("peerway_runtime_test_same_total", "Other words.").inc();
        assert_eq!(counter("peerway_runtime_test_same_total", "Test.").get(), 2);

        gauge_vec("peerway_runtime_test_gauge_bytes", "Test.", &["kind"])
            .with_label_values(&["a"])
            .set(7);
        let again = gauge_vec("peerway_runtime_test_gauge_bytes", "Test.", &["kind"]);
        assert_eq!(again.with_label_values(&["a"]).get(), 7);
    }

    #[test]
    fn a_taken_name_gives_a_working_handle_that_is_not_exported() {
        counter("peerway_runtime_test_taken_total", "Test.").inc();
        let gauge = gauge("peerway_runtime_test_taken_total", "Test.");
        gauge.set(41);
        assert_eq!(gauge.get(), 41);
        let labelled = counter_vec("peerway_runtime_test_taken_total", "Test.", &["kind"]);
        labelled.with_label_values(&["a"]).inc();

        let text = metrics_text();
        assert!(text.contains("\npeerway_runtime_test_taken_total 1\n"), "{text}");
        assert!(!text.contains("41"));
        assert_eq!(counter("peerway_runtime_test_taken_total", "Test.").get(), 1);
    }

    #[test]
    fn other_labels_give_a_handle_that_takes_them() {
        counter_vec("peerway_runtime_test_labels_total", "Test.", &["kind"])
            .with_label_values(&["a"])
            .inc();
        let other = counter_vec("peerway_runtime_test_labels_total", "Test.", &["kind", "way"]);
        other.with_label_values(&["a", "b"]).inc();
        assert_eq!(other.with_label_values(&["a", "b"]).get(), 1);
        assert!(!metrics_text().contains("peerway_runtime_test_labels_total{kind=\"a\",way"));
    }

    #[test]
    fn a_name_registered_elsewhere_is_left_alone() {
        let theirs = IntCounter::new("peerway_runtime_test_elsewhere_total", "Test.").unwrap();
        default_registry().register(Box::new(theirs.clone())).unwrap();
        counter("peerway_runtime_test_elsewhere_total", "Test.").inc();
        assert_eq!(theirs.get(), 0);
    }

    #[test]
    fn text_holds_every_kind() {
        static BUCKETS: [f64; 2] = [0.1, 1.0];
        gauge("peerway_runtime_test_gauge", "Test gauge.").set(-3);
        counter_vec("peerway_runtime_test_vec_total", "Test.", &["kind", "way"])
            .with_label_values(&["a", "b"])
            .inc();
        histogram("peerway_runtime_test_seconds", "Test.", &BUCKETS).observe(0.5);
        histogram_vec("peerway_runtime_test_vec_seconds", "Test.", &BUCKETS, &["kind"])
            .with_label_values(&["a"])
            .observe(0.05);
        let text = metrics_text();
        for line in [
            "# HELP peerway_runtime_test_gauge Test gauge.",
            "# TYPE peerway_runtime_test_gauge gauge",
            "peerway_runtime_test_gauge -3",
            "peerway_runtime_test_vec_total{kind=\"a\",way=\"b\"} 1",
            "peerway_runtime_test_seconds_bucket{le=\"0.1\"} 0",
            "peerway_runtime_test_seconds_bucket{le=\"1\"} 1",
            "peerway_runtime_test_vec_seconds_bucket{kind=\"a\",le=\"0.1\"} 1",
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "{line} is not in\n{text}"
            );
        }
    }

    #[test]
    #[should_panic(expected = "metric not a name is malformed")]
    fn a_malformed_name_is_found_at_first_use() {
        counter("not a name", "Test.");
    }
}
