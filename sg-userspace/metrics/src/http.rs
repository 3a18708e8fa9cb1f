//! The requests: `/metrics`, in the form that the client prefers, and a hint at `/`. Scrapes run one after the other, whoever sends
//! them. It must never read the query or a body. `sgd` gives the router a listener.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use mime::Mime;
use sg_api::listen::Limits;
use tokio::{sync::Mutex, task::spawn_blocking};

use crate::{Format, MetricsError, Sources, scrape};

/// Plain text.
const PLAIN: &str = "text/plain; charset=utf-8";
/// What is at other paths.
const HINT: &str = "sgd: the figures for Prometheus are at /metrics\n";

/// The router of the listener for metrics.
pub fn router(sources: Sources) -> Router {
    let scraped = Scraped { sources: Arc::new(sources), one: Arc::default() };
    Router::new()
        .route("/metrics", get(metrics))
        .route("/", get(async || plain(StatusCode::OK, HINT)))
        .fallback(async || plain(StatusCode::NOT_FOUND, HINT))
        .with_state(scraped)
}

/// The limits of its listener: a server of Prometheus or two, and somebody with curl.
#[must_use]
pub fn limits() -> Limits {
    Limits {
        connections: 16,
        head_bytes: 16 << 10,
        body_bytes: 0,
        body_time: Duration::from_secs(5),
        ..Limits::default()
    }
}

#[derive(Clone)]
struct Scraped {
    sources: Arc<Sources>,
    /// Held by the scrape that is under way, whether its client still waits or not.
    one: Arc<Mutex<()>>,
}

async fn metrics(State(scraped): State<Scraped>, headers: HeaderMap) -> Response {
    let Scraped { sources, one } = scraped;
    let format = preferred(&headers);
    let one = one.lock_owned().await;
    // It takes milliseconds: others are served meanwhile.
    let scraped = spawn_blocking(move || {
        let _one = one;
        scrape(&sources, format)
    });
    match scraped.await {
        Ok(Ok(text)) => ([(header::CONTENT_TYPE, format.content_type())], text).into_response(),
        Ok(Err(error)) => failed(&error),
        Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "the scrape ended unexpectedly\n"),
    }
}

/// Figures that are not there must look like that: Prometheus then says that the target is down.
fn failed(error: &MetricsError) -> Response {
    tracing::warn!("metrics: {error}");
    plain(StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n"))
}

fn plain(status: StatusCode, text: impl IntoResponse) -> Response {
    (status, [(header::CONTENT_TYPE, PLAIN)], text).into_response()
}

/// The form that a client prefers. Who takes neither gets the older one, as every exporter does it.
fn preferred(headers: &HeaderMap) -> Format {
    let (mut open_metrics, mut text) = (0.0_f32, 0.0_f32);
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    for range in
        values.flat_map(|value| value.split(',')).filter_map(|range| range.trim().parse::<Mime>().ok())
    {
        let quality =
            range.get_param("q").map_or(Some(1.0), |quality| quality.as_str().parse().ok()).unwrap_or(0.0);
        let is_version =
            |wanted: &str| range.get_param("version").is_none_or(|version| version.as_str() == wanted);
        match range.essence_str() {
            "application/openmetrics-text" if is_version("1.0.0") => open_metrics = open_metrics.max(quality),
            "text/plain" if is_version("0.0.4") => text = text.max(quality),
            "text/*" | "*/*" => text = text.max(quality),
            _ => {}
        }
    }
    if open_metrics > 0.0 && open_metrics >= text { Format::OpenMetrics } else { Format::Text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(accept: &'static str) -> Format {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, header::HeaderValue::from_static(accept));
        preferred(&headers)
    }

    #[test]
    fn the_client_chooses_the_form() {
        assert_eq!(preferred(&HeaderMap::new()), Format::Text);
        for accept in [
            // Prometheus 2.42, and 3.
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
             text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=1.0.0;q=0.5,*/*;q=0.1",
            "application/openmetrics-text",
        ] {
            assert_eq!(of(accept), Format::OpenMetrics, "{accept}");
        }
        for accept in [
            "*/*",
            "text/html,application/xhtml+xml,*/*;q=0.8",
            "text/plain;version=0.0.4",
            "text/plain;version=0.0.4;q=0.9,application/openmetrics-text;version=1.0.0;q=0.5",
            "application/openmetrics-text;version=2.0.0",
            "application/openmetrics-text;q=0",
            "application/json",
            "application/openmetrics-text;q=x",
            "",
        ] {
            assert_eq!(of(accept), Format::Text, "{accept}");
        }
    }
}
