//! Answers as objects in a bucket of a cloud. An object is there until a rule of the bucket removes it; an answer says
//! itself how long it is good.

mod azure_blob;
mod gcs;
mod s3;
mod tokens;

use std::fmt::Debug;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Collected, Full, Limited};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tollway::transport::{ProviderBody, TlsOptions, Transport, TransportOptions};

pub(super) use azure_blob::AzureBlob;
pub(super) use gcs::Gcs;
pub(super) use s3::S3;

use super::{Store, StoreError, Work, Write};
use crate::cache::{Entry, Key};

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

/// One cloud's bucket: where its objects are, and how requests are signed in. All of them are read, written and removed by
/// `GET`, `PUT` and `DELETE`, and list themselves and tell errors in XML.
pub(super) trait Bucket: Debug + Send + Sync + 'static {
    /// LiteLLM's word for it.
    const NAME: &'static str;
    /// In messages.
    const TITLE: &'static str;
    /// What a list has the names of objects in.
    const LISTED: &'static str;

    /// What the objects' names begin with.
    fn path(&self) -> &str;

    /// The address of the bucket, or of the object in it whose encoded name this is.
    fn address(&self, object: &str) -> String;

    /// The query that lists the objects whose names begin with an encoded text; at most so many.
    fn list(&self, prefix: &str, most: Option<u32>) -> String;

    /// What else a request needs to be served.
    fn sign(
        &self,
        request: &mut Request<Full<Bytes>>,
        body: &[u8],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The server did not know who a request came from.
    fn refused(&self, _request: &Request<Full<Bytes>>) {}

    /// How the server's certificate is checked.
    fn tls(&self) -> TlsOptions {
        TlsOptions::default()
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Objects<B> {
    bucket: B,
    max_bytes: usize,
    transport: Transport,
}

impl<B: Bucket> Objects<B> {
    pub(super) fn new(bucket: B, max_entry_bytes: u64) -> Self {
        let connect_timeout = Duration::from_secs(2);
        let options = TransportOptions { connect_timeout, tls: bucket.tls(), ..TransportOptions::default() };
        // With what is kept beside the answer.
        let max_bytes = usize::try_from(max_entry_bytes).unwrap_or(usize::MAX).saturating_add(64 << 10);
        Self { bucket, max_bytes, transport: Transport::new(options) }
    }

    /// The operator's path and our folder.
    fn folder(&self) -> String {
        let path = self.bucket.path().trim_matches('/');
        let slash = if path.is_empty() { "" } else { "/" };
        format!("{path}{slash}{FOLDER}")
    }

    fn name(&self, key: &Key) -> String {
        format!("{}{}", self.folder(), key.hex())
    }

    async fn send(
        &self,
        method: Method,
        object: &str,
        query: &str,
        body: Bytes,
    ) -> Result<Response<ProviderBody>, StoreError> {
        let encoded: Vec<String> =
            object.split('/').map(|part| utf8_percent_encode(part, ENCODED).to_string()).collect();
        let mark = if query.is_empty() { "" } else { "?" };
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{mark}{query}", self.bucket.address(&encoded.join("/"))))
            .header(CONTENT_LENGTH, body.len())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"))
            .body(Full::new(body.clone()))
            .map_err(|error| {
                StoreError::new(format!("the {} cache has no sound address: {error}", B::TITLE))
            })?;
        self.bucket.sign(&mut request, &body).await?;
        let sent = self.transport.send(|| request.clone(), true, PATIENCE).await;
        let response = sent.map_err(|error| StoreError::new(error.to_string()))?;
        if response.status() == StatusCode::UNAUTHORIZED {
            self.bucket.refused(&request);
        }
        Ok(response)
    }

    /// The same; whatever is no success is an error, told in the server's words.
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
        if status.is_success() { Ok(body) } else { Err(refused::<B>(status, &body)) }
    }

    async fn one(&self, key: &Key) -> Result<Option<Arc<Entry>>, StoreError> {
        let response = self.send(Method::GET, &self.name(key), "", Bytes::new()).await?;
        match response.status() {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => {
                Ok(Entry::decode(&read(response, self.max_bytes).await?).map(Arc::new))
            }
            status => Err(refused::<B>(status, &read(response, MAX_LIST_BYTES).await?)),
        }
    }

    /// Takes one out; not to find it is as good.
    async fn remove(&self, name: &str) -> Result<(), StoreError> {
        let response = self.send(Method::DELETE, name, "", Bytes::new()).await?;
        match response.status() {
            StatusCode::NOT_FOUND => Ok(()),
            status if status.is_success() => Ok(()),
            status => Err(refused::<B>(status, &read(response, MAX_LIST_BYTES).await?)),
        }
    }

    /// Takes out what is there, page by page.
    async fn clear_all(&self) -> Result<(), StoreError> {
        let folder = self.folder();
        let query = self.bucket.list(&utf8_percent_encode(&folder, ENCODED).to_string(), None);
        let (start, end) = (format!("<{}>", B::LISTED), format!("</{}>", B::LISTED));
        loop {
            // What was listed is gone when it is listed again.
            let page = self.done(Method::GET, "", &query, Bytes::new()).await?;
            let page = String::from_utf8_lossy(&page).into_owned();
            let names = page.split(start.as_str()).skip(1);
            let names: Vec<&str> = names.filter_map(|rest| ours(rest.split(end.as_str()).next()?)).collect();
            if names.is_empty() {
                return Ok(());
            }
            for name in names {
                self.remove(&format!("{folder}{name}")).await?;
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
fn refused<B: Bucket>(status: StatusCode, body: &[u8]) -> StoreError {
    let body = String::from_utf8_lossy(body);
    let code = body.split("<Code>").nth(1).and_then(|rest| rest.split('<').next()).unwrap_or("no reason");
    StoreError::new(format!("{} answered {}: {code}", B::TITLE, status.as_u16()))
}

impl<B: Bucket> Store for Objects<B> {
    fn name(&self) -> &'static str {
        B::NAME
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
            let delete = |key: &'s Key| async move { self.remove(&self.name(key)).await };
            all(keys, delete).await.map(|_| ())
        })
    }

    fn clear(&self) -> Work<'_, ()> {
        Box::pin(self.clear_all())
    }

    fn ping(&self) -> Work<'_, ()> {
        Box::pin(async move {
            self.done(Method::GET, "", &self.bucket.list("", Some(1)), Bytes::new()).await.map(|_| ())
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
    fn the_server_says_why() {
        let body = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>";
        assert_eq!(refused::<S3>(StatusCode::FORBIDDEN, body).to_string(), "S3 answered 403: AccessDenied");
        let silent = refused::<AzureBlob>(StatusCode::BAD_GATEWAY, b"");
        assert_eq!(silent.to_string(), "Azure Blob Storage answered 502: no reason");
    }
}
