//! The API's own description.

#![allow(clippy::indexing_slicing, reason = "a field of a JSON object is set, which cannot panic")]

use axum::response::{Html, Json};
use serde_json::{Map, Value, json};

use super::table::{Access, ROUTES, Route};

pub(super) async fn home() -> Json<Value> {
    Json(json!({
        "name": "Tollway",
        "version": env!("CARGO_PKG_VERSION"),
        "documentation": "/docs",
        "openapi": "/openapi.json",
        "models": "/v1/models",
    }))
}

/// LiteLLM's list: path, methods, name.
pub(super) async fn routes() -> Json<Value> {
    let entries = ROUTES.iter().flat_map(|route| {
        std::iter::once(&route.path)
            .chain(route.aliases)
            .map(move |path| json!({"path": path, "methods": [route.method], "name": route.summary}))
    });
    let managed = api::route::all().flat_map(|route| {
        std::iter::once(&route.path)
            .chain(route.aliases)
            .map(move |path| json!({"path": path, "methods": [route.method], "name": route.summary}))
    });
    let entries = entries.chain(managed);
    Json(json!({"routes": entries.collect::<Vec<_>>()}))
}

pub(super) async fn openapi() -> Json<Value> {
    Json(description())
}

/// `OpenAPI` 3.1.
pub(crate) fn description() -> Value {
    let mut paths = Map::new();
    for route in ROUTES {
        for path in std::iter::once(&route.path).chain(route.aliases) {
            let entry = paths.entry((*path).to_owned()).or_insert_with(|| json!({}));
            entry[route.method.to_lowercase()] = operation(route, path);
        }
    }
    for route in api::route::all() {
        for path in std::iter::once(&route.path).chain(route.aliases) {
            let entry = paths.entry((*path).to_owned()).or_insert_with(|| json!({}));
            entry[route.method.to_lowercase()] = managed_operation(route, path);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tollway",
            "description": "One gate to every LLM. Bodies of the model routes are the vendors' own; see their specifications.",
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
                "x-goog-api-key": {"type": "apiKey", "in": "header", "name": "x-goog-api-key"},
                "api-key": {"type": "apiKey", "in": "header", "name": "api-key"},
            },
            "schemas": {
                "Error": {
                    "type": "object",
                    "description": "OpenAI's shape; the Anthropic and Google routes answer in their own.",
                    "properties": {"error": {"type": "object", "properties": {
                        "message": {"type": "string"},
                        "type": {"type": "string"},
                        "param": {"type": ["string", "null"]},
                        "code": {"type": "string", "description": "The HTTP status"},
                    }}},
                },
            },
        },
    })
}

/// An operation of the management API, whose fields are known one by one.
fn managed_operation(managed: &api::route::Route, path: &str) -> Value {
    let mut operation = operation(&documented(managed), path);
    let query = managed.query.iter().map(|field| {
        json!({"name": field.name, "in": "query", "required": field.required, "schema": field.kind.schema()})
    });
    if let Some(parameters) = operation["parameters"].as_array_mut() {
        parameters.extend(query);
    }
    let fields: Vec<_> = managed.body.iter().copied().flatten().collect();
    if !fields.is_empty() {
        let properties: Map<String, Value> =
            fields.iter().map(|field| (field.name.to_owned(), field.kind.schema())).collect();
        let required: Vec<&str> =
            fields.iter().filter(|field| field.required).map(|field| field.name).collect();
        operation["requestBody"] = json!({"required": !required.is_empty(), "content": {"application/json": {
            "schema": {"type": "object", "properties": properties, "required": required, "additionalProperties": false}
        }}});
    }
    operation
}

/// A route of the management API as the other ones are documented.
fn documented(managed: &api::route::Route) -> Route {
    Route {
        method: managed.method,
        path: managed.path,
        aliases: managed.aliases,
        access: Access::Key,
        tag: managed.tag,
        summary: managed.summary,
        body: None,
    }
}

fn operation(route: &Route, path: &str) -> Value {
    let names = path.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name);
    let parameters: Vec<Value> = names
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
        .collect();
    let error = json!({"description": "Refused or failed", "content": {"application/json": {
        "schema": {"$ref": "#/components/schemas/Error"}
    }}});
    let mut operation = json!({
        "summary": route.summary,
        "tags": [route.tag],
        "operationId": format!("{} {path}", route.method.to_lowercase()),
        "parameters": parameters,
        "responses": {"200": {"description": "OK"}, "default": error},
        "security": [],
    });
    if route.access != Access::Public {
        operation["security"] =
            json!([{"bearer": []}, {"x-api-key": []}, {"x-goog-api-key": []}, {"api-key": []}]);
    }
    if let Some(body) = route.body {
        operation["requestBody"] = json!({"required": true, "description": body, "content": {
            "application/json": {"schema": {"type": "object"}}
        }});
    }
    operation
}

/// A page without anything from elsewhere: it works in a closed network.
pub(super) async fn page() -> Html<String> {
    let mut rows = String::new();
    let mut tag = "";
    for route in ROUTES.iter().copied().chain(api::route::all().map(documented)) {
        if route.tag != tag {
            tag = route.tag;
            rows.push_str(&format!("<tr class=tag><th colspan=3>{tag}</th></tr>"));
        }
        let others: String =
            route.aliases.iter().map(|alias| format!("<br><small>{}</small>", escaped(alias))).collect();
        let body =
            route.body.map(|body| format!("<br><small>Body: {}</small>", escaped(body))).unwrap_or_default();
        let key = if route.access != Access::Public { " · key" } else { "" };
        rows.push_str(&format!(
            "<tr><td><b>{}</b>{key}</td><td><code>{}</code>{others}</td><td>{}{body}</td></tr>",
            route.method,
            escaped(route.path),
            escaped(route.summary),
        ));
    }
    Html(PAGE.replace("{rows}", &rows).replace("{version}", env!("CARGO_PKG_VERSION")))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

const PAGE: &str = "<!doctype html><html lang=en><meta charset=utf-8><title>Tollway API</title>
<meta name=viewport content='width=device-width'>
<style>
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
td { vertical-align: top; padding: .5rem .75rem; border-top: 1px solid #8884; }
td:first-child { white-space: nowrap; }
tr.tag th { text-align: left; padding: 1.5rem .75rem .25rem; text-transform: capitalize; }
small { opacity: .7; }
</style>
<h1>Tollway {version}</h1>
<p>One gate to every LLM. Send your key as <code>Authorization: Bearer</code>, <code>x-api-key</code>,
<code>x-goog-api-key</code> or <code>api-key</code>. The same as <a href=/openapi.json>OpenAPI</a>.</p>
<table>{rows}</table>
</html>";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::Endpoint;

    #[test]
    fn every_model_route_of_the_table_is_served() {
        for route in ROUTES.iter().filter(|route| route.tag == "models") {
            for path in std::iter::once(&route.path).chain(route.aliases) {
                let path = path.replace("{model}", "gpt-4o");
                assert!(Endpoint::of(&path).is_some(), "{path}");
            }
        }
    }

    #[test]
    fn the_description_names_every_path() {
        let description = description();
        for route in ROUTES {
            assert!(
                description["paths"][route.path][route.method.to_lowercase()].is_object(),
                "{}",
                route.path
            );
        }
    }
}
