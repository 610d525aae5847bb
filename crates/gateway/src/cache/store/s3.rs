//! Answers as objects in S3, or in what speaks its protocol. An object is there until a rule of the bucket removes it; an
//! answer says itself how long it is good.

mod signature;

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Collected, Full, Limited};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tollway::transport::{ProviderBody, TlsOptions, Transport, TransportOptions};

use super::{Store, StoreError, Work, Write};
use crate::cache::{Entry, Key};
use crate::config::S3Settings;

/// What our objects' names begin with, after the operator's path: a bucket may hold other things than ours.
const FOLDER: &str = "tollway-cache/";

/// What S3 signs as it is; everything else is encoded.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Requests give up sooner, at the cache's own bound.
const PATIENCE: Duration = Duration::from_secs(5);

/// Requests at a time, for one lookup or one batch of answers.
const AT_A_TIME: usize = 32;

/// The most that is read of a list, or of why something did not work.
const MAX_LIST_BYTES: usize = 4 << 20;

#[derive(Debug)]
pub(super) struct S3 {
    settings: S3Settings,
    max_bytes: usize,
    transport: Transport,
}

impl S3 {
    pub(super) fn new(settings: S3Settings, max_entry_bytes: u64) -> Self {
        let connect_timeout = Duration::from_secs(2);
        let tls = TlsOptions { ca_file: settings.ca_file.clone(), accept_any_certificate: false };
        let options = TransportOptions { connect_timeout, tls, ..TransportOptions::default() };
        // With what is kept beside the answer.
        let max_bytes = usize::try_from(max_entry_bytes).unwrap_or(usize::MAX).saturating_add(64 << 10);
        Self { settings, max_bytes, transport: Transport::new(options) }
    }

    fn name(&self, key: &Key) -> String {
        let folder = self.settings.path.trim_matches('/');
        let slash = if folder.is_empty() { "" } else { "/" };
        format!("{folder}{slash}{FOLDER}{}", key.hex())
    }

    async fn send(
        &self,
        method: Method,
        object: &str,
        query: &str,
        body: Bytes,
    ) -> Result<Response<ProviderBody>, StoreError> {
        let S3Settings { endpoint, in_path, bucket, key, region, verify_tls, .. } = &self.settings;
        let (scheme, host) = endpoint;
        let encoded: Vec<String> =
            object.split('/').map(|part| utf8_percent_encode(part, ENCODED).to_string()).collect();
        let (host, path) = match in_path {
            true => (host.clone(), format!("/{bucket}/{}", encoded.join("/"))),
            false => (format!("{bucket}.{host}"), format!("/{}", encoded.join("/"))),
        };
        let mark = if query.is_empty() { "" } else { "?" };
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{scheme}://{host}{path}{mark}{query}"))
            .header(HOST, host)
            .header(CONTENT_LENGTH, body.len())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"))
            .body(Full::new(body.clone()))
            .map_err(|error| StoreError::new(format!("the S3 cache has no sound address: {error}")))?;
        signature::sign(&mut request, &body, key, region, SystemTime::now());
        let sent = self.transport.send(|| request.clone(), *verify_tls, PATIENCE).await;
        sent.map_err(|error| StoreError::new(error.to_string()))
    }

    /// The same; whatever is no success is an error, told in S3's words.
    async fn done(
        &self,
        method: Method,
        object: &str,
        query: &str,
        body: Bytes,
    ) -> Result<Bytes, StoreError> {
        let response = self.send(method, object, query, body).await?;
        let status = response.status();
        let body = read(response, MAX_LIST_BYTES).await?;
        if status.is_success() { Ok(body) } else { Err(refused(status, &body)) }
    }

    async fn one(&self, key: &Key) -> Result<Option<Arc<Entry>>, StoreError> {
        let response = self.send(Method::GET, &self.name(key), "", Bytes::new()).await?;
        match response.status() {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => {
                Ok(Entry::decode(&read(response, self.max_bytes).await?).map(Arc::new))
            }
            status => Err(refused(status, &read(response, MAX_LIST_BYTES).await?)),
        }
    }

