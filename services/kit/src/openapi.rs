//! The published document: OpenAPI 3.1, made from what poem-openapi writes.
//!
//! poem-openapi writes 3.0.0, gives a path twice when two structs share it, and leaves out what
//! every operation here has in common. [`publish`] mends that, so that linters, generators and
//! property tests have nothing to complain about.

use poem::http::{StatusCode, header};
use poem::{Endpoint, Request, Response};
use saga_engine::saga_core::digest;
use serde_json::{Value, json};

mod merge;
mod modern;
mod shared;

/// The document of a service, from its poem-openapi documents.
pub fn publish(title: &str, specs: &[String]) -> Value {
    let mut document = merge::merge(specs);
    modern::modernise(&mut document);
    shared::complete(&mut document, title);
    document
}

/// The document as YAML.
pub fn to_yaml(document: &Value) -> String {
    serde_yaml_ng::to_string(document).unwrap_or_default()
}

/// Serves the document as JSON.
pub fn json_endpoint(document: &Value) -> impl Endpoint<Output = Response> + 'static {
    constant("application/json", format!("{document:#}\n"))
}

/// Serves the document as YAML.
pub fn yaml_endpoint(document: &Value) -> impl Endpoint<Output = Response> + 'static {
    constant("application/yaml", to_yaml(document))
}

/// Serves a text that never changes, with its ETag.
fn constant(
    content_type: &'static str,
    text: String,
) -> impl Endpoint<Output = Response> + 'static {
    let digest = digest(&json!(text));
    let etag = format!("\"{}\"", digest.trim_start_matches("sha256:"));
    poem::endpoint::make_sync(move |request: Request| {
        let response = Response::builder().header(header::ETAG, &etag).content_type(content_type);
        match request.header(header::IF_NONE_MATCH) {
            Some(known) if known.contains(&etag) => {
                response.status(StatusCode::NOT_MODIFIED).finish()
            }
            _ => response.body(text.clone()),
        }
    })
}

#[cfg(test)]
mod tests;
