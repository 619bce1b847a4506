//! The description of the API, OpenAPI 3.1, made from the operations and their types.

use crate::api::{OPERATIONS, Operation, Parameter};
use crate::problem::{Cause, Problem};
use crate::reply::{JSON, PROBLEM};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The description for a program of this version.
pub(crate) fn description(version: &str) -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    let mut generator = settings.into_generator();
    let problem = generator.subschema_for::<Problem>().to_value();
    let mut paths = Map::new();
    for operation in &OPERATIONS {
        let described = described(operation, &problem, &mut generator);
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method.to_ascii_lowercase()] = described;
    }
    let schemas = generator.take_definitions(true);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Narrows admin API",
            "version": version,
            "description": "Reads how a running process is, and changes it. Every problem is RFC 9457 with a stable `cause`."
        },
        "security": [{}, { "token": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "Needed over TCP, where the configuration names a token."
                }
            }
        }
    })
}

fn described(operation: &Operation, problem: &Value, generator: &mut SchemaGenerator) -> Value {
    let (status, content_type, schema) = operation.answer;
    let mut responses = Map::new();
    let mut answer = json!({ "description": "It was done." });
    if !content_type.is_empty() {
        let media = match schema {
            Some(schema) => json!({ "schema": schema(generator).to_value() }),
            None => json!({}),
        };
        let bare = content_type.split(';').next().unwrap_or(content_type);
        answer["content"] = json!({ bare: media });
    }
    responses.insert(status.to_string(), answer);
    for (status, causes) in problems(operation) {
        let words: Vec<String> =
            causes.iter().map(|cause| format!("`{}`: {}", cause.word(), cause.title())).collect();
        let content = json!({ PROBLEM: { "schema": problem } });
        responses.insert(status.to_string(), json!({ "description": words.join(" "), "content": content }));
    }
    let mut value = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "responses": responses,
    });
    if !operation.parameters.is_empty() {
        value["parameters"] = operation.parameters.iter().map(parameter).collect();
    }
    if let Some(body) = operation.body {
        let content = json!({ JSON: { "schema": body(generator).to_value() } });
        value["requestBody"] = json!({ "required": true, "content": content });
    }
    if operation.is_public {
        value["security"] = json!([]);
    }
    value
}

/// By status, the causes of problems that an operation may have.
fn problems(operation: &Operation) -> BTreeMap<u16, Vec<Cause>> {
    let mut all: Vec<Cause> = operation.causes.to_vec();
    all.push(Cause::ForeignOrigin);
    if !operation.is_public {
        all.push(Cause::Unauthorized);
    }
    if operation.body.is_some() {
        all.extend([Cause::SlowBody, Cause::LargeBody, Cause::NotJson]);
    }
    let mut by_status: BTreeMap<u16, Vec<Cause>> = BTreeMap::new();
    for cause in all {
        by_status.entry(cause.status()).or_default().push(cause);
    }
    by_status
}

fn parameter(parameter: &Parameter) -> Value {
    json!({
        "name": parameter.name,
        "in": "path",
        "required": true,
        "description": parameter.text,
        "example": parameter.example,
        "schema": { "type": "string", "minLength": 1 }
    })
}
