//! Set-up of logs and metrics: logs go to stderr, metrics to prometheus' default registry.

mod logging;
mod metrics;

pub use logging::{LOG_ENV, LogError, init_logging};
pub use metrics::{counter, counter_vec, gauge, gauge_vec, histogram, histogram_vec, metrics_text};
pub use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};
