//! `encompute web`: serves the page, to a browser on this machine or behind a proxy that speaks TLS.

use crate::{
    args::{Common, Leash},
    context::{Context, stopped},
    failure::{Doing, Exit, Failure, Outcome},
    output,
};
use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderValue, Method, Request, StatusCode, header},
    response::{IntoResponse, Response},
};
use clap::Args;
use encompute_chain::Client;
use encompute_networks::Network;
use encompute_protocol::call::{ReadCounts, ReadWorker, ReadWorkerAt};
use encompute_store::{HttpLimits, serve_http};
use futures::future::join_all;
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Mutex;

/// Most bytes of the page's files together.
const FILES_LIMIT_BYTES: u64 = 64 * 1024 * 1024;
/// Most workers whose addresses the page may speak to.
const WORKERS_LIMIT: u32 = 64;

/// How long it is believed which workers there are: a page's files come within a second of each other.
const BELIEVED: Duration = Duration::from_secs(5);

/// Where `xtask web build` puts the page's files.
pub const WEB_FILES: &str = "target/web/dist";

/// Serve the page: choose a model, drop a file, watch the job, check the proof
#[derive(Args, Clone)]
#[command(after_help = "Examples:\n  encompute web\n  encompute web --listen 127.0.0.1:8080 --network local")]
pub struct Web {
    /// Address to listen on; port 0 takes any free one
    #[arg(long, default_value = "127.0.0.1:9949", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// Folder of the page's files, as `xtask web build` makes it
    #[arg(long, default_value = WEB_FILES, value_name = "DIR")]
    pub files: PathBuf,
    /// When to stop
    #[command(flatten)]
    pub leash: Leash,
}

/// A file of the page.
struct File {
    kind: HeaderValue,
    bytes: bytes::Bytes,
}

/// What every answer is made from.
struct Site {
    files: BTreeMap<String, File>,
    network: Network,
    /// Says which workers there are.
    client: Client,
    /// Whom the page may speak to, and when that was read.
    spoken_to: Mutex<Option<(Instant, BTreeSet<String>)>>,
}

impl Web {
    /// Runs it.
    pub async fn run(self, common: &Common) -> Outcome {
        let leash = self.leash;
        self.serve(
            &Context::load(common)?,
            |url| output::json(&json!({ "ready": true, "service": "web", "listen": url })),
            stopped(leash),
        )
        .await
    }

    /// Serves the page until `stop` is ready; tells its address first.
    ///
    /// # Errors
    /// Without the page's files, or without a chain.
    pub async fn serve(
        self,
        context: &Context,
        ready: impl FnOnce(&str) -> Outcome,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Outcome {
        let files = read_files(&self.files)?;
        let (network, client) = (context.network().clone(), context.chain().await?);
        let site = Site { files, network, client, spoken_to: Mutex::default() };
        site.spoken_to().await;
        let listener = tokio::net::TcpListener::bind(self.listen)
            .await
            .doing(Exit::Failed, &format!("listen on {}", self.listen))?;
        let address = listener.local_addr().doing(Exit::Failed, "read the address listened on")?;
        ready(&format!("http://{address}"))?;
        let routes = Router::new().fallback(answer).with_state(Arc::new(site));
        serve_http(listener, routes, HttpLimits::default(), stop).await;
        Ok(())
    }
}

/// Every file below a folder, by its path on the page. They are read once: what is not among them is not served.
fn read_files(folder: &Path) -> Outcome<BTreeMap<String, File>> {
    let (mut files, mut open, mut left) = (BTreeMap::new(), vec![folder.to_owned()], FILES_LIMIT_BYTES);
    while let Some(next) = open.pop() {
        let doing = format!("read the page's files in {}", next.display());
        let entries = std::fs::read_dir(&next).doing(Exit::NotFound, &doing);
        for entry in entries.map_err(|failure| failure.hint("build the page: target/debug/xtask web build"))? {
            let entry = entry.doing(Exit::Failed, &doing)?;
            let (path, found) = (entry.path(), entry.metadata().doing(Exit::Failed, &doing)?);
            if found.is_dir() {
                open.push(path);
                continue;
            }
            left = left
                .checked_sub(found.len())
                .ok_or_else(|| Failure::new(Exit::Failed, format!("{doing}: too much")))?;
            let bytes = std::fs::read(&path).doing(Exit::Failed, &doing)?.into();
            let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().replace('\\', "/");
            files.insert(format!("/{name}"), File { kind: HeaderValue::from_static(kind_of(&path)), bytes });
        }
    }
    match files.contains_key("/index.html") {
        true => Ok(files),
        false => Err(Failure::new(Exit::NotFound, format!("there is no page in {}", folder.display()))
            .hint("build it: target/debug/xtask web build")),
    }
}

fn kind_of(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("wasm") => "application/wasm",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        _ => "application/octet-stream",
    }
}

