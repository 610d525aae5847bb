//! Fetches media that a client names by address, for providers that only take them inside the request.
//!
//! The address comes from whoever sends a request, so the fetch goes to public addresses only (checked after the name
//! is resolved, on the very address that is connected to), follows no redirects, and is bounded in bytes and time.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use dialects::conversation::{Media, MediaKind, Part, Request, Source};
use http::Uri;
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::rt::TokioExecutor;
use tokio::time::Instant;
use tower_service::Service;

use crate::transport::{TlsOptions, TlsSetupError, client_config};

/// The most that is fetched for one part.
pub const MAX_MEDIA_BYTES: usize = 20 * 1024 * 1024;
/// The most that is fetched for all parts of a request together.
pub const MAX_REQUEST_BYTES: usize = 64 * 1024 * 1024;
/// For one part, from the first packet to the last byte.
pub const PATIENCE: Duration = Duration::from_secs(15);
/// For all parts of a request together.
pub const REQUEST_PATIENCE: Duration = Duration::from_secs(60);

/// Why a part could not be fetched; for the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchError {
    pub url: String,
    pub why: String,
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` could not be fetched: {}; send the content as base64 instead", self.url, self.why)
    }
}

impl std::error::Error for FetchError {}

/// Fetches remote media. Set up on first use.
#[derive(Debug, Default)]
pub struct MediaFetcher {
    tls: TlsOptions,
    client: OnceLock<Client<HttpsConnector<HttpConnector<PublicResolver>>, Empty<Bytes>>>,
}

impl MediaFetcher {
    #[must_use]
    pub fn new(tls: TlsOptions) -> Self {
        Self { tls, client: OnceLock::new() }
    }

    /// `request` with its remote media inside; the same request if it names none.
    ///
    /// # Errors
    /// When one of them cannot be fetched.
    pub async fn inline(&self, request: &Arc<Request>) -> Result<Arc<Request>, FetchError> {
        if !request.messages.iter().any(|message| message.parts.iter().any(is_remote)) {
            return Ok(Arc::clone(request));
        }
        let mut request = Request::clone(request);
        let mut budget = Budget::from(Instant::now());
        for part in request.messages.iter_mut().flat_map(|message| &mut message.parts).flat_map(with_results)
        {
            if let Part::Media(media) = part {
                self.fetch_into(media, &mut budget).await?;
            }
        }
        Ok(Arc::new(request))
    }

    async fn fetch_into(&self, media: &mut Media, budget: &mut Budget) -> Result<(), FetchError> {
        let Source::Url { url, media_type } = &media.source else { return Ok(()) };
        if !is_web(url) {
            return Ok(());
        }
        let failed = |why: String| FetchError { url: url.clone(), why };
        let (most, until) = budget.of_next_part(Instant::now());
        let fetched = tokio::time::timeout_at(until, self.fetch(url, most)).await;
        let (bytes, said) = fetched.unwrap_or_else(|_| Err("it took too long".to_owned())).map_err(failed)?;
        budget.spend(bytes.len());
        let media_type = media_type.clone().or(said).unwrap_or_else(|| default_type(media.kind).to_owned());
        media.source = Source::Base64 { media_type, data: STANDARD.encode(&bytes) };
        Ok(())
    }

    async fn fetch(&self, url: &str, most: usize) -> Result<(Bytes, Option<String>), String> {
        let uri: Uri = url.parse().map_err(|_| "it is not an address".to_owned())?;
        // A literal address is connected to without asking the resolver.
        let host = uri.host().unwrap_or_default();
        if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>()
            && !is_public(address)
        {
            return Err(NOT_PUBLIC.to_owned());
        }
        let client = self.client().map_err(|error| error.0)?;
        let response = client.get(uri).await.map_err(|error| innermost(&error))?;
        if !response.status().is_success() {
            return Err(format!("its server answered {}", response.status()));
        }
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(';').next()).map(|kind| kind.trim().to_owned());
        let body = Limited::new(response.into_body(), most).collect().await;
        let body = body
            .map_err(|_| format!("it broke off, or is larger than the {most} bytes that are left for it"))?;
        Ok((body.to_bytes(), kind.filter(|kind| kind.contains('/') && kind != "application/octet-stream")))
    }

    fn client(
        &self,
    ) -> Result<&Client<HttpsConnector<HttpConnector<PublicResolver>>, Empty<Bytes>>, TlsSetupError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let mut connector = HttpConnector::new_with_resolver(PublicResolver(GaiResolver::new()));
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(PATIENCE));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(client_config(&self.tls)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        Ok(self.client.get_or_init(|| Client::builder(TokioExecutor::new()).build(connector)))
    }
}

/// What is left for a request's further parts. A request can name any number of addresses.
struct Budget {
    bytes: usize,
    until: Instant,
}

impl Budget {
    /// Of a request whose parts begin to be fetched now.
    fn from(now: Instant) -> Self {
        Self { bytes: MAX_REQUEST_BYTES, until: now + REQUEST_PATIENCE }
    }

    /// The most bytes of the next part, and when it has to be there.
    fn of_next_part(&self, now: Instant) -> (usize, Instant) {
        (self.bytes.min(MAX_MEDIA_BYTES), self.until.min(now + PATIENCE))
    }

    fn spend(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

fn is_remote(part: &Part) -> bool {
    match part {
        Part::Media(media) => matches!(&media.source, Source::Url { url, .. } if is_web(url)),
        Part::ToolResult(result) => result.parts.iter().any(is_remote),
        _ => false,
    }
}

/// The part itself, and the parts of a tool's result.
fn with_results(part: &mut Part) -> Vec<&mut Part> {
    match part {
        Part::ToolResult(result) => result.parts.iter_mut().collect(),
        other => vec![other],
    }
}

/// Files on the provider's own servers have addresses too; those it reads itself.
fn is_web(url: &str) -> bool {
    (url.starts_with("https://") || url.starts_with("http://"))
        && !url.starts_with("https://generativelanguage.googleapis.com/")
        && !url.starts_with("https://www.youtube.com/")
}

fn default_type(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Image => "image/jpeg",
        MediaKind::Audio => "audio/mpeg",
        MediaKind::Video => "video/mp4",
        MediaKind::File => "application/pdf",
    }
}

fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

const NOT_PUBLIC: &str = "its address is not public";

/// The system's resolver, less addresses inside this network.
#[derive(Clone, Debug)]
struct PublicResolver(GaiResolver);

impl Service<Name> for PublicResolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, io::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolving = self.0.call(name);
        Box::pin(async move {
            let public: Vec<SocketAddr> =
                resolving.await?.filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, NOT_PUBLIC));
            }
            Ok(public.into_iter())
        })
    }
}

/// Whether an address is reachable by everyone (IANA's special-purpose registries for
/// [IPv4](https://www.iana.org/assignments/iana-ipv4-special-registry) and
/// [IPv6](https://www.iana.org/assignments/iana-ipv6-special-registry)).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => match embedded_v4(v6) {
            Some(v4) => is_public_v4(v4),
            None => {
                let [first, second, ..] = v6.segments();
                // All that is assigned to the public lies in 2000::/3, which has two special blocks:
                // 2001::/23 (Teredo, benchmarks, identifiers) and documentation.
                let global = first & 0xe000 == 0x2000;
                let special = first == 0x2001 && second & 0xfe00 == 0;
                let documentation = (first == 0x2001 && second == 0x0db8) || first == 0x3fff;
                global && !special && !documentation
            }
        },
    }
}

/// IPv4-mapped, NAT64 and 6to4 addresses lead to an IPv4 one.
fn embedded_v4(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, high, low] = v6.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match (a, b, c, d, e, f) {
        (0, 0, 0, 0, 0, 0xffff) | (0x64, 0xff9b, 0, 0, 0, 0) => Some(v4(high, low)),
        (0x2002, ..) => Some(v4(b, c)),
        _ => None,
    }
}

fn is_public_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    let special = v4.is_private()
        || v4.is_loopback()
        || v4.is_link_local()
        || v4.is_broadcast()
        || v4.is_documentation()
        || v4.is_multicast()
        || v4.is_unspecified();
    let shared = a == 100 && (64..128).contains(&b);
    let benchmarking = a == 198 && (b == 18 || b == 19);
    let protocol = a == 192 && b == 0 && c == 0;
    !(special || shared || benchmarking || protocol || a == 0 || a >= 240)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_inside_this_network_are_refused() {
        for inside in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "198.18.0.1",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "64:ff9b:1::a00:1",
            "2002:a00:1::",
            "::127.0.0.1",
            "fec0::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "3fff::1",
        ] {
            assert!(!is_public(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8"] {
            assert!(is_public(outside.parse().unwrap()), "{outside}");
        }
    }

    #[tokio::test]
    async fn a_literal_private_address_is_not_connected_to() {
        let fetcher = MediaFetcher::default();
        for url in ["http://127.0.0.1:9/x.png", "http://[::1]:9/x.png", "http://169.254.169.254/latest"] {
            assert_eq!(fetcher.fetch(url, MAX_MEDIA_BYTES).await.unwrap_err(), NOT_PUBLIC, "{url}");
        }
        assert_eq!(fetcher.fetch("http://localhost:9/x.png", MAX_MEDIA_BYTES).await.unwrap_err(), NOT_PUBLIC);
    }

    #[test]
    fn the_parts_of_a_request_share_a_bound() {
        let start = Instant::now();
        let mut budget = Budget::from(start);
        assert_eq!(budget.of_next_part(start), (MAX_MEDIA_BYTES, start + PATIENCE));
        budget.spend(MAX_REQUEST_BYTES - 10);
        let late = start + REQUEST_PATIENCE - Duration::from_secs(1);
        assert_eq!(budget.of_next_part(late), (10, start + REQUEST_PATIENCE));
        budget.spend(11);
        assert_eq!(budget.of_next_part(late).0, 0);
    }

    #[tokio::test]
    async fn a_request_without_remote_media_is_not_copied() {
        let message = dialects::conversation::Message::text(dialects::conversation::Role::User, "hi");
        let request = Arc::new(Request::new(dialects::Dialect::OpenaiChat, "m", vec![message]));
        assert!(Arc::ptr_eq(&MediaFetcher::default().inline(&request).await.unwrap(), &request));
    }
}
