//! Azure Blob Storage (<https://learn.microsoft.com/rest/api/storageservices/blob-service-rest-api>, read 2026-11-21).

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request};
use http_body_util::Full;
use tollway::sign_in::{TokenSource, entra};

use super::Bucket;
use super::tokens::Tokens;
use crate::cache::store::StoreError;
use crate::config::AzureBlobSettings;
use crate::events::log::timestamp;

const SCOPE: &str = "https://storage.azure.com/.default";
const VERSION: HeaderName = HeaderName::from_static("x-ms-version");
const DATE: HeaderName = HeaderName::from_static("x-ms-date");
const BLOB_TYPE: HeaderName = HeaderName::from_static("x-ms-blob-type");

#[derive(Debug)]
pub(crate) struct AzureBlob {
    settings: AzureBlobSettings,
    tokens: Tokens,
}

impl AzureBlob {
    pub(crate) fn new(settings: AzureBlobSettings) -> Self {
        let tokens = Tokens::of(token_source(&settings), &settings.account);
        Self { settings, tokens }
    }

    /// Why nobody can sign in, as far as that can be known beforehand.
    pub(crate) fn problem(settings: &AzureBlobSettings) -> Option<String> {
        token_source(settings).err()
    }
}

/// As LiteLLM's `DefaultAzureCredential`: Azure's variables, else the identity of this machine.
fn token_source(settings: &AzureBlobSettings) -> Result<Box<dyn TokenSource>, String> {
    let variable = |name: &str| settings.variables.get(name).cloned();
    let who = entra::Settings { scope: SCOPE.to_owned(), asks_platform: true, ..entra::Settings::default() };
    who.token_source(&variable).map_err(|why| why.to_string())
}

impl Bucket for AzureBlob {
    const NAME: &'static str = "azure-blob";
    const TITLE: &'static str = "Azure Blob Storage";
    const LISTED: &'static str = "Name";

    fn path(&self) -> &str {
        ""
    }

    fn address(&self, object: &str) -> String {
        let AzureBlobSettings { account, container, .. } = &self.settings;
        let slash = if object.is_empty() { "" } else { "/" };
        format!("{account}/{container}{slash}{object}")
    }

    fn list(&self, prefix: &str, most: Option<u32>) -> String {
        let most = most.map(|most| format!("&maxresults={most}")).unwrap_or_default();
        format!("restype=container&comp=list&prefix={prefix}{most}")
    }

    async fn sign(&self, request: &mut Request<Full<Bytes>>, _: &[u8]) -> Result<(), StoreError> {
        let is_put = request.method() == Method::PUT;
        let headers = request.headers_mut();
        headers.insert(VERSION, HeaderValue::from_static("2023-11-03"));
        if let Ok(date) = HeaderValue::from_str(&http_date(SystemTime::now())) {
            headers.insert(DATE, date);
        }
        if is_put {
            headers.insert(BLOB_TYPE, HeaderValue::from_static("BlockBlob"));
        }
        self.tokens.sign(request).await
    }

    fn refused(&self, request: &Request<Full<Bytes>>) {
        self.tokens.refused(request);
    }
}

/// `Sat, 21 Nov 2026 09:30:00 GMT` (RFC 9110, section 5.6.7).
fn http_date(now: SystemTime) -> String {
    const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let days = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / 86_400;
    let weekday = WEEKDAYS.iter().cycle().nth(usize::try_from(days % 7).unwrap_or_default());
    // `2026-11-21T09:30:00.000Z`
    let text = timestamp(now);
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    let month = part(5, 7).parse::<usize>().ok().and_then(|month| MONTHS.get(month.checked_sub(1)?));
    let (weekday, month) = (weekday.copied().unwrap_or_default(), month.copied().unwrap_or_default());
    format!("{weekday}, {} {month} {} {} GMT", part(8, 10), part(0, 4), part(11, 19))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn dates_are_http_s() {
        for (seconds, expected) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (1_795_253_400, "Sat, 21 Nov 2026 09:30:00 GMT"),
        ] {
            assert_eq!(http_date(UNIX_EPOCH + Duration::from_secs(seconds)), expected);
        }
    }
}
