//! Watches how functions repeat calls that are refused, for the invariant `back-off`: a service that is unwell must not be
//! asked without pause.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_types::SdkConfig;

use crate::world::clock;
use crate::world::time::Time;

/// Most calls of one execution environment in a [`WINDOW`] that may be refused or lost. The SDK's standard mode makes
/// three attempts with waits of up to 1 s and 2 s, so a client that waits at all stays far below.
pub const REFUSED_MAX: usize = 20;
/// The window in which they are counted.
pub const WINDOW: Duration = Duration::from_secs(1);

/// What the functions of a run did with calls that were refused. Clones are the same watch.
#[derive(Clone, Debug, Default)]
pub struct Watch(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    storms: u64,
    first: Option<String>,
}

impl Watch {
    /// How many storms of repetitions there were, and the first of them in words.
    pub fn storms(&self) -> (u64, Option<String>) {
        let seen = self.0.lock().expect("one thread runs the simulation, and a panic in it ends the run");
        (seen.storms, seen.first.clone())
    }

    fn tell(&self, function: &str, host: &str, now: Time) {
        let mut seen = self.0.lock().expect("one thread runs the simulation, and a panic in it ends the run");
        seen.storms += 1;
        seen.first.get_or_insert_with(|| {
            format!("{function} had {REFUSED_MAX} calls to {host} refused within {} s at {now}", WINDOW.as_secs())
        });
    }

    /// The configuration of an environment of `function` that this watches.
    pub(super) fn over(&self, config: SdkConfig, function: &str) -> SdkConfig {
        let inner = config.http_client().expect("the simulated configuration has an HTTP client");
        let refused = Refused { watch: self.clone(), function: function.into(), by_host: Arc::default() };
        config.into_builder().http_client(WatchedHttp { inner, refused }).build()
    }
}

/// When the latest calls of one environment were refused, by host.
#[derive(Clone)]
struct Refused {
    watch: Watch,
    function: Arc<str>,
    by_host: Arc<Mutex<BTreeMap<String, VecDeque<Time>>>>,
}

impl Refused {
    fn add(&self, host: &str, now: Time) {
        let mut by_host = self.by_host.lock().expect("one thread runs the simulation");
        let times = by_host.entry(host.to_owned()).or_default();
        times.push_back(now);
        while times.front().is_some_and(|first| now.since(*first) > WINDOW) {
            times.pop_front();
        }
        if times.len() >= REFUSED_MAX {
            times.clear();
            self.watch.tell(&self.function, host, now);
        }
    }
}

#[derive(Clone)]
struct WatchedHttp {
    inner: SharedHttpClient,
    refused: Refused,
}

impl fmt::Debug for WatchedHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchedHttp").field("function", &self.refused.function).finish_non_exhaustive()
    }
}

impl HttpClient for WatchedHttp {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(WatchedConnector { refused: self.refused.clone(), inner })
    }
}

#[derive(Clone)]
struct WatchedConnector {
    refused: Refused,
    inner: SharedHttpConnector,
}

impl fmt::Debug for WatchedConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchedConnector").field("function", &self.refused.function).finish_non_exhaustive()
    }
}

impl HttpConnector for WatchedConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Self { refused, inner } = self.clone();
        let host = host(request.uri());
        HttpConnectorFuture::new(async move {
            let answer = inner.call(request).await;
            if answer.as_ref().map_or(true, is_refusal) {
                refused.add(&host, clock::now());
            }
            answer
        })
    }
}

/// Whether a service did not do its work. A conflict, a condition that fails and what is not there are answers.
fn is_refusal(answer: &HttpResponse) -> bool {
    let says = |words: &[&str]| {
        let body = String::from_utf8_lossy(answer.body().bytes().unwrap_or_default());
        words.iter().any(|word| body.contains(word))
    };
    match answer.status().as_u16() {
        429 | 500.. => true,
        400 => says(&["Throttl", "LimitExceeded", "ThroughputExceeded", "AccessDenied"]),
        403 => true,
        _ => false,
    }
}

fn host(uri: &str) -> String {
    let rest = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    rest.split(['/', '?']).next().unwrap_or(rest).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_calls_without_a_pause_are_a_storm() {
        for (gap_ms, storms) in [(1, 3), (40, 3), (60, 0), (1_000, 0)] {
            let watch = Watch::default();
            let refused = Refused { watch: watch.clone(), function: "enrichment".into(), by_host: Arc::default() };
            for call in 0..60 {
                refused.add("kinesis", Time::from_unix_secs(1) + Duration::from_millis(call * gap_ms));
            }
            assert_eq!(watch.storms().0, storms, "every {gap_ms} ms");
        }
    }

    #[test]
    fn hosts_are_taken_from_addresses() {
        assert_eq!(host("https://b.s3.eu-west-1.amazonaws.com/key?x=1"), "b.s3.eu-west-1.amazonaws.com");
        assert_eq!(host("kinesis.eu-west-1.amazonaws.com"), "kinesis.eu-west-1.amazonaws.com");
    }
}
