//! JSON to an address that is a secret: whoever knows it can write there.

use std::error::Error;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use serde_json::Value;
use tollway::Secret;
use tollway::transport::Transport;

use super::{NotSent, PATIENCE};

/// How much of an answer is read: enough for the reason of a refusal, and to use the connection again.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// Posts it, with a key if the place asks for one. Redirects are not followed.
pub(super) async fn json(
    transport: &Transport,
    url: &Secret,
    key: Option<&Secret>,
    body: &Value,
) -> Result<(), NotSent> {
    let request = request(url, key, body)?;
    let sent = transport.send(|| request.clone(), true, PATIENCE).await;
    let response = sent.map_err(|error| NotSent::passing(error.kind.name()))?;
    let status = response.status();
    let answer =
        tokio::time::timeout(PATIENCE, Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect());
    let answer: Result<Bytes, Box<dyn Error + Send + Sync>> = match answer.await {
        Ok(answer) => answer.map(http_body_util::Collected::to_bytes),
        Err(late) => Err(late.into()),
    };
    judge(status, &answer.unwrap_or_default())
}

fn request(url: &Secret, key: Option<&Secret>, body: &Value) -> Result<Request<Full<Bytes>>, NotSent> {
    let unsound = || NotSent::for_good("its address is none; write `https://host/path`");
    let uri: Uri = url.expose().trim().parse().map_err(|_| unsound())?;
    let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
    let host = uri.host().filter(|_| is_web).ok_or_else(unsound)?;
    let host = uri.port_u16().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let body = Bytes::from(body.to_string());
    let mut request = Request::builder()
        .method(Method::POST)
        .header(HOST, host)
        .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
        .header(CONTENT_LENGTH, body.len())
        .uri(uri);
    if let Some(key) = key {
        let value = key.header("Bearer ").ok_or_else(|| NotSent::for_good("its key is none"))?;
        request = request.header(AUTHORIZATION, value);
    }
    request.body(Full::new(body)).map_err(|_| unsound())
}

fn judge(status: StatusCode, answer: &[u8]) -> Result<(), NotSent> {
    if status.is_success() {
        return Ok(());
    }
    // Its first words say what is wrong: `invalid_payload`, `no_service`.
    let words: String =
        String::from_utf8_lossy(answer).chars().take(200).filter(|c| !c.is_control()).collect();
    let why = format!("it answered {}: {words}", status.as_u16());
    match status.as_u16() {
        408 | 425 | 429 | 500.. => Err(NotSent::passing(why)),
        _ => Err(NotSent::for_good(why)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_may_pass_is_tried_again() {
        assert_eq!(judge(StatusCode::NO_CONTENT, b""), Ok(()));
        for (status, is_passing) in
            [(429, true), (500, true), (503, true), (302, false), (400, false), (404, false)]
        {
            let refused = judge(StatusCode::from_u16(status).unwrap(), b"no_service\n").unwrap_err();
            assert_eq!(refused.is_passing, is_passing, "{status}");
            assert_eq!(refused.to_string(), format!("it answered {status}: no_service"));
        }
    }

    #[test]
    fn an_address_that_is_none_is_not_told() {
        for url in ["T0PSECRET", "https://", "http://h ost/T0PSECRET", ""] {
            let refused = request(&Secret::new(url), None, &json!({})).unwrap_err();
            assert!(!refused.is_passing && !refused.to_string().contains("T0PSECRET"), "{refused}");
        }
        let sound = request(&Secret::new("https://h:8443/a?b=c"), None, &json!({})).unwrap();
        assert_eq!(sound.headers()[HOST], "h:8443");
        assert_eq!(sound.uri().path_and_query().unwrap(), "/a?b=c");
    }
}
