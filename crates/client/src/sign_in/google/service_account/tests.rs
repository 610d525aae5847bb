use std::time::Duration;

use ring::signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::Value;

use super::*;
use crate::sign_in::fake::{TokenServer, form_of};
use crate::sign_in::google::Credentials;
use crate::transport::TransportOptions;

/// Belongs to nobody: it was made for these tests.
const KEY: &str = include_str!("throw-away-key.pem");
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

fn file(token_uri: &str) -> Value {
    json!({
        "type": "service_account", "project_id": "our-project", "private_key_id": "key-1", "private_key": KEY,
        "client_email": "gate@our-project.iam.gserviceaccount.com", "token_uri": token_uri,
    })
}

fn decoded(part: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[test]
fn an_assertion_is_signed_and_says_who_for_what_and_how_long() {
    let fields: Fields = serde_json::from_value(file("https://oauth2.googleapis.com/token")).unwrap();
    let account = ServiceAccount::of(&fields).unwrap();
    let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let assertion = account.assertion(SCOPE, now).unwrap();
    let parts: Vec<&str> = assertion.split('.').collect();
    let [header, claims, signature] = parts[..] else { panic!("{assertion}") };
    assert_eq!(decoded(header), json!({"alg": "RS256", "typ": "JWT", "kid": "key-1"}));
    assert_eq!(
        decoded(claims),
        json!({
            "iss": "gate@our-project.iam.gserviceaccount.com", "scope": SCOPE,
            "aud": "https://oauth2.googleapis.com/token", "iat": 1_800_000_000, "exp": 1_800_003_600,
        })
    );
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, account.key.public_key().as_ref());
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    public.verify(format!("{header}.{claims}").as_bytes(), &signature).unwrap();
}

#[tokio::test]
async fn a_token_is_got_for_an_assertion() {
    let server = TokenServer::start(&[(200, r#"{"access_token":"ya29.x","expires_in":3599}"#)]).await;
    let credentials = Credentials::from_json(&file(&server.url("/token")).to_string()).unwrap();
    assert_eq!(credentials.project.as_deref(), Some("our-project"));
    let client = TokenClient::new(TransportOptions::default());
    let grant = credentials.token_source(SCOPE).token(&client).await.unwrap();
    assert_eq!((grant.token.expose(), grant.lifetime.as_secs()), ("ya29.x", 3599));
    let seen = server.seen();
    assert!(seen[0].starts_with("POST /token HTTP/1.1\r\n"), "{}", seen[0]);
    let form = form_of(&seen[0]);
    assert_eq!(form[0], ("grant_type".to_owned(), "urn:ietf:params:oauth:grant-type:jwt-bearer".to_owned()));
    assert_eq!(form[1].0, "assertion");
    assert_eq!(decoded(form[1].1.split('.').nth(1).unwrap())["aud"], server.url("/token"));
}

#[test]
fn what_is_wrong_with_a_file_is_said_and_not_the_key() {
    let mut odd = file("https://oauth2.googleapis.com/token");
    for (name, value, expected) in [
        (
            "private_key",
            json!("no key"),
            "its `private_key` is no PEM text (are its line breaks written as `\\n`?)",
        ),
        ("client_email", json!(""), "it has no `client_email`"),
        (
            "token_uri",
            json!("http://evil.example/token"),
            "its `token_uri`: `http://evil.example/token` is not encrypted",
        ),
        ("type", json!("gdch_service_account"), "its `type` is `gdch_service_account`"),
        ("type", Value::Null, "it has no `type`"),
    ] {
        let before = odd[name].clone();
        odd[name] = value;
        let why = Credentials::from_json(&odd.to_string()).unwrap_err();
        assert!(why.starts_with(expected), "{why}");
        odd[name] = before;
    }
    let shown = format!("{:?}", Credentials::from_json(&odd.to_string()).unwrap());
    assert!(
        shown.contains("gate@our-project") && !shown.contains("PRIVATE") && !shown.contains("MII"),
        "{shown}"
    );
}
