//! What becomes of requests on real sockets.

mod provider;
mod tls;

use http_body_util::BodyExt;
use tokio::sync::oneshot;

use super::*;
use provider::Step::{Close, Read, Reset, Stay, UntilClosed, Write};
use provider::{Provider, Step};

const OK: Step = Write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
const HALF_A_HEAD: Step = Write("HTTP/1.1 200 OK\r\ncontent-le");
const HALF_AN_ANSWER: Step = Write("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nok");
const FIRST_CHUNK: Step = Write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n");
const LAST_CHUNK: Step = Write("0\r\n\r\n");

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(50);

fn transport() -> Transport {
    Transport::new(TransportOptions::default())
}

fn request(url: &str) -> Request<Full<Bytes>> {
    let mut request = Request::post(url).body(Full::from("a question")).unwrap();
    request.headers_mut().insert("x-test", http::HeaderValue::from_static("yes"));
    request
}

/// Sends a request and reads the answer to its end.
async fn ask(transport: &Transport, url: &str) -> Result<String, TransportError> {
    let response = transport.send(|| request(url), true, LONG).await?;
    let body = response.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(body.to_vec()).unwrap())
}

fn kind<T: std::fmt::Debug>(result: Result<T, TransportError>) -> TransportErrorKind {
    result.unwrap_err().kind
}

