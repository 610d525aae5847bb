use std::collections::HashMap;

use super::*;
use crate::sign_in::fake::{TokenServer, form_of};
use crate::sign_in::{Grant, SignInError, TokenClient};
use crate::transport::TransportOptions;

const SCOPE: &str = "https://cognitiveservices.azure.com/.default";
const GOOD: (u16, &str) = (200, r#"{"access_token":"t","expires_in":3599}"#);

fn settings() -> Settings {
    Settings { scope: SCOPE.to_owned(), ..Settings::default() }
}

fn source(settings: &Settings, variables: &[(&str, &str)]) -> Result<Box<dyn TokenSource>, Unusable> {
    let variables: HashMap<&str, &str> = variables.iter().copied().collect();
    settings.token_source(&|name| variables.get(name).map(|value| Secret::new(*value)))
}

async fn token(source: &dyn TokenSource) -> Result<Grant, SignInError> {
    source.token(&TokenClient::new(TransportOptions::default())).await
}

fn form(request: &str) -> HashMap<String, String> {
    form_of(request).into_iter().collect()
}

#[tokio::test]
async fn an_application_signs_in_with_its_secret() {
    let server = TokenServer::start(&[GOOD]).await;
    let settings = Settings {
        tenant_id: Some("contoso.com".to_owned()),
        client_id: Some("app".to_owned()),
        client_secret: Some(Secret::new("hush&=")),
        ..settings()
    };
    let source = source(&settings, &[("AZURE_AUTHORITY_HOST", &server.url("/"))]).unwrap();
    assert_eq!(token(&*source).await.unwrap().token.expose(), "t");
    let request = server.seen()[0].clone();
    assert!(request.starts_with("POST /contoso.com/oauth2/v2.0/token HTTP/1.1\r\n"), "{request}");
    let form = form(&request);
    assert_eq!(form["grant_type"], "client_credentials");
    assert_eq!((form["client_id"].as_str(), form["client_secret"].as_str()), ("app", "hush&="));
    assert_eq!(form["scope"], SCOPE);
    assert!(!format!("{source:?}{settings:?}").contains("hush"));
}

#[tokio::test]
async fn a_user_signs_in_with_a_password() {
    let server = TokenServer::start(&[GOOD]).await;
    let settings = Settings {
        client_id: Some("app".to_owned()),
        username: Some("ada@contoso.com".to_owned()),
        password: Some(Secret::new("hush")),
        ..settings()
    };
    let source = source(&settings, &[("AZURE_AUTHORITY_HOST", &server.url(""))]).unwrap();
    token(&*source).await.unwrap();
    let request = server.seen()[0].clone();
    assert!(request.starts_with("POST /organizations/oauth2/v2.0/token "), "{request}");
    let form = form(&request);
    assert_eq!((form["grant_type"].as_str(), form["username"].as_str()), ("password", "ada@contoso.com"));
}

#[tokio::test]
async fn a_workload_signs_in_with_the_token_in_its_file_as_it_is_then() {
    let path = std::env::temp_dir().join(format!("tollway-entra-{}", std::process::id()));
    let server = TokenServer::start(&[GOOD, GOOD]).await;
    let file = path.to_string_lossy().into_owned();
    let variables = [
        ("AZURE_AUTHORITY_HOST", server.url("/")),
        ("AZURE_TENANT_ID", "tenant".to_owned()),
        ("AZURE_CLIENT_ID", "app".to_owned()),
        ("AZURE_FEDERATED_TOKEN_FILE", file),
    ];
    let variables: Vec<(&str, &str)> =
        variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let source = source(&settings(), &variables).unwrap();
    for subject in ["first", "second"] {
        std::fs::write(&path, format!("{subject}\n")).unwrap();
        token(&*source).await.unwrap();
        let form = form(server.seen().last().unwrap());
        assert_eq!(form["client_assertion"], subject);
        assert_eq!(form["client_assertion_type"], "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    }
    std::fs::remove_file(&path).unwrap();
}

#[tokio::test]
async fn a_reference_to_another_provider_s_token_is_exchanged() {
    let variables =
        [("AZURE_TENANT_ID", "tenant"), ("AZURE_CLIENT_ID", "app"), ("MY_TOKEN", "from the environment")];
    let lookup =
        |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| Secret::new(*value));
    let subject = Subject::of_reference("env/MY_TOKEN", &lookup).unwrap();
    let server = TokenServer::start(&[GOOD]).await;
    let settings = Settings { subject: Some(subject), ..settings() };
    let url = server.url("");
    let mut variables = variables.to_vec();
    variables.push(("AZURE_AUTHORITY_HOST", &url));
    token(&*source(&settings, &variables).unwrap()).await.unwrap();
    assert_eq!(form(&server.seen()[0])["client_assertion"], "from the environment");
}

#[test]
fn references_that_lead_nowhere_are_told() {
    for (reference, expected) in [
        (
            "azure/x",
            "`oidc/azure/…` needs the environment variable `AZURE_FEDERATED_TOKEN_FILE`, which is not set",
        ),
        (
            "github/aud",
            "`oidc/github/…` needs the environment variable `ACTIONS_ID_TOKEN_REQUEST_TOKEN`, which is not set",
        ),
        ("file", "`oidc/file/…` names no file"),
        ("gitlab/x", "`oidc/gitlab/…` is not known; known are"),
    ] {
        let why = Subject::of_reference(reference, &|_| None).unwrap_err();
        assert!(why.starts_with(expected), "{why}");
    }
}

#[tokio::test]
async fn app_service_gives_its_identity_s_token() {
    let server = TokenServer::start(&[(200, r#"{"access_token":"t","expires_on":"1800000000"}"#)]).await;
    let url = server.url("/msi/token");
    let variables = [("IDENTITY_ENDPOINT", url.as_str()), ("IDENTITY_HEADER", "hush")];
    let settings = Settings { client_id: Some("assigned".to_owned()), ..settings() };
    let source = source(&settings, &variables).unwrap();
    assert_eq!(source.who(), "the managed identity `assigned`");
    token(&*source).await.unwrap();
    let request = server.seen()[0].clone();
    let path = "GET /msi/token?api-version=2019-08-01&resource=https%3A%2F%2Fcognitiveservices.azure.com&client_id=assigned ";
    assert!(request.starts_with(path), "{request}");
    assert!(request.contains("x-identity-header: hush\r\n"), "{request}");
    assert!(!format!("{source:?}").contains("hush"));
}

#[tokio::test]
async fn the_metadata_service_is_asked_where_that_is_wanted() {
    assert_eq!(source(&settings(), &[]).unwrap_err(), Unusable::Nothing);
    let server = TokenServer::start(&[GOOD]).await;
    let settings = Settings { asks_platform: true, ..settings() };
    let url = server.url("");
    let source = source(&settings, &[("AZURE_POD_IDENTITY_AUTHORITY_HOST", &url)]).unwrap();
    token(&*source).await.unwrap();
    let request = server.seen()[0].clone();
    assert!(
        request.starts_with("GET /metadata/identity/oauth2/token?api-version=2018-02-01&resource="),
        "{request}"
    );
    assert!(request.contains("metadata: true\r\n"), "{request}");
}

#[test]
fn what_is_said_comes_before_the_environment() {
    let all = [
        ("AZURE_TENANT_ID", "t"),
        ("AZURE_CLIENT_ID", "env"),
        ("AZURE_CLIENT_SECRET", "s"),
        ("AZURE_FEDERATED_TOKEN_FILE", "/f"),
        ("AZURE_USERNAME", "ada"),
        ("AZURE_PASSWORD", "p"),
    ];
    let who = |settings: &Settings, variables: &[(&str, &str)]| source(settings, variables).unwrap().who();
    assert_eq!(who(&settings(), &all), "the Microsoft Entra application `env`");
    let own = Settings { client_id: Some("own".to_owned()), ..settings() };
    assert_eq!(who(&own, &all), "the Microsoft Entra application `own`");
    let password = Settings { password: Some(Secret::new("p")), ..settings() };
    assert_eq!(who(&password, &all), "the Microsoft Entra user `ada`");
    let without_secret: Vec<_> = all.into_iter().filter(|(name, _)| *name != "AZURE_CLIENT_SECRET").collect();
    let shown = format!("{:?}", source(&settings(), &without_secret).unwrap());
    assert!(shown.contains("Assertion(File"), "{shown}");
}

#[test]
fn what_is_missing_is_named() {
    let secret = Settings { client_secret: Some(Secret::new("s")), ..settings() };
    let id = Settings { client_id: Some("app".to_owned()), ..settings() };
    let both = Settings { client_id: Some("app".to_owned()), ..secret.clone() };
    for (settings, variables, missing) in [
        (&secret, &[][..], "`tenant_id`"),
        (&secret, &[("AZURE_TENANT_ID", "t")], "`client_id`"),
        (&both, &[], "`AZURE_TENANT_ID`"),
        (&id, &[("AZURE_TENANT_ID", "t")], "`client_secret`"),
        (&settings(), &[("IDENTITY_ENDPOINT", "http://localhost/x")], "`IDENTITY_HEADER`"),
        (
            &both,
            &[("AZURE_TENANT_ID", "t"), ("AZURE_AUTHORITY_HOST", "http://evil.example")],
            "`AZURE_AUTHORITY_HOST`",
        ),
    ] {
        let why = source(settings, variables).unwrap_err().to_string();
        assert!(why.contains(missing), "{why}");
    }
}
