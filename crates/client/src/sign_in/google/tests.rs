use std::collections::HashMap;

use serde_json::json;

use super::*;
use crate::sign_in::fake::{TokenServer, form_of};
use crate::sign_in::{Grant, SignInError, TokenClient};
use crate::transport::TransportOptions;

const SCOPE: &str = "https://example.com/scope";

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tollway-google-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_string_lossy().into_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn user(token_uri: &str) -> serde_json::Value {
    json!({
        "type": "authorized_user", "client_id": "id", "client_secret": "hush", "refresh_token": "1//again",
        "quota_project_id": "billed", "token_uri": token_uri,
    })
}

fn find(given: Option<&str>, variables: &[(&str, &str)]) -> Result<Credentials, String> {
    let variables: HashMap<&str, &str> = variables.iter().copied().collect();
    let given = given.map(Secret::new);
    Credentials::find(given.as_ref(), &|name| variables.get(name).map(|value| Secret::new(*value)))
}

fn who(found: &Result<Credentials, String>) -> String {
    found.as_ref().map_or_else(Clone::clone, |found| found.token_source(SCOPE).who())
}

async fn token(credentials: &Credentials) -> Result<Grant, SignInError> {
    let client = TokenClient::new(TransportOptions::default());
    credentials.token_source(SCOPE).token(&client).await
}

#[test]
fn what_is_given_comes_before_what_is_found() {
    let folder = Folder::new("found");
    let user = user("https://oauth2.googleapis.com/token").to_string();
    let path = folder.write("application_default_credentials.json", &user);
    let gcloud = folder.0.to_string_lossy().into_owned();
    let machine = "the service account of this machine (no Google credentials are given)";
    let signed_in = "the user of `gcloud auth application-default login`";
    let broken = folder.write("broken.json", "{\n \"type\": secret");
    for (given, variables, expected) in [
        (Some(user.as_str()), &[][..], signed_in.to_owned()),
        (Some(path.as_str()), &[], signed_in.to_owned()),
        (None, &[("GOOGLE_APPLICATION_CREDENTIALS", path.as_str())], signed_in.to_owned()),
        (None, &[("CLOUDSDK_CONFIG", gcloud.as_str())], signed_in.to_owned()),
        (None, &[("HOME", gcloud.as_str())], machine.to_owned()),
        (None, &[], machine.to_owned()),
        (
            Some("/no/such/file.json"),
            &[],
            "the file of Google credentials `/no/such/file.json` cannot be used: No such file or directory (os error 2)"
                .to_owned(),
        ),
        (
            None,
            &[("GOOGLE_APPLICATION_CREDENTIALS", broken.as_str())],
            format!(
                "the file of Google credentials `{broken}` cannot be used: it is no JSON object (line 2, column 10) \
                 (`GOOGLE_APPLICATION_CREDENTIALS`)"
            ),
        ),
        (
            None,
            &[("GCE_METADATA_HOST", "evil.example")],
            "`GCE_METADATA_HOST`: `http://evil.example/computeMetadata/v1/instance/service-accounts/default/token` is \
             not encrypted, and no address of this machine's own platform"
                .to_owned(),
        ),
    ] {
        assert_eq!(who(&find(given, variables)), expected);
    }
}

#[tokio::test]
async fn a_user_s_refresh_token_is_exchanged() {
    let server = TokenServer::start(&[(200, r#"{"access_token":"t","expires_in":60}"#)]).await;
    let credentials = Credentials::from_json(&user(&server.url("/token")).to_string()).unwrap();
    assert_eq!(credentials.quota_project.as_deref(), Some("billed"));
    assert_eq!(token(&credentials).await.unwrap().token.expose(), "t");
    let form = form_of(&server.seen()[0]);
    let expected = [
        ("grant_type", "refresh_token"),
        ("client_id", "id"),
        ("client_secret", "hush"),
        ("refresh_token", "1//again"),
    ];
    assert_eq!(form, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert!(!format!("{credentials:?}").contains("again"));
}

#[tokio::test]
async fn the_metadata_server_is_asked_for_the_machine() {
    let server = TokenServer::start(&[(200, r#"{"access_token":"t","expires_in":60}"#), (404, "")]).await;
    let host = server.url("").replace("http://", "");
    let credentials = find(None, &[("GCE_METADATA_HOST", &host)]).unwrap();
    assert_eq!(token(&credentials).await.unwrap().token.expose(), "t");
    let request = server.seen()[0].clone();
    let path = "GET /computeMetadata/v1/instance/service-accounts/default/token?scopes=https%3A%2F%2Fexample.com%2Fscope ";
    assert!(request.starts_with(path), "{request}");
    assert!(request.contains("metadata-flavor: Google\r\n"), "{request}");
    let error = token(&credentials).await.unwrap_err().to_string();
    assert!(
        error.contains("answered 404; on a machine outside of Google Cloud set the credentials"),
        "{error}"
    );
}

#[tokio::test]
async fn one_account_acts_as_another() {
    let server = TokenServer::start(&[
        (200, r#"{"access_token":"own","expires_in":60}"#),
        (200, r#"{"accessToken":"other","expireTime":"2026-11-21T10:00:00Z"}"#),
    ])
    .await;
    let acting = json!({
        "type": "impersonated_service_account",
        "service_account_impersonation_url": server.url("/v1/projects/-/serviceAccounts/b@x:generateAccessToken"),
        "source_credentials": user(&server.url("/token")), "delegates": ["c"],
    });
    let credentials = Credentials::from_json(&acting.to_string()).unwrap();
    let grant = token(&credentials).await.unwrap();
    assert_eq!((grant.token.expose(), grant.lifetime.as_secs()), ("other", 3600));
    let request = server.seen()[1].clone();
    assert!(request.contains("authorization: Bearer own\r\n"), "{request}");
    assert!(
        request.ends_with(&json!({"scope": [SCOPE], "lifetime": "3600s", "delegates": ["c"]}).to_string())
    );
}

#[tokio::test]
async fn another_provider_vouches_for_a_workload() {
    let folder = Folder::new("federated");
    let path = folder.write("token.json", r#"{"jwt":"subject"}"#);
    let server = TokenServer::start(&[(200, r#"{"access_token":"t","expires_in":60}"#)]).await;
    let federated = json!({
        "type": "external_account", "audience": "//iam.googleapis.com/pool", "token_url": server.url("/v1/token"),
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "credential_source": {"file": path, "format": {"type": "json", "subject_token_field_name": "jwt"}},
    });
    let credentials = Credentials::from_json(&federated.to_string()).unwrap();
    assert_eq!(token(&credentials).await.unwrap().token.expose(), "t");
    let form = form_of(&server.seen()[0]);
    let of = |name: &str| form.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    assert_eq!(of("grant_type"), Some("urn:ietf:params:oauth:grant-type:token-exchange"));
    assert_eq!((of("subject_token"), of("scope")), (Some("subject"), Some(SCOPE)));
    std::fs::remove_file(&path).unwrap();
    let gone = token(&credentials).await.unwrap_err().to_string();
    assert!(gone.contains(&format!("the file `{path}` of its subject token: No such file")), "{gone}");
}

#[test]
fn subject_tokens_that_aws_signs_are_not_known() {
    let federated = json!({
        "type": "external_account", "audience": "a", "token_url": "https://sts.googleapis.com/v1/token",
        "subject_token_type": "urn:ietf:params:aws:token-type:aws4_request",
        "credential_source": {"environment_id": "aws1"},
    });
    let why = Credentials::from_json(&federated.to_string()).unwrap_err();
    assert!(why.starts_with("its `credential_source` names no `file` and no `url`"), "{why}");
}