#[tokio::test]
async fn requests_name_their_host_and_path() {
    let provider = Provider::start([vec![Read, OK]]).await;
    ask(&transport(), &provider.url("/v1/chat?key=1")).await.unwrap();
    let seen = provider.seen();
    let head = seen.first().unwrap();
    assert!(head.starts_with("POST /v1/chat?key=1 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("host: 127.0.0.1:{}\r\n", provider.port)), "{head}");
    assert!(head.contains("x-test: yes\r\n") && head.ends_with("\r\n\r\na question"), "{head}");
}

#[tokio::test]
async fn a_connection_carries_one_request_after_another() {
    let provider = Provider::start([vec![Read, OK, Read, FIRST_CHUNK, LAST_CHUNK, Read, OK]]).await;
    let transport = transport();
    for _ in 0..3 {
        assert_eq!(ask(&transport, &provider.url("/")).await.unwrap(), "ok");
    }
    assert_eq!(provider.connections(), 1);
}

#[tokio::test]
async fn requests_at_the_same_time_have_connections_of_their_own() {
    let script = vec![Read, FIRST_CHUNK, Read, OK];
    let (release, finish) = oneshot::channel();
    let held = vec![Read, FIRST_CHUNK, Step::Await(finish), LAST_CHUNK, Read, OK];
    let provider = Provider::start([held, script]).await;
    let transport = transport();
    let first = transport.send(|| request(&provider.url("/")), true, LONG).await.unwrap();
    let second = transport.send(|| request(&provider.url("/")), true, LONG).await.unwrap();
    assert_eq!(provider.connections(), 2);
    release.send(()).unwrap();
    assert_eq!(first.into_body().collect().await.unwrap().to_bytes(), "ok");
    drop(second);
    assert_eq!(ask(&transport, &provider.url("/")).await.unwrap(), "ok");
    assert_eq!(provider.connections(), 2, "the first connection was free again");
}

#[tokio::test]
async fn no_more_unused_connections_are_kept_than_allowed() {
    let provider = Provider::start([vec![Read, OK, UntilClosed], vec![Read, OK]]).await;
    let options = TransportOptions { pool_max_idle_per_host: 0, ..TransportOptions::default() };
    let transport = Transport::new(options);
    ask(&transport, &provider.url("/")).await.unwrap();
    provider.ended(0).await;
    ask(&transport, &provider.url("/")).await.unwrap();
}

#[tokio::test]
async fn connections_that_are_unused_for_long_are_closed() {
    let provider = Provider::start([vec![Read, OK, UntilClosed]]).await;
    let options = TransportOptions { pool_idle_timeout: SHORT, ..TransportOptions::default() };
    let transport = Transport::new(options);
    ask(&transport, &provider.url("/")).await.unwrap();
    provider.ended(0).await;
}

#[tokio::test]
async fn a_server_that_wants_to_close_is_not_asked_again() {
    const LAST: Step = Write("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok");
    let provider = Provider::start([vec![Read, LAST, UntilClosed], vec![Read, OK]]).await;
    let transport = transport();
    ask(&transport, &provider.url("/")).await.unwrap();
    provider.ended(0).await;
    assert_eq!(ask(&transport, &provider.url("/")).await.unwrap(), "ok");
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_meanwhile_is_replaced() {
    let provider = Provider::start([vec![Read, OK, Close], vec![Read, OK]]).await;
    let transport = transport();
    ask(&transport, &provider.url("/")).await.unwrap();
    provider.ended(0).await;
    assert_eq!(ask(&transport, &provider.url("/")).await.unwrap(), "ok");
}

#[tokio::test]
async fn a_request_that_meets_a_closing_connection_is_sent_once_more() {
    for end in [Close, Reset] {
        let provider = Provider::start([vec![Read, OK, Read, end], vec![Read, OK]]).await;
        let transport = transport();
        ask(&transport, &provider.url("/")).await.unwrap();
        assert_eq!(ask(&transport, &provider.url("/")).await.unwrap(), "ok");
        let seen = provider.seen();
        assert_eq!(seen.get(1), seen.get(2), "the same request again");
    }
}

#[tokio::test]
async fn a_request_is_sent_once_more_at_most() {
    let provider = Provider::start([vec![Read, OK, Read, Close], vec![Read, Close], vec![Read, OK]]).await;
    let transport = transport();
    ask(&transport, &provider.url("/")).await.unwrap();
    assert_eq!(kind(ask(&transport, &provider.url("/")).await), TransportErrorKind::Broken);
    assert_eq!(provider.connections(), 2);
}

#[tokio::test]
async fn a_request_whose_answer_began_is_not_sent_again() {
    for beginning in [HALF_A_HEAD, HALF_AN_ANSWER] {
        for end in [Close, Reset] {
            let provider =
                Provider::start([vec![Read, OK, Read, beginning.again(), end], vec![Read, OK]]).await;
            let transport = transport();
            ask(&transport, &provider.url("/")).await.unwrap();
            let result = ask(&transport, &provider.url("/")).await;
            assert_eq!(kind(result), TransportErrorKind::Broken);
            assert_eq!(provider.connections(), 1);
        }
    }
}

#[tokio::test]
async fn a_new_connection_that_breaks_is_an_error_at_once() {
    for end in [Close, Reset] {
        let provider = Provider::start([vec![Read, end], vec![Read, OK]]).await;
        assert_eq!(kind(ask(&transport(), &provider.url("/")).await), TransportErrorKind::Broken);
        assert_eq!(provider.connections(), 1);
    }
}

#[tokio::test]
async fn what_is_not_http_is_told_from_what_broke_off() {
    let provider = Provider::start([vec![Read, Write("SSH-2.0-OpenSSH_9.2\r\n\r\n"), Stay]]).await;
    assert_eq!(kind(ask(&transport(), &provider.url("/")).await), TransportErrorKind::Garbage);
    const BAD_CHUNK: Step = Write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nnonsense\r\n");
    let provider = Provider::start([vec![Read, BAD_CHUNK, Stay]]).await;
    let result = ask(&transport(), &provider.url("/")).await;
    assert!(result.is_err(), "{result:?}");
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_waited_for_no_longer_than_told() {
    let provider = Provider::start([vec![Read, UntilClosed]]).await;
    let sent = transport().send(|| request(&provider.url("/")), true, SHORT).await;
    assert_eq!(kind(sent.map(|_| ())), TransportErrorKind::TimedOut);
    provider.ended(0).await;
}

#[tokio::test]
async fn a_connection_that_does_not_come_about_is_waited_for_no_longer_than_told() {
    // TCP connects, TLS does not.
    let provider = Provider::start([vec![UntilClosed]]).await;
    let transport =
        Transport::new(TransportOptions { connect_timeout: SHORT, ..TransportOptions::default() });
    let url = format!("https://127.0.0.1:{}/", provider.port);
    assert_eq!(kind(ask(&transport, &url).await), TransportErrorKind::ConnectTimedOut);
}

#[tokio::test]
async fn nobody_listening_is_a_refusal() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let result = ask(&transport(), &format!("http://127.0.0.1:{port}/")).await;
    assert_eq!(kind(result), TransportErrorKind::Refused);
}

#[tokio::test]
async fn an_answer_that_nobody_reads_on_ends_the_exchange() {
    let provider = Provider::start([vec![Read, FIRST_CHUNK, UntilClosed], vec![Read, OK]]).await;
    let transport = transport();
    let mut response = transport.send(|| request(&provider.url("/")), true, LONG).await.unwrap();
    let first = response.body_mut().frame().await.unwrap().unwrap();
    assert_eq!(first.data_ref().unwrap(), "ok");
    drop(response);
    provider.ended(0).await;
    assert_eq!(ask(&transport, &provider.url("/")).await.unwrap(), "ok");
}

#[tokio::test]
async fn a_stream_is_read_as_it_comes() {
    let (release, more) = oneshot::channel();
    let script = vec![Read, FIRST_CHUNK, Step::Await(more), Write("3\r\n ok\r\n"), LAST_CHUNK, Read, OK];
    let provider = Provider::start([script]).await;
    let transport = transport();
    let mut body = transport.send(|| request(&provider.url("/")), true, LONG).await.unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().data_ref().unwrap(), "ok");
    release.send(()).unwrap();
    assert_eq!(body.collect().await.unwrap().to_bytes(), " ok");
    ask(&transport, &provider.url("/")).await.unwrap();
    assert_eq!(provider.connections(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_requests_at_once_are_each_given_their_own_answer() {
    let provider = Provider::echo().await;
    let transport = std::sync::Arc::new(transport());
    let tasks = (0..64).map(|number| {
        let (transport, url) = (std::sync::Arc::clone(&transport), provider.url(&format!("/{number}")));
        tokio::spawn(async move {
            for _ in 0..20 {
                assert_eq!(ask(&transport, &url).await.unwrap(), format!("/{number}"));
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert!(provider.connections() <= 64, "{}", provider.connections());
}

#[tokio::test]
async fn a_proxy_is_asked_for_a_tunnel() {
    use tower_service::Service;

    let proxy = Provider::start([vec![Read, Write("HTTP/1.1 200 Connected\r\n\r\n"), Stay]]).await;
    let address = format!("http://user:pass@127.0.0.1:{}", proxy.port);
    let proxies = hyper_util::client::proxy::matcher::Matcher::builder().all(address).no("internal").build();
    let mut connector = connector::Connector::through(proxies, LONG);
    connector.call("https://api.example.com/v1".parse().unwrap()).await.unwrap();
    let seen = proxy.seen();
    let head = seen.first().unwrap();
    assert!(head.starts_with("CONNECT api.example.com:443 HTTP/1.1\r\n"), "{head}");
    assert!(head.to_ascii_lowercase().contains("proxy-authorization: basic dxnlcjpwyxnz\r\n"), "{head}");
}
