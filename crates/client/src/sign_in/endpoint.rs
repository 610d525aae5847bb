use std::net::{IpAddr, Ipv6Addr};

use http::Uri;
use http::uri::Authority;

/// The address of a token server: one to which a credential may be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenEndpoint {
    uri: Uri,
    /// Only this machine or its platform answers there: no proxy is asked.
    local: bool,
}

impl TokenEndpoint {
    /// A server on the net: encrypted, or on this machine.
    ///
    /// # Errors
    /// In words, when it is neither, or no address.
    pub fn remote(url: &str) -> Result<Self, String> {
        let uri = parse(url)?;
        let local = address_of(&uri).is_some_and(|address| address.is_loopback());
        if local || uri.scheme_str() == Some("https") {
            return Ok(Self { uri, local });
        }
        Err(format!("`{}` is not encrypted: a credential is sent to `https://` only", shown(&uri)))
    }

    /// What a cloud gives its machines under an address that only they reach: unencrypted where it is one of those.
    ///
    /// # Errors
    /// In words, when it is another address, or none.
    pub fn of_platform(url: &str) -> Result<Self, String> {
        let uri = parse(url)?;
        let near = uri.host() == Some("metadata.google.internal") || address_of(&uri).is_some_and(is_near);
        if near || uri.scheme_str() == Some("https") {
            return Ok(Self { uri, local: near });
        }
        Err(format!("`{}` is not encrypted, and no address of this machine's own platform", shown(&uri)))
    }

    /// The same with further fields in its query.
    ///
    /// # Errors
    /// When they make no address.
    pub(super) fn with_query(&self, query: &str) -> Result<Self, String> {
        let mark = if self.uri.query().is_some() { '&' } else { '?' };
        Ok(Self { uri: parse(&format!("{}{mark}{query}", self.uri))?, local: self.local })
    }

    pub(super) fn uri(&self) -> &Uri {
        &self.uri
    }

    pub(super) fn is_local(&self) -> bool {
        self.local
    }

    /// Without query.
    #[must_use]
    pub fn shown(&self) -> String {
        shown(&self.uri)
    }
}

fn parse(url: &str) -> Result<Uri, String> {
    let uri: Uri = url.parse().map_err(|error| format!("`{url}` is not an address: {error}"))?;
    match (uri.scheme_str(), uri.authority()) {
        // Whatever stands before an `@` may be a secret, and would not be sent.
        (Some("http" | "https"), Some(authority)) if !authority.as_str().contains('@') => Ok(uri),
        _ => Err(format!("`{}` is not the address of a token server", shown(&uri))),
    }
}

fn shown(uri: &Uri) -> String {
    let host = uri.authority().map(Authority::as_str).unwrap_or_default();
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    format!("{}://{host}{}", uri.scheme_str().unwrap_or("http"), uri.path())
}

fn address_of(uri: &Uri) -> Option<IpAddr> {
    let host = uri.host()?;
    if host == "localhost" {
        return Some(IpAddr::V6(Ipv6Addr::LOCALHOST));
    }
    host.trim_matches(['[', ']']).parse().ok()
}

/// Loopback, link-local and private addresses.
fn is_near(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_link_local() || v4.is_private(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unicast_link_local() || v6.is_unique_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_go_out_encrypted_or_stay_on_this_machine() {
        for url in [
            "https://oauth2.googleapis.com/token",
            "http://127.0.0.1:9/t",
            "http://[::1]/t",
            "http://localhost/t",
        ] {
            assert!(TokenEndpoint::remote(url).is_ok(), "{url}");
        }
        for url in [
            "http://oauth2.googleapis.com/token",
            "http://10.0.0.1/t",
            "http://127.0.0.1.evil.example/t",
            "http://localhost@evil.example/t",
            "https://user:secret@host/t",
            "ftp://127.0.0.1/t",
            "/token",
            "",
        ] {
            let refused = TokenEndpoint::remote(url).unwrap_err();
            assert!(!refused.contains("secret"), "{refused}");
        }
    }

    #[test]
    fn a_platform_is_asked_where_only_its_machines_reach_it() {
        for url in [
            "http://169.254.169.254/metadata",
            "http://metadata.google.internal/x",
            "http://localhost:4141/msi",
        ] {
            assert!(TokenEndpoint::of_platform(url).unwrap().is_local(), "{url}");
        }
        assert!(!TokenEndpoint::of_platform("https://host.example/msi").unwrap().is_local());
        assert!(TokenEndpoint::of_platform("http://host.example/msi").is_err());
    }

    #[test]
    fn a_query_is_appended_and_not_shown() {
        let endpoint = TokenEndpoint::remote("https://host/t?a=1").unwrap().with_query("b=2").unwrap();
        assert_eq!(endpoint.uri().to_string(), "https://host/t?a=1&b=2");
        assert_eq!(endpoint.shown(), "https://host/t");
    }
}
