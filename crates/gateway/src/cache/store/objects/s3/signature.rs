//! AWS Signature Version 4 in the authorization header
//! (docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html, read 2026-11-21).

use std::fmt::Write as _;
use std::time::SystemTime;

use http::header::{AUTHORIZATION, HOST, HeaderName};
use http::{HeaderValue, Request};
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
    let mut signing = hmac(format!("AWS4{}", key.secret.expose()).as_bytes(), day.as_bytes());
    for part in [region, "s3", "aws4_request"] {
        signing = hmac(&signing, part.as_bytes());
    }
    let signature = hex(&hmac(&signing, to_sign.as_bytes()));
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

/// RFC 2104 with SHA-256.
fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    const BLOCK: usize = 64;
    let mut block = [0_u8; BLOCK];
    let short: [u8; 32];
    let key = if key.len() > BLOCK {
        short = Sha256::digest(key).into();
        &short[..]
    } else {
        key
    };
    block.iter_mut().zip(key).for_each(|(byte, key)| *byte = *key);
    let padded = |pad: u8| block.map(|byte| byte ^ pad);
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize().into()
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

    /// RFC 4231, test cases 1, 2 and 6.
    #[test]
    fn hmacs_are_those_of_the_rfc() {
        let table: [(&[u8], &[u8], &str); 3] = [
            (&[0x0b; 20], b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ];
        for (key, message, expected) in table {
            assert_eq!(hex(&hmac(key, message)), expected);
        }
    }

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
