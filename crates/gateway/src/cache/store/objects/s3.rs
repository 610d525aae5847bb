//! Amazon S3, and what speaks its protocol.

mod signature;

use std::time::SystemTime;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Request};
use http_body_util::Full;
use tollway::transport::TlsOptions;

use super::Bucket;
use crate::cache::store::StoreError;
use crate::config::S3Settings;

#[derive(Debug)]
pub(crate) struct S3(pub(crate) S3Settings);

impl Bucket for S3 {
    const NAME: &'static str = "s3";
    const TITLE: &'static str = "S3";
    const LISTED: &'static str = "Key";

    fn path(&self) -> &str {
        &self.0.path
    }

    fn address(&self, object: &str) -> String {
        let S3Settings { endpoint: (scheme, host), in_path, bucket, .. } = &self.0;
        match in_path {
            true => format!("{scheme}://{host}/{bucket}/{object}"),
            false => format!("{scheme}://{bucket}.{host}/{object}"),
        }
    }

    fn list(&self, prefix: &str, most: Option<u32>) -> String {
        // A query is signed with its names in order.
        match most {
            Some(most) => format!("list-type=2&max-keys={most}&prefix={prefix}"),
            None => format!("list-type=2&prefix={prefix}"),
        }
    }

    async fn sign(&self, request: &mut Request<Full<Bytes>>, body: &[u8]) -> Result<(), StoreError> {
        let host = request.uri().authority().map(|host| HeaderValue::try_from(host.as_str()));
        let Some(Ok(host)) = host else {
            return Err(StoreError::new("the S3 cache has no sound address: it names no host"));
        };
        request.headers_mut().insert(HOST, host);
        signature::sign(request, body, &self.0.key, &self.0.region, SystemTime::now());
        Ok(())
    }

    fn tls(&self) -> TlsOptions {
        TlsOptions { ca_file: self.0.ca_file.clone(), accept_any_certificate: !self.0.verify_tls }
    }
}
