//! HTTP as every service speaks it.
//!
//! A handler returns [`Result`]; whatever goes wrong, here or in the framework, is answered as a
//! [`Problem`] (RFC 9457):
//!
//! ```
//! use poem_openapi::{OpenApi, payload::Json, param::Path};
//! use service_kit::http::{Problem, Result};
//!
//! struct Api;
//!
//! #[OpenApi]
//! impl Api {
//!     /// A greeting
//!     #[oai(path = "/v1/greetings/:name", method = "get")]
//!     async fn greet(&self, name: Path<String>) -> Result<Json<String>> {
//!         if name.0 == "nobody" {
//!             return Err(Problem::not_found("greeting_not_found", "nobody is not greeted").into());
//!         }
//!         Ok(Json(format!("hello, {}", name.0)))
//!     }
//! }
//! ```

mod body;
pub mod client;
mod cursor;
mod layer;
mod problem;
mod server;

pub use body::JsonBody;
pub use client::{Call, CallError, ServiceClient, ServiceUrls};
pub use cursor::{Cursor, page_limit};
pub use layer::{Limits, Paths, RequestId, endpoint};
pub use problem::{CODES, FieldProblem, Problem, chain};
pub use server::{Bound, bind, serve};

/// What a handler returns: the error becomes a [`Problem`].
pub type Result<T> = poem::Result<T>;
