//! Certificates and HTTP/2.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::provider::listen;
use super::*;

/// A server with a certificate of an authority that nobody knows.
struct Secure {
    port: u16,
    connections: Arc<AtomicUsize>,
    authority: Authority,
}

/// The authority's certificate in a file, which goes when the test is over.
struct Authority(PathBuf);

impl Drop for Authority {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

impl Secure {
    /// Answers every request with the protocol's version.
    async fn start(protocols: &[&str]) -> Self {
        let (config, pem) = certificates(protocols);
        let (listener, port) = listen().await;
        let file = std::env::temp_dir().join(format!("tollway-ca-{}-{port}.pem", std::process::id()));
        std::fs::write(&file, pem).unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, count) = (acceptor.clone(), Arc::clone(&count));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    count.fetch_add(1, Ordering::Relaxed);
                    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                    let io = TokioIo::new(stream);
                    let service = service_fn(|request: Request<hyper::body::Incoming>| async move {
                        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(format!(
                            "{:?}",
                            request.version()
                        ))))
                    });
                    if http2 {
                        let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                        drop(builder.serve_connection(io, service).await);
                    } else {
                        drop(hyper::server::conn::http1::Builder::new().serve_connection(io, service).await);
                    }
                });
            }
        });
        Self { port, connections, authority: Authority(file) }
    }

    fn url(&self) -> String {
        format!("https://localhost:{}/", self.port)
    }

    fn trusting(&self) -> Transport {
        let tls = TlsOptions { ca_file: Some(self.authority.0.clone()), ..TlsOptions::default() };
        Transport::new(TransportOptions { tls, ..TransportOptions::default() })
    }
}

/// A server's set-up with a fresh certificate for `localhost`, and its authority as PEM.
fn certificates(protocols: &[&str]) -> (ServerConfig, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone()];
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    (config, authority.pem())
}

#[tokio::test]
async fn certificates_are_checked() {
    let server = Secure::start(&["http/1.1"]).await;
    assert_eq!(kind(ask(&transport(), &server.url()).await), TransportErrorKind::Tls);
    let other_name = format!("https://127.0.0.1:{}/", server.port);
    assert_eq!(kind(ask(&server.trusting(), &other_name).await), TransportErrorKind::Tls);
    assert_eq!(ask(&server.trusting(), &server.url()).await.unwrap(), "HTTP/1.1");
}

#[tokio::test]
async fn a_deployment_may_ask_for_no_check() {
    let server = Secure::start(&["http/1.1"]).await;
    let transport = transport();
    let sent = transport.send(|| request(&server.url()), false, LONG).await;
    assert!(sent.is_ok(), "{sent:?}");
    assert_eq!(kind(ask(&transport, &server.url()).await), TransportErrorKind::Tls, "for that request only");
}

#[tokio::test]
async fn a_missing_authority_file_is_named() {
    let tls = TlsOptions { ca_file: Some("no-such-file.pem".into()), ..TlsOptions::default() };
    let transport = Transport::new(TransportOptions { tls, ..TransportOptions::default() });
    let error = ask(&transport, "https://localhost:1/").await.unwrap_err();
    assert_eq!(error.kind, TransportErrorKind::Tls);
    assert!(error.detail.contains("no-such-file.pem"), "{error}");
}

#[tokio::test]
async fn encrypted_connections_are_kept() {
    let server = Secure::start(&["http/1.1"]).await;
    let transport = server.trusting();
    for _ in 0..3 {
        assert_eq!(ask(&transport, &server.url()).await.unwrap(), "HTTP/1.1");
    }
    assert_eq!(server.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn http2_is_spoken_where_it_is_offered_and_its_connection_shared() {
    let server = Secure::start(&["h2", "http/1.1"]).await;
    let transport = Arc::new(server.trusting());
    assert_eq!(ask(&transport, &server.url()).await.unwrap(), "HTTP/2.0");
    let tasks = (0..50).map(|_| {
        let (transport, url) = (Arc::clone(&transport), server.url());
        tokio::spawn(async move { assert_eq!(ask(&transport, &url).await.unwrap(), "HTTP/2.0") })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert_eq!(server.connections.load(Ordering::Relaxed), 1);
}
