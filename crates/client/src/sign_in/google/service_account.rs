//! A service account's own key: a JWT signed with it is exchanged for a token
//! (<https://developers.google.com/identity/protocols/oauth2/service-account#authorizingrequests>, read 2026-11-21).

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::json;

use super::Fields;
use crate::Secret;
use crate::sign_in::token_client::Question;
use crate::sign_in::{Fetching, SignInError, TokenClient, TokenEndpoint, TokenSource};

/// How long an assertion and so its token is good, in seconds: the most that Google allows.
const LIFETIME: u64 = 3600;

/// A service account that can sign.
pub(super) struct ServiceAccount {
    email: String,
    key_id: Option<String>,
    key: RsaKeyPair,
    /// The key as it was given, to tell accounts apart.
    pem: Secret,
    endpoint: TokenEndpoint,
}

impl ServiceAccount {
    pub(super) fn of(fields: &Fields) -> Result<Self, String> {
        let pem = fields.secret("private_key")?;
        Ok(Self {
            email: fields.text("client_email")?.to_owned(),
            key_id: fields.text("private_key_id").ok().map(str::to_owned),
            key: key_pair(pem.expose()).map_err(|why| format!("its `private_key` {why}"))?,
            pem,
            endpoint: fields.token_endpoint()?,
        })
    }

    /// The JWT that asks for a token.
    fn assertion(&self, scope: &str, now: SystemTime) -> Result<String, SignInError> {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut header = json!({"alg": "RS256", "typ": "JWT"});
        if let (Some(id), Some(header)) = (&self.key_id, header.as_object_mut()) {
            header.insert("kid".to_owned(), json!(id));
        }
        // The audience is the server's address as it is written in the file.
        let claims = json!({
            "iss": self.email,
            "scope": scope,
            "aud": self.endpoint.uri().to_string(),
            "iat": now,
            "exp": now + LIFETIME,
        });
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let signed =
            format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .map_err(|_| SignInError::lasting("its key does not sign"))?;
        Ok(format!("{signed}.{}", encode(&signature)))
    }
}

fn key_pair(pem: &str) -> Result<RsaKeyPair, String> {
    let der = PrivateKeyDer::from_pem_slice(pem.as_bytes())
        .map_err(|_| "is no PEM text (are its line breaks written as `\\n`?)".to_owned())?;
    let pair = match &der {
        PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
        PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
        _ => return Err("is no RSA key".to_owned()),
    };
    pair.map_err(|why| format!("is no RSA key that can sign: {why}"))
}

impl fmt::Debug for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceAccount").field("email", &self.email).finish_non_exhaustive()
    }
}

/// Its tokens for one scope.
#[derive(Debug)]
pub(super) struct Tokens {
    account: Arc<ServiceAccount>,
    scope: String,
}

impl Tokens {
    pub(super) fn new(account: Arc<ServiceAccount>, scope: &str) -> Self {
        Self { account, scope: scope.to_owned() }
    }
}

impl TokenSource for Tokens {
    fn who(&self) -> String {
        format!("the service account `{}`", self.account.email)
    }

    fn identity(&self) -> Secret {
        let ServiceAccount { email, pem, endpoint, .. } = &*self.account;
        Secret::new(format!("{email}\n{}\n{}\n{}", pem.expose(), endpoint.uri(), self.scope))
    }

    fn token<'s>(&'s self, client: &'s TokenClient) -> Fetching<'s> {
        Box::pin(async move {
            let assertion = self.account.assertion(&self.scope, SystemTime::now())?;
            let fields = [
                ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
                ("assertion", assertion.as_str()),
            ];
            client.grant(Question::form(&self.account.endpoint, &fields)).await
        })
    }
}

#[cfg(test)]
mod tests;