async fn answer(State(site): State<Arc<Site>>, request: Request<Body>) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let path = match request.uri().path() {
        "/" => "/index.html",
        "/network.toml" => {
            return plain(HeaderValue::from_static("text/plain; charset=utf-8"), site.network.to_toml().into());
        }
        path => path,
    };
    let Some(file) = site.files.get(path) else {
        return (StatusCode::NOT_FOUND, "there is nothing here\n").into_response();
    };
    let mut response = plain(file.kind.clone(), file.bytes.clone());
    // Whatever runs, the page's worker too, runs under the same policy.
    if let Ok(policy) = HeaderValue::from_str(&policy(&site.spoken_to().await)) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    // Names under /assets carry a hash of what they hold.
    let kept = if path.starts_with("/assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(kept));
    response
}

fn plain(kind: HeaderValue, bytes: bytes::Bytes) -> Response {
    let mut response = bytes.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    // Nobody else's page may frame or open this one and reach into it.
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    response
}

/// What the page may load and whom it may speak to; everything else the browser refuses.
fn policy(spoken_to: &BTreeSet<String>) -> String {
    let spoken_to = spoken_to.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
    format!(
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self'; img-src 'self'; \
         connect-src 'self' {spoken_to}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

impl Site {
    /// Node and gateway of the network file, and the workers that were registered a moment ago.
    async fn spoken_to(&self) -> BTreeSet<String> {
        // Held while the chain is asked: whoever comes meanwhile waits for the one answer.
        let mut known = self.spoken_to.lock().await;
        match &*known {
            Some((read, urls)) if read.elapsed() < BELIEVED => urls.clone(),
            _ => known.insert((Instant::now(), self.read_spoken_to().await)).1.clone(),
        }
    }

    async fn read_spoken_to(&self) -> BTreeSet<String> {
        let named = [Some(self.network.chain.rpc.as_str()), self.network.gateway.as_ref().map(|url| url.as_str())];
        let mut urls: BTreeSet<String> = named.into_iter().flatten().filter_map(origin).collect();
        // A chain that is away names no workers; the page says so itself.
        let Ok(counts) = self.client.read(ReadCounts {}).await else { return urls };
        let workers = (0..counts.workers.min(WORKERS_LIMIT)).map(|index| self.url_of(index));
        urls.extend(join_all(workers).await.into_iter().flatten());
        urls
    }

    async fn url_of(&self, index: u32) -> Option<String> {
        let worker = self.client.read(ReadWorkerAt { index }).await.ok()??;
        let (_, url) = self.client.read(ReadWorker { worker }).await.ok()??;
        origin(url.as_str())
    }
}

/// Scheme, host and port of a URL; none where it holds anything that could end a word of the policy. Workers' addresses
/// are strangers' text.
fn origin(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split(['/', '?', '#']).next()?;
    let known = ["http", "https", "ws", "wss"].contains(&scheme);
    let plain = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || ".-:[]".contains(c));
    (known && plain).then(|| format!("{scheme}://{host}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_names_hosts_and_nothing_that_a_stranger_writes_beside_them() {
        assert_eq!(origin("http://127.0.0.1:9948/path?query"), Some("http://127.0.0.1:9948".into()));
        assert_eq!(origin("wss://node.example"), Some("wss://node.example".into()));
        for wrong in
            ["https://a; script-src *", "https://a b", "https://*", "data:text/html,x", "javascript://x", "https://"]
        {
            assert_eq!(origin(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn nothing_is_allowed_that_is_not_named() {
        let policy = policy(&["https://a".to_owned()].into());
        assert!(policy.starts_with("default-src 'none'") && policy.contains("connect-src 'self' https://a;"));
        assert!(!policy.contains("unsafe-inline") && !policy.contains("'unsafe-eval'"));
    }
}