    /// Takes out what is there, page by page.
    async fn clear_all(&self) -> Result<(), StoreError> {
        let prefix = self.settings.path.trim_matches('/');
        let slash = if prefix.is_empty() { "" } else { "/" };
        let prefix = format!("{prefix}{slash}{FOLDER}");
        let asked = utf8_percent_encode(&prefix, ENCODED);
        loop {
            // What was listed is gone when it is listed again.
            let page =
                self.done(Method::GET, "", &format!("list-type=2&prefix={asked}"), Bytes::new()).await?;
            let page = String::from_utf8_lossy(&page).into_owned();
            let names: Vec<&str> =
                page.split("<Key>").skip(1).filter_map(|rest| ours(rest.split("</Key>").next()?)).collect();
            if names.is_empty() {
                return Ok(());
            }
            for name in names {
                self.done(Method::DELETE, &format!("{prefix}{name}"), "", Bytes::new()).await?;
            }
        }
    }
}

/// Does the same for all items, [`AT_A_TIME`].
async fn all<'i, I, T, F: Future<Output = Result<T, StoreError>> + Send>(
    items: &'i [I],
    work: impl Fn(&'i I) -> F,
) -> Result<Vec<T>, StoreError> {
    let mut done = Vec::with_capacity(items.len());
    for some in items.chunks(AT_A_TIME) {
        let mut running: Vec<_> = some.iter().map(|item| (Box::pin(work(item)), None)).collect();
        poll_fn(|context| {
            for (work, outcome) in &mut running {
                if outcome.is_none()
                    && let Poll::Ready(result) = work.as_mut().poll(context)
                {
                    *outcome = Some(result);
                }
            }
            if running.iter().all(|(_, outcome)| outcome.is_some()) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        for outcome in running.into_iter().filter_map(|(_, outcome)| outcome) {
            done.push(outcome?);
        }
    }
    Ok(done)
}

/// The end of an object's name, if that is one of ours.
fn ours(name: &str) -> Option<&str> {
    let (_, hex) = name.rsplit_once('/')?;
    (hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(hex)
}

async fn read(response: Response<ProviderBody>, most: usize) -> Result<Bytes, StoreError> {
    let body = Limited::new(response.into_body(), most).collect().await;
    body.map(Collected::to_bytes).map_err(|error| StoreError::new(error.to_string()))
}

/// `<Code>AccessDenied</Code>` says more than a status.
fn refused(status: StatusCode, body: &[u8]) -> StoreError {
    let body = String::from_utf8_lossy(body);
    let code = body.split("<Code>").nth(1).and_then(|rest| rest.split('<').next()).unwrap_or("no reason");
    StoreError::new(format!("S3 answered {}: {code}", status.as_u16()))
}

impl Store for S3 {
    fn name(&self) -> &'static str {
        "s3"
    }

    fn get<'s>(&'s self, keys: &'s [Key]) -> Work<'s, Vec<Option<Arc<Entry>>>> {
        Box::pin(async move { all(keys, |key| self.one(key)).await })
    }

    fn put<'s>(&'s self, writes: &'s [Write]) -> Work<'s, ()> {
        Box::pin(async move {
            let put = |Write { key, entry }: &'s Write| async move {
                self.done(Method::PUT, &self.name(key), "", entry.encode().into()).await
            };
            all(writes, put).await.map(|_| ())
        })
    }

    fn delete<'s>(&'s self, keys: &'s [Key]) -> Work<'s, ()> {
        Box::pin(async move {
            let delete = |key: &'s Key| async move {
                self.done(Method::DELETE, &self.name(key), "", Bytes::new()).await
            };
            all(keys, delete).await.map(|_| ())
        })
    }

    fn clear(&self) -> Work<'_, ()> {
        Box::pin(self.clear_all())
    }

    fn ping(&self) -> Work<'_, ()> {
        Box::pin(async move {
            self.done(Method::GET, "", "list-type=2&max-keys=1", Bytes::new()).await.map(|_| ())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_objects_are_ours() {
        let name = "a".repeat(64);
        assert_eq!(ours(&format!("some/path/tollway-cache/{name}")), Some(name.as_str()));
        for other in ["tollway-cache/readme", "x", &format!("p/{}", "g".repeat(64))] {
            assert_eq!(ours(other), None, "{other}");
        }
    }

    #[test]
    fn s3_says_why() {
        let body = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>";
        assert_eq!(refused(StatusCode::FORBIDDEN, body).to_string(), "S3 answered 403: AccessDenied");
        assert_eq!(refused(StatusCode::BAD_GATEWAY, b"").to_string(), "S3 answered 502: no reason");
    }
}
