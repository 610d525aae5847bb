//! AWS Signature Version 4 in the authorization header
//! (docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html, read 2026-11-21).

use std::fmt::Write as _;
use std::time::SystemTime;

use http::header::{AUTHORIZATION, HOST, HeaderName};
use http::{HeaderValue, Request};
use ring::hmac;
use sha2::{Digest, Sha256};

use crate::config::S3Key;
use crate::events::log::timestamp;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const CONTENT: HeaderName = HeaderName::from_static("x-amz-content-sha256");
const TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

/// Signs a request whose path and query are written as they are signed: encoded, the query's names in order.
pub(super) fn sign<B>(request: &mut Request<B>, body: &[u8], key: &S3Key, region: &str, now: SystemTime) {
    let moment = moment(now);
    let day = moment.get(..8).unwrap_or_default();
    let content = hex(&Sha256::digest(body));
    let headers = request.headers_mut();
    for (name, value) in [(DATE, moment.as_str()), (CONTENT, content.as_str())] {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
    if let Some(token) = key.token.as_ref().and_then(|token| token.header("")) {
        headers.insert(TOKEN, token);
    }
    let (mut canonical, mut signed) = (String::new(), Vec::new());
    // All headers of ours are signed; their names are in order.
    let mut names: Vec<&HeaderName> = request.headers().keys().collect();
    names.sort_unstable_by_key(|name| name.as_str());
    for name in names.into_iter().filter(|name| *name == HOST || name.as_str().starts_with("x-amz-")) {
        let value = request.headers().get(name).map(HeaderValue::as_bytes).unwrap_or_default();
        let _ = writeln!(canonical, "{name}:{}", String::from_utf8_lossy(value).trim());
        signed.push(name.as_str());
    }
    let signed = signed.join(";");
    let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
    let asked = format!("{}\n{path}\n{query}\n{canonical}\n{signed}\n{content}", request.method());
    let scope = format!("{day}/{region}/s3/aws4_request");
    let to_sign = format!("{ALGORITHM}\n{moment}\n{scope}\n{}", hex(&Sha256::digest(asked)));
    let mac = |key: &[u8], text: &str| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes());
    let mut signing = mac(format!("AWS4{}", key.secret.expose()).as_bytes(), day);
    for part in [region, "s3", "aws4_request", &to_sign] {
        signing = mac(signing.as_ref(), part);
    }
    let signature = hex(signing.as_ref());
    let id = &key.id;
    let value = format!("{ALGORITHM} Credential={id}/{scope},SignedHeaders={signed},Signature={signature}");
    if let Ok(mut value) = HeaderValue::from_str(&value) {
        value.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, value);
    }
}

/// `20261121T093000Z`.
fn moment(now: SystemTime) -> String {
    let text = timestamp(now);
    let seconds = text.split('.').next().unwrap_or_default();
    seconds.chars().filter(|letter| !matches!(letter, '-' | ':')).chain(['Z']).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use tollway::Secret;

    use super::*;

    /// The last example of AWS's page, "GET Bucket (List Objects)".
    #[test]
    fn a_signature_is_that_of_the_documentation() {
        let key = S3Key {
            id: "AKIAIOSFODNN7EXAMPLE".into(),
            secret: Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
            token: None,
        };
        let mut request = Request::get("https://examplebucket.s3.amazonaws.com/?max-keys=2&prefix=J")
            .header(HOST, "examplebucket.s3.amazonaws.com")
            .body(())
            .unwrap();
        // 2013-05-24T00:00:00Z.
        let now = UNIX_EPOCH + Duration::from_secs(1_369_353_600);
        sign(&mut request, b"", &key, "us-east-1", now);
        let signed = request.headers()[AUTHORIZATION].to_str().unwrap();
        assert_eq!(
            signed,
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,\
             SignedHeaders=host;x-amz-content-sha256;x-amz-date,\
             Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
        );
    }
}
