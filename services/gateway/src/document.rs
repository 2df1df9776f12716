//! The page `/docs`: the document, readable offline, with the demo tokens and faults.

use std::fmt::Write as _;

use jetsaga_contracts::demo;
use poem::web::{Html, Path};
use poem::{Endpoint, IntoResponse as _, Response};
use poem_openapi::OpenApiService;
use serde_json::Value;
use service_kit::Problem;

use crate::api;

/// The pages of `docs/errors/`, in the program: they are there without any network.
#[derive(rust_embed::Embed)]
#[folder = "../../docs/errors"]
struct ErrorPages;

/// The page about an error code: what a problem's `type` leads to.
#[poem::handler]
pub(crate) fn error_page(Path(code): Path<String>) -> poem::Result<Response> {
    let page = ErrorPages::get(&format!("{code}.md"));
    let page = page.ok_or_else(|| Problem::not_found("not_found", "no error has this code"))?;
    Ok(Response::builder()
        .content_type("text/markdown; charset=utf-8")
        .body(page.data.into_owned()))
}

/// What the public document says about itself, in Markdown.
pub fn description() -> String {
    let mut text = String::from(
        "Place an order and see it through to its end, or back to its start.\n\n\
         An order is a saga: order → payment → inventory → notification. \
         `POST /v1/orders` answers as soon as the start is in the log; follow it with \
         `GET /v1/orders/{id}/events`, or wait with `Prefer: wait=10`.\n\n\
         ## Tokens of the payment simulator\n\n| token | what happens |\n|---|---|\n",
    );
    for token in demo::TOKENS {
        // Writing to a string cannot fail.
        writeln!(text, "| `{}` | {} |", token.token, token.effect).unwrap_or_default();
    }
    text.push_str(
        "\n## Other endings\n\n\
         An unknown SKU is refused by the order step, more than there is in stock by the inventory \
         step (what was charged is refunded), and a cancelled order rolls back as long as its \
         confirmation is not due.\n",
    );
    text
}

/// The public document: that of the gateway's routes, under the product's name.
pub fn public() -> Value {
    let version = env!("CARGO_PKG_VERSION");
    let spec = OpenApiService::new(api::documented(), "gateway", version).spec();
    let mut document = service_kit::openapi::publish("Jetsaga", &[spec]);
    document["info"]["description"] = description().into();
    document
}

/// The page.
pub fn page(document: &Value) -> impl Endpoint<Output = Response> + 'static {
    // poem-openapi carries the reader's script; it is given our document in place of its own.
    let service = OpenApiService::new((), "placeholder", "0");
    // A closing tag inside the text would end the page's script.
    let text = document.to_string().replace("</", "<\\/");
    let html = service.scalar_html().replace(&service.spec(), &text);
    poem::endpoint::make_sync(move |_| Html(html.clone()).into_response())
}
